"""The events as an AsyncAPI 3.0 document, made from the types that read and write them.

python -m routec.runtime.observe.asyncapi > docs/asyncapi.json
"""

from __future__ import annotations

import json
import sys
from typing import Any, get_args

import msgspec

from routec.runtime.config import Config
from routec.runtime.events.body import ROLES
from routec.runtime.events.decision import CacheStatus, Failure, Outcome, Reject, Selection, Span
from routec.runtime.events.decode import CODES, MAX_ID, REQUEST_ID_HEADER, Limits
from routec.runtime.stream.letters import ERROR_HEADERS

_Schema = dict[str, Any]

_TEXT: _Schema = {"type": "string"}
_WHOLE: _Schema = {"type": "integer", "minimum": 0}
_SCALAR: _Schema = {"type": ["boolean", "number", "string"]}
_TEXTS: _Schema = {"type": "array", "items": _TEXT}
_TIME: _Schema = {"type": "string", "format": "date-time"}
_DIGITS: _Schema = {"type": "string", "pattern": "^[0-9]+$"}
_ID: _Schema = {"type": "string", "minLength": 1, "maxLength": MAX_ID}
_FORMS = {"partition": _DIGITS, "offset": _DIGITS, "time": _TIME}
_OF_THE_STREAM = ("unreadable-batch", "decision-too-large", "decision-refused", "internal-error")


def _schema(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(schema: _Schema) -> _Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(properties: dict[str, _Schema], optional: tuple[str, ...] = ()) -> _Schema:
    """An object whose members are all there but the optional ones; later versions may add some."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


def _map(schema: _Schema) -> _Schema:
    return {"type": "object", "additionalProperties": schema}


def _decision() -> _Schema:
    properties: dict[str, _Schema] = {
        "decision_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "request_id": _ID,
        "time": _TIME,
        "policy": _object({"name": _TEXT, "hash": {"type": "string", "pattern": "^sha256:"}}),
        "outcome": {"enum": list(get_args(Outcome))},
        "route": _or_null(_TEXT),
        "model": _or_null(_TEXT),
        "target": _or_null(_schema("Target")),
        "fallbacks": _TEXTS,
        "parameters": _map({"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]}),
        "redacted": {"type": "array", "items": _schema("Span")},
        "reject": _or_null(_schema("Reject")),
        "tags": _TEXTS,
        "headers": _map(_TEXT),
        "category": _or_null(_TEXT),
        "cache": _schema("CacheAnswer"),
        "selection": _or_null(_schema("Selection")),
        "signals": _map({"anyOf": [_SCALAR, _TEXTS]}),
        "margins": _map({"type": "number"}),
        "skipped": _TEXTS,
        "failures": {"type": "array", "items": _schema("Failure")},
        "path": {"type": "array", "items": _WHOLE},
        "timing_us": _map(_WHOLE),
        "shadow": _object({"model": _TEXT, "target": _schema("Target")}),
    }
    by_outcome = [
        {
            "properties": {
                "outcome": {"const": "route"},
                "route": _TEXT,
                "model": _TEXT,
                "reject": {"type": "null"},
            }
        },
        {
            "properties": {
                "outcome": {"const": "cached"},
                "route": {"type": "null"},
                "model": {"type": "null"},
                "reject": {"type": "null"},
                "cache": {"properties": {"status": {"const": "hit"}}},
            }
        },
        {
            "properties": {
                "outcome": {"const": "reject"},
                "route": {"type": "null"},
                "model": {"type": "null"},
                "reject": _schema("Reject"),
            }
        },
    ]
    return {**_object(properties, ("shadow",)), "oneOf": by_outcome}


def _request() -> dict[str, _Schema]:
    body = _object(
        {
            "messages": {
                "type": "array",
                "minItems": 1,
                "maxItems": Limits().messages,
                "items": _schema("ChatMessage"),
            }
        }
    )
    message = {
        "type": "object",
        "required": ["role"],
        "properties": {
            "role": {"enum": sorted(ROLES)},
            "content": {
                "anyOf": [
                    _TEXT,
                    {"type": "array", "items": _object({"type": _TEXT})},
                    {"type": "null"},
                ]
            },
        },
    }
    event = _object(
        {
            "request_id": _or_null(_ID),
            "time": _or_null(_TIME),
            "attributes": _or_null({"type": "object"}),
            "body": _schema("ChatCompletions"),
        },
        optional=("request_id", "time", "attributes"),
    )
    return {
        "Request": {
            "description": "What the policy declares is in `attributes`; or the body alone, with "
            "the attributes in its `metadata`.",
            "anyOf": [_schema("RequestEvent"), _schema("ChatCompletions")],
        },
        "RequestEvent": event,
        "ChatCompletions": {
            "description": "An OpenAI chat-completions request; unknown members are kept.",
            **body,
        },
        "ChatMessage": message,
    }


def _schemas() -> dict[str, _Schema]:
    cache = {
        "status": {"enum": list(get_args(CacheStatus))},
        "similarity": _or_null({"type": "number", "minimum": -1, "maximum": 1}),
        "entry": _or_null(_TEXT),
        "response": _or_null({"type": "object"}),
        "tier": {"enum": ["exact", "semantic"]},
        "reason": _TEXT,
        "examples": {
            "type": "array",
            "items": _object(
                {"entry": _TEXT, "similarity": {"type": "number"}, "response": {"type": "object"}}
            ),
        },
    }
    target = {"provider": _or_null(_TEXT), "name": _or_null(_TEXT), "endpoint": _TEXT}
    response = {
        "request_id": _ID,
        "decision_id": _TEXT,
        "model": _TEXT,
        "body": _or_null({"type": "object"}),
        "usage": _object({"prompt_tokens": _WHOLE, "completion_tokens": _WHOLE}),
        "latency_ms": {"type": "number", "minimum": 0},
        "ok": {"type": "boolean"},
    }
    _, of_types = msgspec.json.schema_components(
        [Span, Reject, Selection, Failure], ref_template="#/components/schemas/{name}"
    )
    return {
        **_request(),
        "Decision": _decision(),
        "CacheAnswer": _object(cache, ("tier", "reason", "examples")),
        "Target": _object(target, ("endpoint",)),
        "Response": _object(response, ("request_id", "body", "usage", "latency_ms")),
        **of_types,
    }


def _messages() -> dict[str, Any]:
    trace = {"traceparent": {"description": "W3C Trace Context; continued.", **_TEXT}}
    why: dict[str, _Schema] = {
        name: dict(_FORMS.get(name.rpartition(".")[2], _TEXT)) for name in ERROR_HEADERS
    }
    why["routec.error.code"]["examples"] = [*CODES, *_OF_THE_STREAM]
    return {
        "request": {
            "summary": "A request to decide",
            "contentType": "application/json",
            "headers": {
                "type": "object",
                "properties": {
                    REQUEST_ID_HEADER: {"description": "Where the event has no id.", **_ID},
                    **trace,
                },
            },
            "payload": _schema("Request"),
            "bindings": _KEY,
            "examples": [
                {
                    "payload": {
                        "request_id": "r-1",
                        "time": "2026-11-22T09:00:00Z",
                        "attributes": {"tenant": "acme", "tier": "pro"},
                        "body": {
                            "model": "auto",
                            "messages": [{"role": "user", "content": "please refund my order"}],
                            "max_tokens": 300,
                        },
                    }
                },
                {"payload": {"messages": [{"role": "user", "content": "hello"}]}},
            ],
        },
        "decision": {
            "summary": "What to do with a request; its key and headers are the request's",
            "contentType": "application/json",
            "headers": {"type": "object", "properties": trace},
            "payload": _schema("Decision"),
            "bindings": _KEY,
        },
        "deadLetter": {
            "summary": "A request that cannot be decided, as it came; its headers say why",
            "headers": {"type": "object", "required": list(why), "properties": why | trace},
            "payload": {"description": "The bytes of the request, whatever they are."},
            "bindings": _KEY,
        },
        "response": {
            "summary": "What a model answered; fills the cache",
            "contentType": "application/json",
            "payload": _schema("Response"),
            "examples": [
                {
                    "payload": {
                        "request_id": "r-1",
                        "decision_id": "0" * 32,
                        "model": "mini",
                        "body": {
                            "choices": [{"message": {"role": "assistant", "content": "done"}}]
                        },
                        "usage": {"prompt_tokens": 9, "completion_tokens": 1},
                        "latency_ms": 412,
                        "ok": True,
                    }
                }
            ],
        },
    }


_KEY = {"kafka": {"key": {"description": "The caller's; order per key holds.", "type": "string"}}}
_CHANNELS = {
    "requests": ("requests", "request", "receive", "Decide requests"),
    "decisions": ("decisions", "decision", "send", "Publish decisions; read committed records"),
    "deadLetters": ("dlq", "deadLetter", "send", "Put aside what cannot be decided"),
    "responses": ("responses", "response", "receive", "Learn from the models' answers"),
}
"""By channel the configured topic, the message, what routec does, and why."""


def asyncapi() -> dict[str, Any]:
    """The document, with the topics of the default configuration."""
    topics = Config().topics
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "routec",
            "version": "1.0.0",
            "description": "Requests in, decisions out, over Kafka. Later versions may add members "
            "and headers; readers ignore those they do not know.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            channel: {
                "address": getattr(topics, topic),
                "messages": {message: {"$ref": f"#/components/messages/{message}"}},
            }
            for channel, (topic, message, _, _) in _CHANNELS.items()
        },
        "operations": {
            f"{action}{channel[0].upper()}{channel[1:]}": {
                "action": action,
                "summary": why,
                "channel": {"$ref": f"#/channels/{channel}"},
                "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
            }
            for channel, (_, message, action, why) in _CHANNELS.items()
        },
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def dump() -> str:
    """The file's text."""
    return json.dumps(asyncapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(dump())
