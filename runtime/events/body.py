"""The chat-completions body of a request."""

from __future__ import annotations

from typing import Any

import msgspec

from routec.runtime.events.request import Message
from routec.runtime.records import Dead

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
"""Roles a message may have."""

MAY_BE_SILENT = frozenset({"assistant", "tool", "function"})
"""Roles whose messages need no content."""

_IMAGES = frozenset({"image_url", "image", "input_image"})
_TEXTS = frozenset({"text", "input_text", "output_text"})


class Chat(msgspec.Struct, frozen=True):
    """What the policy can know of a body.

    Attributes:
        messages: the conversation, oldest first.
        max_tokens: most tokens of the answer; ``None`` where the body has no limit.
        has_tools: whether it offers tools (or functions, their older form).
        has_image: whether a message holds an image.
        plain: whether every message has nothing but a role and a text.
    """

    messages: tuple[Message, ...]
    max_tokens: int | None
    has_tools: bool
    has_image: bool
    plain: bool


def read_body(body: object, max_messages: int) -> Chat | Dead:
    """Read a body; what it holds beyond the known members is left alone.

    Args:
        body: decoded JSON.
        max_messages: most messages it may hold.
    """
    if not isinstance(body, dict):
        return _invalid(f"`body` must be an object, it is {json_type(body)}")
    messages = body.get("messages")
    if not isinstance(messages, list):
        return _invalid(f"`messages` of the body must be a list, it is {json_type(messages)}")
    if not messages:
        return _invalid("`messages` of the body is empty: a request needs at least one")
    if len(messages) > max_messages:
        return _invalid(f"the body has {len(messages)} messages, at most {max_messages} are read")
    read: list[Message] = []
    image, plain = False, True
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            return _invalid(f"message {index} must be an object, it is {json_type(message)}")
        role = message.get("role")
        if not isinstance(role, str) or role not in ROLES:
            return _invalid(f"message {index} has no known `role`: {shown(role)}")
        content = message.get("content")
        if isinstance(content, str):
            read.append(Message(role, content))
            plain = plain and len(message) == 2
            continue
        plain = False
        if content is None and role in MAY_BE_SILENT:
            read.append(Message(role, ""))
            continue
        parts = _parts(content, index)
        if isinstance(parts, Dead):
            return parts
        text, has_image = parts
        image |= has_image
        read.append(Message(role, text))
    limit = _limit(body)
    if isinstance(limit, Dead):
        return limit
    tools = body.get("tools")
    if tools is not None and not isinstance(tools, list):
        return _invalid(f"`tools` of the body must be a list, it is {json_type(tools)}")
    return Chat(tuple(read), limit, bool(tools) or bool(body.get("functions")), image, plain)


def _parts(content: object, index: int) -> tuple[str, bool] | Dead:
    """Text and presence of an image of a list content."""
    if not isinstance(content, list):
        wanted = "text or a list of parts"
        return _invalid(
            f"`content` of message {index} must be {wanted}, it is {json_type(content)}"
        )
    texts: list[str] = []
    image = False
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(kind, str):
            return _invalid(f"a part of message {index} is not an object with a `type`")
        if kind in _TEXTS:
            text = part.get("text")
            if not isinstance(text, str):
                return _invalid(f"a text part of message {index} has no `text`")
            texts.append(text)
        elif kind in _IMAGES:
            image = True
    return "\n".join(texts), image


def _limit(body: dict[str, Any]) -> int | Dead | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            return _invalid(f"`{name}` must be a whole number from 0, it is {shown(value)}")
        return value
    return None


def json_type(value: object) -> str:
    """What JSON calls the type of a value, with its article."""
    if value is None:
        return "null or missing"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "an object"


def shown(value: object) -> str:
    """A scalar in backticks, cut short; of anything else only its type."""
    if value is None or isinstance(value, list | dict):
        return json_type(value)
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    text = value if isinstance(value, str) else repr(value)
    text = text if len(text) <= 40 else text[:39] + "…"
    return "`" + text.replace("`", "'").replace("\n", " ") + "`"


def _invalid(message: str) -> Dead:
    return Dead("invalid-body", message)
