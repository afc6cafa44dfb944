"""What vertices and edges say."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from routec.cli.describe import condition_text, value_text, variable_text
from routec.cli.graph.model import STAGES, Read, Stage
from routec.compiler.program import Category, Guard, Program, Route, Vertex

_RUNS = 6
"""Labels that one edge names."""


def guard_does(guard: Guard) -> str:
    """What a guard does, such as ``reject 403 "prompt_injection"``."""
    parts = [f"redact {', '.join(guard.redact)}"] if guard.redact else []
    parts += [f'tag "{tag}"' for tag in guard.tags]
    parts += [f'set "{name}"' for name, _ in guard.headers]
    if guard.reject is not None:
        parts.append(f'reject {guard.reject.status} "{guard.reject.reason}"')
    return ", ".join(parts) or "nothing"


def category_does(category: Category) -> str:
    """A category's terms, such as ``cosine ≥ 0.93, ttl 7d, per tenant``."""
    parts = []
    if category.similarity is not None:
        parts.append(f"cosine ≥ {value_text(category.similarity)}")
    elif category.max_error is not None:
        parts.append(f"error ≤ {category.max_error:.3g}")
    else:
        parts.append("exact only")
    if category.ttl is not None:
        parts.append(f"ttl {_duration(category.ttl)}")
    parts.append(f"per {category.scope}" if category.scope else "for all")
    return ", ".join(parts)


def route_does(route: Route) -> str:
    """A route's targets, such as ``to opus, mini by cost``, and what it says of the cache."""
    if route.weights:
        shares = zip(route.candidates, route.weights, strict=True)
        targets = ", ".join(f"{name} {share * 100:.3g}%" for name, share in shares)
    else:
        targets = ", ".join(route.candidates)
        if route.by not in ("only", "weighted"):
            targets += f" by {route.by}"
    text = f"to {targets}"
    if route.fallbacks:
        text += f", else {' → '.join(route.fallbacks)}"
    if route.cache == "off":
        text += ", cache off"
    elif route.cache == "force":
        text += f", cache {route.category}"
    return text


def edge_labels(vertex: Vertex) -> list[tuple[int, str]]:
    """The targets of a vertex, each once, with what leads there; in the order of the vertex."""
    if vertex.kind == "test":
        no, yes = vertex.to
        return [(no, "")] if no == yes else [(no, "false"), (yes, "true")]
    if vertex.kind == "switch":
        named = list(zip(vertex.to, (*vertex.labels, "else"), strict=False))
        return [(to, _listed([w for t, w in named if t == to])) for to in dict.fromkeys(vertex.to)]
    if vertex.kind == "bisect":
        runs = [
            list(run) for _, run in itertools.groupby(range(len(vertex.to)), vertex.to.__getitem__)
        ]
        said = [(vertex.to[run[0]], _interval(vertex, run[0], run[-1])) for run in runs]
        return [(to, _listed([w for t, w in said if t == to])) for to in dict.fromkeys(vertex.to)]
    return [(to, "") for to in vertex.to]


def share_text(share: float) -> str:
    """A share as a person reads it, such as ``37%``; never ``0%`` or ``100%`` where that rounds."""
    percent = share * 100
    if 0 < percent < 0.1:
        return "<0.1%"
    if 99.9 < percent < 100:
        return ">99.9%"
    return (
        f"{percent:.1f}%" if percent % 1 and (percent < 10 or percent > 99) else f"{percent:.0f}%"
    )


def _listed(words: Sequence[str]) -> str:
    more = len(words) - _RUNS
    return ", ".join(words[:_RUNS]) + (f" and {more} more" if more > 0 else "")


def _interval(vertex: Vertex, first: int, last: int) -> str:
    """The numbers that the pieces from `first` to `last` of a bisection take."""
    low = high = ""
    if first > 0:
        sign = ">" if vertex.inclusive[first - 1] else "≥"
        low = f"{sign} {value_text(vertex.bounds[first - 1])}"
    if last < len(vertex.bounds):
        sign = "≤" if vertex.inclusive[last] else "<"
        high = f"{sign} {value_text(vertex.bounds[last])}"
    both = first > 0 and last < len(vertex.bounds)
    if both and vertex.bounds[first - 1] == vertex.bounds[last]:
        return f"= {value_text(vertex.bounds[last])}"
    return " and ".join(part for part in (low, high) if part) or "any"


def vertex_text(program: Program, vertex: Vertex) -> str:
    """What a vertex of a diagram asks: a test's condition, or what a switch or bisection reads."""
    if vertex.node is not None:
        return condition_text(program, vertex.node)
    assert vertex.variable is not None
    return variable_text(program.variables[vertex.variable])


class Reading:
    """What conditions may ask for.

    Args:
        program: the program.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._signals = {signal.name: signal for signal in program.signals}
        self._nodes: dict[int, frozenset[Read]] = {}

    def of_node(self, at: int) -> tuple[Read, ...]:
        """The signals and fields behind a condition, by stage and name."""
        return _sorted(self._node(at))

    def of_variable(self, at: int) -> tuple[Read, ...]:
        """The signals or the field behind a variable, by stage and name."""
        return _sorted(self._variable(at))

    def _node(self, at: int) -> frozenset[Read]:
        # Operands come before what uses them, so filling in order needs no deep recursion.
        if at not in self._nodes:
            node = self._program.nodes[at]
            for below in node.of:
                self._node(below)
            parts = [self._nodes[below] for below in node.of]
            if node.variable is not None:
                parts.append(self._variable(node.variable))
            self._nodes[at] = frozenset[Read]().union(*parts)
        return self._nodes[at]

    def _variable(self, at: int) -> frozenset[Read]:
        variable = self._program.variables[at]
        if variable.source == "field":
            return frozenset({Read(variable.name, "field")})
        signal = self._signals[variable.name]
        if signal.stage != "derived":
            return frozenset({Read(signal.name, _stage(signal.stage))})
        parts = [self._variable(p.variable) for p in signal.summands if p.variable is not None]
        parts += [self._node(p.node) for p in signal.summands if p.node is not None]
        if signal.source is not None:
            parts.append(self._variable(signal.source))
        return frozenset[Read]().union(*parts)


def dearest(reads: Sequence[Read]) -> Stage | None:
    """The last stage of what is read; ``None`` of nothing."""
    return max((read.stage for read in reads), key=STAGES.index, default=None)


def _sorted(reads: frozenset[Read]) -> tuple[Read, ...]:
    return tuple(sorted(reads, key=lambda read: (STAGES.index(read.stage), read.name)))


def _stage(name: str) -> Stage:
    return next(stage for stage in STAGES if stage == name)


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds * 1000:.6g}ms"
