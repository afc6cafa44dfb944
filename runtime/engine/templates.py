"""What all decisions that end alike have in common, worked out once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from routec.compiler.program import Program, Route
from routec.runtime.engine.code import Code, Reading, shown
from routec.runtime.engine.conditions import Conditions
from routec.runtime.events.decision import Reject, Selection
from routec.runtime.signals.work import Unknown, Work

_REMEMBERED = 4096


class Guarded:
    """What the guards that act come to.

    Attributes:
        reject: the rejection, if one rejects.
        redact: entity signals whose spans are masked, in order of acting.
        redacting: indices of these signals.
        tags: annotations, each once, in order of acting.
        headers: annotations by name; of two values the later.
        path: the conditions of the guards up to the one that rejects.
    """

    __slots__ = ("headers", "path", "redact", "redacting", "reject", "tags")

    def __init__(self, program: Program, places: Mapping[str, int], bits: int) -> None:
        self.reject: Reject | None = None
        redact: dict[str, None] = {}
        tags: dict[str, None] = {}
        self.headers: dict[str, str] = {}
        path: list[int] = []
        for at, guard in enumerate(program.guards):
            path.append(guard.when)
            if not bits >> at & 1:
                continue
            redact.update(dict.fromkeys(guard.redact))
            tags.update(dict.fromkeys(guard.tags))
            self.headers.update(guard.headers)
            if guard.reject is not None:
                self.reject = Reject(guard.name, guard.reject.status, guard.reject.reason)
                break
        self.redact = tuple(redact)
        self.redacting = tuple(places[name] for name in redact)
        self.tags = tuple(tags)
        self.path = tuple(path)


class Ending:
    """What decisions with the same guards, route and category have in common.

    Attributes:
        guarded: what the guards come to.
        route: the route taken; ``None`` of a rejection, or where the cache answered.
        name: its name.
        category: name of the category; ``None`` for none.
        tags: annotations of guards and route.
        headers: likewise.
        path: the conditions that settle it, in order of meaning.
        readings: of each signal on the path, its name in a trace and how to read it.
        reading: all of them at once, where everything is known.
        model: the model, where it is always the same; ``None`` where it must be chosen.
        selection: how it is picked then.
        fallbacks: its fallbacks then.
        parameters: request parameters to set.
        thresholds: what the conditions on the path compare numbers with, by their names.
        direct: whether nothing but values is missing: no cache, no masking, always the same model.
    """

    __slots__ = (
        "category",
        "direct",
        "fallbacks",
        "guarded",
        "headers",
        "model",
        "name",
        "parameters",
        "path",
        "reading",
        "readings",
        "route",
        "selection",
        "tags",
        "thresholds",
    )

    def __init__(
        self, guarded: Guarded, route: Route | None, category: str | None, path: tuple[int, ...]
    ) -> None:
        self.guarded = guarded
        self.route = route
        self.category = category
        self.path = path
        self.tags = guarded.tags
        self.headers = guarded.headers
        self.name = "" if route is None else route.name
        self.parameters: Mapping[str, Any] = {} if route is None else route.parameters
        if route is not None:
            self.tags = tuple(dict.fromkeys((*guarded.tags, *route.tags)))
            self.headers = {**guarded.headers, **dict(route.headers)}
        self.readings: tuple[tuple[str, Callable[[Work], Any]], ...] = ()
        self.reading: Reading = lambda values, attributes: {}
        self.thresholds: Mapping[str, tuple[float, ...]] = {}
        self.model: str | None = None
        self.selection: Selection | None = None
        self.fallbacks: tuple[str, ...] = ()
        self.direct = False


class Templates:
    """The endings of a program's decisions.

    Args:
        program: the program.
        conditions: its conditions.
        code: its generated functions.

    Attributes:
        never: derived signals that nothing reads.
    """

    def __init__(self, program: Program, conditions: Conditions, code: Code) -> None:
        self._program = program
        self._conditions = conditions
        self._code = code
        self._guarded: dict[int, Guarded] = {}
        self._endings: dict[tuple[int, int, int, int], Ending] = {}
        self._contexts = {m.name: m.context is not None for m in program.models}
        read = {v.name: at for at, v in enumerate(program.variables) if v.source == "signal"}
        derived = {s.name for s in program.signals if s.stage == "derived"}
        self._plain = tuple(
            (at, s.name) for at, s in enumerate(program.signals) if s.name not in derived
        )
        self._derived = tuple(
            (at, s.name, read.get(s.name))
            for at, s in enumerate(program.signals)
            if s.name in derived
        )
        self.never = tuple(name for _, name, variable in self._derived if variable is None)

    def guarded(self, bits: int) -> Guarded:
        """What these guards come to."""
        found = self._guarded.get(bits)
        if found is None:
            _make_room(self._guarded)
            found = Guarded(self._program, self._conditions.signals, bits)
            self._guarded[bits] = found
        return found

    def ending(self, bits: int, route: int, category: int, possible: int) -> Ending:
        """What decisions have in common.

        Args:
            bits: the guards that act.
            route: index of the route taken; -1 of a rejection, or where the cache answered.
            category: index of the category whose terms apply; -1 for none.
            possible: the routes that the request's fields leave possible, as bits, and the
                others are not part of the path; 0 for all.
        """
        if possible:
            possible = possible & (2 << route) - 1 if route >= 0 else 0
        key = (bits, route, category, possible)
        found = self._endings.get(key)
        if found is None:
            _make_room(self._endings)
            found = self._endings[key] = self._make(*key)
        return found

    def skipped(self, work: Work) -> tuple[str, ...]:
        """The signals of which nothing was computed, in order of declaration."""
        values = work.values
        found = [(at, name) for at, name in self._plain if isinstance(values[at], Unknown)]
        for at, name, variable in self._derived:
            if variable is None or self._conditions.readers[variable](work) is None:
                found.append((at, name))
        if self._derived:
            found.sort()
        return tuple([name for _, name in found])

    def _make(self, bits: int, route: int, category: int, possible: int) -> Ending:
        program = self._program
        guarded = self.guarded(bits)
        chosen = program.routes[route] if route >= 0 else None
        name = program.categories[category].name if category >= 0 else None
        path = [*guarded.path]
        if chosen is not None:
            routes = program.routes[: route + 1]
            left = possible or -1
            path += [each.when for at, each in enumerate(routes) if left >> at & 1]
        asked = chosen is None or chosen.cache == "auto"
        if asked and guarded.reject is None:
            last = category if category >= 0 else len(program.categories)
            path += [each.when for each in program.categories[: last + 1]]
        ending = Ending(guarded, chosen, name, tuple(path))
        variables = self._variables(path)
        readers = self._conditions.readers
        ending.readings = tuple((shown(program, at), readers[at]) for at in variables)
        ending.reading = self._code.reading(variables)
        ending.thresholds = self._thresholds(path)
        if chosen is not None:
            self._choose(ending, chosen)
        return ending

    def _thresholds(self, path: Sequence[int]) -> dict[str, tuple[float, ...]]:
        """What these conditions, and those inside the scores they read, compare numbers with."""
        program, found = self._program, dict[str, set[float]]()
        seen: set[int] = set()
        stack = list(path)
        for at in self._variables(path):
            signal = program.signals[self._conditions.signals[program.variables[at].name]]
            stack += [part.node for part in signal.summands if part.node is not None]
        while stack:
            at = stack.pop()
            if at in seen:
                continue
            seen.add(at)
            node = program.nodes[at]
            stack += node.of
            if node.variable is None or node.op not in ("lt", "le", "gt", "ge", "eq"):
                continue
            if program.variables[node.variable].source == "signal":
                name = shown(program, node.variable)
                found.setdefault(name, set()).add(float(node.value or 0))
        return {name: tuple(sorted(values)) for name, values in found.items()}

    def _choose(self, ending: Ending, route: Route) -> None:
        """Choose the model beforehand, where nothing about a request can change it."""
        sized = any(self._contexts[name] for name in route.candidates + route.fallbacks)
        if route.by != "only" or sized or route.shadow is not None:
            return
        model = ending.model = route.candidates[0]
        guarded, cached = ending.guarded, route.cache != "off" and self._program.categories
        ending.direct = not (guarded.reject or guarded.redact or cached)
        ending.selection = Selection("only", route.candidates, 1.0)
        ending.fallbacks = tuple(dict.fromkeys(n for n in route.fallbacks if n != model))

    def _variables(self, path: Sequence[int]) -> list[int]:
        """The signals behind these conditions, as variables."""
        inside: set[int] = set()
        for node in path:
            inside |= self._conditions.variables_of[node]
        variables = self._program.variables
        return [at for at in sorted(inside) if variables[at].source == "signal"]


def _make_room(kept: dict[Any, Any]) -> None:
    if len(kept) >= _REMEMBERED:
        kept.clear()
