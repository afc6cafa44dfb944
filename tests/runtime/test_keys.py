"""Keys as text: one text a key, and none that anybody could sign for."""

from __future__ import annotations

import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from routec.runtime.config import ConfigError, Secret, load_config
from routec.runtime.keys import (
    MOST_KEYS,
    PRIVATE,
    PUBLIC,
    KeyTextError,
    key_id,
    read_private,
    read_public,
    write_private,
    write_public,
)
from routec.runtime.policies.signature import Signer

SEED = bytes(range(32))
SIGNER = Signer(Secret(write_private(SEED)))
OTHER = Signer(Secret(write_private(bytes(31) + b"\7")))

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def plus(a: Point, b: Point) -> Point:
    """The sum of two points of the curve (RFC 8032, 5.1)."""
    k = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + k, -1, P)
    return x % P, (a[1] * b[1] + a[0] * b[0]) * pow(1 - k, -1, P) % P


def points_of_small_order() -> set[Point]:
    """The eight points that eight times themselves are nothing: any point, times the prime order."""
    order = 2**252 + 27742317777372353535851937790883648493
    y = 2
    while True:
        y += 1
        square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        x = pow(square, (P + 3) // 8, P)
        if x * x % P != square:
            x = x * pow(2, (P - 1) // 4, P) % P
        if x * x % P != square:
            continue
        generator, power, rest = (0, 1), (x, y), order
        while rest:
            generator = plus(generator, power) if rest & 1 else generator
            power, rest = plus(power, power), rest >> 1
        found, point = set(), (0, 1)
        for _ in range(8):
            found.add(point)
            point = plus(point, generator)
        if len(found) == 8:
            return found


SMALL = sorted(points_of_small_order())


def test_keys_are_read_as_they_are_written() -> None:
    assert read_private(write_private(SEED)) == SEED
    assert read_private(f"  {write_private(SEED)}\n") == SEED
    raw = read_public(SIGNER.public)
    assert write_public(raw) == SIGNER.public
    assert key_id(raw) == SIGNER.key != OTHER.key


def test_the_public_key_is_the_standards() -> None:
    """RFC 8032, 7.1, test 1."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert read_public(Signer(Secret(write_private(seed))).public).hex() == public


@pytest.mark.parametrize("point", SMALL)
@pytest.mark.parametrize("sign", [0, 1])
def test_a_key_that_anybody_can_sign_for_is_none(point: Point, sign: int) -> None:
    encodings = [point[1]] + ([point[1] + P] if point[1] + P < 2**255 else [])
    for y in encodings:
        raw = (y | sign << 255).to_bytes(32, "little")
        with pytest.raises(KeyTextError, match="anybody could sign"):
            read_public(write_public(raw))


def test_why_such_a_key_is_none() -> None:
    """The library takes this signature, which needs no secret, for one over whatever is asked."""
    nothing = b"\1" + bytes(31)
    Ed25519PublicKey.from_public_bytes(nothing).verify(nothing + bytes(32), b"any policy")


@given(st.text(max_size=120))
def test_any_other_text_is_no_key(text: str) -> None:
    for form in (text, PUBLIC + text, PRIVATE + text):
        for read in (read_public, read_private):
            with contextlib.suppress(KeyTextError):
                assert len(read(form)) == 32


@given(st.integers(0, len(SIGNER.public) - 1), st.characters(max_codepoint=0x2FF))
def test_one_key_has_one_text(at: int, other: str) -> None:
    text = SIGNER.public[:at] + other + SIGNER.public[at + 1 :]
    try:
        raw = read_public(text)
    except KeyTextError:
        return
    assert (raw == read_public(SIGNER.public)) == (text == SIGNER.public)


def test_a_private_key_is_in_no_words() -> None:
    secret = write_private(SEED)
    said = f"{SIGNER} {SIGNER!r} {Secret(secret)!r}"
    for text in (secret + "A", secret[:-1], SIGNER.public, "", PRIVATE):
        with pytest.raises(KeyTextError) as refused:
            read_private(text)
        said += f"{refused.value} {refused.value!r} {refused.value.message} {refused.value.help}"
    with pytest.raises(ConfigError) as leaked:
        load_config(None, {"ROUTEC_POLICIES__KEYS": secret})
    assert (leaked.value.code, leaked.value.key) == ("secret-in-file", "policies.keys[0]")
    said += f"{leaked.value!r} {leaked.value.message} {leaked.value.help}"
    assert secret.removeprefix(PRIVATE)[:10] not in said


def test_keys_are_configured_in_the_file_and_in_the_environment(tmp_path) -> None:
    path = tmp_path / "routec.toml"
    path.write_text(f'[policies]\nkeys = ["{SIGNER.public}", "{OTHER.public}"]\n')
    assert load_config(path, {}).policies.keys == (SIGNER.public, OTHER.public)
    given = {"ROUTEC_POLICIES__KEYS": f"{OTHER.public}, {SIGNER.public}"}
    assert load_config(path, given).policies.keys == (OTHER.public, SIGNER.public)
    assert load_config(path, {"ROUTEC_POLICIES__KEYS": "[]"}).policies.keys == ()
    # The variable of the private key is none of the configuration.
    assert load_config(path, {"ROUTEC_SIGNING_KEY": "x"}) == load_config(path, {})


@pytest.mark.parametrize("text", ["", " ", ",", SIGNER.public + ",", "ed25519:AAAA"])
def test_what_is_no_key_does_not_turn_the_check_off(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(None, {"ROUTEC_POLICIES__KEYS": text})
    assert refused.value.code == "invalid-value"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (f'["{SIGNER.public}", "{SIGNER.public}"]', "is there twice"),
        ('["ed25519:AAAA"]', "44 characters"),
        (f'"{SIGNER.public}"', "write a list of texts"),
        ("[1]", "cannot be this list"),
        ("[" + f'"{SIGNER.public}",' * (MOST_KEYS + 1) + "]", f"at most {MOST_KEYS}"),
    ],
)
def test_a_wrong_key_in_the_file_is_said(tmp_path, keys: str, says: str) -> None:
    path = tmp_path / "routec.toml"
    path.write_text(f"[policies]\nkeys = {keys}\n")
    with pytest.raises(ConfigError) as refused:
        load_config(path, {})
    assert refused.value.code == "invalid-value"
    assert says in f"{refused.value.message}; {refused.value.help}"
