"""The bare choice of a route, as the engine makes it: values in, the route's name out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from routec.compiler.program import Program
from routec.runtime.engine.ask import unplanned
from routec.runtime.engine.code import Code
from routec.runtime.engine.conditions import Conditions
from routec.runtime.engine.index import FROM, Index
from routec.runtime.engine.start import Start
from routec.runtime.events.request import Request

Slots = tuple[list[Any], Mapping[str, Any]]
"""A request's values: of its signals, with room for what is kept on the way, and of its fields."""

Choose = Callable[[Slots], str]
"""From a request's values to the name of its route."""


def chooser(
    program: Program, requests: Sequence[Request], pins: Sequence[Mapping[str, Any]]
) -> tuple[Choose, Callable[[], list[Slots]]]:
    """What chooses, and what makes the values of all requests, new ones at each call."""
    conditions = Conditions(program)
    code = Code(program, conditions.signals, conditions.turn)
    index = Index(program) if len(program.routes) >= FROM else None
    # As the engine does where every signal is fixed.
    fast = unplanned(program, conditions, code, index).route.fast
    start = Start(program, conditions.signals, code.places)
    names = [route.name for route in program.routes]
    values = [start.everything(one) for one in pins]

    def slots() -> list[Slots]:
        # What is kept on the way must not be found there the next time.
        made = []
        for request, known in zip(requests, values, strict=True):
            assert known is not None, "all signals are fixed"
            made.append((known.copy(), request.attributes))
        return made

    def choose(given: Slots) -> str:
        return names[fast(*given)]

    return choose, slots
