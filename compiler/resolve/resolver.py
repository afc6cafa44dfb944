"""From syntax trees to a resolved policy, with every finding of the first class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from routec.compiler import policy as p
from routec.compiler.load import read_lines
from routec.compiler.resolve.cases import resolve_cases
from routec.compiler.resolve.context import Context, first_of_each
from routec.compiler.resolve.fields import resolve_fields
from routec.compiler.resolve.options import Options
from routec.compiler.resolve.promises import resolve_promises
from routec.compiler.resolve.rules import resolve_guards, resolve_routes
from routec.compiler.resolve.signals import Signals
from routec.compiler.resolve.targets import resolve_budgets, resolve_categories, resolve_models
from routec.compiler.rules.duplicate_name import duplicate_name
from routec.dsl import ast
from routec.dsl.diagnostic import Diagnostic
from routec.dsl.source import Span

T = TypeVar("T", bound=ast.Declaration)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the syntax trees mean.

    Attributes:
        policy: the policy; only to be trusted where there are no findings of severity error.
        findings: in order of finding, not of the file.
    """

    policy: p.Policy
    findings: tuple[Diagnostic, ...]


def resolve(
    modules: Sequence[ast.Module], broken: frozenset[str] = frozenset(), *, complete: bool = True
) -> Resolution:
    """Bind names and check types over all modules of one policy.

    Args:
        modules: the modules; the policy's own is last.
        broken: names whose declarations could not be read; uses of them are not reported.
        complete: whether every declaration could be read, so that a missing one is missing.
    """
    findings: dict[Diagnostic, None] = {}

    def report(finding: Diagnostic) -> None:
        findings[finding] = None

    def lines(file: ast.File) -> tuple[str, ...]:
        found = read_lines(file)
        if isinstance(found, Diagnostic):
            report(found)
            return ()
        return found

    every = [d for module in modules for d in module.declarations]

    def of(kind: type[T]) -> list[T]:
        return [d for d in every if isinstance(d, kind)]

    context = Context(lines, report, broken=set(broken))
    resolve_fields(context, of(ast.Request))
    taken = {name: field.span for name, field in context.fields.items()}
    context.syntax_signals = first_of_each(context, "signal", of(ast.Signal), taken)
    taken |= {name: s.name.span for name, s in context.syntax_signals.items()}
    context.syntax_lets = first_of_each(context, "let", of(ast.Let), taken)
    context.syntax_models = first_of_each(context, "model", of(ast.Model))
    models = {name: m.name.span for name, m in context.syntax_models.items()}
    context.syntax_pools = first_of_each(context, "pool", of(ast.Pool), models)
    context.syntax_categories = first_of_each(context, "category", of(ast.Category))
    context.syntax_guards = first_of_each(context, "guard", of(ast.Guard))
    context.syntax_routes = first_of_each(context, "route", of(ast.Route))
    context.syntax_budgets = first_of_each(context, "budget", of(ast.Budget))

    signals = Signals(context)
    for name in context.syntax_signals:
        signals.signal(name)
    for name in context.syntax_lets:
        signals.conditions.let(name)
    resolve_models(context)
    headers = of(ast.Policy)
    name, text, demands, place = _header(context, headers, modules[-1])
    policy = p.Policy(
        name=name,
        text=text,
        demands=demands,
        table=context.table,
        fields=context.fields,
        signals=context.signals,
        lets={n: context.lets[n] for n in context.syntax_lets},
        models=context.models,
        pools=context.pools,
        categories=resolve_categories(context, signals.conditions),
        guards=resolve_guards(context, signals.conditions),
        routes=resolve_routes(context, signals.conditions, place, complete=complete),
        budgets=resolve_budgets(context),
        promises=resolve_promises(context, signals, of(ast.Assert)),
        cases=resolve_cases(context, signals, of(ast.Test)),
        meanings=context.meanings,
        syntax=tuple(modules),
    )
    return Resolution(policy, tuple(findings))


def _header(
    context: Context, headers: Iterable[ast.Policy], own: ast.Module
) -> tuple[str, str | None, p.Demands, Span | None]:
    """Name, text, demands, and where the policy is declared (``None`` where it is not)."""
    first: ast.Policy | None = None
    for header in headers:
        if first is None:
            first = header
        else:
            context.report(
                duplicate_name("policy", header.name.name, header.name.span, first.name.span)
            )
    if first is None:
        return Path(own.span.file).stem, None, p.Demands(None, None), None
    options = Options(context, "a policy", first.entries)
    demands = p.Demands(
        options.take_positive("p99", "duration"),
        options.take_choice("survive", ("one_provider",)),
    )
    options.close()
    text = None if first.text is None else first.text.value
    return first.name.name, text, demands, first.name.span
