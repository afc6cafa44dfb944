"""Whatever a record holds, decoding answers with a request or with a reason."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.compiler.program import Field
from routec.runtime.events import CODES, Limits, Request, decode_request
from routec.runtime.records import Dead, Headers, Record

FIELDS = (
    Field("tenant", "string"),
    Field("tier", "enum", ("free", "pro"), required=False, default="free"),
    Field("seats", "int", required=False, default=1),
    Field("load", "float", required=False, default=0.5),
    Field("beta", "bool", required=False, default=False),
    Field("roles", "set", ("admin", "dev"), required=False),
    Field("groups", "set", required=False, default=("x",)),
    Field("plan", "string", path=("user", "plan"), required=False, default="none"),
    Field("wanted", "string", path=("body", "model"), required=False, default=""),
)
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}


def record(value: Any, headers: Headers = (), **given: Any) -> Record:
    data = value if isinstance(value, bytes) or value is None else orjson.dumps(value)
    return Record("requests", 3, 17, given.pop("timestamp_ms", 5000), None, data, headers)


def event(attributes: Any = None, body: Any = None, **more: Any) -> dict[str, Any]:
    attributes = {"tenant": "acme"} if attributes is None else attributes
    return {"request_id": "r-1", "attributes": attributes, "body": body or BODY, **more}


def good(value: Any, headers: Headers = (), **given: Any) -> Request:
    request = decode_request(record(value, headers, **given), FIELDS)
    assert isinstance(request, Request), request
    return request


def bad(value: Any, headers: Headers = (), limits: Limits | None = None) -> Dead:
    dead = decode_request(record(value, headers), FIELDS, limits)
    assert isinstance(dead, Dead), dead
    assert dead.code in CODES
    assert dead.message
    assert not dead.message.endswith(".")
    return dead


# --- what is read ---------------------------------------------------------------


def test_a_request_event() -> None:
    request = good(
        event(
            {"tenant": "acme", "tier": "pro", "seats": 4, "load": 1, "roles": ["dev"], "other": 1},
            {
                "model": "auto",
                "messages": [
                    {"role": "system", "content": "be brief"},
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "what is"},
                            {"type": "image_url", "image_url": {"url": "data:"}},
                            {"type": "text", "text": "this"},
                        ],
                    },
                    {"role": "assistant", "content": None, "tool_calls": []},
                    {"role": "tool", "content": "42"},
                ],
                "tools": [{"type": "function"}],
                "max_tokens": 300,
            },
            time="2026-11-22T10:00:00.5+01:00",
        )
    )
    assert request.id == "r-1"
    assert request.time_ms == 1_795_338_000_500
    assert request.attributes == {
        "tenant": "acme",
        "tier": "pro",
        "seats": 4,
        "load": 1.0,
        "beta": False,
        "roles": frozenset({"dev"}),
        "groups": frozenset({"x"}),
        "plan": "none",
        "wanted": "auto",
    }
    assert [m.role for m in request.messages] == ["system", "user", "assistant", "tool"]
    assert request.text("last_user") == "what is\nthis"
    assert request.text("system") == "be brief"
    assert request.text("all") == "be brief\nwhat is\nthis\n\n42"
    assert (request.turns, request.has_image, request.has_tools) == (1, True, True)
    assert request.max_tokens == 300
    assert request.body["model"] == "auto"


def test_a_path_looks_into_the_attributes_unless_it_names_a_member_of_the_event() -> None:
    request = good(event({"tenant": "acme", "user": {"plan": "gold"}}))
    assert request.attributes["plan"] == "gold"
    for user in (None, "gold", {"plan": None}, []):
        assert good(event({"tenant": "a", "user": user})).attributes["plan"] == "none"


def test_the_time_of_the_record_stands_in_for_the_events_own() -> None:
    assert good(event(), timestamp_ms=123).time_ms == 123
    assert good(event(time=None), timestamp_ms=-1).time_ms == 0
    assert good(event(time="2026-11-22")).time_ms == good(event(time="2026-11-22T00:00Z")).time_ms


def test_a_bare_body_has_its_metadata_for_attributes() -> None:
    body = {**BODY, "metadata": {"tenant": "acme", "tier": "pro"}}
    request = good(body)
    assert request.id == "requests-3-17"
    assert request.attributes["tier"] == "pro"
    assert request.body == body
    assert good(body, (("Routec-Request-Id", b"abc"),)).id == "abc"


def test_newer_and_older_names_of_the_limit() -> None:
    assert good(event(body={**BODY, "max_completion_tokens": 7})).max_tokens == 7
    assert good(event(body={**BODY, "max_tokens": None})).max_tokens is None


def test_cloud_events_in_binary_mode() -> None:
    headers = (("ce_specversion", b"1.0"), ("ce_id", b"ce-9"), ("ce_time", b"1970-01-01T00:00:09Z"))
    value = {key: item for key, item in event().items() if key != "request_id"}
    request = good(value, headers)
    assert (request.id, request.time_ms) == ("ce-9", 9000)
    assert good(event(), headers).id == "r-1"


STRUCTURED = (("content-type", b"application/cloudevents+json; charset=utf-8"),)


def test_cloud_events_in_structured_mode() -> None:
    own = {key: item for key, item in event().items() if key != "request_id"}
    envelope = {"specversion": "1.0", "id": "ce-1", "type": "t", "source": "s"}
    assert good({**envelope, "data": own}, STRUCTURED).id == "ce-1"
    assert good({**envelope, "data": event()}, STRUCTURED).id == "r-1"
    timed = {**envelope, "time": "1970-01-01T00:00:03Z", "data": own}
    assert good(timed, STRUCTURED).time_ms == 3000
    packed = base64.b64encode(orjson.dumps(own)).decode()
    assert good({**envelope, "data_base64": packed}, STRUCTURED).id == "ce-1"
    bare = {**BODY, "metadata": {"tenant": "acme"}}
    assert good({**envelope, "data": bare}, STRUCTURED).id == "ce-1"


# --- what is refused ------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "empty-event"),
        (b"", "empty-event"),
        (b"\xff{}", "invalid-utf8"),
        (b'{"a":"\xed\xa0\x80"}', "invalid-utf8"),
        (b'{"a":"\\ud800"}', "invalid-json"),
        (b'{"a":NaN}', "invalid-json"),
        (b'{"a":1e999}', "invalid-json"),
        (b"{", "invalid-json"),
        (b"{} {}", "invalid-json"),
        (b"[]", "not-an-object"),
        (b'"text"', "not-an-object"),
        (b"[" * 5000, "nested-too-deep"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "nested-too-deep"),
    ],
)
def test_bytes_that_are_no_event(value: bytes | None, code: str) -> None:
    assert bad(value).code == code


def test_limits() -> None:
    assert bad(event(), limits=Limits(bytes=20)).code == "event-too-large"
    many = {"messages": BODY["messages"] * 5}
    assert bad(event(body=many), limits=Limits(messages=4)).code == "invalid-body"
    deep: Any = 1
    for _ in range(64):
        deep = [deep]
    assert bad(event({"tenant": "a", "x": deep})).code == "nested-too-deep"
    # Many brackets side by side are not deep.
    assert good(event({"tenant": "a", "x": [[]] * 500})).id == "r-1"


@pytest.mark.parametrize(
    ("attributes", "code", "named"),
    [
        ({}, "missing-attribute", "attributes.tenant"),
        ({"tenant": None}, "missing-attribute", "attributes.tenant"),
        ({"tenant": 5}, "invalid-attribute", "`tenant` must be a string, it is `5`"),
        ({"tenant": ["a"]}, "invalid-attribute", "it is a list"),
        ({"tenant": "a", "tier": "gold"}, "invalid-attribute", "one of `free`, `pro`"),
        ({"tenant": "a", "tier": 1}, "invalid-attribute", "`tier`"),
        ({"tenant": "a", "seats": 1.0}, "invalid-attribute", "whole number"),
        ({"tenant": "a", "seats": True}, "invalid-attribute", "it is `true`"),
        ({"tenant": "a", "seats": 2**64}, "invalid-attribute", "64 bits"),
        ({"tenant": "a", "load": True}, "invalid-attribute", "finite number"),
        ({"tenant": "a", "load": "1"}, "invalid-attribute", "finite number"),
        ({"tenant": "a", "beta": 1}, "invalid-attribute", "`true` or `false`"),
        ({"tenant": "a", "roles": "dev"}, "invalid-attribute", "a list out of"),
        ({"tenant": "a", "roles": ["boss"]}, "invalid-attribute", "`admin`, `dev`"),
        ({"tenant": "a", "groups": [1]}, "invalid-attribute", "a list of strings"),
        ([], "invalid-event", "`attributes` must be an object"),
        ("x", "invalid-event", "it is a string"),
    ],
)
def test_attributes_outside_their_types(attributes: Any, code: str, named: str) -> None:
    value = event()
    value["attributes"] = attributes
    data = orjson.dumps(value) if attributes != {"tenant": "a", "seats": 2**64} else None
    dead = bad(
        data
        or orjson.dumps(event({"tenant": "a", "seats": 0})).replace(b":0", b":18446744073709551616")
    )
    assert dead.code == code
    assert named in dead.message


@pytest.mark.parametrize(
    "body",
    [
        "text",
        [],
        {"messages": "hi"},
        {"messages": []},
        {"messages": ["hi"]},
        {"messages": [{"content": "hi"}]},
        {"messages": [{"role": "boss", "content": "hi"}]},
        {"messages": [{"role": 1, "content": "hi"}]},
        {"messages": [{"role": ["user"], "content": "hi"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "user", "content": {"text": "hi"}}]},
        {"messages": [{"role": "user", "content": ["hi"]}]},
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
        {"messages": [{"role": "user", "content": [{"type": {}, "text": "1"}]}]},
        {**BODY, "max_tokens": -1},
        {**BODY, "max_tokens": "many"},
        {**BODY, "max_tokens": True},
        {**BODY, "max_tokens": 1.5},
        {**BODY, "tools": {}},
    ],
)
def test_bodies_that_are_no_chat(body: Any) -> None:
    assert bad({**event(), "body": body}).code == "invalid-body"


@pytest.mark.parametrize("value", [{}, {"attributes": {"tenant": "a"}}, {"body": None}])
def test_an_event_needs_a_body(value: Any) -> None:
    assert bad(value).code == "invalid-body"


@pytest.mark.parametrize(
    "more",
    [
        {"request_id": 5},
        {"request_id": ""},
        {"request_id": "x" * 2000},
        {"request_id": []},
        {"time": "yesterday"},
        {"time": 5},
        {"time": "1969-01-01T00:00:00Z"},
        {"time": "9999-12-31T23:59:59Z"},
        {"time": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_ids_and_times_that_are_none(more: dict[str, Any]) -> None:
    assert bad({**event(), **more}).code == "invalid-event"


def test_headers_and_envelopes_that_are_wrong() -> None:
    assert bad(event(), (("ce_id", b"\xff"),)).code == "invalid-utf8"
    assert bad({"data": "text"}, STRUCTURED).code == "invalid-event"
    assert bad({"data_base64": "!!"}, STRUCTURED).code == "invalid-event"
    packed = base64.b64encode(b"[1]").decode()
    assert bad({"data_base64": packed}, STRUCTURED).code == "not-an-object"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70).filter(lambda n: abs(n) < 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ("messages", "role", "content", "type", "text", "metadata", "tenant", "x")
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
events = st.dictionaries(
    st.sampled_from(
        ("request_id", "time", "attributes", "body", "messages", "metadata", "data", "id")
    ),
    json_values,
    max_size=6,
)
headers = st.sampled_from(((), STRUCTURED, (("ce_id", b"\x80"),), (("ce_time", b"now"),)))


@given(st.binary(max_size=60) | events.map(orjson.dumps), headers)
def test_nothing_is_raised_for_what_a_record_holds(value: bytes, given_headers: Headers) -> None:
    result = decode_request(record(value, given_headers), FIELDS)
    assert isinstance(result, Request) or result.code in CODES
