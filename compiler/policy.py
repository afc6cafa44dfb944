"""The resolved policy: names bound, types known, `let`s inlined, order settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from routec.compiler.expr import Expr, Table, Variable
from routec.compiler.types import Plain, Type, Value
from routec.dsl import ast
from routec.dsl.source import Span


class Stage(StrEnum):
    """How costly a signal is; the order of declaration is from cheap to dear."""

    SCAN = "scan"
    LIGHT = "light"
    EMBED = "embed"
    MODEL = "model"
    REMOTE = "remote"
    DERIVED = "derived"


@dataclass(frozen=True, slots=True)
class Condition:
    """A resolved condition and how it was written (``None`` where it was left out)."""

    expr: Expr
    syntax: ast.Expr | None


@dataclass(frozen=True, slots=True)
class Field:
    """An attribute of the request.

    Attributes:
        name: its name.
        type: its type.
        path: where it is in the event, outermost member first; ``None`` for `name`
            among the event's attributes.
        default: its value where the event has none; ``None`` makes it required.
        span: where it is declared.
    """

    name: str
    type: Type
    path: tuple[str, ...] | None
    default: Plain | None
    span: Span


# --- what a signal of each kind is made from ----------------------------------


@dataclass(frozen=True, slots=True)
class Keyword:
    """Some phrase stands in the text."""

    phrases: tuple[str, ...]
    match: str
    case_sensitive: bool
    scope: str


@dataclass(frozen=True, slots=True)
class Regex:
    """The pattern matches somewhere in the text."""

    pattern: str
    flags: str
    scope: str


@dataclass(frozen=True, slots=True)
class Structure:
    """A fact of the request's structure: ``tokens turns has_tools has_image language``."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The hour or weekday of the event's own time in a time zone."""

    zone: str


@dataclass(frozen=True, slots=True)
class Entities:
    """The kinds of entities that occur in the text."""

    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    """The last user turn is this similar to an earlier one."""

    similarity: Decimal


@dataclass(frozen=True, slots=True)
class Similarity:
    """Cosine to examples."""

    examples: tuple[str, ...]
    reduce: str


@dataclass(frozen=True, slots=True)
class Contrast:
    """Greatest cosine to `high` less the greatest cosine to `low`."""

    high: tuple[str, ...]
    low: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Classifier:
    """A bound classifier's scores."""

    backend: str
    labels: tuple[str, ...]
    exclusive: bool
    timeout: Decimal | None


@dataclass(frozen=True, slots=True)
class External:
    """A service of the user's."""

    service: str
    timeout: Decimal | None


@dataclass(frozen=True, slots=True)
class Summand:
    """A coefficient times a numeric signal, a score, or a condition that counts 0 or 1.

    Exactly one of `variable` and `condition` is set.
    """

    coefficient: Decimal
    variable: Variable | None
    condition: Expr | None


@dataclass(frozen=True, slots=True)
class Score:
    """A linear expression: constant plus summands."""

    constant: Decimal
    summands: tuple[Summand, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """A named stretch: values below `bound` (or at it, where inclusive) not in an earlier band.

    `bound` is ``None`` for the last band.
    """

    name: str
    bound: Decimal | None
    inclusive: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Bands:
    """Which band a numeric signal falls into."""

    variable: Variable
    bands: tuple[Band, ...]


Definition = (
    Keyword
    | Regex
    | Structure
    | Clock
    | Entities
    | Repeated
    | Similarity
    | Contrast
    | Classifier
    | External
    | Score
    | Bands
)


@dataclass(frozen=True, slots=True)
class Signal:
    """A value computed from the request.

    Attributes:
        name: its name.
        kind: the kind it was declared with, such as ``keyword``.
        stage: its cost class.
        type: type of its own value (the label of a classifier).
        definition: what it is made from.
        on_error: the value it takes when its backend fails; ``None`` if it cannot fail.
        span: where it is declared.
    """

    name: str
    kind: str
    stage: Stage
    type: Type
    definition: Definition
    on_error: Value | None
    span: Span


@dataclass(frozen=True, slots=True)
class Model:
    """A target. Prices are dollars per million tokens, latency is seconds, context is tokens."""

    name: str
    provider: str | None
    target: str
    endpoint: str | None
    input: Decimal | None
    output: Decimal | None
    context: int | None
    quality: Decimal | None
    region: str | None
    latency: Decimal | None
    tags: tuple[str, ...]
    extra: Mapping[str, str | bool | Decimal | tuple[str, ...]]
    span: Span


@dataclass(frozen=True, slots=True)
class Category:
    """Cache policy of a class of requests.

    `ttl` is seconds; `scope` is a field, or ``None`` for global.
    """

    name: str
    when: Condition
    similarity: Decimal | None
    max_error: Decimal | None
    ttl: Decimal | None
    quota: Decimal | int | None
    scope: str | None
    relax_to: tuple[Decimal, Decimal] | None
    examples: Decimal | None
    span: Span


@dataclass(frozen=True, slots=True)
class Rejection:
    """Ends the decision with a status and a reason."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Guard:
    """A safety rule. `redact` names entity signals; `headers` keeps the order written."""

    name: str
    priority: int
    when: Condition
    reject: Rejection | None
    redact: tuple[str, ...]
    tags: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    span: Span


Scalar = str | bool | int | float
Parameter = Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """How a route picks its model.

    Attributes:
        by: selection algorithm; ``only`` for a single model.
        candidates: model names, in order.
        weights: share of each candidate, adding up to 1, for ``weighted``; else empty.
        args: the algorithm's own arguments.
    """

    by: str
    candidates: tuple[str, ...]
    weights: tuple[Decimal, ...]
    args: tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True, slots=True)
class Route:
    """A routing rule, or the default route (whose condition is true).

    Attributes:
        cache: ``None`` to use the request's category, ``False`` for off, or a category's name.
        sticky: field whose value keeps a request at one model.
        shadow: model and share of traffic to duplicate to it.
    """

    name: str
    priority: int
    default: bool
    when: Condition
    selection: Selection
    fallbacks: tuple[str, ...]
    cache: str | bool | None
    parameters: tuple[tuple[str, Parameter], ...]
    sticky: str | None
    shadow: tuple[str, Decimal] | None
    tags: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Budget:
    """A spend cap per key; `limit` is dollars, `window` seconds."""

    name: str
    per: str
    limit: Decimal
    window: Decimal
    then: str
    span: Span


@dataclass(frozen=True, slots=True)
class Promise:
    """An assert: `condition` must never (or always) hold of a decision."""

    text: str
    never: bool
    condition: Condition
    span: Span


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a test expects; `value` is ``None`` for a redaction."""

    kind: str
    value: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class Case:
    """A unit test.

    Attributes:
        text: what it says it shows.
        attributes: request fields that it fills.
        messages: chat messages, as ``(role, content)``.
        pins: signal values that it fixes.
        expects: what must hold of the decision.
    """

    text: str
    attributes: Mapping[str, Plain]
    messages: tuple[tuple[str, str], ...]
    pins: Mapping[str, Value]
    expects: tuple[Expectation, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Demands:
    """What the policy demands of itself; `p99` is seconds."""

    p99: Decimal | None
    survive: str | None


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole resolved policy.

    Guards and routes stand in order of meaning: highest priority first, then
    file order; the default route is last. Signals stand so that every derived
    one follows what it reads. `meanings` has every part of every condition, as
    written, with what it means; `syntax` is what all of it was resolved from,
    imported files before those that import them and the policy's own last.
    """

    name: str
    text: str | None
    demands: Demands
    table: Table
    fields: Mapping[str, Field]
    signals: Mapping[str, Signal]
    lets: Mapping[str, Condition]
    models: Mapping[str, Model]
    pools: Mapping[str, tuple[str, ...]]
    categories: tuple[Category, ...]
    guards: tuple[Guard, ...]
    routes: tuple[Route, ...]
    budgets: tuple[Budget, ...]
    promises: tuple[Promise, ...]
    cases: tuple[Case, ...]
    meanings: Mapping[ast.Expr, Expr]
    syntax: tuple[ast.Module, ...] = field(repr=False)
