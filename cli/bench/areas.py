"""The areas of the benchmarks, each measured by a module of its own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from routec.cli.bench.result import Measure

STREAM = "stream"
"""The area that needs a Kafka broker."""
AREAS: Mapping[str, str] = {
    "language": "reading policies",
    "analysis": "proving what `check` says",
    "plan": "compiling, and how few costly calls the plan makes",
    "engine": "deciding by signals that are known",
    "cache": "looking up and keeping answers",
    "safety": "computing signals",
    STREAM: "the worker on Kafka; needs --bootstrap",
}
"""The areas in the order of the table, and what they are about."""


def measure_of(area: str) -> Measure:
    """What measures an area; its module is loaded now."""
    return cast(Measure, import_module(f"routec.cli.bench.{area}").measure)
