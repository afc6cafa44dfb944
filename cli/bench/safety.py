"""What safety signals cost, with models and without."""

from __future__ import annotations

from collections.abc import Iterator

from routec.cli.bench import embed, scan
from routec.cli.bench.result import Outcome


def measure(quick: bool) -> Iterator[Outcome]:
    """The figures of scan, light, embedding and classifier signals."""
    yield from scan.measure(quick)
    yield from embed.measure(quick)
