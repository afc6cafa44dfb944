"""The results of many seeds: kept in a file, added up in a table."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
from collections import Counter, defaultdict
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
BEGIN, END = "<!-- chaos: begin -->", "<!-- chaos: end -->"
_WRONG = (
    "lost",
    "doubled",
    "out-of-order",
    "orphan",
    "misplaced",
    "torn-offset",
    "wrong-decision",
    "altered-letter",
    "policy-went-back",
)
"""What the checker of the topics looks for; shown though it found none."""


def fingerprint() -> str:
    """Names the code that the results are of: the worker's, compiled parts too, and the suite's."""
    hashed = hashlib.sha256()
    rooms = ("dsl", "compiler", "safety", "semcache", "runtime", "cli")
    for folder in (*(ROOT / room for room in rooms), Path(__file__).parent):
        for file in sorted(folder.rglob("*")):
            if file.suffix in (".py", ".cpp", ".hpp"):
                hashed.update(file.read_bytes())
    return hashed.hexdigest()[:16]


class Book:
    """Results of one code, in a file that is complete after each.

    Args:
        file: where; results of other code that are in it are forgotten.
        again: forget the results of this code, too.
    """

    def __init__(self, file: Path, *, again: bool = False) -> None:
        self._file = file
        self._data: dict[str, Any] = {"code": fingerprint(), "about": _about(), "runs": []}
        self._data["results"] = {}
        if file.exists() and not again:
            found = json.loads(file.read_text())
            if found["code"] == self._data["code"]:
                self._data = found

    def __contains__(self, seed: int) -> bool:
        return str(seed) in self._data["results"]

    @property
    def results(self) -> list[dict[str, Any]]:
        """What the seeds gave, in their order."""
        return [self._data["results"][key] for key in sorted(self._data["results"], key=int)]

    @property
    def failed(self) -> list[int]:
        """Seeds that found something."""
        return [one["seed"] for one in self.results if one["problems"]]

    def add(self, result: dict[str, Any]) -> None:
        """Keep a result."""
        self._data["results"][str(result["seed"])] = result
        self._write()

    def took(self, seconds: float, side_by_side: int, load: float) -> None:
        """Note how long a run took, and how busy the machine was."""
        run = {"seconds": round(seconds), "side_by_side": side_by_side, "load": round(load, 1)}
        self._data["runs"].append(run)
        self._write()

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(self._data, indent=1))
        part.replace(self._file)

    def table(self) -> str:
        """All of it as Markdown."""
        return "\n".join([*self._summary(), "", *self._faults(), "", *self._recoveries()])

    def _summary(self) -> list[str]:
        results, about = self.results, self._data["about"]
        records: Counter[str] = Counter()
        problems: Counter[str] = Counter(dict.fromkeys(_WRONG, 0))
        for one in results:
            records.update(one["records"])
            problems.update(one["problems"])
        fired = [fault for one in results for fault in one["fired"]]
        seconds = sum(run["seconds"] for run in self._data["runs"])
        seeds = [one["seed"] for one in results]
        span = f"{min(seeds)} to {max(seeds)}" if seeds else "none"
        rows = {
            "seeds": f"{len(results)} ({span}), {len(self.failed)} of them found something",
            "requests": f"{records['requests']:,}",
            "decisions": f"{records['decisions']:,}",
            "of these by a policy that was swapped in": f"{records['by_swapped']:,}",
            "dead letters": f"{records['dead_letters']:,}",
            "worker processes": f"{sum(one['workers'] for one in results):,}",
            "faults that fired": f"{len(fired):,}",
            "transactions open when they did": f"{sum(one['open'] for one in fired):,}, of "
            f"{sum(one['with_records'] for one in fired):,} the broker had acknowledged records",
            "faults that were drawn and did not come to pass": str(
                sum(len(one["missed"]) for one in results)
            ),
            **{kind.replace("-", " "): f"{count:,}" for kind, count in problems.items()},
            "time": f"{seconds:,} s, {seconds / max(1, len(results)):.1f} s a seed",
            "versions": ", ".join(f"{name} {value}" for name, value in about.items()),
            "code": self._data["code"],
        }
        return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]

    def _faults(self) -> list[str]:
        kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for one in self.results:
            for fault in one["fired"]:
                kinds[fault["kind"]].append(fault)
        lines = [
            "| fault | fired | open transactions | of these with records |",
            "|---|--:|--:|--:|",
        ]
        for kind, fired in sorted(kinds.items()):
            open_ones = sum(one["open"] for one in fired)
            records = sum(one["with_records"] for one in fired)
            lines.append(f"| {kind} | {len(fired)} | {open_ones} | {records} |")
        return lines

    def _recoveries(self) -> list[str]:
        sessions: dict[float, list[dict[str, Any]]] = defaultdict(list)
        for one in self.results:
            for fault in one["fired"]:
                if fault["alone"] and fault["within"] is not None:
                    sessions[one["scenario"]["session"]].append(fault)
        lines = [
            "| session time-out | single kills and stops | first decision by another, median "
            "| longest | all partitions, longest |",
            "|--:|--:|--:|--:|--:|",
        ]
        for session, fired in sorted(sessions.items()):
            first = [one["within"] for one in fired]
            all_of_them = [one["within_all"] for one in fired if one["within_all"] is not None]
            lines.append(
                f"| {session:g} s | {len(fired)} | {median(first):.2f} s | {max(first):.2f} s "
                f"| {max(all_of_them, default=float('nan')):.2f} s |"
            )
        return lines


def write_page(page: Path, book: Book) -> None:
    """Renew the part of a page between its marks."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{book.table()}\n{END}{after}", encoding="utf-8")


def _about() -> dict[str, str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    return {
        "Apache Kafka": _kafka_version(),
        "aiokafka": version("aiokafka"),
        "Python": platform.python_version(),
        "Linux": platform.release(),
        "routec": commit or version("routec"),
    }


def _kafka_version() -> str:
    text = (Path(__file__).parents[1] / "broker" / "pom.xml").read_text()
    found = re.search(r"<kafka.version>([^<]+)<", text)
    return found[1] if found else "unknown"
