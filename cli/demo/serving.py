"""The simulated serving side: answers what was routed, so that the cache fills."""

from __future__ import annotations

import json
from typing import Any

from routec.cli.demo.traffic import Sample, answer

_FIRST_TOKEN_MS = 150
_MS_PER_TOKEN = 8


def response(decision: dict[str, Any], sample: Sample) -> bytes:
    """The response event about a decision to route a sample.

    Its latency is what a model of the speed assumed here would take; nothing waits for it.
    """
    body = answer(sample.event["body"], sample.truth)
    usage = body["usage"]
    event = {
        "request_id": decision["request_id"],
        "decision_id": decision["decision_id"],
        "model": decision["model"],
        "body": body,
        "usage": {
            "prompt_tokens": usage["prompt_tokens"],
            "completion_tokens": usage["completion_tokens"],
        },
        "latency_ms": _FIRST_TOKEN_MS + _MS_PER_TOKEN * usage["completion_tokens"],
        "ok": True,
    }
    return json.dumps(event, ensure_ascii=False).encode()
