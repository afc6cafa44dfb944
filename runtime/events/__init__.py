"""Events: request records decoded, decisions encoded."""

from routec.runtime.events.decision import (
    CacheAnswer,
    Decision,
    Example,
    Failure,
    Reject,
    Selection,
    Span,
    Ticket,
)
from routec.runtime.events.decode import CODES, Decoder, Limits, decode_request
from routec.runtime.events.encode import Encoder, decision_id
from routec.runtime.events.request import SCOPES, Message, Request

__all__ = [
    "CODES",
    "CacheAnswer",
    "Decision",
    "Decoder",
    "Encoder",
    "Example",
    "Failure",
    "Limits",
    "Message",
    "Reject",
    "Request",
    "SCOPES",
    "Selection",
    "Span",
    "Ticket",
    "decision_id",
    "decode_request",
]
