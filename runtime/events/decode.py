"""Request records, decoded.

Whatever the bytes are, the answer is a `Request` or a `Dead`, never an exception.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from routec.compiler.program import Field
from routec.runtime.events.attributes import AttributeReader
from routec.runtime.events.body import json_type, read_body, shown
from routec.runtime.events.request import Request
from routec.runtime.records import Dead, Headers, Record

CODES = (
    "empty-event",
    "event-too-large",
    "invalid-utf8",
    "invalid-json",
    "nested-too-deep",
    "not-an-object",
    "invalid-event",
    "missing-attribute",
    "invalid-attribute",
    "invalid-body",
)
"""Every reason for which a record cannot be decided."""

REQUEST_ID_HEADER = "routec-request-id"
MAX_ID = 1024
"""Longest request id, in code points."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_MS = 253_370_764_800_000
"""First millisecond of the year 9999: later times are refused, as time zones overflow there."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of an event is read.

    Attributes:
        bytes: most bytes of its value.
        depth: most levels of objects and lists inside each other.
        messages: most messages of its body.
    """

    bytes: int = 1_048_576
    depth: int = 64
    messages: int = 4096


class Decoder:
    """Decodes request records for one policy.

    Args:
        fields: the policy's fields.
        limits: how much of an event is read.

    Attributes:
        limits: how much of an event is read.
    """

    def __init__(self, fields: Sequence[Field], limits: Limits | None = None) -> None:
        self._attributes = AttributeReader(fields)
        self.limits = Limits() if limits is None else limits

    def decode(self, record: Record, event: dict[str, Any] | None = None) -> Request | Dead:
        """The request in a record, or why there is none.

        Args:
            record: the record.
            event: its value, decoded and found within the limits, where that was done before.
        """
        if event is not None:
            return self._within(record, event)
        value = record.value
        if value is None or not value:
            return Dead("empty-event", "the record has no value")
        if len(value) > self.limits.bytes:
            return Dead(
                "event-too-large",
                f"the event has {len(value)} bytes, at most {self.limits.bytes} are read",
            )
        parsed = _parse(value, self.limits.depth)
        return parsed if isinstance(parsed, Dead) else self._within(record, parsed)

    def _within(self, record: Record, event: dict[str, Any]) -> Request | Dead:
        headers: dict[str, str] = {}
        if record.headers:
            found = _cloud_event_headers(record.headers)
            if isinstance(found, Dead):
                return found
            headers = found
            if is_structured(record.headers):
                inner = _unwrap(event, self.limits.depth)
                if isinstance(inner, Dead):
                    return inner
                event = inner
        fallback = f"{record.topic}-{record.partition}-{record.offset}"
        return self.read(event, fallback, record.timestamp_ms, headers)

    def read(
        self,
        event: Mapping[str, Any],
        fallback_id: str,
        fallback_ms: int,
        headers: Mapping[str, str] | None = None,
    ) -> Request | Dead:
        """The request in an event that is JSON already.

        Args:
            event: a request event, or a chat-completions body with `messages` at its top.
            fallback_id: its id where neither it nor the headers have one.
            fallback_ms: its time where it has none, milliseconds since the epoch.
            headers: values of ``routec-request-id`` and the ``ce_*`` headers.
        """
        headers = headers or {}
        if "messages" in event and "body" not in event:
            event = {"attributes": event.get("metadata"), "body": event}
        attributes = event.get("attributes")
        if attributes is None:
            attributes = {}
        elif not isinstance(attributes, dict):
            return Dead(
                "invalid-event", f"`attributes` must be an object, it is {json_type(attributes)}"
            )
        name = event.get("request_id")
        if type(name) is not str or not 0 < len(name) <= MAX_ID:
            name = _identity(name, headers, fallback_id)
            if isinstance(name, Dead):
                return name
        stamp = event.get("time")
        time = _time(headers.get("ce_time") if stamp is None else stamp, fallback_ms)
        if isinstance(time, Dead):
            return time
        chat = read_body(event.get("body"), self.limits.messages)
        if isinstance(chat, Dead):
            return chat
        values = self._attributes.read(event, name, attributes)
        if isinstance(values, Dead):
            return values
        return Request(
            name,
            values,
            chat.messages,
            time_ms=time,
            body=event["body"],
            max_tokens=chat.max_tokens,
            has_tools=chat.has_tools,
            has_image=chat.has_image,
            plain=chat.plain,
        )


def decode_request(
    record: Record, fields: Sequence[Field], limits: Limits | None = None
) -> Request | Dead:
    """The request in one record; for many records of one policy make one `Decoder`."""
    return Decoder(fields, limits).decode(record)


def is_structured(headers: Headers) -> bool:
    """Whether the record is a CloudEvent in structured mode."""
    return any(
        name.lower() == "content-type" and (value or b"")[:23].lower() == b"application/cloudevents"
        for name, value in headers
    )


def _parse(value: bytes, limit: int) -> dict[str, Any] | Dead:
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        if "depth" in error.msg or "recursion" in error.msg.lower():
            return Dead("nested-too-deep", f"the event nests deeper than {limit} levels")
        try:
            value.decode()
        except UnicodeDecodeError as wrong:
            return Dead("invalid-utf8", f"the event is not UTF-8: byte {wrong.start} is wrong")
        return Dead("invalid-json", f"the event is not JSON: {error}")
    # Opening brackets bound the depth, so only an event with many is walked.
    if value.count(b"{") + value.count(b"[") > limit and _deeper_than(event, limit):
        return Dead("nested-too-deep", f"the event nests deeper than {limit} levels")
    if not isinstance(event, dict):
        return Dead("not-an-object", f"the event must be a JSON object, it is {json_type(event)}")
    return event


def _deeper_than(value: object, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = [item for item in below if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def _cloud_event_headers(headers: Headers) -> dict[str, str] | Dead:
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key not in ("ce_id", "ce_time", REQUEST_ID_HEADER) or value is None:
            continue
        try:
            found[key] = value.decode()
        except UnicodeDecodeError:
            return Dead("invalid-utf8", f"the header `{name}` is not UTF-8")
    return found


def _unwrap(envelope: dict[str, Any], limit: int) -> dict[str, Any] | Dead:
    """The event inside a structured CloudEvent; id and time are the envelope's if it has none."""
    data = envelope.get("data")
    if data is None and isinstance(envelope.get("data_base64"), str):
        try:
            inner = _parse(base64.b64decode(envelope["data_base64"], validate=True), limit)
        except (binascii.Error, ValueError):
            return Dead("invalid-event", "`data_base64` of the CloudEvent is not base64")
        if isinstance(inner, Dead):
            return inner
        data = inner
    if not isinstance(data, dict):
        return Dead(
            "invalid-event", f"`data` of the CloudEvent must be an object, it is {json_type(data)}"
        )
    if "messages" in data and "body" not in data:
        data = {"attributes": data.get("metadata"), "body": data}
    event = dict(data)
    for member, source in (("request_id", "id"), ("time", "time")):
        if event.get(member) is None and envelope.get(source) is not None:
            event[member] = envelope[source]
    return event


def _identity(own: object, headers: Mapping[str, str], fallback: str) -> str | Dead:
    name = own
    if name is None:
        name = headers.get(REQUEST_ID_HEADER) or headers.get("ce_id") or fallback
    if not isinstance(name, str) or not 0 < len(name) <= MAX_ID:
        return Dead(
            "invalid-event",
            f"`request_id` must be a string of 1 to {MAX_ID} characters, it is {shown(name)}",
        )
    return name


def _time(stamp: object, fallback_ms: int) -> int | Dead:
    if stamp is None:
        return min(max(fallback_ms, 0), LATEST_MS - 1)
    if isinstance(stamp, str):
        try:
            moment = datetime.fromisoformat(stamp)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            since = moment - _EPOCH
            time = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
        except (ValueError, OverflowError):
            time = -1
        if 0 <= time < LATEST_MS:
            return time
    return Dead(
        "invalid-event",
        f"`time` must be an RFC 3339 time such as `2026-11-22T09:00:00Z`, it is {shown(stamp)}",
    )
