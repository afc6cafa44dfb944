"""What identifies a request to the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from routec.runtime.events.request import Message, Request

WITHOUT_EFFECT = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "user",
    }
)
"""Members of a body that do not change what is answered."""

APART = WITHOUT_EFFECT | {"messages"}
"""Members of a body that are no part of the key as they are."""


def cache_key(
    request: Request, messages: Sequence[Message], reading: str
) -> tuple[bytes, bytes] | None:
    """Digest of what makes an answer unfit for another request, and of the last user text.

    The first covers everything but the last user text: all other messages, tools,
    response format, sampling, model, and how texts are read. Neither depends on the policy.

    Args:
        request: the request.
        messages: its messages as they may leave: masked where they must be.
        reading: normaliser version and embedder digest.

    Returns:
        Two digests of 32 bytes; ``None`` if the request is not plain JSON.
    """
    last = request.last_user
    body = request.body
    raw: Sequence[Mapping[str, Any]] = body.get("messages") or [{} for _ in messages]
    parts = [reading, str(-1 if last is None else last), str(len(messages))]
    try:
        for at, (message, original) in enumerate(zip(messages, raw, strict=True)):
            text = "" if at == last else message.text
            parts += (message.role, text, "" if request.plain else _beside_text(original))
        for name in sorted(body.keys() - APART):
            value = body[name]
            # What is no string is told apart from strings that look like it.
            parts += (name, f"s{value}" if isinstance(value, str) else f"j{_json(value)}")
        context = [part.encode("utf-8", "surrogatepass") for part in parts]
    except (TypeError, AttributeError):
        return None
    # With their lengths before them, no two lists of parts come to the same bytes.
    joined = b"".join([x for part in context for x in (len(part).to_bytes(8, "little"), part)])
    text = "" if last is None else messages[last].text
    return (
        blake2b(joined, digest_size=32).digest(),
        blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest(),
    )


def _json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _beside_text(message: Mapping[str, Any]) -> str:
    """What a message holds beside its role and its text: parts that are no text, other members."""
    content = message.get("content")
    listed = content if isinstance(content, list) else ()
    parts = [part for part in listed if not isinstance(part.get("text"), str)]
    members = {k: v for k, v in message.items() if k not in ("role", "content")}
    return _json([parts, members]) if parts or members else ""
