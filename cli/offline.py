"""Deciding single requests in this process: without Kafka, and without models unless asked."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from routec.cli.errors import CommandError
from routec.cli.programs import Compiled
from routec.compiler.program import ProgramError
from routec.runtime.engine import Engine, ServiceError, open_services
from routec.runtime.events.decision import Decision
from routec.runtime.events.request import Request
from routec.runtime.signals.services import Services
from routec.safety.entities.entity import Entity

COSTLY = frozenset({"embed", "model", "remote"})
"""Stages of signals that are not computed unless the real services are open."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision, and what it lacks.

    Attributes:
        decision: the decision.
        missing: costly signals that it needed and that nothing could compute, in order of need;
            unless empty, the decision rests on their failure values and is worth nothing.
    """

    decision: Decision
    missing: tuple[str, ...]


class Offline:
    """Decides requests by a compiled policy, with an empty cache.

    Args:
        compiled: the policy.
        live: whether to open the models and classifiers that its signals need.

    Raises:
        CommandError: one of those cannot be opened, or the program cannot run here.
    """

    def __init__(self, compiled: Compiled, *, live: bool = False) -> None:
        # Failures come back in the decision; the engine's log of them is for operators.
        logging.getLogger("routec").addHandler(logging.NullHandler())
        program = compiled.program
        self._costly = frozenset(
            signal.name for signal in program.signals if not live and signal.stage in COSTLY
        )
        try:
            services = _services(compiled) if live else light_services()
            self._engine = Engine(program, services, hash=compiled.hash)
        except (ServiceError, ProgramError) as error:
            raise CommandError(error.message, getattr(error, "help", None)) from error

    async def decide(
        self, requests: Sequence[Request], pins: Sequence[Mapping[str, object]]
    ) -> list[Answer]:
        """Decide each request with the signals of its pins fixed.

        Raises:
            CommandError: a pin is no value of its signal.
        """
        try:
            decisions = await self._engine.decide(requests, pins)
        except ValueError as error:
            raise CommandError(str(error), "give a value of the signal's type") from error
        return [
            Answer(d, tuple(f.signal for f in d.failures if f.signal in self._costly))
            for d in decisions
        ]


def light_services() -> Services:
    """What scan and light signals need, loaded at first use; every costlier signal fails."""
    from routec.safety.language import Languages
    from routec.safety.tokens import estimate_tokens

    languages = Languages()

    def identify(text: str) -> tuple[str, float]:
        return languages.identify([text])[0]

    return Services(tokens=estimate_tokens, entities=_find_entities, language=identify)


def _find_entities(text: str, kinds: frozenset[str]) -> Sequence[Entity]:
    from routec.safety.entities import find_in_original

    return find_in_original(text, kinds)


def _services(compiled: Compiled) -> Services:
    # Single requests are decided as if nobody had asked before.
    opened = open_services(compiled.program, compiled.config, lambda: 0.0)
    return replace(opened, cache=None)
