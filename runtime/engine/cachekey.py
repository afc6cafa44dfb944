"""What identifies a request to the cache."""

from __future__ import annotations

from collections.abc import Sequence
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
    raw = body.get("messages") or [{} for _ in messages]
    conversation: list[list[Any]] = []
    for index, (message, original) in enumerate(zip(messages, raw, strict=True)):
        text = None if index == last else message.text
        content = original.get("content")
        if isinstance(content, str) and len(original) == 2 and "role" in original:
            # Nothing but its role and its text.
            conversation.append([message.role, text, (), {}])
            continue
        parts = (
            [p for p in content if not isinstance(p.get("text"), str)]
            if isinstance(content, list)
            else []
        )
        others = {k: v for k, v in original.items() if k not in ("role", "content")}
        conversation.append([message.role, text, parts, others])
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
