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

_APART = WITHOUT_EFFECT | {"messages"}


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
    conversation: list[list[Any]]
    if request.plain:
        conversation = [[message.role, message.text, (), {}] for message in messages]
    else:
        raw = body.get("messages") or [{} for _ in messages]
        conversation = [
            [message.role, message.text, *_beside_text(original)]
            for message, original in zip(messages, raw, strict=True)
        ]
    if last is not None:
        conversation[last][1] = None
    rest = {k: v for k, v in body.items() if k not in _APART}
    try:
        context = orjson.dumps([reading, conversation, rest], option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return None
    text = "" if last is None else messages[last].text
    return (
        blake2b(context, digest_size=32).digest(),
        blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest(),
    )


def _beside_text(message: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """What a message holds beside its role and its text: parts that are no text, other members."""
    content = message.get("content")
    parts = content if isinstance(content, list) else ()
    return (
        [part for part in parts if not isinstance(part.get("text"), str)],
        {k: v for k, v in message.items() if k not in ("role", "content")},
    )
