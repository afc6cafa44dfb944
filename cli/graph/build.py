"""From a planned program to what is drawn of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from routec.cli.describe import condition_text, value_text, variable_text
from routec.cli.graph import words
from routec.cli.graph.bounded import Drawn, drawn_diagram, drawn_list
from routec.cli.graph.flow import Flow, Key, flows
from routec.cli.graph.known import Trail, Values
from routec.cli.graph.model import (
    Cluster,
    Edge,
    Finding,
    Graph,
    Kind,
    Place,
    Question,
    Replay,
    Rule,
    Vertex,
)
from routec.cli.graph.rules import KINDS, RuleKey, Rules
from routec.cli.graph.shares import Shares
from routec.compiler.program import Program

MOST = 260
"""Vertices that are drawn of one question; of a larger one the nearest to its beginning."""

_TITLES: dict[Question, str] = {
    "guards": "Guards",
    "category": "Category and cache",
    "route": "Route",
}
_NONES: dict[Question, tuple[str, str]] = {
    "guards": ("pass", "no guard rejects"),
    "category": ("not cached", "no category applies"),
    "route": ("no route", ""),
}
_NOWHERE = Trail((), (), (), False)


@dataclass(frozen=True, slots=True)
class Trails:
    """A replayed request: what is known of it, its way through each question, and its story."""

    values: Values
    ways: Mapping[Question, Trail]
    replay: Replay


def build(
    program: Program,
    digest: str,
    places: Mapping[RuleKey, Place],
    findings: Sequence[tuple[Finding, Sequence[RuleKey]]] = (),
    shares: Shares | None = None,
    trails: Trails | None = None,
    most: int = MOST,
    fallback: Collection[str] = (),
) -> Graph:
    """What is drawn of a program.

    Args:
        program: the program, planned or not.
        digest: its content hash.
        places: where its rules are written, as far as that is known.
        findings: what is said of the policy, and of which rules, the one at fault first.
        shares: how many requests go where.
        trails: a request to replay.
        most: vertices that are drawn of each question, at least 8.
        fallback: questions whose diagrams would have been too large.
    """
    questions = flows(program)
    builder = _Builder(program, Rules(program, places, findings), shares, trails, most, fallback)
    clusters = [builder.cluster(flow) for flow in questions]
    marked: dict[int, list[str]] = {}
    for cluster in clusters:
        for vertex in cluster.vertices:
            for at in vertex.findings:
                marked.setdefault(at, []).append(vertex.id)
    return Graph(
        program.name,
        program.text,
        digest,
        tuple(clusters),
        tuple(builder.outline(questions, clusters)),
        tuple(
            replace(finding, vertices=tuple(marked.get(at, ())))
            for at, (finding, _) in enumerate(findings)
        ),
        None if shares is None else shares.sample,
        None if trails is None else trails.replay,
    )


class _Builder:
    def __init__(
        self,
        program: Program,
        rules: Rules,
        shares: Shares | None,
        trails: Trails | None,
        most: int,
        fallback: Collection[str],
    ) -> None:
        self._program = program
        self._rules = rules
        self._shares = shares
        self._trails = trails
        self._most = most
        self._fallback = fallback
        self._reading = words.Reading(program)

    # --- one question -----------------------------------------------------------------

    def cluster(self, flow: Flow) -> Cluster:
        trail = self._trail(flow)
        if flow.planned:
            drawn = drawn_diagram(flow, self._most, trail.steps)
        else:
            keys = [self._rules.key(flow.question, row.rule) for row in flow.rows]
            marked = [at for at, key in enumerate(keys) if self._rules.marks(key)]
            drawn = drawn_list(flow, self._most, trail.steps, marked)
        at = drawn.stand_in
        taken = {at.get(key, key) for key in trail.steps}
        gone = {(at.get(a, a), at.get(b, b)) for a, b in trail.ways}
        vertices = [
            replace(self._vertex(flow, key, drawn), taken=key in taken) for key in drawn.keys
        ]
        edges = [
            Edge(
                _id(flow, source),
                _id(flow, way.to),
                way.answer,
                way.label,
                self._share_of_way(flow, source, way.to),
                (source, way.to) in gone,
            )
            for source, way in drawn.ways
        ]
        apart = self._apart(flow)
        return Cluster(
            flow.question,
            _TITLES[flow.question],
            flow.planned,
            (*vertices, *apart),
            tuple(edges),
            tuple(tuple(_id(flow, key) for key in row) for row in drawn.rows),
            tuple(vertex.id for vertex in apart),
            len(flow.ways) + len(apart),
            self._note(flow, drawn),
        )

    def _trail(self, flow: Flow) -> Trail:
        """The way of the replayed request."""
        return _NOWHERE if self._trails is None else self._trails.ways.get(flow.question, _NOWHERE)

    def _share_of_way(self, flow: Flow, source: Key, target: Key) -> float | None:
        if self._shares is None or "more" in (source[0], target[0]):
            return None
        return self._shares.of_way(flow.question, source, target)

    def _note(self, flow: Flow, drawn: Drawn) -> str:
        notes = []
        if flow.question in self._fallback:
            notes.append("A diagram of it would be too large.")
        if not flow.planned and len(flow.rows) > 1:
            notes.append(
                "Asked in order; each that holds acts, the first that rejects ends."
                if flow.question == "guards"
                else "Asked in order; the first that holds decides."
            )
        if flow.question == "category" and not self._program.plan.cases:
            notes.append("Asked once the route is known, which may keep out of the cache.")
        if drawn.hidden:
            shown = len(flow.ways) - drawn.hidden
            notes.append(f"{shown:,} of {len(flow.ways):,} vertices are drawn.")
        return " ".join(notes)

    # --- one vertex -------------------------------------------------------------------

    def _vertex(self, flow: Flow, key: Key, drawn: Drawn) -> Vertex:
        kind, at = key
        if kind == "more":
            return _stand_in(flow, key, drawn.behind[key])
        share = None if self._shares is None else self._shares.of_step(flow.question, key)
        if kind == "rule":
            vertex = self._row(flow, key)
        elif key in flow.outcomes:
            vertex = self._outcome(flow, flow.outcomes[key], _id(flow, key))
        elif kind == "none" or self._program.plan.vertices[at].kind == "leaf":
            title, text = _NONES[flow.question]
            vertex = Vertex(_id(flow, key), "none", title, text)
        else:
            vertex = self._asking(flow, key)
        return replace(vertex, share=share, value=self._read(flow, key))

    def _row(self, flow: Flow, key: Key) -> Vertex:
        row = flow.rows[key[1]]
        rule = self._rules.key(flow.question, row.rule)
        reads = self._reading.of_node(row.when)
        condition = condition_text(self._program, row.when)
        return Vertex(
            _id(flow, key),
            "rule",
            rule[1] if row.rule >= 0 else "no category",
            condition,
            condition,
            words.dearest(reads),
            reads,
            self._rules.placed([rule])[0],
            findings=self._rules.marks(rule),
            dead=self._rules.never(rule),
        )

    def _asking(self, flow: Flow, key: Key) -> Vertex:
        vertex = self._program.plan.vertices[key[1]]
        text = words.vertex_text(self._program, vertex)
        variable = vertex.variable
        if vertex.node is not None:
            reads = self._reading.of_node(vertex.node)
            variable = self._program.nodes[vertex.node].variable
        else:
            assert variable is not None
            reads = self._reading.of_variable(variable)
        places, unplaced = self._rules.placed(self._rules.asking(vertex.node, variable))
        kind: Kind = "test"
        if vertex.kind in ("switch", "bisect"):
            kind = "switch" if vertex.kind == "switch" else "bisect"
        return Vertex(
            _id(flow, key), kind, text, "", text, words.dearest(reads), reads, places, unplaced
        )

    def _outcome(self, flow: Flow, at: int, name: str) -> Vertex:
        rule = self._rules.key(flow.question, at)
        _, when, does = self._rules.of(flow.question)[at]
        kinds: dict[Question, Kind] = {"guards": "act", "category": "category", "route": "route"}
        kind = kinds[flow.question]
        if kind == "act" and self._program.guards[at].reject is not None:
            kind = "reject"
        condition = condition_text(self._program, when)
        return Vertex(
            name,
            kind,
            rule[1],
            does,
            "" if condition == "true" else condition,
            places=self._rules.placed([rule])[0],
            findings=self._rules.marks(rule),
            dead=self._rules.never(rule),
        )

    def _apart(self, flow: Flow) -> tuple[Vertex, ...]:
        """The rules that no step leads to."""
        reached = set(flow.outcomes.values())
        lost = [at for at in range(len(self._rules.of(flow.question))) if at not in reached]
        shown, more = lost[: self._most // 4], lost[self._most // 4 :]
        apart = [
            replace(self._outcome(flow, at, f"{flow.question[0]}-apart-{at}"), dead=True)
            for at in shown
        ]
        if more:
            title = f"{len(more):,} more rule{'s' if len(more) > 1 else ''}"
            name = f"{flow.question[0]}-apart-more"
            apart.append(Vertex(name, "more", title, "not drawn", hidden=len(more)))
        return tuple(apart)

    def _read(self, flow: Flow, key: Key) -> str | None:
        """What a replayed request's values are at a step that it takes."""
        if self._trails is None or key not in self._trail(flow).steps:
            return None
        values = self._trails.values
        if key[0] == "rule":
            holds = values.holds(flow.rows[key[1]].when)
            return "does not matter" if holds is None else "holds" if holds else "does not hold"
        if key[0] != "vertex":
            return None
        vertex = self._program.plan.vertices[key[1]]
        variable = vertex.variable
        if vertex.node is not None:
            variable = self._program.nodes[vertex.node].variable
        if variable is None:
            return None
        value = values.value(variable)
        name = variable_text(self._program.variables[variable])
        if value is not None:
            return f"{name} = {value_text(value)}"
        return f"settled without {name}" if self._trail(flow).ended else f"{name} is not known"

    # --- rules ------------------------------------------------------------------------

    def outline(self, questions: Sequence[Flow], clusters: Sequence[Cluster]) -> Iterator[Rule]:
        """Every rule, in order of meaning."""
        drawn: dict[tuple[Question, str], str] = {}
        for cluster in clusters:
            for vertex in cluster.vertices:
                if vertex.kind in ("act", "reject", "category", "route"):
                    drawn.setdefault((cluster.question, vertex.title), vertex.id)
        decided = self._decided(questions)
        for question in KINDS:
            for at, (name, when, does) in enumerate(self._rules.of(question)):
                rule = (KINDS[question], name)
                place = self._rules.place(rule)
                yield Rule(
                    name,
                    rule[0],
                    does,
                    condition_text(self._program, when),
                    "" if place is None else place.file,
                    0 if place is None else place.line,
                    None if decided is None else decided.get((question, at), 0.0),
                    drawn.get((question, name)),
                    self._rules.marks(rule),
                )

    def _decided(self, questions: Sequence[Flow]) -> Mapping[tuple[Question, int], float] | None:
        """The share of requests that each rule acts on."""
        if self._shares is None:
            return None
        found: dict[tuple[Question, int], float] = {}
        for flow in questions:
            for key, rule in flow.outcomes.items():
                share = self._shares.of_step(flow.question, key)
                found[flow.question, rule] = found.get((flow.question, rule), 0.0) + share
        return found


def _stand_in(flow: Flow, key: Key, hidden: int) -> Vertex:
    what = ("vertex", "vertices") if flow.planned else ("rule", "rules")
    title = f"{hidden:,} more {what[hidden != 1]}"
    return Vertex(_id(flow, key), "more", title, "not drawn", hidden=hidden)


def _id(flow: Flow, key: Key) -> str:
    return f"{flow.question[0]}-{key[0]}-{key[1]}"
