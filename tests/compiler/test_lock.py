"""The lock file: exact vectors in, the same vectors out, and a clear word about any damage."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.compiler import check_bytes
from routec.compiler.lock import (
    MAX_SIZE,
    Lock,
    LockError,
    NoLock,
    dump,
    key_of,
    lock_path,
    make,
    parse,
    read_lock,
    wanted,
)

POLICY = b"""
policy shop "A shop"
signal refund = similarity { examples: ["money back", "refund me"] }
signal hard = contrast { high: ["prove it"], low: ["hello", "money back"] }
signal urgent = keyword("asap")
model mini { provider: openai }
route refunds priority 10 { when refund >= 0.8 or hard > 0.2 or urgent to mini }
default route rest { to mini }
"""

TEXTS = ("money back", "refund me", "prove it", "hello")


def unit(*components: float) -> list[float]:
    length = sum(x * x for x in components) ** 0.5
    return [x / length for x in components]


ROWS = [unit(1, 2, 2), unit(3, 4, 0), unit(0, 0, 1), [0.0, 0.0, 0.0]]


def lock() -> Lock:
    return make("sha256:abc", TEXTS, ROWS)


def policy_in(folder: Path, data: bytes | None) -> tuple[str, object]:
    file = folder / "shop.route"
    file.write_bytes(POLICY)
    if data is not None:
        (folder / "shop.lock").write_bytes(data)
    checked = check_bytes(str(file), POLICY)
    assert checked.policy is not None
    return str(file), read_lock(str(file), checked.policy)


def test_every_example_of_the_policy_is_wanted_once() -> None:
    checked = check_bytes("shop.route", POLICY)
    assert checked.policy is not None
    assert wanted(checked.policy) == TEXTS


def test_what_is_written_is_read_again_to_the_bit() -> None:
    again = parse(dump(lock()))
    assert again == lock()
    for text, row in zip(TEXTS, ROWS, strict=True):
        assert again.vector(text) == struct.unpack("<3f", struct.pack("<3f", *row))
    assert dump(again) == dump(lock())


def test_texts_that_signals_cannot_tell_apart_share_a_key() -> None:
    assert key_of("caf\u00e9") == key_of("cafe\u0301") == key_of("ca\u200bf\u00e9")
    assert key_of("a") != key_of("A")
    assert lock().lacks(["hello", "new", "new"]) == ("new",)


def test_it_stands_beside_the_policy(tmp_path: Path) -> None:
    file, found = policy_in(tmp_path, dump(lock()))
    assert lock_path(file) == tmp_path / "shop.lock"
    assert found == lock()


def test_vectors_of_other_texts_are_not_taken(tmp_path: Path) -> None:
    more = make("sha256:abc", (*TEXTS, "old"), [*ROWS, unit(1, 1, 1)])
    assert policy_in(tmp_path, dump(more))[1] == lock()


def test_without_examples_no_lock_is_looked_for(tmp_path: Path) -> None:
    text = b"policy p model m { provider: x } default route r { to m }"
    checked = check_bytes(str(tmp_path / "p.route"), text)
    assert checked.policy is not None
    (tmp_path / "p.lock").write_bytes(b"damaged")
    assert read_lock(str(tmp_path / "p.route"), checked.policy) is None


def test_a_missing_lock_says_how_to_make_it(tmp_path: Path) -> None:
    file, found = policy_in(tmp_path, None)
    assert found == NoLock(
        "there is no `shop.lock` with the vectors of the examples", f"run `routec lock {file}`"
    )


def test_a_lock_of_another_embedder_is_out_of_date(tmp_path: Path) -> None:
    file, _ = policy_in(tmp_path, dump(lock()))
    checked = check_bytes(file, POLICY)
    assert checked.policy is not None
    assert read_lock(file, checked.policy, "sha256:abc") == lock()
    stale = read_lock(file, checked.policy, "sha256:def")
    assert isinstance(stale, NoLock)
    assert stale.reason == "`shop.lock` was made by another embedder than the one in use"


def changed(**members: object) -> bytes:
    return json.dumps({**json.loads(dump(lock())), **members}).encode()


def with_vector(data: bytes) -> bytes:
    return changed(vectors={key_of("hello"): b64encode(data).decode()})


DAMAGE = {
    "not JSON": (b"\xff\x00", "it is not JSON"),
    "too deep": (b"[" * 100_000, "it is not JSON"),
    "no object": (b"[]", "it is no JSON object"),
    "no version": (changed(version=True), "it has no `version`"),
    "no embedder": (changed(embedder=3), "it has no `embedder`"),
    "no dimension": (changed(dimension="3"), "it has no `dimension`"),
    "dimension out of range": (changed(dimension=0), "its `dimension` is not between 1 and 8192"),
    "huge dimension": (changed(dimension=10**9), "its `dimension` is not between 1 and 8192"),
    "no vectors": (changed(vectors=[]), "it has no `vectors`"),
    "vector no text": (changed(vectors={"ab": 3}), "the vector of `ab` is not Base64"),
    "vector no Base64": (changed(vectors={"ab": "*"}), "the vector of `ab` is not Base64"),
    "too short": (with_vector(bytes(8)), "has not 3 components"),
    "NaN": (with_vector(struct.pack("<3f", 1, float("nan"), 0)), "has not unit length"),
    "infinite": (with_vector(struct.pack("<3f", 1, float("inf"), 0)), "has not unit length"),
    "too long a vector": (with_vector(struct.pack("<3f", 1, 1, 0)), "has not unit length"),
}


@pytest.mark.parametrize(("data", "words"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named_and_never_raised_to_check(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(LockError) as raised:
        parse(data)
    assert words in raised.value.message
    found = policy_in(tmp_path, data)[1]
    assert isinstance(found, NoLock)
    assert found.reason.startswith("`shop.lock` cannot be used: the lock file is damaged: ")
    assert words in found.reason


def test_a_later_version_is_not_guessed_at() -> None:
    with pytest.raises(LockError, match="has version 2; this routec reads version 1"):
        parse(changed(version=2))


def test_size_is_bounded() -> None:
    with pytest.raises(LockError, match="larger than 64 MiB"):
        parse(bytes(MAX_SIZE + 1))


def test_vectors_that_are_none_are_not_written() -> None:
    with pytest.raises(ValueError, match="has not unit length"):
        make("d", ("a",), [[1.0, 1.0]])
    with pytest.raises(ValueError, match="has not 2 components"):
        make("d", ("a", "b"), [[1.0, 0.0], [1.0]])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_bytes_are_anything_but_a_lock_or_an_error(data: st.DataObject) -> None:
    good = bytearray(dump(lock()))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(good) - 1))
        good[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    found: Lock | None = None
    with suppress(LockError):
        found = parse(bytes(good))
    if found is not None:
        assert all(found.vector(text) for text in TEXTS if key_of(text) in found.vectors)
