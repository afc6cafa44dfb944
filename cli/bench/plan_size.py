"""What compiling large policies takes, and whether it gives the same bytes each time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from routec.cli.bench import analysis, policies
from routec.cli.bench.compiling import resolved
from routec.cli.bench.result import Outcome, Result, Target
from routec.cli.bench.timing import in_child, peak_mib
from routec.compiler.lower import lower
from routec.compiler.plan import optimise
from routec.compiler.program import digest, dump
from routec.safety.text import NORMALISER_VERSION

SECONDS = 10.0
MEMORY = 1024.0
"""MiB."""

CASES: Mapping[str, Callable[[], str]] = {
    "1,000 routes by tenant": lambda: policies.large().text(),
    "1,000 routes, guards, scores": lambda: analysis.generate(1000),
}


def measure(quick: bool) -> Iterator[Outcome]:
    """Seconds, peak memory and the number of different programs of several processes."""
    for name in CASES:
        # Sets and dictionaries of strings are ordered otherwise under another hash seed.
        seeds = range(2 if quick else 3)
        runs = [in_child("plan", name, environment={"PYTHONHASHSEED": str(s)}) for s in seeds]
        best = min(runs, key=lambda run: float(run["seconds"]))
        yield Result(
            f"plan/compile {name}",
            best["seconds"],
            "s",
            best["naive"],
            "the same without a plan: read, checked and lowered",
            (Target("<", SECONDS),),
            f"{best['atoms']} atoms, {best['vertices']} vertices, {best['bytes'] / 1e6:.2f} MB",
        )
        yield Result(
            f"plan/compile {name}, peak memory",
            max(run["peak"] for run in runs),
            "MiB",
            targets=(Target("<", MEMORY),),
        )
        yield Result(
            f"plan/compile {name}, different programs",
            len({run["hash"] for run in runs}),
            "count",
            targets=(Target("=", 1),),
            note=f"of {len(runs)} processes with different hash seeds",
        )


def compile_case(case: str) -> dict[str, Any]:
    """Compile one policy in this process, and what that took."""
    text = CASES[case]()
    start = time.process_time()
    policy = resolved(text)
    naive = lower(policy, normaliser=NORMALISER_VERSION)
    lowered = time.process_time() - start
    program = optimise(policy, naive).program
    data = dump(program)
    return {
        "seconds": time.process_time() - start,
        "naive": lowered,
        "peak": peak_mib(),
        "hash": digest(program),
        "atoms": sum(node.variable is not None for node in program.nodes),
        "vertices": len(program.plan.vertices),
        "bytes": len(data),
    }
