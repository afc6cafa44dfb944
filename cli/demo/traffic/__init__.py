"""Sample traffic: a seeded stream of request events whose truth is known."""

from routec.cli.demo.traffic.answers import answer
from routec.cli.demo.traffic.attributes import Attribute, attributes_for
from routec.cli.demo.traffic.generator import START, generate
from routec.cli.demo.traffic.malformed import MALFORMED_KINDS, MalformedKind, make_malformed
from routec.cli.demo.traffic.sample import (
    ATTACK_KINDS,
    TOPICS,
    Planted,
    Sample,
    Truth,
    message_text,
)

__all__ = [
    "generate",
    "Sample",
    "Truth",
    "Planted",
    "START",
    "TOPICS",
    "ATTACK_KINDS",
    "message_text",
    "Attribute",
    "attributes_for",
    "MALFORMED_KINDS",
    "MalformedKind",
    "make_malformed",
    "answer",
]
