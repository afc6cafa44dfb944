"""Measurements that need a process of their own, each printed as one JSON object.

python -m routec.cli.bench.child NAME [ARGUMENT]…
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def _analysis(case: str) -> dict[str, Any]:
    from routec.cli.bench.analysis import analyse_case

    return analyse_case(case)


def _plan(case: str) -> dict[str, Any]:
    from routec.cli.bench.plan_size import compile_case

    return compile_case(case)


def _stream(spec: str) -> dict[str, Any]:
    from routec.cli.bench.stream_side import run_side

    return run_side(spec)


MEASUREMENTS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "analysis": _analysis,
    "plan": _plan,
    "stream": _stream,
}


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    print(json.dumps(MEASUREMENTS[arguments[0]](*arguments[1:])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
