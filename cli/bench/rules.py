"""Random policies whose rules can be written in several languages: ours, Python's and Cedar's.

A rule is a conjunction of alternatives of atoms. Every atom reads one field or signal and is
kept as a form with a hole for it, so that the same rules become policy text for the real
compiler, a Python function as one would write it by hand, and Cedar policies.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from routec.runtime.events.request import FieldValue


@dataclass(frozen=True, slots=True)
class Atom:
    """One condition on one field or signal.

    Attributes:
        name: what it reads.
        field: whether that is a field of the request.
        route: the condition in policy text.
        python: the same in Python, with ``{}`` for the value read.
        cedar: the same in Cedar, with ``{}`` for the attribute; ``None`` where Cedar has no such
            numbers.
    """

    name: str
    field: bool
    route: str
    python: str
    cedar: str | None


Clause = tuple[Atom, ...]
"""Alternatives."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A route: its condition, and what it does.

    Attributes:
        name: the route's name.
        clauses: all of them must hold.
        model: where it goes.
        fallbacks: where else.
        parameters: request parameters to set.
        tags: annotations.
    """

    name: str
    clauses: tuple[Clause, ...]
    model: str
    fallbacks: tuple[str, ...]
    parameters: Mapping[str, int | str]
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Values of one request.

    Attributes:
        attributes: of the fields.
        signals: of the signals.
    """

    attributes: Mapping[str, FieldValue]
    signals: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rules:
    """A policy.

    Attributes:
        declarations: fields and signals in policy text.
        rules: highest priority first; a default route follows.
        row: draws a request.
        fields: names of the fields.
        signals: names of the signals.
    """

    declarations: str
    rules: tuple[Rule, ...]
    row: Callable[[random.Random], Row]
    fields: tuple[str, ...]
    signals: tuple[str, ...]

    @property
    def default(self) -> Rule:
        """The route of requests that no rule takes."""
        return Rule("rest", (), "mini", (), {}, ())

    @property
    def atoms(self) -> int:
        """Different atoms in all conditions."""
        return len({a.route for rule in self.rules for clause in rule.clauses for a in clause})

    def rows(self, count: int, seed: int = 11) -> list[Row]:
        """That many requests; the same arguments draw the same."""
        dice = random.Random(seed)
        return [self.row(dice) for _ in range(count)]

    def text(self) -> str:
        """The policy as the compiler reads it."""
        parts = ["policy bench", self.declarations, _MODELS]
        for at, rule in enumerate(self.rules):
            body = [f"to {rule.model}"]
            if rule.fallbacks:
                body.append(f"fallback {' -> '.join(rule.fallbacks)}")
            if rule.parameters:
                listed = ", ".join(f"{name}: {value}" for name, value in rule.parameters.items())
                body.append(f"with {{ {listed} }}")
            body += [f'tag "{tag}"' for tag in rule.tags]
            when = " and ".join(
                f"({' or '.join(atom.route for atom in clause)})" for clause in rule.clauses
            )
            lines = "\n  ".join([f"when {when}", *body])
            parts.append(f"route {rule.name} priority {len(self.rules) - at} {{\n  {lines}\n}}")
        parts.append(f"default route {self.default.name} {{ to {self.default.model} }}")
        return "\n".join(parts) + "\n"


_MODELS = """\
model mini  { provider: openai,    input: $0.25, output: $2.00,  quality: 0.62 }
model opus  { provider: anthropic, input: $5.00, output: $25.00, quality: 0.93 }
model local { provider: vllm,      input: $0.05, output: $0.10,  quality: 0.48 }
"""
