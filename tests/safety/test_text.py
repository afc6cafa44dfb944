"""What the one normal form of a text is, and that the way back to the original is exact."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from routec.safety.text import MAX_MARKS, NORMALISER_VERSION, align, fold, normalise

# Weighted towards what goes wrong: marks, jamo, ligatures, invisibles, surrogates.
ODD = st.sampled_from(
    "aZ09 \n\u00a0éß\u0301\u0327\u0323\u0345ﬁ㎏Ａ①½\u1100\u1161\u11a8가ㅏ\uff76\uff9e"
    "\u200b\u00ad\ufeff\u202e\U000e0041\ud800\udc00\ufdfa\u0dd9\u0dcf\u3164İΐ\U0001f600\U0001d400"
    "\U000110b9\U000110ba\U0001133e\u0958\x00\x07\x85"
)
TEXTS = st.text(ODD) | st.text(ODD | st.characters(), max_size=60)
EVERY_CHARACTER = [chr(code) for code in range(0x110000)]


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("plain ASCII,\ttabs\nand lines", "plain ASCII,\ttabs\nand lines"),
        ("ｉｇｎｏｒｅ", "ignore"),
        ("𝐢𝐠𝐧𝐨𝐫𝐞", "ignore"),
        ("e\u0301", "é"),
        ("ig\u200bno\u00adre", "ignore"),
        ("\ufeffig\u2060n\u202eo\u034fr\ufe0fe\U000e0041", "ignore"),
        ("a\u00a0b\u2003c", "a b c"),
        ("e\u200b\u0301", "é"),
        ("ig\x00no\x7fre", "ignore"),
        ("a\ud800b", "a\ufffdb"),
        ("", ""),
    ],
)
def test_a_text_is_put_into_nfkc_without_what_nobody_sees(raw: str, normal: str) -> None:
    assert normalise(raw) == normal


def test_every_default_ignorable_character_is_removed() -> None:
    zero_width = [
        c
        for c in EVERY_CHARACTER
        # Format characters but the visible ones: signs that stand before Arabic, Kaithi
        # and Egyptian numbers and words.
        if unicodedata.category(c) == "Cf"
        and unicodedata.bidirectional(c) not in ("AN", "AL")
        and unicodedata.name(c, "").partition(" ")[0] not in ("KAITHI", "EGYPTIAN")
    ]
    assert len(zero_width) > 100
    assert [hex(ord(c)) for c in zero_width if normalise(f"a{c}b") != "ab"] == []


def test_each_single_character_is_stable_once_normalised_and_folded() -> None:
    unstable = [c for c in EVERY_CHARACTER if normalise(normalise(c)) != normalise(c)]
    assert unstable == []
    refolded = [c for c in map(normalise, EVERY_CHARACTER) if fold(fold(c)) != fold(c)]
    assert refolded == []


@given(TEXTS)
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    once.encode()  # no lone surrogate is left


@given(st.text(st.characters(exclude_categories=["Cs", "Cf", "Cc", "Cn", "Co", "M"])))
def test_visible_text_is_exactly_nfkc(text: str) -> None:
    visible = "".join(c for c in text if normalise(c))
    assert normalise(visible) == unicodedata.normalize("NFKC", visible)


@given(TEXTS)
def test_folding_forgets_case(text: str) -> None:
    normal = normalise(text)
    assert fold(fold(normal)) == fold(normal)
    assert fold(normalise(normal.lower())) == fold(normalise(fold(normal).lower()))


def test_folding_is_full_unicode_folding() -> None:
    assert fold("Straße ΣΊΣΥΦΟΣ") == "strasse σίσυφοσ"


def test_a_run_of_marks_is_cut_so_that_hostile_text_stays_cheap() -> None:
    hostile = "a" + "\u0301\u0327" * 200_000  # quadratic in a plain NFKC
    assert len(normalise(hostile)) <= MAX_MARKS + 1
    mixed = "a" + "\u0301\U0001d165" * 100_000
    assert len(normalise(mixed)) <= MAX_MARKS + 1
    assert normalise("a" + "\u0323" * 8) == "ạ" + "\u0323" * 7  # ordinary runs are kept


def test_a_million_fold_expansion_is_bounded() -> None:
    assert len(normalise("\ufdfa" * 50_000)) == 50_000 * 18


def test_the_version_names_the_unicode_data() -> None:
    assert unicodedata.unidata_version in NORMALISER_VERSION


@given(TEXTS)
def test_aligning_gives_the_same_text_as_normalising(text: str) -> None:
    aligned = align(text)
    assert aligned.text == normalise(text)
    assert aligned.original == text


@given(TEXTS)
def test_the_way_back_is_monotone_and_stays_in_the_original(text: str) -> None:
    aligned = align(text)
    spans = [aligned.original_span(i, i + 1) for i in range(len(aligned.text))]
    for start, end in spans:
        assert 0 <= start < end <= len(text)
    for (start, end), (next_start, next_end) in pairwise(spans):
        assert start <= next_start
        assert end <= next_end
        # Neighbours share a source or follow each other; they never cross.
        assert (start, end) == (next_start, next_end) or end <= next_start


@given(TEXTS, st.data())
def test_masking_a_span_leaves_nothing_of_it(text: str, data: st.DataObject) -> None:
    aligned = align(text)
    assume(aligned.text)
    start = data.draw(st.integers(0, len(aligned.text) - 1))
    end = data.draw(st.integers(start + 1, len(aligned.text)))
    first, last = aligned.original_span(start, end)
    before, after = normalise(text[:first]), normalise(text[last:])
    # What is left over stood outside the span in the normal form too.
    assert aligned.text[:start].startswith(before)
    assert aligned.text[end:].endswith(after)


@given(st.text(st.characters(max_codepoint=0x7E, min_codepoint=0x20)))
def test_ascii_is_its_own_map(text: str) -> None:
    aligned = align(text)
    assert normalise(text) is text
    assert all(aligned.original_span(i, i + 1) == (i, i + 1) for i in range(len(text)))


@pytest.mark.parametrize(
    ("raw", "wanted", "source"),
    [
        ("see ﬁle", "file", "ﬁle"),
        ("x 4\u200b1\u00ad1 y", "411", "4\u200b1\u00ad1"),
        ("cafe\u0301 noir", "café", "cafe\u0301"),
        ("\u1112\u1161\u11ab글", "한", "\u1112\u1161\u11ab"),
        ("½ cup", "1", "½"),
        ("\uff76\uff9eス", "ガ", "\uff76\uff9e"),
    ],
)
def test_a_span_leads_back_to_what_it_was_made_of(raw: str, wanted: str, source: str) -> None:
    aligned = align(raw)
    start = aligned.text.index(wanted)
    first, last = aligned.original_span(start, start + len(wanted))
    assert raw[first:last] == source


def test_a_span_outside_the_text_is_refused() -> None:
    with pytest.raises(ValueError, match=r"span 2\.\.4 is not in a text of 3 characters"):
        align("abc").original_span(2, 4)
    with pytest.raises(ValueError, match="span"):
        align("abc").original_span(2, 1)
