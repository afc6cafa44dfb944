"""The events as an AsyncAPI 3.0 document, made from the types that read and write them.

python -m routec.runtime.observe.asyncapi > docs/asyncapi.json
"""

from __future__ import annotations

import inspect
import json
import sys
from typing import Any, get_args

import msgspec

from routec.runtime.config import Config
from routec.runtime.dlq.register import register_topic
from routec.runtime.events.body import ROLES
from routec.runtime.events.decision import CacheStatus, Failure, Outcome, Reject, Selection, Span
from routec.runtime.events.decode import CODES, MAX_ID, REQUEST_ID_HEADER, Limits
from routec.runtime.observe import asyncapi_policies
from routec.runtime.observe.json_schema import (
    DIGITS,
    HASH,
    REFERENCE,
    SCALAR,
    TEXT,
    TEXTS,
    TIME,
    WHOLE,
    Schema,
    map_of,
    named,
    object_of,
    or_null,
)
from routec.runtime.stream.letters import ERROR_HEADERS

_ID: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_ID}
_FORMS = {"partition": DIGITS, "offset": DIGITS, "time": TIME}
_OF_THE_STREAM = ("unreadable-batch", "decision-too-large", "decision-refused", "internal-error")


def _decision() -> Schema:
    properties: dict[str, Schema] = {
        "decision_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "request_id": _ID,
        "time": TIME,
        "policy": object_of({"name": TEXT, "hash": HASH}),
        "outcome": {"enum": list(get_args(Outcome))},
        "route": or_null(TEXT),
        "model": or_null(TEXT),
        "target": or_null(named("Target")),
        "fallbacks": TEXTS,
        "parameters": map_of({"anyOf": [SCALAR, {"type": "array", "items": SCALAR}]}),
        "redacted": {"type": "array", "items": named("Span")},
        "reject": or_null(named("Reject")),
        "tags": TEXTS,
        "headers": map_of(TEXT),
        "category": or_null(TEXT),
        "cache": named("CacheAnswer"),
        "selection": or_null(named("Selection")),
        "signals": map_of({"anyOf": [SCALAR, TEXTS]}),
        "margins": map_of({"type": "number"}),
        "skipped": TEXTS,
        "failures": {"type": "array", "items": named("Failure")},
        "path": {"type": "array", "items": WHOLE},
        "timing_us": map_of(WHOLE),
        "shadow": object_of({"model": TEXT, "target": named("Target")}),
    }
    by_outcome = [
        {
            "properties": {
                "outcome": {"const": "route"},
                "route": TEXT,
                "model": TEXT,
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
                "reject": named("Reject"),
            }
        },
    ]
    return {**object_of(properties, ("shadow",)), "oneOf": by_outcome}


def _request() -> dict[str, Schema]:
    body = object_of(
        {
            "messages": {
                "type": "array",
                "minItems": 1,
                "maxItems": Limits().messages,
                "items": named("ChatMessage"),
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
                    TEXT,
                    {"type": "array", "items": object_of({"type": TEXT})},
                    {"type": "null"},
                ]
            },
        },
    }
    event = object_of(
        {
            "request_id": or_null(_ID),
            "time": or_null(TIME),
            "attributes": or_null({"type": "object"}),
            "body": named("ChatCompletions"),
        },
        optional=("request_id", "time", "attributes"),
    )
    return {
        "Request": {
            "description": "What the policy declares is in `attributes`; or the body alone, with "
            "the attributes in its `metadata`.",
            "anyOf": [named("RequestEvent"), named("ChatCompletions")],
        },
        "RequestEvent": event,
        "ChatCompletions": {
            "description": "An OpenAI chat-completions request; unknown members are kept.",
            **body,
        },
        "ChatMessage": message,
    }


def _schemas() -> dict[str, Schema]:
    cache = {
        "status": {"enum": list(get_args(CacheStatus))},
        "similarity": or_null({"type": "number", "minimum": -1, "maximum": 1}),
        "entry": or_null(TEXT),
        "response": or_null({"type": "object"}),
        "tier": {"enum": ["exact", "semantic"]},
        "reason": TEXT,
        "examples": {
            "type": "array",
            "items": object_of(
                {"entry": TEXT, "similarity": {"type": "number"}, "response": {"type": "object"}}
            ),
        },
    }
    target = {"provider": or_null(TEXT), "name": or_null(TEXT), "endpoint": TEXT}
    response = {
        "request_id": _ID,
        "decision_id": TEXT,
        "model": TEXT,
        "body": or_null({"type": "object"}),
        "usage": object_of({"prompt_tokens": WHOLE, "completion_tokens": WHOLE}),
        "latency_ms": {"type": "number", "minimum": 0},
        "ok": {"type": "boolean"},
    }
    _, of_types = msgspec.json.schema_components(
        [Span, Reject, Selection, Failure], ref_template=REFERENCE
    )
    return {
        **_request(),
        "Decision": _decision(),
        "CacheAnswer": object_of(cache, ("tier", "reason", "examples")),
        "Target": object_of(target, ("endpoint",)),
        "Response": object_of(response, ("request_id", "body", "usage", "latency_ms")),
        **of_types,
        **asyncapi_policies.schemas(),
    }


def _messages() -> dict[str, Any]:
    trace = {"traceparent": {"description": "W3C Trace Context; continued.", **TEXT}}
    why: dict[str, Schema] = {
        name: dict(_FORMS.get(name.rpartition(".")[2], TEXT)) for name in ERROR_HEADERS
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
            "payload": named("Request"),
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
            "payload": named("Decision"),
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
            "payload": named("Response"),
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
        **asyncapi_policies.messages(),
    }


_KEY = {"kafka": {"key": {"description": "The caller's; order per key holds.", "type": "string"}}}
_CHANNELS = {
    "requests": ("request", "receive", "Decide requests"),
    "decisions": ("decision", "send", "Publish decisions; read committed records"),
    "deadLetters": ("deadLetter", "send", "Put aside what cannot be decided"),
    "responses": ("response", "receive", "Learn from the models' answers"),
    "policies": ("policy", "receive", "Put policies in force; `routec deploy` writes them"),
    "status": ("status", "send", "Tell which policy a worker decides by"),
    "differences": ("difference", "send", "Tell what a shadow would have decided otherwise"),
    "replays": ("replay", "send", "Remember which dead letters `routec dlq replay` brought back"),
}
"""By channel the message, what routec does, and why."""


def asyncapi() -> dict[str, Any]:
    """The document, with the topics of the default configuration."""
    config = Config()
    topics = msgspec.structs.asdict(config.topics)
    addresses = topics | {"deadLetters": config.topics.dlq, "replays": register_topic(config)}
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
                "address": addresses[channel],
                "messages": {message: {"$ref": f"#/components/messages/{message}"}},
            }
            for channel, (message, _, _) in _CHANNELS.items()
        },
        "operations": {
            f"{action}{channel[0].upper()}{channel[1:]}": {
                "action": action,
                "summary": why,
                "channel": {"$ref": f"#/channels/{channel}"},
                "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
            }
            for channel, (message, action, why) in _CHANNELS.items()
        },
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def dump() -> str:
    """The file's text."""
    return json.dumps(_cleaned(asyncapi()), indent=2, ensure_ascii=False) + "\n"


def _cleaned(part: Any) -> Any:
    """A part whose descriptions, which are docstrings, are not indented; newer Pythons do that."""
    if isinstance(part, dict):
        return {
            name: inspect.cleandoc(value)
            if name == "description" and isinstance(value, str)
            else _cleaned(value)
            for name, value in part.items()
        }
    return [_cleaned(one) for one in part] if isinstance(part, list) else part


if __name__ == "__main__":
    sys.stdout.write(dump())
