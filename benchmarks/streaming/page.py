"""Tables, and putting them into a page."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from streaming.setting import ROOT


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; all columns but the first are numbers."""
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def write(page: Path, parts: Mapping[str, str]) -> None:
    """Replace what stands between the marks of each part in a page.

    Raises:
        ValueError: the page has no such marks.
    """
    text = page.read_text("utf-8")
    for name, body in parts.items():
        pattern = re.compile(
            rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end {re.escape(name)} -->)", re.DOTALL
        )
        text, found = pattern.subn(lambda match, body=body: f"{match[1]}{body}\n{match[2]}", text)
        if found != 1:
            raise ValueError(f"`{page}` has no place for `{name}`")
    page.write_text(text, "utf-8")


def circumstances(command: str) -> str:
    """Where and how a part was measured."""
    names = ("aiokafka", "uvloop", "orjson", "msgspec")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} at commit `{_COMMIT}` by `{command}`: "
        f"{os.cpu_count()} cores ({_processor()}), Python {platform.python_version()}, "
        f"Apache Kafka {_kafka()} as one broker on the same machine, {versions}; "
        f"load average before the run {_LOAD:.1f}."
    )


_LOAD = os.getloadavg()[0]


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


# Before a page is written, which would make the tree a changed one.
_COMMIT = _commit()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _kafka() -> str:
    pom = (ROOT / "tests" / "kafka" / "broker" / "pom.xml").read_text()
    found = re.search(r"<kafka\.version>([^<]+)<", pom) or re.search(
        r"<artifactId>kafka_[\d.]+</artifactId>\s*<version>([^<$]+)<", pom
    )
    return found[1] if found else "of tests/kafka/broker/pom.xml"
