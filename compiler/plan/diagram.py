"""Decision diagrams: each of a program's questions as tests that share what is left to ask.

A question is a list of conditions, each with its outcome. A state is what is left of the list
once some atoms are known. From the first condition that is not settled a variable is taken, the
state expanded by its values (Shannon, "A symbolic analysis of relay and switching circuits",
1938), and what they imply of other variables put in too; equal states share one vertex, and so do
equal vertices, and a vertex whose targets are all the same is left out, as in ordered decision
diagrams (Bryant, "Graph-based algorithms for Boolean function manipulation", 1986). Unlike there
every state has a variable of its own choice.

What a path has learnt multiplies states where many conditions share variables. A question that is
too large for that may forget: then an answer is put into the condition that asked, and into the
rest of the list only if it is costly, or, if that is still too much, only if it tells many
conditions apart, such as the tenant that each is for. Such a diagram is about as large as the
conditions, and asks some things again that its path knew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice

from routec.compiler.plan.atoms import Atoms, Fact
from routec.compiler.plan.branches import Branches
from routec.compiler.plan.ranks import ranks_of
from routec.compiler.plan.residual import EMPTY, TRUE, Conditions, Overrun, Residuals
from routec.compiler.program import Program, Vertex

STEPS = 150
"""Steps of work that a question may take for each vertex that it may have."""

LEAST_STEPS = 200_000
"""Steps that every question may take."""

LOOKED_AT = 256
"""Entries of a list that are looked at to compare variables."""

MANY = 4
"""Entries of a list, and half of it, that a variable must tell apart to be remembered always."""

NONE = -1
"""The outcome of no entry."""

Implied = Mapping[Fact, tuple[Fact, ...]]
"""For an atom that is true, or false, what other atoms are then."""


@dataclass(frozen=True, slots=True)
class Diagrams:
    """The diagrams of a program.

    Attributes:
        vertices: of all diagrams, targets first; every one can be reached from a root.
        guards: root of the diagram of the guards; ``None`` where it is refused.
        category: root of the diagram of the cases; ``None`` where there are none, or it is refused.
        route: root of the diagram of the routes; ``None`` where it is refused.
        refused: the questions whose diagrams would be too large: ``guards category route``.
        forgetful: the questions whose diagrams ask again what a path may know already, since
            they would be too large otherwise.
    """

    vertices: tuple[Vertex, ...]
    guards: int | None
    category: int | None
    route: int | None
    refused: tuple[str, ...]
    forgetful: tuple[str, ...] = ()


class _Memory(IntEnum):
    """What an answer is put into beside the condition that asked: the rest of the list?"""

    DISPATCH = 0
    COSTLY = 1
    ALL = 2


def build(program: Program, implied: Implied, limit: int, *, forget: bool = False) -> Diagrams:
    """The decision diagrams of a program's questions.

    Guards and category may take a quarter of `limit` each, the routes what is left. The work is
    bounded too, in steps and never by the clock. The same program gives the same diagrams.

    Args:
        program: the program; its plan has `order`, `routes` and `cases`.
        implied: what holds of values of different variables. The diagrams are right for all
            values that keep to it, and to the types of variables.
        limit: most vertices of all diagrams together.
        forget: whether a question that would be refused may have a forgetful diagram instead.
    """
    builder = _Builder(program, implied)
    plan = program.plan
    live = plan.routes or range(len(program.routes))
    guards = [(guard.when, at, guard.reject is None) for at, guard in enumerate(program.guards)]
    routes = [(program.routes[at].when, at, False) for at in live]
    cases = [(case.when, case.category, False) for case in plan.cases]
    roots: dict[str, int | None] = {"guards": None, "category": None, "route": None}
    refused: list[str] = []
    forgetful: list[str] = []
    memories = (_Memory.ALL, _Memory.COSTLY, _Memory.DISPATCH) if forget else (_Memory.ALL,)
    for name, question, share in (
        ("guards", guards, limit // 4),
        ("category", cases, limit // 4),
        ("route", routes, limit),
    ):
        if name == "category" and not question:
            continue
        share = share if name != "route" else limit - builder.size
        for memory in memories:
            roots[name] = builder.root(question, share, memory)
            if roots[name] is not None:
                break
        if roots[name] is None:
            refused.append(name)
        elif memory is not _Memory.ALL:
            forgetful.append(name)
    vertices, moved = _canonical(builder.vertices, roots.values())
    new = {name: None if at is None else moved[at] for name, at in roots.items()}
    return Diagrams(
        vertices, new["guards"], new["category"], new["route"], tuple(refused), tuple(forgetful)
    )


class _Builder:
    """Vertices of diagrams, hash-consed."""

    def __init__(self, program: Program, implied: Implied) -> None:
        self._residuals = Residuals()
        atoms = Atoms(program)
        self._conditions = Conditions(program, self._residuals, atoms.same)
        self._variables = [0 if node.variable is None else node.variable for node in program.nodes]
        self._bits = [sum(1 << at for at in of) for of in atoms.of]
        self._branches = Branches(atoms, implied)
        self._ranks, self._costly = ranks_of(program)
        self._memory = _Memory.ALL
        self.vertices: list[Vertex] = []
        self._numbers: dict[Vertex, int] = {}

    @property
    def size(self) -> int:
        """Vertices so far."""
        return len(self.vertices)

    def root(
        self, question: Sequence[tuple[int, int, bool]], share: int, memory: _Memory
    ) -> int | None:
        """The root of a question's diagram, or ``None`` if it takes too much.

        Args:
            question: node, outcome, and whether the question goes on where the node holds.
            share: most further vertices.
            memory: which answers are put into the rest of the list.
        """
        self._memory = memory
        before = self.size
        residuals = self._residuals
        residuals.left = LEAST_STEPS + STEPS * share
        try:
            top = EMPTY
            for node, outcome, goes_on in reversed(question):
                if outcome != NONE:
                    top = residuals.entry(self._conditions.of(node), outcome, top, goes_on)
            return self._expand(top, before + share)
        except Overrun:
            for vertex in self.vertices[before:]:
                del self._numbers[vertex]
            del self.vertices[before:]
            return None

    def _expand(self, top: int, most: int) -> int:
        done: dict[int, int] = {}
        plans: dict[int, tuple[tuple[int, ...], Callable[[list[int]], Vertex | int]]] = {}
        stack = [top]
        while stack:
            state = stack[-1]
            if state in done:
                stack.pop()
                continue
            if state not in plans:
                plans[state] = self._plan(state)
            children, make = plans[state]
            waiting = [child for child in children if child not in done]
            if waiting:
                stack.extend(reversed(waiting))
                continue
            made = make([done[child] for child in children])
            done[state] = made if isinstance(made, int) else self._add(made, most)
            del plans[state]
            stack.pop()
        return done[top]

    def _add(self, vertex: Vertex, most: int) -> int:
        found = self._numbers.get(vertex)
        if found is None:
            if self.size >= most:
                raise Overrun
            found = self._numbers[vertex] = self.size
            self.vertices.append(vertex)
        return found

    def _plan(self, state: int) -> tuple[tuple[int, ...], Callable[[list[int]], Vertex | int]]:
        """The states that follow a state, and what makes its vertex of theirs."""
        entry = self._residuals.entries[state]
        if entry is None:
            return (), lambda _: Vertex("leaf", outcome=NONE)
        if entry.condition == TRUE:
            outcome = entry.outcome
            if entry.goes_on:
                return (entry.rest,), lambda to: Vertex("act", to=(to[0],), guard=outcome)
            return (), lambda _: Vertex("leaf", outcome=outcome)
        variable = self._variable(state)
        bits = self._bits[variable]
        reads = self._residuals.reads[entry.condition >> 1] & bits
        remembered = self._remembers(state, variable)
        if self._branches.tests_one(variable):
            atoms = [self._most_read(state, _ones(reads))]
        else:
            atoms = _ones(self._residuals.below[state] & bits if remembered else reads)
        split = self._branches.split(variable, atoms)
        left = self._residuals.rest if remembered else self._residuals.first
        return tuple(left(state, known) for known in split.known), split.vertex

    def _variable(self, state: int) -> int:
        """The variable to expand a state by: of the first condition's those that are known first,
        of these the one that most of the list reads."""
        entry = self._residuals.entries[state]
        assert entry is not None, "an empty list is settled"
        reads = _ones(self._residuals.reads[entry.condition >> 1])
        candidates = dict.fromkeys(self._variables[at] for at in reads)
        least = min(self._ranks[variable] for variable in candidates)
        tied = [variable for variable in candidates if self._ranks[variable] == least]
        if len(tied) == 1:
            return tied[0]
        counts = dict.fromkeys(tied, 0)
        for read in self._looked_at(state):
            for variable in tied:
                counts[variable] += bool(read & self._bits[variable])
        return max(tied, key=lambda variable: (counts[variable], -variable))

    def _remembers(self, state: int, variable: int) -> bool:
        """Whether the rest of a list is told of a variable."""
        if self._memory is _Memory.ALL:
            return True
        if self._memory is _Memory.COSTLY and self._costly[variable]:
            return True
        read = [bool(read & self._bits[variable]) for read in self._looked_at(state)]
        return sum(read) >= max(MANY, len(read) / 2) and self._branches.dispatches(variable)

    def _most_read(self, state: int, atoms: list[int]) -> int:
        """The atom that most of the list reads."""
        if len(atoms) == 1:
            return atoms[0]
        counts = dict.fromkeys(atoms, 0)
        for read in self._looked_at(state):
            for atom in atoms:
                counts[atom] += read >> atom & 1
        return max(atoms, key=lambda atom: (counts[atom], -atom))

    def _looked_at(self, state: int) -> Iterator[int]:
        """What the first entries of a list read, as bits."""
        heads = islice(self._residuals.heads(state), LOOKED_AT)
        for entry in heads:
            self._residuals.step(1)
            yield self._residuals.reads[entry.condition >> 1]


def _ones(bits: int) -> list[int]:
    """Places of the bits that are set, ascending."""
    found = []
    while bits:
        low = bits & -bits
        found.append(low.bit_length() - 1)
        bits ^= low
    return found


def _canonical(
    vertices: Sequence[Vertex], roots: Iterable[int | None]
) -> tuple[tuple[Vertex, ...], dict[int, int]]:
    """The vertices below the roots, depth first and targets first, and their new places."""
    found: list[Vertex] = []
    moved: dict[int, int] = {}
    for root in roots:
        stack = [] if root is None else [root]
        while stack:
            at = stack[-1]
            waiting = [] if at in moved else [to for to in vertices[at].to if to not in moved]
            if waiting:
                stack.extend(reversed(waiting))
                continue
            stack.pop()
            if at not in moved:
                moved[at] = len(found)
                vertex = vertices[at]
                found.append(_with(vertex, tuple(moved[to] for to in vertex.to)))
    return tuple(found), moved


def _with(vertex: Vertex, to: tuple[int, ...]) -> Vertex:
    return Vertex(
        vertex.kind,
        to,
        vertex.node,
        vertex.variable,
        vertex.labels,
        vertex.bounds,
        vertex.inclusive,
        vertex.guard,
        vertex.outcome,
    )
