"""CPU seconds of `routec check` on a small policy, from the start of the process to its end.

The baseline is the interpreter itself, which starts and does nothing. CPU time rather than wall
time, because the machine may be busy; the median of several runs.

    python benchmarks/cold_start.py [--runs 15] [--format json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

POLICY = Path(__file__).resolve().parents[1] / "examples" / "policies" / "eu_privacy.route"
TARGET = 0.3
"""CPU seconds that a check must stay well below."""

MAIN = "import sys; from routec.cli.main import main; sys.exit(main(sys.argv[1:]))"


def cpu_seconds(command: Sequence[str], bytecode: str) -> float:
    """User and system time of one run, with bytecode kept in a folder as an installation has it.

    Raises:
        RuntimeError: it does not exit with 0.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} exits with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def measure(runs: int) -> dict[str, float]:
    """Median CPU seconds by what was run; the runs take turns, so that drift hits all alike."""
    check = [sys.executable, "-c", MAIN, "check", str(POLICY)]
    commands = {
        "interpreter": [sys.executable, "-c", "pass"],
        "help": [sys.executable, "-c", MAIN, "--help"],
        "check --select RC1": [*check, "--select", "RC1"],
        "check": check,
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    with TemporaryDirectory() as bytecode:
        for command in commands.values():
            cpu_seconds(command, bytecode)  # writes bytecode, fills the page cache
        for _ in range(runs):
            for name, command in commands.items():
                taken[name].append(cpu_seconds(command, bytecode))
    return {name: statistics.median(times) for name, times in taken.items()}


def main() -> int:
    """Measure and print; 0 when the target is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--format", choices=["full", "json"], default="full")
    options = parser.parse_args()
    seconds = measure(options.runs)
    base = seconds["interpreter"]
    results = [
        {
            "name": f"cold_start.{name}",
            "value": round(value, 4),
            "unit": "CPU s",
            "baseline": round(base, 4),
            "ratio": round(value / base, 2),
            "target": TARGET if name == "check" else None,
            "met": value < TARGET if name == "check" else None,
        }
        for name, value in seconds.items()
    ]
    if options.format == "json":
        print(json.dumps({"results": results}))
    else:
        for row in results:
            print(f"{row['name']:24} {row['value']:.3f} CPU s, {row['ratio']} x the interpreter")
    return 0 if seconds["check"] < TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
