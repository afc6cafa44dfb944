"""What the resolvers share: the declarations, what is resolved so far, and the findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from routec.compiler import policy as p
from routec.compiler.expr import Expr, Table
from routec.compiler.rules.duplicate_name import duplicate_name
from routec.compiler.rules.unknown_name import unknown_name
from routec.dsl import ast
from routec.dsl.diagnostic import Diagnostic
from routec.dsl.source import Span

ReadLines = Callable[[ast.File], tuple[str, ...]]

NamedDeclaration = (
    ast.Signal | ast.Let | ast.Model | ast.Pool | ast.Category | ast.Guard | ast.Route | ast.Budget
)
D = TypeVar("D", bound=NamedDeclaration)


@dataclass(slots=True)
class Context:
    """State of one resolution.

    Attributes:
        read_lines: reads a ``file("…")`` list; reports and returns () where it cannot.
        report: takes a finding.
        table: maker of expressions.
        syntax_*: declarations by name, the first of each name, in file order.
        fields signals lets models pools: what is resolved so far.
        meanings: what each part of a condition means.
        broken: names whose declarations are wrong; uses of them are not reported.
        in_progress: what is being resolved, to notice what depends on itself.
    """

    read_lines: ReadLines
    report: Callable[[Diagnostic], None]
    table: Table = field(default_factory=Table)
    syntax_signals: Mapping[str, ast.Signal] = field(default_factory=dict)
    syntax_lets: Mapping[str, ast.Let] = field(default_factory=dict)
    syntax_models: Mapping[str, ast.Model] = field(default_factory=dict)
    syntax_pools: Mapping[str, ast.Pool] = field(default_factory=dict)
    syntax_categories: Mapping[str, ast.Category] = field(default_factory=dict)
    syntax_guards: Mapping[str, ast.Guard] = field(default_factory=dict)
    syntax_routes: Mapping[str, ast.Route] = field(default_factory=dict)
    syntax_budgets: Mapping[str, ast.Budget] = field(default_factory=dict)
    fields: dict[str, p.Field] = field(default_factory=dict)
    signals: dict[str, p.Signal] = field(default_factory=dict)
    lets: dict[str, p.Condition] = field(default_factory=dict)
    models: dict[str, p.Model] = field(default_factory=dict)
    pools: dict[str, tuple[str, ...]] = field(default_factory=dict)
    meanings: dict[ast.Expr, Expr] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    in_progress: set[str] = field(default_factory=set)

    def readable(self) -> list[str]:
        """Every name that a condition may read."""
        return [*self.fields, *self.syntax_signals, *self.syntax_lets]

    def known(self, what: str, ident: ast.Ident, among: Iterable[str]) -> str | None:
        """The identifier's name if it is declared; else report it and answer ``None``."""
        among = list(among)
        if ident.name in among:
            return ident.name
        if ident.name in self.broken:
            return None
        self.report(unknown_name(what, ident.name, ident.span, among))
        return None

    def unique(self, what: str, items: Iterable[tuple[str, Span]]) -> None:
        """Report every name that comes a second time."""
        first: dict[str, Span] = {}
        for name, span in items:
            if name in first:
                self.report(duplicate_name(what, name, span, first[name]))
            else:
                first[name] = span


def first_of_each(
    context: Context, what: str, declarations: Iterable[D], taken: Mapping[str, Span] | None = None
) -> dict[str, D]:
    """Declarations by name; a repeated name, or one in `taken`, is reported and left out."""
    found: dict[str, D] = {}
    taken = taken or {}
    for declaration in declarations:
        name = declaration.name
        earlier = found[name.name].name.span if name.name in found else taken.get(name.name)
        if earlier is not None:
            context.report(duplicate_name(what, name.name, name.span, earlier))
        else:
            found[name.name] = declaration
    return found
