"""What the generator yields: an event and the truth about it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

Topic = Literal["billing", "code", "legal", "medical", "other"]
Difficulty = Literal["trivial", "easy", "medium", "hard"]
Length = Literal["short", "medium", "long", "very_long"]
AttackKind = Literal[
    "instruction_override",
    "role_play",
    "base64",
    "rot13",
    "homoglyph",
    "zero_width",
    "lookalike",
]

TOPICS: tuple[Topic, ...] = ("billing", "code", "legal", "medical", "other")
ATTACK_KINDS: tuple[AttackKind, ...] = (
    "instruction_override",
    "role_play",
    "base64",
    "rot13",
    "homoglyph",
    "zero_width",
    "lookalike",
)


@dataclass(frozen=True, slots=True)
class Planted:
    """A piece of personal or secret data put into the text on purpose.

    Attributes:
        kind: ``credit_card iban phone email us_ssn ip_address api_key``.
        message: index of the message in the body's `messages`.
        start: first code point in the message's text, from 0.
        end: one past the last.
        text: the characters themselves.
    """

    kind: str
    message: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of a sample because it was made so.

    Attributes:
        topic: the subject of the last user message.
        intent: the intent of the phrase file; of an attack, its family.
        language: BCP-47 code of the last user message.
        attack: whether it tries to override the model's instructions.
        kind: how it attacks; ``lookalike`` is a harmless text that only looks like an
            attack (`attack` is false); ``None`` otherwise.
        entities: the data planted in the last user message, in order.
        group: samples with the same group ask the same question in other words.
        repeat_of: the `request_id` whose last user message this one repeats exactly.
        turn: 1 for the first user message of a conversation, 2 for the second, …
        unhappy: the user asks the previous question again.
        urgent: the user says that it cannot wait.
        difficulty: how capable a model the question needs.
        length: ``short`` below 80 words, ``medium``, ``long`` above 300, ``very_long`` above 3,000.
    """

    topic: Topic
    intent: str
    language: str
    attack: bool
    kind: AttackKind | None
    entities: tuple[Planted, ...]
    group: str
    repeat_of: str | None
    turn: int
    unhappy: bool
    urgent: bool
    difficulty: Difficulty
    length: Length


@dataclass(frozen=True, slots=True)
class Sample:
    """A request event (as in the `routec.requests` topic) and the truth about it."""

    event: dict[str, Any]
    truth: Truth

    def encode(self) -> bytes:
        """The event as the UTF-8 JSON of a record's value; equal events give equal bytes."""
        return json.dumps(self.event, ensure_ascii=False, separators=(",", ":")).encode()

    @property
    def text(self) -> str:
        """The text of the last user message."""
        return message_text(self.event["body"]["messages"][-1])


def message_text(message: dict[str, Any]) -> str:
    """The text of a chat message, of its text parts where the content is a list."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")
