"""Random records of request events: good ones, and ones with all that can be wrong."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from routec.runtime.records import Record

TEXTS = (
    "",
    " ",
    "where is my order",
    "urgent: TKT-1",
    "der 'Brief' an jo@example.com",
    "gr\u00fc\u00df \u65e5\u672c \U0001f600",
    'a "quoted" \\ back\\slash',
    "line\nend\ttab\x00\x1f\x7f\u2028",
    "a b c d e f g h i j",
    "word " * 27,
    "\u200bfull\uff57idth " * 9,
)

BROKEN = (
    None,
    b"",
    b" ",
    b"null",
    b"[]",
    b"{}",
    b"{",
    b'"text"',
    b"\xff\xfe",
    b'{"body":{"messages":[{"role":"user","content":"\\ud800"}]}}',
    b'{"request_id":"\\udfff","body":{"messages":[{"role":"user","content":"x"}]}}',
    b'{"body":{"messages":[{"role":"user","content":"\xc3\x28"}]}}',
    b'{"body":{"messages":[{"role":"user","content":"a","content":"b"}]},"body":null}',
    b'{"request_id":"a","request_id":"b","body":{"messages":[{"role":"user","content":"a",'
    b'"role":"system"}]}}',
    b'{"body":{"messages":[{"role":"user","content":"a"}],"x":NaN}}',
    b'{"body":{"messages":[{"role":"user","content":"a"}],"x":1e999}}',
    b'\xef\xbb\xbf{"body":{"messages":[{"role":"user","content":"a"}]}}',
    b'{"body":{"messages":[{"role":"user","content":"a"}],"x":' + b"[" * 70 + b"]" * 70 + b"}}",
    b'{"body":{"messages":[{"role":"user","content":"a"}],"x":' + b"[" * 2000 + b"]" * 2000 + b"}}",
    b'{"body":{"messages":[{"role":"user","content":"' + b"[{" * 40 + b'"}]}}',
    b'{"body":{"messages":[{"role":"user","content":"a"}],"x":' + b"9" * 400 + b"}}",
)

NUMBERS = (0, 1, -1, 2, 3, 5, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63))
REALS = (0.0, -0.0, 0.25, 0.5, 1.5, -2.75, 1e308, 9.9e307, -1.7e308, 5e-324, 1e22)
ODD: tuple[Any, ...] = (
    None, True, False, "", "x", "3", [], {}, ["x"], {"x": 1}, *NUMBERS, *REALS, 10**30,
)  # fmt: skip
"""Values of all kinds of JSON."""

TIMES = (
    "2026-11-22T09:00:00Z",
    "2026-11-22T09:00:00.250Z",
    "2026-11-22T09:00:00.123456Z",
    "2026-11-22T23:59:59.999Z",
    "2026-11-22T09:00:00.5Z",
    "2026-11-22T09:00:00.1234567Z",
    "2026-11-22 09:00:00",
    "2026-11-22T09:00:00+05:45",
    "2026-11-22t09:00:00z",
    "20261122T090000Z",
    "2026-W47-7T09:00:00Z",
    "2024-02-29T00:00:00Z",
    "2023-02-29T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "1970-01-01T00:00:00Z",
    "9998-12-31T23:59:59.999Z",
    "9999-01-01T00:00:00Z",
    "2026-11-22T24:00:00Z",
    "2026-11-22T23:59:60Z",
    "2026-13-01T00:00:00Z",
    "2026-11-22",
    "tomorrow",
    "",
    "\u0662026-11-22T09:00:00Z",
)

HEADERS: tuple[tuple[tuple[str, Any], ...], ...] = (
    (("traceparent", b"00-1"), ("x", b"\xff")),
    (("x", None),),
    (("CE_id", b"h-1"), ("ce_specversion", b"1.0"), ("ce_type", b"t")),
    (("Ce_Time", b"2026-11-22T09:00:00Z"),),
    (("ce_time", b"never"),),
    (("routec-Request-ID", b"h-2"),),
    (("ce_id", b"\xff"),),
    (("ce_id", None),),
    (("Content-Type", b"application/cloudevents+json; charset=utf-8"),),
    (("content-type", b"application/json"),),
    (("\u212aey", b""), ("", b"")),
)

_rarely = st.integers(0, 11).map(lambda n: n == 5)
_odd = st.sampled_from(ODD)
_WHOLE, _REAL = st.sampled_from(NUMBERS[:6]), st.sampled_from(REALS[:6])
_RIGHT: dict[str, st.SearchStrategy[Any]] = {
    "tenant": st.sampled_from(("acme", "globex", "", "\u00fc\U0001f600", 'a"b')),
    "tier": st.sampled_from(("free", "pro", "big corp")),
    "seats": st.one_of(st.integers(0, 6), _WHOLE),
    "load": st.one_of(_REAL, st.integers(0, 3), _WHOLE),
    "beta": st.booleans(),
    "roles": st.lists(st.sampled_from(("admin", "dev", "ops")), max_size=4),
    "groups": st.lists(st.sampled_from(("x", "y", "\u00fc")), max_size=3),
}


@st.composite
def messages(draw: st.DrawFn, clean: bool) -> list[Any]:
    """Messages of a body."""
    roles = ("user", "user", "user", "assistant", "system", "developer", "tool")
    made: list[Any] = []
    for _ in range(draw(st.integers(1, 4))):
        role = draw(st.sampled_from(roles))
        message: dict[str, Any] = {"role": role, "content": draw(st.sampled_from(TEXTS))}
        if clean:
            made.append(message)
            continue
        if draw(_rarely):
            message["content"] = draw(
                st.one_of(
                    _odd,
                    st.just([{"type": "text", "text": "in parts"}]),
                    st.just([{"type": "image_url", "image_url": {"url": "u"}}]),
                )
            )
        if draw(_rarely):
            message.pop(draw(st.sampled_from(("role", "content"))))
        if draw(_rarely):
            message["name"] = draw(_odd)
        if draw(_rarely):
            message["role"] = draw(st.one_of(_odd, st.just("function")))
        made.append(message)
    if not clean and draw(_rarely):
        return draw(st.sampled_from(([], [None], [[]], made * 3000)))
    return made


@st.composite
def bodies(draw: st.DrawFn, clean: bool) -> dict[str, Any]:
    """A chat-completions body."""
    body: dict[str, Any] = {"messages": draw(messages(clean))}
    if draw(st.integers(0, 3)) == 0:
        tools = ([{"type": "function"}], [], None, {}, "t", 0)
        body["tools"] = draw(st.sampled_from(tools[:3] if clean else tools))
    if draw(_rarely):
        body["functions"] = draw(_odd)
    for name in ("max_tokens", "max_completion_tokens"):
        if draw(st.integers(0, 4)) == 0:
            limits = st.sampled_from((None, 0, 100, 1900, 7990, 10**12))
            body[name] = draw(limits if clean else st.one_of(limits, _odd))
    if draw(st.integers(0, 2)) == 0:
        rest = ("model", "temperature", "user", "metadata", "stream", "\u00e4", "n", "\U0001f600")
        for name in draw(st.lists(st.sampled_from(rest), max_size=3, unique=True)):
            body[name] = draw(_odd)
    return body


@st.composite
def attributes(draw: st.DrawFn, optional: frozenset[str], clean: bool) -> dict[str, Any]:
    """Attributes, most of them of the right types."""
    wrong = -1 if clean else draw(st.integers(0, 20))
    made = {}
    for at, (name, strategy) in enumerate(_RIGHT.items()):
        value = draw(_odd if at == wrong else strategy)
        if draw(st.integers(0, 3)) or name not in optional:
            made[name] = value
        elif draw(st.booleans()):
            made[name] = None
    if not clean and draw(_rarely):
        made.pop(draw(st.sampled_from(tuple(made))), None)
    return made


@st.composite
def events(draw: st.DrawFn, optional: frozenset[str]) -> Any:
    """What the value of a record holds."""
    clean = draw(st.integers(0, 5)) != 3
    body, given = draw(bodies(clean)), draw(attributes(optional, clean))
    if not clean and draw(_rarely):
        given = draw(_odd)
    if draw(st.integers(0, 5)) == 0:
        return {**body, "metadata": given}
    event: dict[str, Any] = {"attributes": given, "body": body}
    if draw(st.booleans()):
        ids = ("r-1", "r-2", 'q"\\', "\u00fc\U0001f600\x01\x7f", "x" * 1024, "x" * 1025, "", None)
        event["request_id"] = draw(
            st.one_of(st.text(min_size=1, max_size=4), st.sampled_from(ids[:5] if clean else ids))
        )
    if draw(st.booleans()):
        event["time"] = draw(st.sampled_from(TIMES[:4] if clean else TIMES))
    if not clean and draw(_rarely):
        event[draw(st.sampled_from(("request_id", "time", "body", "messages")))] = draw(_odd)
    if not clean and draw(_rarely):
        return {"specversion": "1.0", "id": "e-1", "time": TIMES[0], "data": event}
    return event


def encoded(event: Any) -> bytes:
    """JSON, in which JSON's own escapes stand for some signs."""
    text = json.dumps(event, ensure_ascii=len(str(event)) % 2 == 0)
    return text.encode("utf-8", "surrogatepass")


@st.composite
def values(draw: st.DrawFn, optional: frozenset[str]) -> bytes | None:
    """The value of a record."""
    if draw(st.integers(0, 15)) == 9:
        return draw(st.sampled_from(BROKEN))
    value = encoded(draw(events(optional)))
    if draw(st.integers(0, 30)) == 17:
        at = draw(st.integers(0, len(value) - 1))
        value = value[:at] + draw(st.binary(max_size=1)) + value[at + 1 :]
    return value


@st.composite
def batches(draw: st.DrawFn, optional: frozenset[str]) -> list[list[Record]]:
    """Batches of records, in which the same values come again.

    Args:
        optional: fields that have a default.
    """
    pool = draw(st.lists(values(optional), min_size=1, max_size=4))
    stamps = (0, 999, -5, 2**62, 1_700_000_000_123, 1_700_000_005_000, 1_700_000_700_000)
    offset, made = 0, []
    for _ in range(draw(st.integers(2, 3))):
        # What was delivered before may come again.
        batch, offset = [], offset * draw(st.integers(0, 1))
        for value in draw(st.lists(st.sampled_from(pool), min_size=1, max_size=5)):
            headers = draw(st.sampled_from(HEADERS)) if draw(_rarely) else ()
            stamp = draw(st.sampled_from(stamps if draw(_rarely) else stamps[4:]))
            offset += draw(st.sampled_from((1, 1, 2**40)))
            batch.append(Record("t\u00f6pic", 3, offset, stamp, None, value, headers))
        made.append(batch)
    return made
