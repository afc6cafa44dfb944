"""Signed policies: what is signed goes through as it is, and nothing else does."""

from __future__ import annotations

import base64
import struct
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.compiler.program import Program, digest, dump
from routec.runtime.config import Config, Secret
from routec.runtime.keys import write_private
from routec.runtime.policies.activation import Activation
from routec.runtime.policies.instruction import Refusal, read_instruction
from routec.runtime.policies.live import LivePolicy
from routec.runtime.policies.signature import (
    MOST_SEQUENCE,
    SEQUENCE,
    SIGNATURE,
    Admission,
    SignatureError,
    Signer,
    Verifier,
)
from routec.runtime.records import Headers, Record
from routec.runtime.service import Memory, PolicyService, open_service
from tests.runtime.doubles import program

OURS = Signer(Secret(write_private(bytes(32))))
NEXT = Signer(Secret(write_private(bytes(31) + b"\1")))
THEIRS = Signer(Secret(write_private(bytes(31) + b"\2")))
TOPIC = "routec.policies"
VERIFIER = Verifier([OURS.public])


def version(n: int) -> Program:
    return program(
        f'policy live\nsignal k = keyword("w{n}")\nmodel m {{}}\n'
        f"route r{n} {{ when k to m }}\ndefault route d{n} {{ to m }}"
    )


VERSIONS = [version(n) for n in range(4)]
HASHES = [digest(one) for one in VERSIONS]
PROGRAMS = [dump(one) for one in VERSIONS]
CANARY: Headers = (("routec.candidate.mode", b"canary"), ("routec.candidate.share", b"0.05"))


def record(
    value: bytes | None,
    sequence: int = 1,
    key: bytes = b"live",
    headers: Headers = (),
    by: Signer = OURS,
) -> Record:
    """A record as `routec deploy` signs it."""
    return Record(
        TOPIC, 0, sequence, 0, key, value, by.sign_record(TOPIC, key, value, headers, sequence)
    )


def but(signed: Record, **changes: Any) -> Record:
    """The same record, with something in it changed after it was signed."""
    return msgspec.structs.replace(signed, **changes)


def header(signed: Record, name: str, value: bytes) -> Record:
    others = tuple(one for one in signed.headers if one[0] != name)
    return but(signed, headers=(*others, (name, value)))


def refusal(signed: Record, verifier: Verifier = VERIFIER) -> str:
    with pytest.raises(SignatureError) as refused:
        verifier.verify_record(signed)
    assert refused.value.message[0].islower()
    return refused.value.code


headers = st.dictionaries(
    st.text(st.characters(codec="ascii"), max_size=8).map("routec.x".__add__),
    st.binary(max_size=20),
    max_size=3,
).map(lambda one: tuple(one.items()))
records = st.builds(
    record,
    st.none() | st.binary(max_size=60),
    st.integers(0, MOST_SEQUENCE),
    st.binary(max_size=12),
    headers,
)


@given(records)
def test_what_is_signed_is_taken(signed: Record) -> None:
    found = VERIFIER.verify_record(signed)
    assert found.key == OURS.key
    assert str(found.sequence).encode() == dict(signed.headers)[SEQUENCE]


@given(records, st.data())
@settings(max_examples=300)
def test_one_changed_byte_anywhere_is_refused(signed: Record, data: st.DataObject) -> None:
    parts: list[tuple[str, bytes]] = [("key", signed.key or b""), ("value", signed.value or b"")]
    parts += list(signed.headers)
    name, content = data.draw(st.sampled_from([one for one in parts if one[1]]))
    at = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda one: one != content[at]))
    other = content[:at] + bytes([byte]) + content[at + 1 :]
    odd = but(signed, **{name: other}) if name in ("key", "value") else header(signed, name, other)
    assert refusal(odd) in {"wrong-signature", "malformed-signature", "unknown-key"}


@given(records, st.data())
def test_bytes_do_not_move_between_the_parts(signed: Record, data: st.DataObject) -> None:
    key, value = signed.key or b"", signed.value or b""
    at = data.draw(st.integers(0, len(key + value)))
    odd = but(signed, key=(key + value)[:at], value=(key + value)[at:])
    if (odd.key, odd.value) != (signed.key, signed.value):
        assert refusal(odd) == "wrong-signature"


def test_a_separator_in_a_part_separates_nothing() -> None:
    signed = record(b"c", key=b"a\1b")
    assert refusal(but(signed, key=b"a", value=b"b\1c")) == "wrong-signature"


def part(content: bytes) -> bytes:
    return b"\1" + struct.pack(">q", len(content)) + content


def test_what_is_signed_is_what_is_said_of_it() -> None:
    """For those who sign elsewhere: the bytes, made here without the code that is tested."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    names = [part(text.encode()) for text in ("routec.candidate.mode", "routec.candidate.share")]
    body = part(TOPIC.encode()) + part(b"live/candidate") + part(b"program")
    body += names[0] + part(b"canary") + names[1] + part(b"0.05")
    body += part(b"routec.sequence") + part(b"1")
    bits = base64.b64encode(key.sign(b"routec control record, version 1\n" + body)).decode()
    assert f"ed25519:{OURS.key}:{bits}".encode() == TEXT
    # As a file, the same bytes have another signature.
    assert OURS.sign_file(body) != TEXT
    bits = base64.b64encode(key.sign(b"routec program file, version 1\n" + body)).decode()
    assert OURS.sign_file(body) == f"ed25519:{OURS.key}:{bits}".encode()


@given(st.lists(st.tuples(st.text(max_size=20).map("routec.".__add__), st.binary(max_size=200))))
def test_no_header_stops_the_reader(some: list[tuple[str, bytes]]) -> None:
    for odd in (some, [*some, (SIGNATURE, b"ed25519:")], [(SEQUENCE, b"1"), *some]):
        refusal(Record(TOPIC, 0, 0, 0, b"live", b"{}", tuple(odd)))


def test_headers_of_others_do_not_matter() -> None:
    signed = record(b"x", headers=CANARY)
    mirrored = but(signed, headers=(("origin", b"a"), *signed.headers, ("traceparent", b"b")))
    assert VERIFIER.verify_record(mirrored) == VERIFIER.verify_record(signed)
    # Nor does the order in which they come, nor when and where the record was written.
    turned = but(signed, headers=signed.headers[::-1], partition=3, offset=9, timestamp_ms=7)
    assert VERIFIER.verify_record(turned) == VERIFIER.verify_record(signed)


GOOD = record(b"program", headers=CANARY, key=b"live/candidate")
TEXT = dict(GOOD.headers)[SIGNATURE]
BITS = TEXT.decode().rpartition(":")[2]
MOVES = {
    "to another policy": but(GOOD, key=b"other/candidate"),
    "to be in force": but(GOOD, key=b"live"),
    "to the program before": but(GOOD, key=b"live/previous"),
    "to another topic": but(GOOD, topic="staging.policies"),
    "to a tombstone": but(GOOD, value=None),
    "to an empty value": but(record(None), value=b""),
    "to a larger share": header(GOOD, "routec.candidate.share", b"1.0"),
    "to a shadow": header(GOOD, "routec.candidate.mode", b"shadow"),
    "to a later time": header(GOOD, SEQUENCE, b"2"),
    "to a header more": but(GOOD, headers=(("routec.more", b""), *GOOD.headers)),
    "to a header less": but(GOOD, headers=GOOD.headers[1:]),
    "to the other key's name": header(
        GOOD, SIGNATURE, TEXT.replace(OURS.key.encode(), NEXT.key.encode())
    ),
    "from a file": header(GOOD, SIGNATURE, OURS.sign_file(b"program")),
}


@pytest.mark.parametrize("to", MOVES)
def test_a_signature_is_not_moved(to: str) -> None:
    assert refusal(MOVES[to], Verifier([OURS.public, NEXT.public])) == "wrong-signature"


MALFORMED = {
    "empty": b"",
    "no text": b"\xff\xfe\x00",
    "another scheme": TEXT.replace(b"ed25519:", b"rsa:"),
    "no key": f"ed25519:{BITS}".encode(),
    "a short key": f"ed25519:abc:{BITS}".encode(),
    "a large key": TEXT.replace(OURS.key.encode(), OURS.key.upper().encode() + b"0"),
    "no base64": f"ed25519:{OURS.key}:{'*' * 88}".encode(),
    "cut off": TEXT[:-1],
    "too short": f"ed25519:{OURS.key}:{BITS[:-6]}==".encode(),
    "white space": TEXT + b"\n",
    "bits past its end": TEXT[:-3] + bytes([TEXT[-3] + 1]) + b"==",
    "large": TEXT + b"A" * 100,
    "huge": b"A" * 1_000_000,
}


@pytest.mark.parametrize("what", MALFORMED)
def test_what_is_no_signature_is_refused(what: str) -> None:
    assert refusal(header(GOOD, SIGNATURE, MALFORMED[what])) == "malformed-signature"


@pytest.mark.parametrize(
    "number", [b"", b"-1", b"+1", b" 1", b"1.0", b"01", b"\xc2\xb2", b"1_0", b"9" * 19, b"9" * 5000]
)
def test_what_is_no_sequence_is_refused(number: bytes) -> None:
    assert refusal(header(GOOD, SEQUENCE, number)) == "malformed-signature"


def test_headers_that_are_twice_there_or_too_many_are_refused() -> None:
    assert refusal(but(GOOD, headers=(*GOOD.headers, CANARY[1]))) == "malformed-signature"
    assert refusal(but(GOOD, headers=(*GOOD.headers, (SIGNATURE, TEXT)))) == "malformed-signature"
    many = tuple((f"routec.{n}", b"") for n in range(100))
    assert refusal(but(GOOD, headers=(*GOOD.headers, *many))) == "malformed-signature"
    assert refusal(record(b"x", headers=(("routec.x", b"x" * 5000),))) == "malformed-signature"


def test_a_record_without_a_signature_is_refused() -> None:
    for value in (b"program", None):
        assert refusal(Record(TOPIC, 0, 0, 0, b"live", value)) == "unsigned-policy"


def test_another_key_is_refused_by_its_name() -> None:
    with pytest.raises(SignatureError, match=THEIRS.key) as refused:
        VERIFIER.verify_record(record(b"x", by=THEIRS))
    assert refused.value.code == "unknown-key"


def test_keys_are_changed_in_three_steps() -> None:
    old, new = record(b"x"), record(b"x", 2, by=NEXT)
    before, during, after = (
        Verifier(keys) for keys in ([OURS.public], [OURS.public, NEXT.public], [NEXT.public])
    )
    assert before.verify_record(old).key == OURS.key
    assert refusal(new, before) == "unknown-key"
    assert [during.verify_record(one).key for one in (old, new)] == [OURS.key, NEXT.key]
    assert refusal(old, after) == "unknown-key"
    assert after.verify_record(new).key == NEXT.key


def test_a_file_is_signed_as_it_is() -> None:
    signature = OURS.sign_file(PROGRAMS[0])
    assert VERIFIER.verify_file(PROGRAMS[0], signature + b"\n") == OURS.key
    for data, text, code in (
        (PROGRAMS[1], signature, "wrong-signature"),
        (PROGRAMS[0], TEXT, "wrong-signature"),
        (PROGRAMS[0], THEIRS.sign_file(PROGRAMS[0]), "unknown-key"),
        (PROGRAMS[0], b"", "malformed-signature"),
    ):
        with pytest.raises(SignatureError) as refused:
            VERIFIER.verify_file(data, text)
        assert refused.value.code == code


@given(st.lists(st.tuples(st.sampled_from([b"live", b"live/candidate"]), st.integers(0, 6))))
def test_each_key_only_ever_goes_on(steps: list[tuple[bytes, int]]) -> None:
    admission = Admission(VERIFIER)
    newest: dict[bytes, int] = {}
    for key, sequence in steps:
        one = record(b"%d" % sequence, sequence, key)
        if sequence < newest.get(key, -1):
            with pytest.raises(SignatureError) as refused:
                admission.admit(one)
            assert refused.value.code == "replayed-policy"
        elif sequence == newest.get(key):
            assert admission.admit(one) is None
        else:
            found = admission.admit(one)
            assert found is not None
            newest[key] = found.sequence


def test_two_records_of_one_number_are_not_both_followed() -> None:
    admission = Admission(VERIFIER)
    admission.admit(record(b"one", 5))
    with pytest.raises(SignatureError, match="its sequence is 5"):
        admission.admit(record(b"other", 5))


def test_nothing_of_an_unsigned_value_is_read() -> None:
    found = read_instruction(
        Record(TOPIC, 0, 0, 0, b"live", b"[" * 100_000), "live", Admission(VERIFIER)
    )
    assert isinstance(found, Refusal)
    assert (found.code, found.hash) == ("unsigned-policy", None)


# A worker.


def open_here(made: Program, hash: str, memory: Memory | None, *, silent: bool) -> PolicyService:
    return open_service(
        made, Config(), hash=hash, memory=memory, **({"pending": 0} if silent else {})
    )


class Counted:
    """Hears what becomes of records."""

    def __init__(self) -> None:
        self.results: list[str] = []

    def activated(self, name: str, hash: str) -> None:
        self.results.append("activated")

    def refused(self, role: str, code: str) -> None:
        self.results.append(code)


class Worker:
    """The part of a worker that follows the control topic."""

    def __init__(self, *keys: str) -> None:
        self.live = LivePolicy(open_service(VERSIONS[0], Config()))
        self.counted = Counted()
        self.activation = Activation(
            VERSIONS[0],
            HASHES[0],
            self.live,
            open_here,
            self.counted,
            admission=Admission(Verifier(keys or [OURS.public])),
        )

    async def follows(self, *some: Record) -> list[str]:
        """What became of the records."""
        self.counted.results.clear()
        await self.activation.apply(some)
        return list(self.counted.results)


UNSIGNED = but(record(PROGRAMS[2], 9), headers=())


async def test_a_signed_policy_is_put_in_force_and_says_who_signed_it() -> None:
    worker = Worker()
    assert await worker.follows(record(PROGRAMS[1])) == ["activated"]
    assert worker.live.policy_hash == HASHES[1]
    assert worker.activation.active.signed_by == OURS.key


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        (UNSIGNED, "unsigned-policy"),
        (record(PROGRAMS[2], 9, by=THEIRS), "unknown-key"),
        (but(record(PROGRAMS[1], 9), value=PROGRAMS[2]), "wrong-signature"),
        (header(record(PROGRAMS[2], 9), SIGNATURE, b"\xff"), "malformed-signature"),
        (record(PROGRAMS[2], 3), "replayed-policy"),
        (record(None, 3), "replayed-policy"),
        (but(record(None, 9), headers=()), "unsigned-policy"),
        (record(None, 9, by=THEIRS), "unknown-key"),
        (but(record(PROGRAMS[2], 9, b"other"), key=b"live"), "wrong-signature"),
    ],
)
async def test_the_last_good_policy_stays(odd: Record, code: str) -> None:
    worker = Worker()
    await worker.follows(record(PROGRAMS[1], 5))
    before = worker.activation.active
    assert await worker.follows(odd) == [code]
    assert worker.live.policy_hash == HASHES[1]
    assert worker.activation.active == before
    assert [one.refusal.code for one in worker.activation.failures] == [code]
    # What comes after it is followed.
    assert await worker.follows(record(PROGRAMS[3], 10)) == ["activated"]


async def test_a_policy_is_taken_back_by_a_signed_tombstone() -> None:
    worker = Worker()
    await worker.follows(record(PROGRAMS[1], 5))
    assert await worker.follows(record(None, 6)) == ["activated"]
    assert worker.live.policy_hash == HASHES[0]
    assert worker.activation.active.signed_by is None
    # And not brought back by who kept the record.
    assert await worker.follows(record(PROGRAMS[1], 5)) == ["replayed-policy"]
    assert worker.live.policy_hash == HASHES[0]


async def test_a_withdrawn_canary_is_not_brought_back() -> None:
    worker = Worker()
    canary = record(PROGRAMS[1], 5, b"live/candidate", CANARY)
    assert await worker.follows(canary) == []
    assert worker.live.in_force.canary is not None
    assert worker.activation.candidate is not None
    assert worker.activation.candidate.signed_by == OURS.key
    assert await worker.follows(record(None, 4, b"live/candidate")) == ["replayed-policy"]
    assert worker.live.in_force.canary is not None
    assert await worker.follows(record(None, 6, b"live/candidate")) == []
    assert worker.live.in_force.canary is None
    assert await worker.follows(canary) == ["replayed-policy"]
    assert worker.live.in_force.canary is None


async def test_a_canary_is_not_made_larger() -> None:
    worker = Worker()
    canary = record(PROGRAMS[1], 5, b"live/candidate", CANARY)
    larger = header(canary, "routec.candidate.share", b"1.0")
    assert await worker.follows(canary, larger) == ["wrong-signature"]
    assert worker.activation.candidate is not None
    assert worker.activation.candidate.share == 0.05


async def test_a_worker_that_starts_finds_the_newest_among_what_was_slipped_in() -> None:
    worker = Worker()
    first, second = record(PROGRAMS[1], 5), record(PROGRAMS[2], 6)
    slipped = [UNSIGNED, record(PROGRAMS[3], 7, by=THEIRS), first, but(record(None, 8), headers=())]
    results = await worker.follows(first, second, *slipped)
    assert worker.live.policy_hash == HASHES[2]
    assert results == [
        "unsigned-policy", "unknown-key", "replayed-policy", "unsigned-policy", "activated",
    ]  # fmt: skip


@given(st.permutations([(1, 5), (2, 6), (3, 7)]))
def test_the_order_of_arrival_does_not_matter(order: list[tuple[int, int]]) -> None:
    admission = Admission(VERIFIER)
    last = None
    for version, sequence in order:
        found = read_instruction(record(PROGRAMS[version], sequence), "live", admission)
        if not isinstance(found, Refusal):
            last = found
    assert last is not None
    assert last.hash == HASHES[3]


async def test_the_newest_record_once_more_changes_nothing() -> None:
    worker = Worker()
    await worker.follows(record(PROGRAMS[1], 5))
    before = worker.activation.active
    assert await worker.follows(but(record(PROGRAMS[1], 5), offset=77)) == []
    assert worker.activation.active == before


async def test_what_is_signed_is_still_checked() -> None:
    worker = Worker()
    assert await worker.follows(record(b"no program", 5)) == ["invalid-program"]
    other = program("policy other\nmodel m {}\ndefault route d { to m }")
    assert await worker.follows(record(dump(other), 6)) == ["wrong-name"]
    assert worker.live.policy_hash == HASHES[0]


async def test_without_keys_signatures_do_not_matter() -> None:
    live = LivePolicy(open_service(VERSIONS[0], Config()))
    activation = Activation(VERSIONS[0], HASHES[0], live, open_here)
    await activation.apply([record(PROGRAMS[1], 5, by=THEIRS)])
    assert (live.policy_hash, activation.active.signed_by) == (HASHES[1], None)
    await activation.apply([but(record(PROGRAMS[2], 4), headers=())])
    assert live.policy_hash == HASHES[2]
