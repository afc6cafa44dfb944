"""Python functions generated from a program's data.

Nothing of a policy is ever text of a program here: the functions are syntax trees whose only
variable parts are numbers of places and constants, compiled without builtins. They take the
values of a request's signals and its attributes, and evaluate as if all were known; where one
is not, `NotKnown` is raised by the value itself.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from routec.compiler.program import Program, ProgramError, Signal, Summand, Vertex
from routec.runtime.signals.derived import SCORE_DIGITS
from routec.runtime.signals.work import UNKNOWN

Chooser = Callable[[Sequence[Any], Mapping[str, Any]], int]
"""From a request's values and attributes to an outcome."""

Test = Callable[[Sequence[Any], Mapping[str, Any]], bool]
"""From a request's values and attributes to whether a condition holds."""

Reading = Callable[[Sequence[Any], Mapping[str, Any]], dict[str, Any]]
"""From a request's values and attributes to what a trace shows of them."""

_COMPARE: dict[str, type[ast.cmpop]] = {
    "lt": ast.Lt,
    "le": ast.LtE,
    "gt": ast.Gt,
    "ge": ast.GtE,
    "eq": ast.Eq,
    "is": ast.Eq,
}

_INLINE = 12
"""Most vertices that are nested in one function before the next is made."""

_WRITTEN_OUT = 8
"""Largest condition, in nodes, that is written out at each of its uses."""

_REPEATED = 10
"""Most vertices of a part with several sources that is written out at each rather than called."""

_CALLS = 300
"""Most functions of a diagram inside each other, far from the end of Python's stack."""

_DISPATCH = 4
"""Labels from which on a switch is one look-up instead of comparisons."""


class Code:
    """Generates the functions of one program.

    Args:
        program: the program.
        signals: index of each signal by name.
        turn: place of each signal in the order of asking.

    Attributes:
        places: how many values a request has room for: one for each signal, and then one for
            each condition that is kept because it is used in several places.
    """

    def __init__(self, program: Program, signals: Mapping[str, int], turn: Sequence[int]) -> None:
        self._program = program
        self._signals = signals
        self._turn = turn
        self._variable_turns: dict[int, int] = {}
        self._node_turns: dict[int, int] = {}
        self._space: dict[str, Any] = {"__builtins__": {}, "U": UNKNOWN, "round": round}
        self._diagrams = 0
        self._kept: dict[int, int] = {}
        self._define([self._keep(at) for at in self._worth_keeping()])
        derived = [
            self._derive(at, signal)
            for at, signal in enumerate(program.signals)
            if signal.stage == "derived"
        ]
        self._define(derived)
        self.places = len(program.signals) + len(self._kept)

    def first(self, cases: Sequence[tuple[int, int]], otherwise: int | None = None) -> Chooser:
        """The outcome of the first case that holds.

        Args:
            cases: condition nodes and outcomes.
            otherwise: the outcome where none holds; ``None`` if the last always does.
        """
        body: list[ast.stmt] = [
            ast.If(self.node(node), [_return(outcome)], []) for node, outcome in cases
        ]
        if otherwise is not None:
            body.append(_return(otherwise))
        return cast(Chooser, self._function("first", body))

    def acting(self, guards: Sequence[tuple[int, bool]]) -> Chooser:
        """The guards that act, as bits, up to the first that rejects.

        Args:
            guards: of each its condition node, and whether it rejects.
        """
        body: list[ast.stmt] = [_assign("s", ast.Constant(0))]
        for at, (node, rejects) in enumerate(guards):
            acts: list[ast.stmt] = [_add_bit(at)]
            if rejects:
                acts.append(ast.Return(_name("s")))
            body.append(ast.If(self.node(node), acts, []))
        body.append(ast.Return(_name("s")))
        return cast(Chooser, self._function("acting", body))

    def conditions(self, nodes: Sequence[int]) -> list[Test]:
        """For each condition a function that tells whether it holds."""
        names = [f"c{at}" for at in range(len(nodes))]
        self._define(
            [
                _def(name, [ast.Return(self.node(node))])
                for name, node in zip(names, nodes, strict=True)
            ]
        )
        return [self._space.pop(name) for name in names]

    def diagram(self, root: int, *, guards: bool = False) -> Chooser | None:
        """The outcome that a decision diagram leads to; ``None`` if its calls would go too deep.

        Args:
            root: its root vertex.
            guards: whether it is that of the guards; its outcome is then the guards that act,
                as bits.
        """
        self._diagrams += 1
        vertices = self._program.plan.vertices
        return _Diagram(self, vertices, guards, f"v{self._diagrams}_").function(root)

    def reading(self, variables: Sequence[int]) -> Reading:
        """What a trace shows of a request of which everything is known.

        Args:
            variables: indices of the variables to show.
        """
        names = [shown(self._program, at) for at in variables]
        values = [self.read(at) for at in variables]
        made: ast.expr = ast.Dict([ast.Constant(name) for name in names], values)
        return cast(Reading, self._function("reading", [ast.Return(made)]))

    # --- parts ------------------------------------------------------------------

    def node(self, at: int) -> ast.expr:
        """Whether a node holds."""
        place = self._kept.get(at)
        if place is None:
            return self._inline(at)
        unknown = ast.Compare(_item("w", place), [ast.Is()], [_name("U")])
        return ast.IfExp(unknown, _call(f"n{at}"), _item("w", place))

    def _worth_keeping(self) -> list[int]:
        """Large conditions with several uses, operands first: written out at each, they explode."""
        nodes = self._program.nodes
        uses = [0] * len(nodes)
        sizes = [1] * len(nodes)
        for of in (*(node.of for node in nodes), self._roots()):
            for at in of:
                uses[at] += 1
        kept = []
        for at, node in enumerate(nodes):
            sizes[at] = 1 + sum(sizes[of] for of in node.of)
            if uses[at] > 1 and sizes[at] > _WRITTEN_OUT:
                sizes[at] = 1
                kept.append(at)
                self._kept[at] = len(self._program.signals) + len(self._kept)
        return kept

    def _roots(self) -> list[int]:
        program = self._program
        found = [guard.when for guard in program.guards]
        found += [route.when for route in program.routes]
        found += [category.when for category in program.categories]
        found += [case.when for case in program.plan.cases]
        return found + [p.node for s in program.signals for p in s.summands if p.node is not None]

    def _keep(self, at: int) -> ast.stmt:
        return _def(f"n{at}", _kept(self._kept[at], [_assign("s", self._inline(at))]))

    def _inline(self, at: int) -> ast.expr:
        node = self._program.nodes[at]
        if node.op == "const":
            return ast.Constant(bool(node.value))
        if node.op == "not":
            return ast.UnaryOp(ast.Not(), self.node(node.of[0]))
        if node.op in ("and", "or"):
            # Those whose signals are asked last come last, so that they are not looked at in vain.
            parts = [self.node(of) for of in sorted(node.of, key=self._turn_of_node)]
            return ast.BoolOp(ast.And() if node.op == "and" else ast.Or(), parts)
        assert node.variable is not None
        read = self.read(node.variable)
        if node.op == "truth":
            return read
        if node.op == "empty":
            return ast.UnaryOp(ast.Not(), read)
        if node.op == "has":
            return ast.Compare(ast.Constant(node.value), [ast.In()], [read])
        value: Any = node.value if node.op == "is" else float(node.value or 0)
        return ast.Compare(read, [_COMPARE[node.op]()], [ast.Constant(value)])

    def read(self, at: int) -> ast.expr:
        """Reads a variable."""
        variable = self._program.variables[at]
        if variable.source == "field":
            return _item("a", variable.name)
        index = self._signals[variable.name]
        value = _item("w", index)
        signal = self._program.signals[index]
        if signal.stage == "derived":
            unknown = ast.Compare(value, [ast.Is()], [_name("U")])
            return ast.IfExp(unknown, _call(f"d{index}"), _item("w", index))
        if variable.member is not None:
            scores = ast.Attribute(value, "scores", ast.Load())
            return ast.Subscript(scores, ast.Constant(variable.member), ast.Load())
        if signal.kind in ("classifier", "language"):
            return ast.Attribute(value, "label", ast.Load())
        return value

    def _derive(self, at: int, signal: Signal) -> ast.stmt:
        """The function that works a derived signal out and keeps it."""
        body: list[ast.stmt] = []
        if signal.kind == "score":
            total: ast.expr = ast.Constant(float(signal.constant))
            for part in signal.summands:
                product = ast.BinOp(ast.Constant(part.coefficient), ast.Mult(), self._summand(part))
                total = ast.BinOp(total, ast.Add(), product)
            total = ast.Call(_name("round"), [total, ast.Constant(SCORE_DIGITS)], [])
            body.append(_assign("s", total))
        else:
            assert signal.source is not None
            body.append(_assign("x", self.read(signal.source)))
            chosen: ast.expr = ast.Constant(signal.bands[-1].name)
            for each in reversed(signal.bands[:-1]):
                op = ast.LtE() if each.inclusive else ast.Lt()
                below = ast.Compare(_name("x"), [op], [ast.Constant(each.bound)])
                chosen = ast.IfExp(below, ast.Constant(each.name), chosen)
            body.append(_assign("s", chosen))
        return _def(f"d{at}", _kept(at, body))

    def _summand(self, part: Summand) -> ast.expr:
        if part.variable is not None:
            return self.read(part.variable)
        assert part.node is not None
        return self.node(part.node)

    def _turn_of_node(self, at: int) -> int:
        known = self._node_turns.get(at)
        if known is None:
            node = self._program.nodes[at]
            if node.variable is not None:
                known = self._turn_of_variable(node.variable)
            else:
                known = max(map(self._turn_of_node, node.of), default=-1)
            self._node_turns[at] = known
        return known

    def _turn_of_variable(self, at: int) -> int:
        known = self._variable_turns.get(at)
        if known is None:
            variable = self._program.variables[at]
            known = -1
            if variable.source == "signal":
                index = self._signals[variable.name]
                signal = self._program.signals[index]
                if signal.stage != "derived":
                    known = self._turn[index]
                parts = [p.variable for p in signal.summands if p.variable is not None]
                if signal.source is not None:
                    parts.append(signal.source)
                known = max([known, *map(self._turn_of_variable, parts)])
                nodes = [p.node for p in signal.summands if p.node is not None]
                known = max([known, *map(self._turn_of_node, nodes)])
            self._variable_turns[at] = known
        return known

    def _function(self, name: str, body: list[ast.stmt]) -> Any:
        self._define([_def(name, body)])
        return self._space.pop(name)

    def define(self, statements: Sequence[ast.stmt], name: str) -> Any:
        """Run statements that define functions, and return the one of this name."""
        self._define(statements)
        return self._space[name]

    def _define(self, statements: Sequence[ast.stmt]) -> None:
        module = ast.fix_missing_locations(ast.Module(list(statements), []))
        try:
            code = compile(module, "<program>", "exec")
        except (RecursionError, MemoryError, SyntaxError) as error:
            raise ProgramError(
                "invalid-program", "the program nests conditions too deep to be compiled"
            ) from error
        # What runs is made above of constants and places; no text of a policy is compiled.
        exec(code, self._space)  # noqa: S102


class _Diagram:
    """Generates the functions of a decision diagram, one for each vertex with several sources."""

    def __init__(self, code: Code, vertices: Sequence[Vertex], guards: bool, prefix: str) -> None:
        self._code = code
        self._vertices = vertices
        self._guards = guards
        self._prefix = prefix
        self._tables: list[ast.stmt] = []

    def function(self, root: int) -> Chooser | None:
        heads = self._heads(root)
        if self._depth(root, heads) > _CALLS:
            return None
        functions = [
            _def(self._prefix + str(at), self._inside(at, heads), state=self._guards)
            for at in heads
        ]
        start = self._code.define([*functions, *self._tables], self._prefix + str(root))
        if not self._guards:
            return cast(Chooser, start)
        return cast(Chooser, lambda w, a: start(w, a, 0))

    def _heads(self, root: int) -> dict[int, None]:
        """The vertices that become functions: the root, shared ones, and where nesting is deep."""
        sources: dict[int, int] = {}
        reached = [root]
        seen = {root}
        while reached:
            for to in set(self._vertices[reached.pop()].to):
                sources[to] = sources.get(to, 0) + 1
                if to not in seen:
                    seen.add(to)
                    reached.append(to)
        sizes = [1] * (root + 1)
        for at in range(root + 1):
            sizes[at] += sum(sizes[to] for to in set(self._vertices[at].to))
        heads = {root: None}
        depth: dict[int, int] = {root: 0}
        for at in sorted(seen, reverse=True):
            vertex = self._vertices[at]
            shared = sources.get(at, 0) > 1 and sizes[at] > _REPEATED
            dispatched = vertex.kind == "switch" and len(vertex.labels) >= _DISPATCH
            if shared or depth[at] >= _INLINE:
                heads[at] = None
                depth[at] = 0
            for to in vertex.to:
                depth[to] = max(depth.get(to, 0), depth[at] + 1)
                if dispatched:
                    heads[to] = None
                    depth[to] = 0
        return heads

    def _depth(self, root: int, heads: Mapping[int, None]) -> int:
        """Most calls inside each other."""
        depth = [0] * (root + 1)
        for at in range(root + 1):
            below = [depth[to] + (to in heads) for to in self._vertices[at].to]
            depth[at] = max(below, default=0)
        return depth[root]

    def _inside(self, at: int, heads: Mapping[int, None]) -> list[ast.stmt]:
        """The statements of a vertex; they always return."""
        vertex = self._vertices[at]

        def go(to: int) -> list[ast.stmt]:
            if to in heads:
                return [ast.Return(self._enter(to))]
            return self._inside(to, heads)

        match vertex.kind:
            case "leaf":
                return [self._leave(vertex)]
            case "act":
                assert vertex.guard is not None
                return [_add_bit(vertex.guard), *go(vertex.to[0])]
            case "test":
                assert vertex.node is not None
                holds = self._code.node(vertex.node)
                return [ast.If(holds, go(vertex.to[1]), []), *go(vertex.to[0])]
            case "switch":
                return self._switch(vertex, go)
            case _:
                return self._bisect(vertex, go)

    def _enter(self, to: int) -> ast.expr:
        return _call(self._prefix + str(to), state=self._guards)

    def _leave(self, vertex: Vertex) -> ast.stmt:
        assert vertex.outcome is not None
        if not self._guards:
            return _return(vertex.outcome)
        if vertex.outcome < 0:
            return ast.Return(_name("s"))
        bit = ast.BinOp(_name("s"), ast.BitOr(), ast.Constant(1 << vertex.outcome))
        return ast.Return(bit)

    def _switch(self, vertex: Vertex, go: Callable[[int], list[ast.stmt]]) -> list[ast.stmt]:
        assert vertex.variable is not None
        read = self._code.read(vertex.variable)
        *targets, other = vertex.to
        if len(vertex.labels) >= _DISPATCH:
            labels = [ast.Constant(label) for label in vertex.labels]
            functions = [_name(self._prefix + str(to)) for to in targets]
            name = f"{self._prefix}t{len(self._tables)}"
            self._tables.append(_assign(name, ast.Dict([*labels], functions)))
            get = ast.Attribute(_name(name), "get", ast.Load())
            found = ast.Call(get, [read, _name(self._prefix + str(other))], [])
            state = [_name("s")] if self._guards else []
            return [ast.Return(ast.Call(found, [_name("w"), _name("a"), *state], []))]
        body: list[ast.stmt] = [_assign("x", read)]
        for label, to in zip(vertex.labels, targets, strict=True):
            same = ast.Compare(_name("x"), [ast.Eq()], [ast.Constant(label)])
            body.append(ast.If(same, go(to), []))
        return [*body, *go(other)]

    def _bisect(self, vertex: Vertex, go: Callable[[int], list[ast.stmt]]) -> list[ast.stmt]:
        assert vertex.variable is not None

        def between(low: int, high: int) -> list[ast.stmt]:
            """Statements for a number that takes one of the targets from `low` to `high`."""
            if low == high:
                return go(vertex.to[low])
            middle = (low + high) // 2
            op = ast.LtE() if vertex.inclusive[middle] else ast.Lt()
            below = ast.Compare(_name("x"), [op], [ast.Constant(vertex.bounds[middle])])
            return [ast.If(below, between(low, middle), []), *between(middle + 1, high)]

        read = _assign("x", self._code.read(vertex.variable))
        return [read, *between(0, len(vertex.bounds))]


def shown(program: Program, at: int) -> str:
    """The name that a variable has in a trace."""
    variable = program.variables[at]
    return variable.name if variable.member is None else f"{variable.name}.{variable.member}"


def _name(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _item(name: str, key: int | str) -> ast.expr:
    return ast.Subscript(_name(name), ast.Constant(key), ast.Load())


def _assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _add_bit(at: int) -> ast.stmt:
    return ast.AugAssign(ast.Name("s", ast.Store()), ast.BitOr(), ast.Constant(1 << at))


def _kept(place: int, body: list[ast.stmt]) -> list[ast.stmt]:
    """A body that works out `s`, and then keeps and returns it."""
    target = ast.Subscript(_name("w"), ast.Constant(place), ast.Store())
    return [*body, ast.Assign([target], _name("s")), ast.Return(_name("s"))]


def _return(outcome: int) -> ast.stmt:
    return ast.Return(ast.Constant(outcome))


def _call(name: str, *, state: bool = False) -> ast.expr:
    arguments = [_name("w"), _name("a"), *([_name("s")] if state else [])]
    return ast.Call(_name(name), arguments, [])


def _def(name: str, body: list[ast.stmt], *, state: bool = False) -> ast.stmt:
    names = ["w", "a", *(["s"] if state else [])]
    arguments = ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, [])
    return ast.FunctionDef(name, arguments, body, [], None)
