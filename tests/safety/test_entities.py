"""Which pieces of a text are personal or secret data, and which only look like it."""

import random
import string
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from routec.safety.entities import KINDS, Entity, find, find_in_original, mask
from routec.safety.entities.credit_card import is_card_number, luhn
from routec.safety.entities.iban import is_iban


def pieces(text: str, kind: str, region: str | None = None) -> list[str]:
    return [text[e.start : e.end] for e in find(text, [kind], region=region)]


FOUND = [
    ("email", "write to bob@example.com, or call", "bob@example.com"),
    ("email", "<first.last+tag@mail.example.co.uk>", "first.last+tag@mail.example.co.uk"),
    ("email", "O'Brien is o'brien@example.ie.", "o'brien@example.ie"),
    ("email", "'quoted@example.org'", "quoted@example.org"),
    ("email", "用户@例子.公司", "用户@例子.公司"),
    ("email", "münch@bücher.de", "münch@bücher.de"),
    ("email", "mailto:a@b.museum?subject=x", "a@b.museum"),
    # Test numbers that the payment providers publish.
    ("credit_card", "card 4242424242424242.", "4242424242424242"),
    ("credit_card", "4111 1111 1111 1111", "4111 1111 1111 1111"),
    ("credit_card", "4111-1111-1111-1111 exp 12/29", "4111-1111-1111-1111"),
    ("credit_card", "4111.1111.1111.1111", "4111.1111.1111.1111"),
    ("credit_card", "4111 1111 1111 1111 123", "4111 1111 1111 1111"),
    ("credit_card", "order 12345 5555 5555 5555 4444", "5555 5555 5555 4444"),
    ("credit_card", "3782 822463 10005", "3782 822463 10005"),
    ("credit_card", "378282246310005", "378282246310005"),
    ("credit_card", "2223003122003222", "2223003122003222"),
    ("credit_card", "6011111111111117", "6011111111111117"),
    ("credit_card", "3056 930902 5904", "3056 930902 5904"),
    ("credit_card", "3530111333300000", "3530111333300000"),
    ("credit_card", "6200000000000005", "6200000000000005"),
    ("credit_card", "4222222222222", "4222222222222"),
    ("credit_card", "4111\u00a01111\u20111111\u20091111", "4111\u00a01111\u20111111\u20091111"),
    ("credit_card", "٤١١١ ١١١١ ١١١١ ١١١١", "٤١١١ ١١١١ ١١١١ ١١١١"),
    # Examples of the SWIFT registry.
    ("iban", "IBAN: DE89 3704 0044 0532 0130 00, thanks", "DE89 3704 0044 0532 0130 00"),
    ("iban", "GB29NWBK60161331926819", "GB29NWBK60161331926819"),
    ("iban", "fr1420041010050500013m02606", "fr1420041010050500013m02606"),
    ("iban", "NO93-8601-1117-947", "NO93-8601-1117-947"),
    ("iban", "MT84 MALT 0110 0001 2345 MTLC AST0 01S or", "MT84 MALT 0110 0001 2345 MTLC AST0 01S"),
    (
        "iban",
        "DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000",
        "DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000",
    ),
    ("us_ssn", "it is 536-90-4399.", "536-90-4399"),
    ("us_ssn", "my social security number is 536904399", "536904399"),
    ("us_ssn", "SSN: 536 90 4399", "536 90 4399"),
    ("ip_address", "from 93.184.216.34:8080", "93.184.216.34"),
    ("ip_address", "http://10.0.0.5/login", "10.0.0.5"),
    ("ip_address", "see 8.8.8.8.", "8.8.8.8"),
    ("ip_address", "[2606:4700:4700::1111]:443", "2606:4700:4700::1111"),
    ("ip_address", "host 2001:db8:0:0:0:0:2:1 is", "2001:db8:0:0:0:0:2:1"),
    ("ip_address", "fe80::1ff:fe23:4567:890a%eth0", "fe80::1ff:fe23:4567:890a"),
    ("phone", "call +1 (650) 253-0000 now", "+1 (650) 253-0000"),
    ("phone", "+49 30 901820", "+49 30 901820"),
    ("phone", "+442079460958.", "+442079460958"),
    ("phone", "＋33 1 42 68 53 00", "＋33 1 42 68 53 00"),
    ("phone", "+33 1 42 68 53 00 12 people", "+33 1 42 68 53 00"),
    ("phone", "call me at 650-253-0000", "650-253-0000"),
    ("phone", "Tel.: 030 901820", "030 901820"),
    ("phone", "Телефон: 8 (495) 123-45-67", "8 (495) 123-45-67"),
    ("phone", "电话：13912345678", "13912345678"),
    ("api_key", "key sk-proj-abcdEFGH1234ijklMNOP5678 leaked", "sk-proj-abcdEFGH1234ijklMNOP5678"),
    ("api_key", "AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    (
        "api_key",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a!",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    ),
    ("api_key", "sk" + "_live_4eC39HqLyjWDarjtT1zdp7dc", "sk" + "_live_4eC39HqLyjWDarjtT1zdp7dc"),
    ("api_key", 'api_key = "f3b0c44298fc1c149afbf4c8996fb924"', "f3b0c44298fc1c149afbf4c8996fb924"),
    ("api_key", "OPENAI_API_KEY=1a2b3c4d5e6f7g8h9i0jklmn", "1a2b3c4d5e6f7g8h9i0jklmn"),
    ("api_key", "Authorization: Bearer 0a1b2c3d4e5f6g7h8i9j0k", "0a1b2c3d4e5f6g7h8i9j0k"),
    (
        "api_key",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    ),
    (
        "api_key",
        "x -----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY----- y",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
    ),
]


@pytest.mark.parametrize(("kind", "text", "piece"), FOUND)
def test_an_entity_is_found_with_its_exact_span(kind: str, text: str, piece: str) -> None:
    assert pieces(text, kind) == [piece]


NOT_FOUND = [
    ("email", "https://user:pass@example.com/x"),
    ("email", "git@github.com:group/project.git"),
    ("email", "icon@2x.png"),
    ("email", "npm i left-pad@1.3.0"),
    ("email", "@decorator and a @ b.c"),
    ("email", "a..b@example.com"),
    ("email", "x@localhost"),
    ("credit_card", "4111 1111 1111 1112"),
    ("credit_card", "0.4111111111111111"),
    ("credit_card", "1234567812345670"),  # passes Luhn, but no issuer has it
    ("credit_card", "id4111111111111111"),
    ("credit_card", "41111111111111110000000"),
    ("credit_card", "41 11 11 11 11 11 11 11"),
    ("credit_card", "4" * 400),
    ("iban", "DE88 3704 0044 0532 0130 00"),
    ("iban", "DE89 3704 0044 0532 0130 0"),
    ("iban", "XX89370400440532013000"),
    ("iban", "XDE89370400440532013000"),
    ("iban", "AT12 is the name of a room that we have"),
    ("us_ssn", "536904399"),
    ("us_ssn", "order 536 90 4399"),
    ("us_ssn", "000-12-3456, 666-12-3456, 900-12-3456, 536-00-4399, 536-90-0000"),
    ("us_ssn", "078-05-1120"),  # printed in wallets, void since 1943
    ("us_ssn", "part 1536-90-43991"),
    ("ip_address", "version 1.2.3.4, v1.2.3.4, requests==1.2.3.4, Chrome/120.0.0.0"),
    ("ip_address", "1.2.3 and 1.2.3.4.5 and 256.1.1.1 and 01.02.03.04"),
    ("ip_address", "127.0.0.1, 0.0.0.0, 255.255.255.0, ::1, ::"),
    ("ip_address", "std::vector a::b cafe::add 12:30:45 00:1A:2B:3C:4D:5E"),
    ("ip_address", "a0:36:9f:00:11:22:33:44"),
    ("phone", "a+1234567, 2 + 2 = 4, x = 1+12345678901"),
    ("phone", "+999 123 4567 890"),
    ("phone", "order 6502530000 of 2024-05-17"),
    ("phone", "phone 2024-05-17"),
    ("phone", "call 10000000 times"),
    ("phone", "call 192.168.1.100"),
    ("phone", "my phone bill is 1,234.56"),
    ("api_key", "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ("api_key", "task-list-of-the-people-in-the-project-team"),
    ("api_key", "api_key = get_secret_from_environment_variable()"),
    ("api_key", "what is an api key, and where do I find mine?"),
]


@pytest.mark.parametrize(("kind", "text"), NOT_FOUND)
def test_a_look_alike_is_not(kind: str, text: str) -> None:
    assert pieces(text, kind) == []


def test_national_phone_numbers_count_where_a_region_is_given() -> None:
    text = "650-253-0000 or (650) 253-0001, order 6502530002, 555-000-0000"
    assert pieces(text, "phone", "US") == ["650-253-0000", "(650) 253-0001"]
    assert pieces(text, "phone") == []
    assert pieces("030 901820", "phone", "DE") == ["030 901820"]


def test_a_number_is_of_one_kind() -> None:
    text = "call 4111 1111 1111 1111, phone DE89 3704 0044 0532 0130 00, tel 536-90-4399"
    assert [e.kind for e in find(text)] == ["credit_card", "iban", "us_ssn"]
    assert find(text, ["phone"]) == ()


def test_an_address_inside_a_key_is_part_of_the_key() -> None:
    text = "-----BEGIN PRIVATE KEY-----\nComment: bob@example.com\n-----END PRIVATE KEY-----"
    assert [e.kind for e in find(text)] == ["api_key"]


def test_a_private_key_that_is_cut_off_is_masked_to_its_end() -> None:
    text = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIB\nabc="
    assert mask(text, find(text)) == "[api_key]"


def test_asking_for_nothing_finds_nothing() -> None:
    assert find("bob@example.com", []) == ()


def test_an_unknown_kind_or_region_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown entity kind `passport`: the kinds are api_key"):
        find("x", ["email", "passport"])
    with pytest.raises(ValueError, match="unknown phone region `us`"):
        find("x", ["phone"], region="us")


# --- checksums ---


def luhn_digit(body: str) -> str:
    return next(d for d in string.digits if luhn(body + d))


ISSUED = st.one_of(
    st.tuples(
        st.sampled_from(["4", "51", "55", "2221", "2720", "6011", "65", "3528", "62"]), st.just(16)
    ),
    st.tuples(st.sampled_from(["34", "37"]), st.just(15)),
    st.tuples(st.sampled_from(["36", "300", "38"]), st.just(14)),
)


@st.composite
def cards(draw: st.DrawFn) -> str:
    prefix, size = draw(ISSUED)
    rest = draw(
        st.text(string.digits, min_size=size - len(prefix) - 1, max_size=size - len(prefix) - 1)
    )
    return prefix + rest + luhn_digit(prefix + rest)


def grouped(digits: str, separator: str) -> str:
    sizes = {14: (4, 6, 4), 15: (4, 6, 5), 16: (4, 4, 4, 4)}[len(digits)]
    parts, at = [], 0
    for size in sizes:
        parts.append(digits[at : at + size])
        at += size
    return separator.join(parts)


@given(cards(), st.sampled_from(["", " ", "-", "\u00a0", " - ", "."]))
def test_every_valid_card_is_found(digits: str, separator: str) -> None:
    card = grouped(digits, separator)
    text = f"my card {card}, thanks"
    assert find(text) == (Entity("credit_card", 8, 8 + len(card)),)


@given(cards(), st.data())
def test_no_card_with_one_wrong_digit_is(digits: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(digits) - 1))
    wrong = data.draw(st.sampled_from([d for d in string.digits if d != digits[at]]))
    broken = digits[:at] + wrong + digits[at + 1 :]
    assert not is_card_number(broken)
    assert pieces(f"card {broken}", "credit_card") == []
    assert pieces(f"card {grouped(broken, ' ')}", "credit_card") == []


def with_check_digits(country: str, bban: str) -> str:
    number = int("".join(str(int(c, 36)) for c in f"{bban}{country}00"))
    return f"{country}{98 - number % 97:02d}{bban}"


IBANS = st.one_of(
    st.text(string.digits, min_size=18, max_size=18).map(lambda b: with_check_digits("DE", b)),
    st.text(string.digits, min_size=11, max_size=11).map(lambda b: with_check_digits("NO", b)),
    st.tuples(
        st.text(string.ascii_uppercase, min_size=4, max_size=4),
        st.text(string.digits, min_size=14, max_size=14),
    ).map(lambda parts: with_check_digits("GB", "".join(parts))),
)


@given(IBANS, st.sampled_from(["", " ", "-", "\u00a0"]))
def test_every_valid_iban_is_found(iban: str, separator: str) -> None:
    written = separator.join(iban[i : i + 4] for i in range(0, len(iban), 4))
    assert pieces(f"to {written}.", "iban") == [written]


@given(IBANS, st.data())
def test_no_iban_with_one_wrong_character_is(iban: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(2, len(iban) - 1))
    same = string.digits if iban[at].isdigit() else string.ascii_uppercase
    wrong = data.draw(st.sampled_from([c for c in same if c != iban[at]]))
    broken = iban[:at] + wrong + iban[at + 1 :]
    assert not is_iban(broken)
    assert pieces(f"to {broken}", "iban") == []


def test_random_digits_are_seldom_a_card() -> None:
    rng = random.Random(11)
    numbers = ("".join(rng.choice(string.digits) for _ in range(16)) for _ in range(2_000))
    hits = sum(bool(find(f"order {number}")) for number in numbers)
    assert hits / 2_000 < 0.04  # Luhn alone lets 10 % through


# --- properties of all recognisers together ---

SNIPPETS = st.sampled_from(
    [piece for _, _, piece in FOUND]
    + ["call ", "ssn ", " ", ", ", "\n", "1", "a", "+", "@", "-", ".", ":", "4111 ", "é", "\u200b"]
)
MIXED = st.lists(SNIPPETS | st.text(max_size=3), max_size=8).map("".join)


@settings(max_examples=200, deadline=None)
@given(MIXED, st.sets(st.sampled_from(KINDS)))
def test_what_a_piece_is_does_not_depend_on_what_is_asked_for(text: str, kinds: set[str]) -> None:
    everything = find(text)
    assert find(text, kinds) == tuple(e for e in everything if e.kind in kinds)


@settings(max_examples=200, deadline=None)
@given(MIXED)
def test_entities_are_sorted_and_do_not_overlap(text: str) -> None:
    entities = find(text)
    assert all(0 <= e.start < e.end <= len(text) for e in entities)
    assert all(a.end <= b.start for a, b in pairwise(entities))


@pytest.mark.parametrize(
    "hostile",
    ["a@" * 30_000, "1" * 60_000, "1 " * 30_000, "+1234567 " * 3_000, "4111 " * 10_000,
     "DE89 " * 10_000, "a:" * 30_000, "1.2.3." * 10_000, "eyJ" * 20_000, "(1" * 30_000,
     "-----BEGIN PRIVATE KEY-----" * 2_000, "ssn " * 10_000, "x@" + "a-b." * 10_000, "\ud800@" * 100],
)  # fmt: skip
def test_hostile_text_is_answered(hostile: str) -> None:
    assert all(e.kind == "api_key" for e in find(hostile))


# --- masking ---


def test_masking_names_the_kind() -> None:
    text = "I am bob@example.com, card 4111 1111 1111 1111."
    assert mask(text, find(text)) == "I am [email], card [credit_card]."
    assert mask(text, find(text), "***") == "I am ***, card ***."


def test_a_number_hidden_behind_invisible_characters_is_masked_whole() -> None:
    text = "card 4\u200b111 ①111 1\u00ad111 1111\u200b!"
    assert find(text) == ()
    assert mask(text, find_in_original(text)) == "card [credit_card]\u200b!"


def test_overlapping_entities_are_masked_together() -> None:
    text = "0123456789"
    assert mask(text, [Entity("b", 3, 7), Entity("a", 1, 5)]) == "0[a]789"


def test_an_entity_outside_the_text_is_refused() -> None:
    with pytest.raises(ValueError, match=r"entity 2\.\.9 is not in a text of 3 characters"):
        mask("abc", [Entity("email", 2, 9)])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("4111 1111 1111 1111.4242424242424242", 2),
        ("4242424242424242.4111 1111 1111 1111", 2),
        ("4242424242424242.4012888888881881.4111 1111 1111 1111", 1),
        ("3.4242424242424242.4111 1111 1111 1111", 1),
        ("4111 1111 1111 1111.4242424242424242.7", 1),
        ("4242424242424242.4242424242424242", 0),
    ],
)
def test_a_point_between_two_card_numbers_is_no_decimal_point(text: str, found: int) -> None:
    cards = [entity for entity in find(text) if entity.kind == "credit_card"]
    assert len(cards) == found
    assert cards == sorted(cards, key=lambda card: card.start)


@settings(max_examples=200, deadline=None)
@given(MIXED)
@example("4242424242424242+4111 1111 1111 1111.4242424242424242")
def test_nothing_that_was_found_is_left_after_masking(text: str) -> None:
    entities = find_in_original(text)
    masked = mask(text, entities, "\n\n")
    kept = sum(e.end - e.start for e in entities)
    assert len(masked) == len(text) - kept + 2 * len(entities)
    secrets = {text[e.start : e.end] for e in entities if e.kind in ("credit_card", "iban")}
    again = {masked[e.start : e.end] for e in find_in_original(masked)}
    assert not secrets & again
