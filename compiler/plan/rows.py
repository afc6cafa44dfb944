"""Requests to plan for: those of a profile, or drawn from what is usual.

Every value is drawn by a generator of its own that is seeded with the name of what it belongs to,
and only `random.Random.random` and the arithmetic of IEEE 754 are used, so that the rows are the
same on every machine.

Where nothing is known, this is assumed of a request, independently of each other:

- a keyword or regex matches 1 in 10 requests, entities of one kind occur in 1 of 20, a request
  repeats an earlier one in 1 of 10, has tools in 3 of 20 and images in 1 of 20;
- a number falls between two of the constants that the policy compares it with: anywhere alike,
  but lengths, turns and cosines rather low, the k-th stretch with a weight of 1 / k²;
- a label of a classifier is as likely as any other, but one that a rejecting guard looks for is
  20 times rarer; the winner's score is 0.5 or more, most likely near 1;
- a member of an enum, a weekday, and a string that the policy mentions (or none of them) are
  alike; each member of a set is there in 1 of 4; 7 of 10 texts are English.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from routec.compiler.plan.profile import Answer, Profile, mentioned
from routec.compiler.program import Field, Node, Program, Signal, Variable

ROWS = 512
"""Requests that are drawn where no profile has any."""

OTHER = "\0"
"""Stands for every string that the policy does not mention."""

Plain = bool | int | float | str | frozenset[str]
Drawn = Plain | Answer

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_BOOLS = {"keyword": 0.1, "regex": 0.1, "repeated": 0.1, "has_tools": 0.15, "has_image": 0.05}
_RANGES = {
    "tokens": (1.0, 8000.0),
    "turns": (1.0, 6.0),
    "similarity": (0.0, 1.0),
    "contrast": (-1.0, 1.0),
    "hour": (0.0, 23.0),
}
_LOW = frozenset({"tokens", "turns", "similarity"})
_RARE = 0.05


@dataclass(frozen=True, slots=True)
class Rows:
    """Values of requests.

    Attributes:
        count: how many requests, at least 1.
        columns: their values by the names of fields and of signals that are computed.
        assumed: names of the costly signals of which no row has a value, in order.
    """

    count: int
    columns: Mapping[str, Sequence[Drawn]]
    assumed: tuple[str, ...] = ()

    def read(self, variable: Variable) -> Sequence[Plain]:
        """What a variable, of a field or a computed signal, is in each request."""
        column = self.columns[variable.name]
        member = variable.member
        if member is None:
            return [_label(v) if isinstance(v, Answer) else v for v in column]
        return [v.scores.get(member, 0.0) if isinstance(v, Answer) else 0.0 for v in column]


def _label(answer: Answer) -> str:
    return OTHER if answer.label is None else answer.label


def rows_of(program: Program, profile: Profile | None = None, count: int = ROWS) -> Rows:
    """The requests to plan for.

    Args:
        program: the program.
        profile: its rows are taken, if it has any. A value that one lacks, or that is of another
            type, is taken from another row, in turn, or drawn where no row has it.
        count: how many requests to draw where the profile has none; at least 1.
    """
    given = () if profile is None else profile.rows
    count = len(given) or count
    cuts = _cuts(program)
    strings = mentioned(program)
    columns: dict[str, Sequence[Drawn]] = {}
    assumed: list[str] = []
    for field in program.fields:
        known = [_field_value(field, row.get(field.name, ...)) for row in given]
        words = tuple(sorted(strings.get(field.name, ())))
        columns[field.name] = _filled(
            known, count, field.name, partial(_draw_field, field=field, words=words, cuts=cuts)
        )
    rare = _rejected_labels(program)
    for signal in program.signals:
        if signal.stage == "derived":
            continue
        found = [_signal_value(signal, row.get(signal.name, ...)) for row in given]
        if given and signal.stage in ("embed", "model") and all(v is None for v in found):
            assumed.append(signal.name)
        words = tuple(sorted(strings.get(signal.name, ())))
        columns[signal.name] = _filled(
            found,
            count,
            signal.name,
            partial(_draw_signal, signal=signal, words=words, cuts=cuts, rare=rare),
        )
    return Rows(count, columns, tuple(assumed))


def _filled(
    known: Sequence[Drawn | None], count: int, name: str, draw: Callable[[Random], Drawn]
) -> Sequence[Drawn]:
    """A column without gaps."""
    rng = Random(f"routec plan {name}")
    donors = [value for value in known if value is not None]
    if not donors:
        return [draw(rng) for _ in range(count)]
    return [donors[_below(rng, len(donors))] if v is None else v for v in known]


# --- values of a profile ------------------------------------------------------------


def _field_value(field: Field, value: object) -> Drawn | None:
    if value is ...:
        return None
    return _plain(field.type, field.members, value)


def _signal_value(signal: Signal, value: object) -> Drawn | None:
    if value is ...:
        return None
    if signal.kind not in ("classifier", "language"):
        return _plain(signal.type, (), value)
    if not isinstance(value, Answer):
        return None
    if signal.kind == "classifier" and not (
        value.label in signal.labels and set(signal.labels) <= set(value.scores)
    ):
        return None
    return value


def _plain(type_: str, members: tuple[str, ...], value: object) -> Plain | None:
    """A value of this type; ``None`` if it is of another."""
    if type_ == "set":
        if not isinstance(value, tuple):
            return None
        return frozenset(OTHER if member is None else member for member in value)
    if type_ in ("string", "enum"):
        if value is None:
            return OTHER
        if not isinstance(value, str) or (members and value not in members):
            return None
        return value
    if type_ == "bool":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if type_ == "float" or isinstance(value, int) else None


# --- draws --------------------------------------------------------------------------


def _below(rng: Random, n: int) -> int:
    return int(rng.random() * n)


def _pick(rng: Random, weights: Sequence[float]) -> int:
    point = rng.random() * math.fsum(weights)
    for at, weight in enumerate(weights):
        point -= weight
        if point < 0:
            return at
    return len(weights) - 1


def _cuts(program: Program) -> Mapping[tuple[str, str | None], tuple[float, ...]]:
    """The constants that each number is compared with, ascending, by name and member."""
    found: dict[tuple[str, str | None], set[float]] = {}
    for node in program.nodes:
        if node.variable is not None and node.op in ("lt", "le", "gt", "ge", "eq"):
            variable = program.variables[node.variable]
            value = float(node.value or 0)
            if math.isfinite(value):
                found.setdefault((variable.name, variable.member), set()).add(value)
    return {key: tuple(sorted(values)) for key, values in found.items()}


def _rejected_labels(program: Program) -> frozenset[tuple[str, str]]:
    """Labels of classifiers that the condition of a rejecting guard mentions."""
    found: set[tuple[str, str]] = set()
    classifiers = {s.name for s in program.signals if s.kind == "classifier"}
    seen: set[int] = set()
    stack = [guard.when for guard in program.guards if guard.reject is not None]
    while stack:
        at = stack.pop()
        if at in seen:
            continue
        seen.add(at)
        node = program.nodes[at]
        stack.extend(node.of)
        label = _label_of(node, program)
        if label is not None and label[0] in classifiers:
            found.add(label)
    return frozenset(found)


def _label_of(node: Node, program: Program) -> tuple[str, str] | None:
    """The label that an atom wants: it is the winner, or its score is high."""
    if node.variable is None:
        return None
    variable = program.variables[node.variable]
    if node.op == "is" and isinstance(node.value, str):
        return variable.name, node.value
    if node.op in ("gt", "ge") and variable.member is not None:
        return variable.name, variable.member
    return None


def _number(rng: Random, low: float, high: float, cuts: Sequence[float], falling: bool) -> float:
    """A number between some two of the cuts; the first and the last stretch reach a bit beyond."""
    inner = sorted(set(cuts))
    if not inner:
        # A sum of three uniform numbers is near enough to a bell.
        bell = (rng.random() + rng.random() + rng.random()) / 3
        return low + (high - low) * (bell * bell if falling else bell)
    margin = max((high - low) / 10, 1e-6)
    ends = [min(low, inner[0] - margin), *inner, max(high, inner[-1] + margin)]
    stretches = len(ends) - 1
    weights = [1 / (k + 1) ** 2 if falling else 1.0 for k in range(stretches)]
    at = _pick(rng, weights)
    share = rng.random()
    # Now and then the very constant: it separates `<` from `<=`.
    return ends[at] if at and share < 0.05 else ends[at] + share * (ends[at + 1] - ends[at])


def _draw_field(
    rng: Random,
    field: Field,
    words: Sequence[str],
    cuts: Mapping[tuple[str, str | None], tuple[float, ...]],
) -> Drawn:
    match field.type:
        case "bool":
            return rng.random() < 0.5
        case "int" | "float":
            near = cuts.get((field.name, None), ())
            low, high = (near[0] - 1, near[-1] + 1) if near else (0.0, 100.0)
            value = _number(rng, low, high, near, falling=False)
            return math.floor(value) if field.type == "int" else value
        case "set":
            members = field.members or (*words, OTHER)
            return frozenset(member for member in members if rng.random() < 0.25)
        case _:
            choices = field.members or (*words, OTHER)
            return choices[_below(rng, len(choices))]


def _draw_signal(
    rng: Random,
    signal: Signal,
    words: Sequence[str],
    cuts: Mapping[tuple[str, str | None], tuple[float, ...]],
    rare: frozenset[tuple[str, str]],
) -> Drawn:
    match signal.kind:
        case "classifier":
            return _draw_answer(rng, signal, rare)
        case "language":
            spoken = (*(w for w in words if w != "en"), None)
            label = "en" if rng.random() < 0.7 else spoken[_below(rng, len(spoken))]
            unsure = rng.random()
            return Answer(label, {"confidence": 1 - 0.6 * unsure * unsure})
        case "weekday":
            return _WEEKDAYS[_below(rng, 7)]
        case "entities":
            return frozenset(kind for kind in signal.kinds if rng.random() < 0.05)
    if signal.type == "bool":
        return rng.random() < _BOOLS.get(signal.kind, 0.1)
    low, high = _RANGES.get(signal.kind, (0.0, 1.0))
    near = [cut for cut in cuts.get((signal.name, None), ()) if low <= cut <= high]
    value = _number(rng, low, high, near, signal.kind in _LOW)
    value = min(max(value, low), high)
    return math.floor(value) if signal.type == "int" else value


def _draw_answer(rng: Random, signal: Signal, rare: frozenset[tuple[str, str]]) -> Answer:
    labels = signal.labels
    if not signal.exclusive:
        scores = {label: rng.random() * rng.random() for label in labels}
        return Answer(max(labels, key=scores.__getitem__), scores)
    weights = [_RARE if (signal.name, label) in rare else 1.0 for label in labels]
    winner = _pick(rng, weights)
    unsure = rng.random()
    score = 1 - 0.5 * unsure * unsure
    shares = [rng.random() for _ in labels]
    shares[winner] = 0.0
    rest = math.fsum(shares)
    if not rest:
        score, rest = 1.0, 1.0
    return Answer(
        labels[winner],
        {
            label: score if at == winner else (1 - score) * shares[at] / rest
            for at, label in enumerate(labels)
        },
    )
