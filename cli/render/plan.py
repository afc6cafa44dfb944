"""A plan for a person, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from routec.cli.render.styled import Line, line
from routec.cli.text import visible
from routec.compiler.plan import LIMIT, Expected, Optimised, stages_of
from routec.compiler.plan.costs import COSTLY

_QUESTIONS = {"guards": "guards", "category": "categories", "route": "routes"}


def document(planned: Optimised, hash: str, file: str) -> dict[str, Any]:
    """The object of `compile --explain-plan --format json`."""
    return {
        "hash": hash,
        "file": file,
        "nodes": len(planned.program.plan.vertices),
        "stages": [
            {"name": name, "signals": list(signals)} for name, signals in stages_of(planned.program)
        ],
        "expected": _figures(planned.expected),
        "baselines": {
            "evaluate_all": _figures(planned.evaluate_all),
            "priority_order": _figures(planned.priority_order),
        },
        "fallback": bool(planned.fallback),
        "refused": list(planned.fallback),
        "always_needed": dict(planned.why),
        "measured": planned.measured,
        "assumed": list(planned.assumed),
    }


def _figures(expected: Expected) -> dict[str, Any]:
    return {
        "cost_us": round(expected.cost_us, 1),
        "calls_per_1000": {name: round(calls, 1) for name, calls in expected.calls.items()},
        "embeddings_per_1000": round(expected.embeddings, 1),
        "lookups_per_1000": round(expected.lookups, 1),
    }


def full(planned: Optimised) -> list[Line]:
    """The lines to print."""
    lines = [line("stages", "strong")]
    stages = stages_of(planned.program)
    width = max((len(name) for name, _ in stages), default=0)
    lines += [
        ((f"  {name:<{width}}  ", "frame"), (visible(", ".join(signals)), ""))
        for name, signals in stages
    ]
    if not stages:
        lines.append(line("  no signal is computed"))
    lines += [line(), *_table(planned)]
    if planned.why:
        lines += [line(), line("always needed", "strong")]
        lines += [
            ((f"  {visible(name)}", "warning"), (f": {visible(reason)}", ""))
            for name, reason in planned.why.items()
        ]
    lines += [line(), *_means(planned), *_basis(planned)]
    return lines


def _table(planned: Optimised) -> Iterable[Line]:
    costly = [s.name for s in planned.program.signals if s.stage in COSTLY]
    figures = (planned.expected, planned.priority_order, planned.evaluate_all)
    rows: list[tuple[str, list[str]]] = [
        ("µs a request", [f"{expected.cost_us:,.0f}" for expected in figures])
    ]
    rows += [(name, [f"{e.calls[name]:,.0f}" for e in figures]) for name in costly]
    rows.append(("embeddings", [f"{expected.embeddings:,.0f}" for expected in figures]))
    if planned.program.categories:
        rows.append(("cache lookups", [f"{expected.lookups:,.0f}" for expected in figures]))
    heads = ("plan", "priority order", "evaluate all")
    left = max(len(visible(name)) for name, _ in rows)
    yield line("expected, calls per 1,000 requests", "strong")
    yield ((f"  {'':<{left}}", ""), *((f"  {head:>14}", "frame") for head in heads))
    for name, values in rows:
        first, *others = values
        yield (
            (f"  {visible(name):<{left}}", ""),
            (f"  {first:>14}", "good"),
            ("".join(f"  {value:>14}" for value in others), ""),
        )


def _means(planned: Optimised) -> Iterable[Line]:
    """By what the questions are answered."""
    nodes = len(planned.program.plan.vertices)
    if nodes:
        yield line(f"decided by diagrams of {nodes:,} nodes")
    for question in planned.fallback:
        yield (
            ("fallback", "warning"),
            (
                f": no diagram of the {_QUESTIONS[question]} within {LIMIT:,} nodes and the effort "
                "allowed; their conditions are walked in order of meaning",
                "",
            ),
        )


def _basis(planned: Optimised) -> Iterable[Line]:
    if not planned.measured:
        yield line("planned for what is usual; `--profile` plans for your traffic", "note")
    if planned.assumed:
        names = ", ".join(f"`{visible(name)}`" for name in planned.assumed)
        yield line(f"the profile has no value of {names}: what is usual stands for it", "note")
