"""What a drawing of a policy's plan shows, before anything is placed or written.

Every text here is plain text as the policy has it; whoever writes it escapes it for its format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["field", "scan", "light", "embed", "model", "remote"]
STAGES: tuple[Stage, ...] = ("field", "scan", "light", "embed", "model", "remote")
"""What a condition costs at most, from free to dear; a field of the request is free."""

Kind = Literal[
    "test", "switch", "bisect", "rule", "act", "reject", "category", "route", "none", "more"
]
"""What a vertex is: a question about a value, a rule of a list, what a rule does, or a stand-in
(``none`` where no rule holds, ``more`` for what is not drawn)."""

Question = Literal["guards", "category", "route"]
Answer = Literal["yes", "no", "value", "next"]
"""What an edge stands for: a test that holds or not, one of several values, or going on."""


@dataclass(frozen=True, slots=True)
class Read:
    """A signal or field that a condition may ask for."""

    name: str
    stage: Stage


@dataclass(frozen=True, slots=True)
class Place:
    """A rule and where it is written.

    Attributes:
        rule: such as ``route refunds``.
        file: name of the file.
        line: from 1.
    """

    rule: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Vertex:
    """One box.

    Attributes:
        id: unique in the graph; letters, digits and ``-`` only.
        kind: what it is.
        title: name of the rule or of what is read.
        text: the condition, or what the rule does.
        condition: the whole condition that must hold here; empty where there is none.
        stage: the dearest stage that it may ask for; ``None`` of what reads nothing.
        reads: what it may ask for, by stage and name.
        places: the rules it belongs to.
        unplaced: how many more rules it belongs to.
        share: expected share of all requests that come here, 0 to 1; ``None`` if not known.
        findings: indices into `Graph.findings`.
        dead: whether no request can come here.
        hidden: how many vertices or rules stand behind it that are not drawn.
        taken: whether the replayed request came here.
        value: what the replayed request's values were here.
    """

    id: str
    kind: Kind
    title: str
    text: str = ""
    condition: str = ""
    stage: Stage | None = None
    reads: tuple[Read, ...] = ()
    places: tuple[Place, ...] = ()
    unplaced: int = 0
    share: float | None = None
    findings: tuple[int, ...] = ()
    dead: bool = False
    hidden: int = 0
    taken: bool = False
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow between two vertices of one cluster.

    Attributes:
        source: id of the vertex it leaves.
        target: id of the vertex it enters.
        answer: what it stands for.
        label: its text; may be empty.
        share: expected share of all requests that go this way, 0 to 1; ``None`` if not known.
        taken: whether the replayed request went this way.
    """

    source: str
    target: str
    answer: Answer
    label: str = ""
    share: float | None = None
    taken: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """One of the three questions of a decision.

    Attributes:
        question: which.
        title: for people.
        planned: whether a diagram answers it; else its rules are asked in order.
        vertices: the first one is where it begins.
        edges: between them.
        rows: of a list of rules, the vertices side by side in each row, by id.
        apart: ids of vertices that no edge reaches: rules that never act.
        total: how many vertices there are, drawn or not.
        note: what a reader should know; may be empty.
    """

    question: Question
    title: str
    planned: bool
    vertices: tuple[Vertex, ...]
    edges: tuple[Edge, ...]
    rows: tuple[tuple[str, ...], ...] = ()
    apart: tuple[str, ...] = ()
    total: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What `routec check` says of a rule.

    Attributes:
        code: such as ``RC202``.
        name: such as ``unreachable-route``.
        severity: ``error``, ``warning`` or ``note``.
        verdict: ``proved``, ``unknown`` or ``estimated``.
        message: one sentence.
        help: how to mend it; may be empty.
        file: where.
        line: from 1.
        subjects: names of the declarations concerned.
        vertices: ids of the vertices it is marked on.
    """

    code: str
    name: str
    severity: str
    verdict: str
    message: str
    help: str
    file: str
    line: int
    subjects: tuple[str, ...]
    vertices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Value:
    """What a replayed request read: name, value, and ``request``, ``given`` or ``computed``."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Replay:
    """A request replayed.

    Attributes:
        text: the beginning of its last user text.
        outcome: what became of it, such as ``route refunds``.
        facts: more of the decision: name and value.
        values: what was read, fields first.
        skipped: signals that were not computed.
        unfinished: questions whose path could not be followed to its end.
    """

    text: str
    outcome: str
    facts: tuple[tuple[str, str], ...]
    values: tuple[Value, ...]
    skipped: tuple[str, ...]
    unfinished: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the outline: every guard, category and route, drawn or not.

    Attributes:
        name: its name.
        kind: ``guard``, ``category`` or ``route``.
        does: what it does.
        condition: when.
        file: where it is written; empty if not known.
        line: from 1; 0 if not known.
        share: expected share of all requests that it decides; ``None`` if not known.
        vertex: id of the vertex that stands for it; ``None`` where it is not drawn.
        findings: indices into `Graph.findings`.
    """

    name: str
    kind: str
    does: str
    condition: str
    file: str
    line: int
    share: float | None
    vertex: str | None
    findings: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """Everything that a drawing shows.

    Attributes:
        name: the policy's name.
        text: what the policy says of itself.
        hash: the program's content hash.
        clusters: the questions that have rules, in the order in which they are answered.
        rules: every rule.
        findings: of `routec check`.
        sample: how many requests the shares rest on, and where these are from; ``None`` where
            no shares are known.
        replay: a request's way through it; ``None`` without one.
    """

    name: str
    text: str
    hash: str
    clusters: tuple[Cluster, ...]
    rules: tuple[Rule, ...]
    findings: tuple[Finding, ...] = ()
    sample: str | None = None
    replay: Replay | None = None
