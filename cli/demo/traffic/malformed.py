"""Events that no worker can decide: each must reach the dead-letter topic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any, Literal, get_args

from routec.cli.demo.traffic.attributes import Attribute, attributes_for, missing_required
from routec.cli.demo.traffic.draw import below, between, pick

MalformedKind = Literal[
    "truncated_json",
    "wrong_types",
    "invalid_utf8",
    "missing_attribute",
    "oversized_text",
    "deep_nesting",
]
MALFORMED_KINDS: tuple[MalformedKind, ...] = get_args(MalformedKind)

OVERSIZED_BYTES = 2 * 1024 * 1024
NESTING = 10_000


def make_malformed(kind: MalformedKind, rng: Random, schema: Sequence[Attribute] = ()) -> bytes:
    """The value of a record that is malformed in one way, the rest of it being right.

    Args:
        kind: of `MALFORMED_KINDS`.
        rng: where the variety comes from.
        schema: the policy's attributes; without any required one, ``missing_attribute``
            leaves `attributes` and `body` out altogether.

    Raises:
        ValueError: for another kind.
    """
    event: dict[str, Any] = {
        "request_id": f"bad-{below(rng, 1 << 40):010x}",
        "time": "2026-01-05T08:00:00.000Z",
        "attributes": attributes_for(schema, rng),
        "body": {"model": "auto", "messages": [{"role": "user", "content": "Where is my order?"}]},
    }
    match kind:
        case "truncated_json":
            whole = _encode(event)
            return whole[: between(rng, 1, len(whole) - 1)]
        case "wrong_types":
            place, value = pick(rng, _WRONG)
            _replace(event, place, value)
            return _encode(event)
        case "invalid_utf8":
            bad = pick(
                rng, (b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x80")
            )
            return _encode(event).replace(b"my order", b"my " + bad + b" order")
        case "missing_attribute":
            if any(field.required for field in schema):
                event["attributes"] = missing_required(schema, rng)
            else:
                del event["attributes"], event["body"]
            return _encode(event)
        case "oversized_text":
            word = pick(rng, ("order ", "refund ", "пакет ", "数据 "))
            event["body"]["messages"][0]["content"] = word * (
                OVERSIZED_BYTES // len(word.encode()) + 1
            )
            return _encode(event)
        case "deep_nesting":
            opening, closing = pick(rng, ((b"[", b"]"), (b'{"a":', b"}")))
            inner = opening * NESTING + b"0" + closing * NESTING
            return _encode(event)[:-1] + b',"extra":' + inner + b"}"
    raise ValueError(f"unknown kind of malformed event `{kind}`")


_WRONG: tuple[tuple[tuple[str | int, ...], Any], ...] = (
    (("body",), "not an object"),
    (("body",), [1, 2, 3]),
    (("body", "messages"), {"role": "user"}),
    (("body", "messages"), 17),
    (("body", "messages", 0), "hello"),
    (("body", "messages", 0, "content"), 3.5),
    (("body", "messages", 0, "role"), None),
    (("attributes",), ["tenant", "acme"]),
    (("attributes",), "tenant=acme"),
)


def _replace(event: dict[str, Any], place: tuple[str | int, ...], value: Any) -> None:
    target: Any = event
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value


def _encode(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
