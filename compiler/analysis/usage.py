"""Declarations that nothing in use mentions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from routec.compiler import policy as p
from routec.compiler.analysis.analysis import Analysis
from routec.compiler.edits import remove_declaration
from routec.compiler.expr import Contains, Equals, Expr, variables, walk
from routec.compiler.rules.unused_declaration import unused_declaration
from routec.compiler.theory.solver import Unsat
from routec.dsl import ast
from routec.dsl.diagnostic import Applicability, Diagnostic, Fix
from routec.dsl.source import Span

Thing = tuple[str, str]
"""What something is, such as ``signal``, and its name; of asserts and tests, the text."""

JUDGED = (ast.Signal, ast.Let, ast.Model, ast.Pool, ast.Category, ast.Budget)


@dataclass(frozen=True, slots=True)
class _Declared:
    """A declaration and what it mentions."""

    syntax: ast.Declaration
    module: ast.Module
    span: Span
    mentions: frozenset[Thing]


def unused(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC207: declarations of the policy's own file that nothing in use mentions."""
    policy = analysis.policy
    declared = _declared(policy)
    used = _used(analysis, declared)
    own = policy.syntax[-1].span.file
    for thing, found in declared.items():
        if thing in used or not isinstance(found.syntax, JUDGED) or found.span.file != own:
            continue
        if thing[0] == "category" and _impossible(analysis, thing[1]):
            continue
        mentioning = [
            (other, m) for other, m in declared.items() if thing in m.mentions and other != thing
        ]
        fix: Fix | None = None
        if not mentioning:
            source = analysis.sources[own]
            edit = remove_declaration(source, found.syntax, found.module.comments)
            fix = Fix(f"remove {thing[0]} `{thing[1]}`", Applicability.SAFE, (edit,))
        named = [(other[1], m.span) for other, m in mentioning]
        yield unused_declaration(*thing, found.span, named, fix)


def _impossible(analysis: Analysis, name: str) -> bool:
    category = next(c for c in analysis.policy.categories if c.name == name)
    return isinstance(analysis.subject.possible(category.when.expr), Unsat)


def _used(analysis: Analysis, declared: dict[Thing, _Declared]) -> set[Thing]:
    """All that is in use, rules and promises included."""
    subject, policy = analysis.subject, analysis.policy
    used: set[Thing] = set()

    def use(things: Iterable[Thing]) -> None:
        waiting = list(things)
        while waiting:
            thing = waiting.pop()
            if thing not in used and thing in declared:
                used.add(thing)
                waiting += declared[thing].mentions

    def possible(*conditions: Expr) -> bool:
        return not isinstance(subject.possible(*conditions), Unsat)

    use(thing for thing in declared if thing[0] in ("guard", "assert"))
    use(("route", r.name) for r in policy.routes if possible(subject.taken(r)))
    for budget in policy.budgets:
        if any(kind == "route" and name != budget.then for kind, name in used):
            use([("budget", budget.name)])
    spent = {b.then for b in policy.budgets if ("budget", b.name) in used}
    cached = subject.any(
        subject.admitted() if r.name in spent else subject.taken(r)
        for r in policy.routes
        if r.cache is None
    )
    use(("category", c.name) for c in policy.categories if possible(c.when.expr, cached))
    return used


# --- who mentions whom ------------------------------------------------------------------------


def _declared(policy: p.Policy) -> dict[Thing, _Declared]:
    """Every declaration that can be used or use something, in the order of the files."""
    found: dict[Thing, _Declared] = {}
    mentions = _Mentions(policy)
    for module in policy.syntax:
        for syntax in module.declarations:
            if isinstance(syntax, ast.Import | ast.Policy | ast.Request):
                continue
            if isinstance(syntax, ast.Assert | ast.Test):
                name, span = syntax.text.value, syntax.text.span
            else:
                name, span = syntax.name.name, syntax.name.span
            thing = (type(syntax).__name__.lower(), name)
            named = frozenset(mentions.of(syntax))
            if thing in found:  # of asserts and tests with one text
                named |= found[thing].mentions
            found[thing] = _Declared(syntax, module, span, named)
    return found


@dataclass(frozen=True, slots=True)
class _Mentions:
    """Finds what declarations mention by name; fields and enum members are none of it."""

    policy: p.Policy

    def of(self, syntax: ast.Declaration) -> Iterator[Thing]:
        policy = self.policy
        match syntax:
            case ast.Signal():
                yield from self._signal(policy.signals[syntax.name.name], syntax)
            case ast.Let():
                yield from self._condition(syntax.expr)
            case ast.Pool():
                yield from (("model", m.name) for m in syntax.members)
            case ast.Category():
                yield from self._condition(syntax.when)
            case ast.Guard():
                yield from self._condition(syntax.when)
                for action in syntax.actions:
                    if isinstance(action, ast.Redact):
                        yield "signal", action.signal.name
            case ast.Route():
                yield from self._condition(syntax.when)
                for statement in syntax.body:
                    yield from self._statement(statement)
            case ast.Budget():
                yield "route", next(b.then for b in policy.budgets if b.name == syntax.name.name)
            case ast.Assert():
                yield from self._condition(syntax.expr)
                yield from self._decision(policy.meanings[syntax.expr])
            case ast.Test():
                yield from self._test(syntax)

    def _condition(self, syntax: ast.Expr | None) -> Iterator[Thing]:
        """Signals and lets that a condition names itself, not through a `let`."""
        match syntax:
            case None:
                return
            case ast.Not():
                yield from self._condition(syntax.operand)
            case ast.And() | ast.Or():
                for operand in syntax.operands:
                    yield from self._condition(operand)
            case ast.Implies():
                yield from self._condition(syntax.left)
                yield from self._condition(syntax.right)
            case ast.Ref() if syntax.name in self.policy.lets:
                yield "let", syntax.name
            case _:
                meaning = self.policy.meanings[syntax]
                for variable in variables(meaning):
                    if variable.source == "signal":
                        yield "signal", variable.name

    def _signal(self, signal: p.Signal, syntax: ast.Signal) -> Iterator[Thing]:
        definition = signal.definition
        if isinstance(definition, p.Bands) and definition.variable.source == "signal":
            yield "signal", definition.variable.name
        elif isinstance(definition, p.Score):
            for summand in definition.summands:
                if summand.variable is not None and summand.variable.source == "signal":
                    yield "signal", summand.variable.name
            for term in syntax.terms:
                if term.operand in self.policy.meanings:
                    yield from self._condition(term.operand)

    def _statement(self, statement: ast.Statement) -> Iterator[Thing]:
        match statement:
            case ast.To(target=ast.Ident(name=name)):
                yield ("pool" if name in self.policy.pools else "model"), name
            case ast.To(target=tuple() as shares):
                yield from (("model", share.target.name) for share in shares)
            case ast.Fallback():
                yield from (("model", m.name) for m in statement.models)
            case ast.Shadow():
                yield "model", statement.model.name
            case ast.Cache() if statement.category is not None:
                yield "category", statement.category.name

    def _decision(self, meaning: Expr) -> Iterator[Thing]:
        """Models, categories and redacted signals that a promise names.

        The rules it names are none of it: they are in use only if some request meets them.
        """
        kinds = {"model": "model", "fallback": "model", "category": "category", "redact": "signal"}
        for node in walk(meaning):
            if isinstance(node, Equals | Contains) and node.variable.source == "decision":
                variable = node.variable
                if variable.name in kinds and variable.member in (None, "signal"):
                    yield kinds[variable.name], node.value

    def _test(self, syntax: ast.Test) -> Iterator[Thing]:
        for pin in syntax.pins:
            yield "signal", pin.target.name
        for expect in syntax.expects:
            if isinstance(expect.value, ast.Ident):
                yield expect.kind, expect.value.name
