"""Processor time of `routec check` on a small policy, from the start of the process to its end.

The baseline is the interpreter itself, which starts and does nothing; the median of several runs.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from routec.cli.bench.result import Outcome, Result, Target

SECONDS = 0.3
"""What a check must stay below."""

_MAIN = "import sys; from routec.cli.main import main; sys.exit(main(sys.argv[1:]))"

_POLICY = """\
policy small
request { tenant: string, region: enum(eu, us) = eu }
signal urgent = keyword("asap", "right now")
signal pii    = entities(email, iban)
signal topic  = classifier("topic") { labels: [billing, legal, other], on_error: other }
let sensitive = pii.any(iban) or topic == legal
model mini  { provider: openai }
model local { provider: vllm }
guard clean { when pii.any(iban)  redact pii }
category money { when topic == billing, ttl: 10m, scope: tenant }
route private priority 20 { when sensitive and region == eu to local cache off }
route fast priority 10 { when urgent and not sensitive to mini tag "fast" }
default route general { to mini }
assert "private data stays" { never sensitive and region == eu and model.provider != vllm }
"""


def measure(runs: int) -> Iterator[Outcome]:
    """The time of a start, of ``--help`` and of a check; the runs take turns."""
    with TemporaryDirectory() as folder:
        policy = Path(folder, "small.route")
        policy.write_text(_POLICY, encoding="utf-8")
        bytecode = str(Path(folder, "bytecode"))
        commands = {
            "interpreter": [sys.executable, "-c", "pass"],
            "--help": [sys.executable, "-c", _MAIN, "--help"],
            "check": [sys.executable, "-c", _MAIN, "check", str(policy)],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for command in commands.values():
            _cpu_seconds(command, bytecode)  # writes bytecode, fills the page cache
        for _ in range(runs):
            for name, command in commands.items():
                taken[name].append(_cpu_seconds(command, bytecode))
    medians = {name: statistics.median(times) for name, times in taken.items()}
    for name in ("--help", "check"):
        yield Result(
            f"analysis/cold start of {name}",
            medians[name],
            "s",
            medians["interpreter"],
            "the interpreter alone",
            (Target("<", SECONDS),) if name == "check" else (),
        )


def _cpu_seconds(command: Sequence[str], bytecode: str) -> float:
    """User and system time of one run, with bytecode kept in a folder as an installation has it.

    Raises:
        RuntimeError: it does not exit with 0.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(  # noqa: S603 - this interpreter, and a program written above
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} exits with {process.returncode}")
    return usage.ru_utime + usage.ru_stime
