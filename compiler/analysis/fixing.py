"""Fixes of findings, as edits of the policy's own files.

A fix is safe where the finding itself is the proof that the edited policy decides the
same: a rule whose removal changes no decision, a part of a condition that never matters.
"""

from __future__ import annotations

from collections.abc import Iterator

from routec.compiler import policy as p
from routec.compiler.analysis.analysis import Analysis
from routec.compiler.edits import add_conjunct, remove_declaration, set_priority
from routec.compiler.expr import Equals, walk
from routec.compiler.operands import remove_operands
from routec.dsl import ast
from routec.dsl.diagnostic import Applicability, Fix

_KINDS: dict[str, type[ast.Route | ast.Guard | ast.Category]] = {
    "route": ast.Route,
    "guard": ast.Guard,
    "category": ast.Category,
}


def removal(analysis: Analysis, what: str, name: str, applicability: Applicability) -> Fix | None:
    """Removes a rule; ``None`` where something else names it."""
    if name in set(_named(analysis, what)):
        return None
    for module in analysis.policy.syntax:
        for declaration in module.declarations:
            if isinstance(declaration, _KINDS[what]) and declaration.name.name == name:
                source = analysis.sources[declaration.span.file]
                edit = remove_declaration(source, declaration, module.comments)
                return Fix(f"remove {what} `{name}`", applicability, (edit,))
    return None


def _named(analysis: Analysis, what: str) -> Iterator[str]:
    """The rules of a kind that tests, promises, routes and budgets name."""
    policy = analysis.policy
    for case in policy.cases:
        for expectation in case.expects:
            if expectation.kind == ("reject" if what == "guard" else what) and expectation.value:
                yield expectation.value
    for promise in policy.promises:
        for node in walk(promise.condition.expr):
            if isinstance(node, Equals) and node.variable.source == "decision":
                yield node.value
    if what == "route":
        yield from (budget.then for budget in policy.budgets)
    if what == "category":
        yield from (r.cache for r in policy.routes if isinstance(r.cache, str))


def without_operand(
    analysis: Analysis, junction: ast.And | ast.Or, part: ast.Expr, value: bool
) -> Fix | None:
    """Drops a part that is always `value`; ``None`` where that would decide the junction."""
    if isinstance(junction, ast.And) is not value:
        return None
    at = next(i for i, operand in enumerate(junction.operands) if operand is part)
    edits = remove_operands(analysis.sources[junction.span.file], junction, {at})
    return Fix(f"remove `{analysis.written(part.span)}`", Applicability.SAFE, edits)


def raised(analysis: Analysis, name: str) -> Fix | None:
    """Raises a route's priority by one; ``None`` where another route has that priority."""
    routes = {r.name: r for r in analysis.policy.routes}
    priority = routes[name].priority + 1
    if any(r.priority == priority and not r.default for r in routes.values()):
        return None
    for module in analysis.policy.syntax:
        for declaration in module.declarations:
            if isinstance(declaration, ast.Route) and declaration.name.name == name:
                edit = set_priority(declaration, priority)
                title = f"raise the priority of `{name}` to {priority}"
                return Fix(title, Applicability.UNSAFE, (edit,))
    return None


def excluded(analysis: Analysis, first: p.Route, second: p.Route) -> Fix | None:
    """Leaves what `first` claims out of `second`; ``None`` where its condition has a comment."""
    one, other = first.when.syntax, second.when.syntax
    if one is None or other is None:
        return None
    text = analysis.sources[one.span.file].text[one.span.start : one.span.end]
    if "#" in text:
        return None
    edits = add_conjunct(other, f"not ({' '.join(text.split())})")
    title = f"exclude the requests of `{first.name}` from `{second.name}`"
    return Fix(title, Applicability.UNSAFE, edits)
