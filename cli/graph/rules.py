"""The rules of a program: what they are called, where they are written, what is said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from routec.cli.graph import words
from routec.cli.graph.model import Finding, Place, Question
from routec.compiler.program import Program

RuleKey = tuple[str, str]
"""Kind and name of a rule: a guard, a category and a route may have one name."""

KINDS: dict[Question, str] = {"guards": "guard", "category": "category", "route": "route"}
"""What the rules of a question are."""

_PLACES = 6
_NEVER = frozenset({"RC202", "RC203"})
"""Findings that prove that a rule never acts."""


class Rules:
    """A program's rules.

    Args:
        program: the program.
        places: where they are written, as far as that is known.
        findings: what is said of the policy, each with the rules it speaks of.
    """

    def __init__(
        self,
        program: Program,
        places: Mapping[RuleKey, Place],
        findings: Sequence[tuple[Finding, Sequence[RuleKey]]],
    ) -> None:
        self._program = program
        self._places = places
        self._marks: dict[RuleKey, list[int]] = {}
        self._never: set[RuleKey] = set()
        for at, (finding, rules) in enumerate(findings):
            for rule in rules:
                self._marks.setdefault(rule, []).append(at)
            if rules and finding.code in _NEVER and finding.verdict == "proved":
                self._never.add(rules[0])
        self._by_node: dict[int, list[RuleKey]] = {}
        self._by_variable: dict[int, list[RuleKey]] = {}
        self._said = {question: self._say(question) for question in KINDS}
        for question in KINDS:
            for name, when, _ in self.of(question):
                self._note_users((KINDS[question], name), when)

    def of(self, question: Question) -> Sequence[tuple[str, int, str]]:
        """Name, node of the condition, and effect of each rule of a question, in its order."""
        return self._said[question]

    def _say(self, question: Question) -> list[tuple[str, int, str]]:
        program = self._program
        if question == "guards":
            return [(g.name, g.when, words.guard_does(g)) for g in program.guards]
        if question == "category":
            return [(c.name, c.when, words.category_does(c)) for c in program.categories]
        return [(r.name, r.when, words.route_does(r)) for r in program.routes]

    def key(self, question: Question, at: int) -> RuleKey:
        """What a rule is known by, from its index; without a name for -1."""
        if at < 0:
            return (KINDS[question], "")
        program = self._program
        if question == "guards":
            return ("guard", program.guards[at].name)
        if question == "category":
            return ("category", program.categories[at].name)
        return ("route", program.routes[at].name)

    def marks(self, rule: RuleKey) -> tuple[int, ...]:
        """Indices of the findings that speak of a rule."""
        return tuple(self._marks.get(rule, ()))

    def never(self, rule: RuleKey) -> bool:
        """Whether it is proved that a rule never acts."""
        return rule in self._never

    def place(self, rule: RuleKey) -> Place | None:
        """Where a rule is written."""
        return self._places.get(rule)

    def placed(self, rules: Sequence[RuleKey]) -> tuple[tuple[Place, ...], int]:
        """Where the first of some rules are written, and how many more there are."""
        known = [self._places[rule] for rule in rules if rule in self._places]
        return tuple(known[:_PLACES]), max(0, len(known) - _PLACES)

    def asking(self, node: int | None, variable: int | None) -> Sequence[RuleKey]:
        """The rules whose conditions have an atom; if none has, those that read a variable."""
        users = [] if node is None else self._by_node.get(node, [])
        if users or variable is None:
            return users
        return self._by_variable.get(variable, [])

    def _note_users(self, rule: RuleKey, when: int) -> None:
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
                self._by_node.setdefault(at, []).append(rule)
                read.add(node.variable)
        for variable in sorted(read):
            self._by_variable.setdefault(variable, []).append(rule)
