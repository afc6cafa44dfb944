"""What planning costs, and how good plans are."""

from __future__ import annotations

from collections.abc import Iterator

from routec.cli.bench import plan_orders, plan_size, plan_traffic
from routec.cli.bench.result import Outcome


def measure(quick: bool) -> Iterator[Outcome]:
    """The figures of the planner."""
    yield from plan_size.measure(quick)
    yield from plan_traffic.measure(quick)
    yield from plan_orders.measure(quick)
