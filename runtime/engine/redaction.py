"""Masking entities, so that nothing that leaves the engine holds them."""

from __future__ import annotations

from collections.abc import Sequence

from routec.runtime.events.decision import Span
from routec.runtime.events.request import Message


def merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    """The spans in order of message and start; of those that overlap one, with the first's kind."""
    result: list[Span] = []
    for span in sorted(set(spans), key=lambda s: (s.message, s.start, -s.end, s.kind)):
        last = result[-1] if result else None
        if last is not None and last.message == span.message and span.start < last.end:
            end = max(last.end, span.end)
            result[-1] = Span(last.message, last.start, end, last.kind)
        else:
            result.append(span)
    return tuple(result)


def masked(messages: Sequence[Message], spans: Sequence[Span]) -> tuple[Message, ...]:
    """The messages with each span replaced by its kind in brackets, such as ``[iban]``.

    Args:
        messages: the conversation.
        spans: what `merged` returned.
    """
    if not spans:
        return tuple(messages)
    result = list(messages)
    for span in reversed(spans):
        message = result[span.message]
        text = message.text[: span.start] + f"[{span.kind}]" + message.text[span.end :]
        result[span.message] = Message(message.role, text)
    return tuple(result)
