"""A decoded request: what every signal, rule and cache lookup reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from routec.safety.text import normalise

FieldValue = bool | int | float | str | frozenset[str]

SCOPES = ("last_user", "all_user", "system", "all")
"""The stretches of a conversation that a signal can read."""

READ_ROLES: Mapping[str, frozenset[str] | None] = {
    "all_user": frozenset({"user"}),
    "system": frozenset({"system", "developer"}),
    "all": None,
}
"""Whose messages belong to a stretch, all for ``None``; the other stretch is one message alone."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """One chat message.

    Attributes:
        role: its role, such as ``user``.
        text: its text as it came: the string content, or the text parts joined by line ends.
    """

    role: str
    text: str


class Request:
    """One request to decide.

    Args:
        id: the caller's id, or one made from the record's position.
        attributes: values of the policy's fields: every declared one has its value.
        messages: the conversation, oldest first.
        time_ms: the event's own time, milliseconds since the epoch.
        body: the chat-completions body as it came; part of the cache's fingerprint.
        max_tokens: most tokens of the answer that the request itself allows; ``None`` for no limit.
        has_tools: whether the body offers tools.
        has_image: whether a message holds an image.
        tokens: tokens of its whole text, where they were counted before; ``None`` else.
        plain: whether every message of the body has nothing but a role and a text.
    """

    __slots__ = (
        "_texts",
        "attributes",
        "body",
        "has_image",
        "has_tools",
        "id",
        "max_tokens",
        "messages",
        "plain",
        "time_ms",
        "tokens",
    )

    def __init__(
        self,
        id: str,
        attributes: Mapping[str, FieldValue],
        messages: tuple[Message, ...] = (),
        *,
        time_ms: int = 0,
        body: Mapping[str, Any] | None = None,
        max_tokens: int | None = None,
        has_tools: bool = False,
        has_image: bool = False,
        tokens: int | None = None,
        plain: bool = False,
    ) -> None:
        self.id = id
        self.attributes = attributes
        self.messages = messages
        self.time_ms = time_ms
        self.body: Mapping[str, Any] = {} if body is None else body
        self.max_tokens = max_tokens
        self.has_tools = has_tools
        self.has_image = has_image
        self.tokens = tokens
        self.plain = plain
        self._texts: dict[str, str] = {}

    @property
    def turns(self) -> int:
        """Number of messages of role ``user``."""
        return sum(message.role == "user" for message in self.messages)

    @property
    def last_user(self) -> int | None:
        """Index of the last message of role ``user``; ``None`` without one."""
        for index in range(len(self.messages) - 1, -1, -1):
            if self.messages[index].role == "user":
                return index
        return None

    def text(self, scope: str) -> str:
        """The normalised text of a scope, worked out once; empty where there is no message.

        Args:
            scope: one of `SCOPES`.

        Raises:
            KeyError: there is no such scope.
        """
        text = self._texts.get(scope)
        if text is None:
            text = self._texts[scope] = normalise(self._original(scope))
        return text

    def _original(self, scope: str) -> str:
        if scope == "last_user":
            last = self.last_user
            return "" if last is None else self.messages[last].text
        roles = READ_ROLES[scope]
        return "\n".join(m.text for m in self.messages if roles is None or m.role in roles)
