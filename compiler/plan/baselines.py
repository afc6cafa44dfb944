"""What the same requests cost without a plan."""

from __future__ import annotations

from collections.abc import Sequence

from routec.compiler.plan.costs import Costs
from routec.compiler.plan.kleene import Conditions
from routec.compiler.plan.ledger import Expected, Hits, Ledger


def evaluate_all(conditions: Conditions, costs: Costs, hits: Sequence[Hits]) -> Expected:
    """Every signal that some condition reads is computed, then the rules are looked at."""
    program = conditions.program
    asked = [guard.when for guard in program.guards]
    asked += [category.when for category in program.categories]
    asked += [route.when for route in program.routes]
    ledger = Ledger(conditions, costs, hits)
    used = {signal for condition in asked for signal in conditions.reads(condition)}
    used |= {conditions.places[name] for guard in program.guards for name in guard.redact}
    for signal in sorted(used):
        ledger.compute(signal, conditions.full)
    rows = conditions.full
    for guard in program.guards:
        if guard.reject is not None:
            rows &= ~conditions.truth(guard.when)
    for at, mask in enumerate(_taken(conditions, rows)):
        _cache(conditions, ledger, at, mask, charge=False)
    return ledger.total()


def priority_order(conditions: Conditions, costs: Costs, hits: Sequence[Hits]) -> Expected:
    """The rules are looked at in order of meaning, each from left to right as it is written.

    What a conjunction or a disjunction need not read is not computed. The category is looked for
    once the route is known, the cache is asked last.
    """
    program = conditions.program
    ledger = Ledger(conditions, costs, hits)
    rows = conditions.full
    masking: list[tuple[int, int]] = []
    for guard in program.guards:
        _walk(conditions, ledger, guard.when, rows)
        acting = rows & conditions.truth(guard.when)
        masking += [(conditions.places[name], acting) for name in guard.redact]
        if guard.reject is not None:
            rows &= ~acting
    for signal, acting in masking:
        ledger.compute(signal, acting)
    left = rows
    taken = _taken(conditions, rows)
    for route, mask in zip(program.routes, taken, strict=True):
        _walk(conditions, ledger, route.when, left)
        left &= ~mask
    for at, mask in enumerate(taken):
        _cache(conditions, ledger, at, mask, charge=True)
    return ledger.total()


def _walk(conditions: Conditions, ledger: Ledger, node: int, rows: int) -> None:
    if rows:
        for signal, mask in conditions.walked(node, rows).items():
            ledger.compute(signal, mask)


def _taken(conditions: Conditions, rows: int) -> list[int]:
    """The requests that take each route."""
    taken: list[int] = []
    for route in conditions.program.routes:
        mine = rows & conditions.truth(route.when) if rows else 0
        taken.append(mine)
        rows &= ~mine
    return taken


def _cache(conditions: Conditions, ledger: Ledger, route: int, rows: int, *, charge: bool) -> None:
    """Ask the cache for the requests of one route."""
    program = conditions.program
    declared = program.routes[route]
    if declared.cache == "off" or not rows:
        return
    for at, category in enumerate(program.categories):
        if declared.cache == "force":
            mine = rows if declared.category == category.name else 0
        else:
            if charge:
                _walk(conditions, ledger, category.when, rows)
            mine = rows & conditions.truth(category.when)
            rows &= ~mine
        if mine:
            ledger.ask_cache(at, mine)
