"""Reads the phrase files and fills their slots."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from random import Random
from typing import cast

from routec.cli.demo.traffic.draw import pick_popular
from routec.cli.demo.traffic.sample import Difficulty

SLOT = re.compile(r"\{([A-Za-z_0-9]+)\}")


@dataclass(frozen=True, slots=True)
class Intent:
    """One section of a phrase file.

    Attributes:
        name: of the intent.
        language: BCP-47 code, or ``any``.
        difficulty: how capable a model it needs.
        same: whether all phrasings ask the same question, given the same slot values.
        phrases: templates with ``{slot}``.
    """

    name: str
    language: str
    difficulty: Difficulty
    same: bool
    phrases: tuple[str, ...]


def slots_of(template: str) -> tuple[str, ...]:
    """The slot names in a template, in order, once each."""
    return tuple(dict.fromkeys(name.lower() for name in SLOT.findall(template)))


@cache
def intents(name: str) -> tuple[Intent, ...]:
    """The sections of the phrase file `name`, in the file's order."""
    found: list[Intent] = []
    head: list[str] = []
    phrases: list[str] = []

    def close() -> None:
        if not head:
            return
        language = head[1] if len(head) > 1 else "any"
        difficulty = cast(Difficulty, head[2] if len(head) > 2 else "easy")
        found.append(Intent(head[0], language, difficulty, "same" in head[3:], tuple(phrases)))

    for line in _lines(name):
        if line.startswith("== "):
            close()
            head, phrases = line[3:].split(), []
        else:
            phrases.append(line)
    close()
    return tuple(found)


@cache
def languages(name: str) -> frozenset[str]:
    """The languages that the phrase file has sections in."""
    return frozenset(intent.language for intent in intents(name))


@cache
def slot_values() -> Mapping[str, tuple[str, ...]]:
    """The values that each slot may take, the most popular first."""
    table: dict[str, tuple[str, ...]] = {}
    for line in _lines("slots"):
        name, _, values = line.partition(": ")
        table[name] = tuple(value.strip() for value in values.split(" | "))
    return table


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its slots replaced; ``{Goal}`` is ``{goal}`` with a capital."""

    def value(found: re.Match[str]) -> str:
        slot = found[1]
        text = values[slot.lower()]
        return text if slot.islower() else text[0].upper() + text[1:]

    text = SLOT.sub(value, template)
    return text[0].upper() + text[1:]


def draw_values(rng: Random, template: str) -> dict[str, str]:
    """A value for each slot of the template."""
    table = slot_values()
    return {slot: pick_popular(rng, table[slot]) for slot in slots_of(template)}


def _lines(name: str) -> list[str]:
    package = "routec.cli.demo.traffic.phrases"
    text = resources.files(package).joinpath(f"{name}.txt").read_text("utf-8")
    return [line for line in text.splitlines() if line.strip()]
