"""The program: what the engine loads.

A program is data only: canonical JSON with a versioned schema and a content
hash. Everything that decides is in it; deployment (addresses, keys, devices)
is not. Numbers are IEEE doubles here: a condition compares a signal's double
with the double nearest to the literal, as the reference interpreter does.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import Literal

import msgspec

SCHEMA = 2

STRUCTURE = frozenset({"turns", "has_tools", "has_image", "hour", "weekday"})
"""Kinds of signals that are read off a request as it is, so that they are known from the start."""

Constant = bool | int | float | str
Op = Literal[
    "const", "truth", "lt", "le", "gt", "ge", "eq", "is", "has", "empty", "not", "and", "or"
]


class ProgramError(Exception):
    """A program cannot be loaded.

    Attributes:
        code: stable reason: ``invalid-program``, ``unsupported-schema`` or ``hash-mismatch``.
        message: one sentence for a person.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Part(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of the program's parts: frozen, closed, defaults left out of the JSON."""


class Field(Part, frozen=True):
    """A request attribute.

    Attributes:
        name: its name.
        type: ``bool int float string enum set``.
        members: of an enum, or of a set of enum; empty for a set of strings.
        path: where it is in the event; empty for `name` among the attributes.
        required: whether an event without it is invalid.
        default: value of an optional one; a list for a set.
    """

    name: str
    type: str
    members: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    required: bool = True
    default: Constant | tuple[str, ...] | None = None


class Variable(Part, frozen=True):
    """Something a node reads.

    Attributes:
        source: a request field or a signal.
        name: its name.
        member: a classifier's label or ``confidence``; ``None`` for the value itself.
        type: ``bool int float string enum set``.
    """

    source: Literal["field", "signal"]
    name: str
    type: str
    member: str | None = None


class Node(Part, frozen=True):
    """One condition; operands and variables are indices and come earlier.

    Attributes:
        op: ``const`` (`value`), ``truth`` (`variable`), ``lt le gt ge eq`` (number against
            `value`), ``is`` (string, enum or label equal to `value`), ``has`` (set contains
            `value`), ``empty`` (set), ``not and or`` (`of`).
        variable: index into `Program.variables`, of atoms.
        value: the constant, of atoms that have one and of ``const``.
        of: indices into `Program.nodes`, of connectives.
    """

    op: Op
    variable: int | None = None
    value: Constant | None = None
    of: tuple[int, ...] = ()


class Summand(Part, frozen=True):
    """``coefficient`` times a numeric variable, or times a node that counts 0 or 1."""

    coefficient: float
    variable: int | None = None
    node: int | None = None


class Band(Part, frozen=True):
    """A band below `bound` (at it too, where `inclusive`); the last has no bound."""

    name: str
    bound: float | None = None
    inclusive: bool = False


class Signal(Part, frozen=True):
    """A signal and how to compute it. Which parts are filled depends on `kind`.

    Attributes:
        name: its name.
        kind: ``keyword regex tokens language entities turns has_tools has_image hour weekday
            repeated similarity contrast classifier score bands``.
        stage: ``scan light embed model derived``.
        type: ``bool int float string enum set`` of its own value.
        guarded: whether some guard depends on it; such text signals also see decoded views.
        phrases: of a keyword.
        match: of a keyword: ``word`` or ``substring``.
        case_sensitive: of a keyword.
        pattern: of a regex.
        flags: of a regex, of ``ims``.
        scope: text that keyword and regex read: ``last_user all_user system all``.
        kinds: of entities.
        zone: of hour and weekday.
        threshold: cosine, of repeated.
        examples: of similarity.
        reduce: of similarity: ``max`` or ``mean``.
        high: of contrast.
        low: of contrast.
        backend: name of the bound classifier.
        labels: of a classifier, in order of declaration.
        exclusive: whether its scores add up to 1.
        timeout: seconds, of a classifier.
        constant: of a score.
        summands: of a score, in order.
        source: variable that bands divide.
        bands: in order.
        on_error: value taken on failure: of the signal's type; a label for a classifier.
    """

    name: str
    kind: str
    stage: str
    type: str
    guarded: bool = False
    phrases: tuple[str, ...] = ()
    match: str = "word"
    case_sensitive: bool = False
    pattern: str = ""
    flags: str = ""
    scope: str = "last_user"
    kinds: tuple[str, ...] = ()
    zone: str = ""
    threshold: float = 0.0
    examples: tuple[str, ...] = ()
    reduce: str = "max"
    high: tuple[str, ...] = ()
    low: tuple[str, ...] = ()
    backend: str = ""
    labels: tuple[str, ...] = ()
    exclusive: bool = True
    timeout: float | None = None
    constant: float = 0.0
    summands: tuple[Summand, ...] = ()
    source: int | None = None
    bands: tuple[Band, ...] = ()
    on_error: Constant | tuple[str, ...] | None = None


class Model(Part, frozen=True):
    """A target: prices in dollars per million tokens, latency in seconds, context in tokens."""

    name: str
    target: str
    provider: str | None = None
    endpoint: str | None = None
    input: float | None = None
    output: float | None = None
    context: int | None = None
    quality: float | None = None
    region: str | None = None
    latency: float | None = None
    tags: tuple[str, ...] = ()


class Category(Part, frozen=True):
    """Cache terms of a class of requests.

    Attributes:
        name: its name.
        when: node index.
        similarity: cosine threshold; ``None`` leaves only exact matches.
        max_error: promised error rate, whose threshold is learnt; ``None`` where not given.
        ttl: seconds; ``None`` for no expiry.
        quota: share of entries (0 to 1) or a number of entries (above 1); ``None`` for no limit.
        scope: field whose value isolates entries; ``None`` for global.
        relax_to: similarity that applies above a load (0 to 1).
        examples: similarity from which near hits are attached as examples.
    """

    name: str
    when: int
    similarity: float | None = None
    max_error: float | None = None
    ttl: float | None = None
    quota: float | None = None
    scope: str | None = None
    relax_to: tuple[float, float] | None = None
    examples: float | None = None


class Rejection(Part, frozen=True):
    """HTTP status and machine-readable reason."""

    status: int
    reason: str


class Guard(Part, frozen=True):
    """A safety rule; `when` is a node index."""

    name: str
    when: int
    reject: Rejection | None = None
    redact: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class Route(Part, frozen=True):
    """A routing rule.

    Attributes:
        name: its name.
        when: node index; a constant true node for the default route.
        by: ``only weighted cost quality latency balanced round_robin``.
        candidates: model names.
        weights: shares of the candidates, for ``weighted``.
        args: arguments of the selection algorithm.
        fallbacks: model names, in order.
        cache: ``auto`` (the request's category), ``off``, or ``force`` (`category`).
        category: the forced category.
        parameters: request parameters to set.
        sticky: field that keeps a request at one model.
        shadow: model and share.
        tags: annotations.
        headers: annotations.
    """

    name: str
    when: int
    by: str
    candidates: tuple[str, ...]
    weights: tuple[float, ...] = ()
    args: tuple[tuple[str, float], ...] = ()
    fallbacks: tuple[str, ...] = ()
    cache: Literal["auto", "off", "force"] = "auto"
    category: str | None = None
    parameters: dict[str, Constant | tuple[Constant, ...]] = {}
    sticky: str | None = None
    shadow: tuple[str, float] | None = None
    tags: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class Vertex(Part, frozen=True):
    """One vertex of a decision diagram; its targets are vertices that come earlier.

    Attributes:
        kind: ``test`` (`node`), ``switch`` and ``bisect`` (`variable`), ``act`` (`guard`) or
            ``leaf``.
        to: targets. Of a test: where the atom is false, where it is true. Of a switch: one for
            each of `labels`, and one for any other value. Of a bisection: one for each of
            `bounds`, and one for greater numbers. Of an act: where to go on.
        node: index of an atom in `Program.nodes`.
        variable: index into `Program.variables`: a string, enum or label of a switch, a
            number of a bisection.
        labels: of a switch.
        bounds: of a bisection, ascending; a number takes the first target whose bound it lies
            below, or at, where that bound is inclusive.
        inclusive: of each bound.
        guard: index of the guard that acts.
        outcome: of a leaf: the index of the guard that rejects, of the category whose terms
            apply, or of the route; -1 for none.
    """

    kind: Literal["test", "switch", "bisect", "act", "leaf"]
    to: tuple[int, ...] = ()
    node: int | None = None
    variable: int | None = None
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    inclusive: tuple[bool, ...] = ()
    guard: int | None = None
    outcome: int | None = None


class Case(Part, frozen=True):
    """Where node `when` holds, the category of this index applies (-1: none), unless an earlier
    case holds."""

    when: int
    category: int


class Plan(Part, frozen=True):
    """In what order and by what means the program's three questions are answered.

    The questions are which guards act, which category's terms apply, and which route holds. A
    question with a root is answered by the decision diagram below it; one without by walking
    its conditions in order of meaning, with those signals asked first that come first in `order`.

    Attributes:
        order: indices of the signals that are computed from a request, the first to ask first;
            stages come one after another. Empty for the order of stages and declaration.
        routes: indices of the routes that some request takes, in order of meaning. Empty for all.
        cases: which category applies whatever route it will be; the last holds always. Empty
            where only the route tells.
        vertices: of the diagrams, targets first.
        guards: root of the diagram of the guards.
        category: root of the diagram of `cases`.
        route: root of the diagram of the routes.
        dispatch: where the routes have no diagram, root of one that leaves out nothing and asks in
            any order: with every value known it stands for looking at each route.
    """

    order: tuple[int, ...] = ()
    routes: tuple[int, ...] = ()
    cases: tuple[Case, ...] = ()
    vertices: tuple[Vertex, ...] = ()
    guards: int | None = None
    category: int | None = None
    route: int | None = None
    dispatch: int | None = None


class Program(Part, frozen=True):
    """A whole policy, ready to run.

    Attributes:
        schema: version of this layout.
        name: the policy's name.
        text: what the policy says of itself.
        normaliser: version of the text normaliser the policy was checked with.
        embedder: digest of the embedder that its thresholds are meant for; ``None`` for any.
        fields: request attributes.
        variables: everything that nodes read.
        nodes: conditions, operands before what uses them.
        signals: every derived one after what it reads.
        models: targets.
        categories: in order of meaning.
        guards: in order of meaning.
        routes: in order of meaning; the default route is last.
        plan: how they are decided.
    """

    schema: int
    name: str
    text: str
    normaliser: str
    embedder: str | None
    fields: tuple[Field, ...]
    variables: tuple[Variable, ...]
    nodes: tuple[Node, ...]
    signals: tuple[Signal, ...]
    models: tuple[Model, ...]
    categories: tuple[Category, ...]
    guards: tuple[Guard, ...]
    routes: tuple[Route, ...]
    plan: Plan = Plan()


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hash: str
    program: msgspec.Raw


class _Version(msgspec.Struct, frozen=True):
    schema: int


_ENCODER = msgspec.json.Encoder(order="sorted")


def digest(program: Program) -> str:
    """Content hash: ``sha256:`` and 64 hexadecimal digits over the canonical JSON."""
    return "sha256:" + hashlib.sha256(_ENCODER.encode(program)).hexdigest()


def dump(program: Program) -> bytes:
    """The program's file: one JSON object with its hash, canonical, ending in a line end."""
    body = _ENCODER.encode(program)
    name = "sha256:" + hashlib.sha256(body).hexdigest()
    return b'{"hash":"' + name.encode() + b'","program":' + body + b"}\n"


def load(data: bytes) -> Program:
    """Read a program's file.

    Raises:
        ProgramError: if it is not a program, its schema is of another version, an
            index points nowhere, or its content does not have the hash it names.
    """
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
        schema = msgspec.json.decode(envelope.program, type=_Version).schema
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProgramError("invalid-program", f"this is not a routec program: {error}") from None
    if schema != SCHEMA:
        raise ProgramError(
            "unsupported-schema", f"the program has schema {schema}, this engine reads {SCHEMA}"
        )
    try:
        program = msgspec.json.decode(envelope.program, type=Program)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProgramError("invalid-program", f"the program is damaged: {error}") from None
    if digest(program) != envelope.hash:
        raise ProgramError("hash-mismatch", "the program's content does not have the hash it names")
    _check_indices(program)
    return program


def _check_indices(program: Program) -> None:
    """Refuse indices and names that point nowhere, so that the engine need not look again."""
    variables, nodes = len(program.variables), len(program.nodes)
    known = {s.name for s in program.signals} | {f.name for f in program.fields}
    models = {m.name for m in program.models}
    bad = any(v.name not in known for v in program.variables)
    for at, node in enumerate(program.nodes):
        bad |= any(not 0 <= i < at for i in node.of)
        bad |= node.variable is not None and not 0 <= node.variable < variables
        bad |= node.op in ("not", "and", "or") and not node.of
        bad |= node.op not in ("const", "not", "and", "or") and node.variable is None
    for signal in program.signals:
        bad |= signal.source is not None and not 0 <= signal.source < variables
        for part in signal.summands:
            bad |= part.node is not None and not 0 <= part.node < nodes
            bad |= part.variable is not None and not 0 <= part.variable < variables
            bad |= (part.node is None) == (part.variable is None)
    conditions = [category.when for category in program.categories]
    conditions += [guard.when for guard in program.guards]
    conditions += [route.when for route in program.routes]
    bad |= any(not 0 <= when < nodes for when in conditions)
    bad |= not program.routes
    for route in program.routes:
        bad |= not route.candidates or not models.issuperset(route.candidates + route.fallbacks)
        bad |= bool(route.weights) and len(route.weights) != len(route.candidates)
    if bad or not _plan_is_sound(program):
        raise ProgramError("invalid-program", "the program refers to something it does not hold")


def structural(program: Program) -> tuple[int, ...]:
    """Indices of the signals that are known from the start because something reads them."""
    read = {variable.name for variable in program.variables if variable.source == "signal"}
    return tuple(
        at
        for at, signal in enumerate(program.signals)
        if signal.kind in STRUCTURE and signal.name in read
    )


def _plan_is_sound(program: Program) -> bool:
    """Whether the plan names what is there, and its diagrams give each question its outcomes."""
    plan = program.plan
    computed = {at for at, signal in enumerate(program.signals) if signal.stage != "derived"}
    good = not plan.order or (len(plan.order) == len(computed) and computed.issuperset(plan.order))
    good &= len(set(plan.order)) == len(plan.order)
    last = len(program.routes) - 1
    good &= not plan.routes or (
        plan.routes[-1] == last
        and plan.routes[0] >= 0
        and all(a < b for a, b in itertools.pairwise(plan.routes))
    )
    categories, nodes = len(program.categories), len(program.nodes)
    for case in plan.cases:
        good &= 0 <= case.when < nodes and -1 <= case.category < categories
    if plan.cases:
        good &= 0 <= plan.cases[-1].when < nodes
        good = good and program.nodes[plan.cases[-1].when] == Node("const", value=True)
    # The outcomes that can be reached from each vertex: least, greatest, and whether guards act.
    reached: list[tuple[int, int, bool]] = []
    for at, vertex in enumerate(plan.vertices):
        if any(not 0 <= to < at for to in vertex.to) or not _vertex_is_sound(vertex, program):
            return False
        below = [reached[to] for to in vertex.to]
        if vertex.outcome is not None:
            below.append((vertex.outcome, vertex.outcome, False))
        reached.append(
            (
                min(least for least, _, _ in below),
                max(most for _, most, _ in below),
                vertex.kind == "act" or any(acts for _, _, acts in below),
            )
        )
    for root, low, high in (
        (plan.guards, -1, len(program.guards)),
        (plan.category, -1, categories),
        (plan.route, 0, len(program.routes)),
        (plan.dispatch, 0, len(program.routes)),
    ):
        if root is not None:
            good = good and 0 <= root < len(reached)
            good = good and low <= reached[root][0] <= reached[root][1] < high
            good = good and (root == plan.guards or not reached[root][2])
    return good


def _vertex_is_sound(vertex: Vertex, program: Program) -> bool:
    variable = vertex.variable
    if variable is not None and not 0 <= variable < len(program.variables):
        return False
    match vertex.kind:
        case "leaf":
            return vertex.outcome is not None and not vertex.to
        case "act":
            return (
                vertex.guard is not None
                and 0 <= vertex.guard < len(program.guards)
                and len(vertex.to) == 1
                and vertex.outcome is None
            )
        case "test":
            if vertex.node is None or not 0 <= vertex.node < len(program.nodes):
                return False
            atom = program.nodes[vertex.node].variable is not None
            return atom and len(vertex.to) == 2 and vertex.outcome is None
        case "switch":
            return (
                variable is not None
                and program.variables[variable].type in ("string", "enum")
                and 0 < len(vertex.labels) == len(set(vertex.labels))
                and len(vertex.to) == len(vertex.labels) + 1
                and vertex.outcome is None
            )
        case "bisect":
            cuts = list(zip(vertex.bounds, vertex.inclusive, strict=False))
            return (
                variable is not None
                and program.variables[variable].type in ("int", "float")
                and 0 < len(vertex.bounds) == len(vertex.inclusive)
                and all(a < b for a, b in itertools.pairwise(cuts))
                and len(vertex.to) == len(vertex.bounds) + 1
                and vertex.outcome is None
            )
