"""From a planned program to what is drawn of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from routec.cli.describe import condition_text, value_text, variable_text
from routec.cli.graph import words
from routec.cli.graph.bounded import Drawn, drawn_diagram, drawn_list
from routec.cli.graph.flow import Flow, Key, flows
from routec.cli.graph.known import Follower, Trail, Values
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
from routec.cli.graph.shares import Shares
from routec.compiler.program import Program

MOST = 260
"""Vertices that are drawn of one question; of a larger one the nearest to its beginning."""

_PLACES = 6
_TITLES: dict[Question, str] = {
    "guards": "Guards",
    "category": "Category and cache",
    "route": "Route",
}
_LETTERS: dict[Question, str] = {"guards": "g", "category": "c", "route": "r"}
_KINDS: dict[Question, str] = {"guards": "guard", "category": "category", "route": "route"}
_NEVER = frozenset({"RC202", "RC203"})
"""Findings that prove that a rule never acts."""


@dataclass(frozen=True, slots=True)
class Trails:
    """A replayed request: what is known of it, its way through each question, and its story."""

    values: Values
    ways: Mapping[Question, Trail]
    replay: Replay


RuleKey = tuple[str, str]
"""Kind and name of a rule."""


def build(
    program: Program,
    digest: str,
    places: Mapping[RuleKey, Place],
    findings: Sequence[tuple[Finding, Sequence[RuleKey]]] = (),
    shares: Shares | None = None,
    trails: Trails | None = None,
    most: int = MOST,
) -> Graph:
    """What is drawn of a program.

    Args:
        program: the program, planned or not.
        digest: its content hash.
        places: where its rules are written, as far as that is known.
        findings: what is said of the policy, and of which rules.
        shares: how many requests go where.
        trails: a request to replay.
        most: vertices that are drawn of each question.
    """
    builder = _Builder(program, places, findings, shares, trails, most)
    clusters = [builder.cluster(flow) for flow in flows(program)]
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
        tuple(builder.outline(clusters)),
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
        places: Mapping[RuleKey, Place],
        findings: Sequence[tuple[Finding, Sequence[RuleKey]]],
        shares: Shares | None,
        trails: Trails | None,
        most: int,
    ) -> None:
        self._program = program
        self._places = places
        self._shares = shares
        self._trails = trails
        self._most = most
        self._reading = words.Reading(program)
        self._marks: dict[RuleKey, list[int]] = {}
        self._never: set[RuleKey] = set()
        for at, (finding, rules) in enumerate(findings):
            for rule in rules:
                self._marks.setdefault(rule, []).append(at)
                if finding.code in _NEVER and finding.verdict == "proved" and rule == rules[0]:
                    self._never.add(rule)
        self._by_node, self._by_variable = self._users()

    # --- one question -----------------------------------------------------------------

    def cluster(self, flow: Flow) -> Cluster:
        trail = None if self._trails is None else self._trails.ways.get(flow.question)
        steps = () if trail is None else trail.steps
        if flow.planned:
            drawn = drawn_diagram(flow, self._most, steps)
        else:
            marked = [
                at
                for at, row in enumerate(flow.rows)
                if self._rule_key(flow, row.rule) in self._marks
            ]
            drawn = drawn_list(flow, self._most, steps, marked)
        steps = tuple(drawn.stand_in.get(key, key) for key in steps)
        taken = set(steps)
        gone = {(a, b) for a, b in zip(steps, steps[1:], strict=False) if a != b}
        vertices = [
            replace(self._vertex(flow, key, drawn), taken=key in taken) for key in drawn.keys
        ]
        edges = [
            Edge(
                self._id(flow, source),
                self._id(flow, way.to),
                way.answer,
                way.label,
                None
                if self._shares is None or "more" in (source[0], way.to[0])
                else self._shares.of_way(flow.question, source, way.to),
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
            tuple(tuple(self._id(flow, key) for key in row) for row in drawn.rows),
            tuple(vertex.id for vertex in apart),
            len(flow.ways) + len(apart),
            self._note(flow, drawn),
        )

    def _note(self, flow: Flow, drawn: Drawn) -> str:
        notes = []
        if not flow.planned and len(flow.rows) > 1:
            notes.append("Asked in order; the first that holds decides.")
            if flow.question == "guards":
                notes[-1] = "Asked in order; each that holds acts, the first that rejects ends."
        if flow.question == "category" and not self._program.plan.cases:
            notes.append("Asked once the route is known, which may keep out of the cache.")
        if drawn.hidden:
            shown = len(flow.ways) - drawn.hidden
            notes.append(f"{shown:,} of {len(flow.ways):,} vertices are drawn.")
        return " ".join(notes)

    # --- one vertex -------------------------------------------------------------------

    def _vertex(self, flow: Flow, key: Key, drawn: Drawn) -> Vertex:
        kind, at = key
        share = None if self._shares is None else self._shares.of_step(flow.question, key)
        name = self._id(flow, key)
        if kind == "more":
            hidden = drawn.behind[key]
            title = f"{hidden:,} more " + ("vertices" if flow.planned else "rules")
            if hidden == 1:
                title = "1 more " + ("vertex" if flow.planned else "rule")
            return Vertex(name, "more", title, "not drawn", hidden=hidden)
        if kind == "rule":
            row = flow.rows[at]
            rule = self._rule_key(flow, row.rule)
            reads = self._reading.of_node(row.when)
            condition = condition_text(self._program, row.when)
            return Vertex(
                name,
                "rule",
                rule[1] if row.rule >= 0 else "no category",
                condition,
                condition,
                words.dearest(reads),
                reads,
                self._placed([rule])[0],
                share=share,
                findings=tuple(self._marks.get(rule, ())),
                dead=rule in self._never,
                value=self._read(flow, key),
            )
        if key in flow.outcomes:
            return replace(self._outcome(flow, flow.outcomes[key], name), share=share)
        vertex = None if kind == "none" else self._program.plan.vertices[at]
        if vertex is None or vertex.kind == "leaf":
            title, text = _NONES[flow.question]
            return Vertex(name, "none", title, text, share=share)
        text = words.vertex_text(self._program, vertex)
        if vertex.node is not None:
            reads = self._reading.of_node(vertex.node)
            users = self._by_node.get(vertex.node, [])
            variable = self._program.nodes[vertex.node].variable
        else:
            assert vertex.variable is not None
            reads = self._reading.of_variable(vertex.variable)
            users, variable = [], vertex.variable
        if not users and variable is not None:
            users = self._by_variable.get(variable, [])
        here, more = self._placed(users)
        return Vertex(
            name,
            _diagram_kind(vertex.kind),
            text,
            "",
            text,
            words.dearest(reads),
            reads,
            here,
            more,
            share,
            value=self._read(flow, key),
        )

    def _outcome(self, flow: Flow, at: int, name: str) -> Vertex:
        program = self._program
        rule = self._rule_key(flow, at)
        kind: Kind
        if flow.question == "guards":
            guard = program.guards[at]
            kind, does, when = (
                "reject" if guard.reject is not None else "act",
                words.guard_does(guard),
                guard.when,
            )
        elif flow.question == "category":
            category = program.categories[at]
            kind, does, when = "category", words.category_does(category), category.when
        else:
            route = program.routes[at]
            kind, does, when = "route", words.route_does(route), route.when
        condition = condition_text(program, when)
        return Vertex(
            name,
            kind,
            rule[1],
            does,
            "" if condition == "true" else condition,
            places=self._placed([rule])[0],
            findings=tuple(self._marks.get(rule, ())),
            dead=rule in self._never,
        )

    def _apart(self, flow: Flow) -> tuple[Vertex, ...]:
        """The rules that no step leads to."""
        reached = set(flow.outcomes.values())
        count = len(self._rules(flow.question))
        lost = [at for at in range(count) if at not in reached]
        letter = _LETTERS[flow.question]
        return tuple(
            replace(self._outcome(flow, at, f"{letter}x{at}"), dead=True, share=None)
            for at in lost[: self._most // 4]
        )

    def _read(self, flow: Flow, key: Key) -> str | None:
        """What a replayed request's values are at a step that it takes."""
        if self._trails is None or key not in self._trails.ways.get(flow.question, _NOWHERE).steps:
            return None
        values = self._trails.values
        if key[0] == "rule":
            holds = values.holds(flow.rows[key[1]].when)
            return "not known" if holds is None else "holds" if holds else "does not hold"
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
        settled = vertex.node is not None and values.holds(vertex.node) is not None
        return f"{name} needs no value: it is settled" if settled else f"{name} is not known"

    # --- rules ------------------------------------------------------------------------

    def outline(self, clusters: Sequence[Cluster]) -> Iterable[Rule]:
        """Every rule, in order of meaning."""
        drawn: dict[tuple[Question, str], Vertex] = {}
        for cluster in clusters:
            for vertex in cluster.vertices:
                if vertex.kind in ("act", "reject", "category", "route"):
                    drawn.setdefault((cluster.question, vertex.title), vertex)
        decided = self._decided()
        for question in ("guards", "category", "route"):
            for at, (name, when, does) in enumerate(self._rules(question)):
                rule = (_KINDS[question], name)
                place = self._places.get(rule)
                found = drawn.get((question, name))
                yield Rule(
                    name,
                    rule[0],
                    does,
                    condition_text(self._program, when),
                    "" if place is None else place.file,
                    0 if place is None else place.line,
                    None if decided is None else decided.get((question, at), 0.0),
                    None if found is None else found.id,
                    tuple(self._marks.get(rule, ())),
                )

    def _decided(self) -> Mapping[tuple[Question, int], float] | None:
        """The share of requests that each rule acts on."""
        if self._shares is None:
            return None
        found: dict[tuple[Question, int], float] = {}
        for flow in flows(self._program):
            for key, rule in flow.outcomes.items():
                share = self._shares.of_step(flow.question, key)
                found[flow.question, rule] = found.get((flow.question, rule), 0.0) + share
        return found

    def _rules(self, question: Question) -> list[tuple[str, int, str]]:
        """Name, condition and effect of each rule of a question."""
        program = self._program
        if question == "guards":
            return [(g.name, g.when, words.guard_does(g)) for g in program.guards]
        if question == "category":
            return [(c.name, c.when, words.category_does(c)) for c in program.categories]
        return [(r.name, r.when, words.route_does(r)) for r in program.routes]

    def _rule_key(self, flow: Flow, at: int) -> RuleKey:
        rules: Sequence[object] = {
            "guards": self._program.guards,
            "category": self._program.categories,
            "route": self._program.routes,
        }[flow.question]
        name = getattr(rules[at], "name", "") if at >= 0 else ""
        return (_KINDS[flow.question], str(name))

    def _placed(self, rules: Sequence[RuleKey]) -> tuple[tuple[Place, ...], int]:
        known = [self._places[rule] for rule in rules if rule in self._places]
        return tuple(known[:_PLACES]), max(0, len(known) - _PLACES)

    def _users(self) -> tuple[dict[int, list[RuleKey]], dict[int, list[RuleKey]]]:
        """The rules whose conditions ask each atom, and read each variable."""
        by_node: dict[int, list[RuleKey]] = {}
        by_variable: dict[int, list[RuleKey]] = {}
        for question in ("guards", "category", "route"):
            for name, when, _ in self._rules(question):
                rule = (_KINDS[question], name)
                seen: set[int] = set()
                read: set[int] = set()
                waiting = [when]
                while waiting:
                    at = waiting.pop()
                    if at in seen:
                        continue
                    seen.add(at)
                    node = self._program.nodes[at]
                    waiting += node.of
                    if node.variable is not None:
                        by_node.setdefault(at, []).append(rule)
                        read.add(node.variable)
                for variable in read:
                    by_variable.setdefault(variable, []).append(rule)
        return by_node, by_variable

    def _id(self, flow: Flow, key: Key) -> str:
        letter = _LETTERS[flow.question]
        return f"{letter}-{key[0]}-{key[1]}"


_NOWHERE = Trail((), False)
_NONES: dict[Question, tuple[str, str]] = {
    "guards": ("pass", "no guard rejects"),
    "category": ("not cached", "no category applies"),
    "route": ("no route", ""),
}


def _diagram_kind(kind: str) -> Kind:
    return "switch" if kind == "switch" else "bisect" if kind == "bisect" else "test"
