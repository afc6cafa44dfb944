"""The results of many seeds: kept in a file, added up in a table."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
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
    "wrong-answer",
    "altered-letter",
    "policy-went-back",
    "wrong-notice",
    "wrong-metrics",
    "no-progress",
    "slow-recovery",
    "stuck",
    "hangs",
    "gave-up",
    "complaint",
    "not-deployed",
    "policy-ignored",
    "broker-lost",
    "harness",
)
"""Kinds of problems; shown though there were none."""
_ROOMS = ("dsl", "compiler", "safety", "semcache", "runtime", "cli")
_SUFFIXES = (".py", ".cpp", ".hpp", ".lark", ".json", ".jsonl", ".txt", ".toml", ".route")
PUBLISHED = range(200)
"""Seeds that a page tells of."""


def code_files() -> list[Path]:
    """What a worker runs and is built from, and the suite, in an order of their own."""
    here = Path(__file__).parent
    folders = [*(ROOT / room for room in _ROOMS), here, here.parent / "broker"]
    found = [
        file
        for folder in folders
        for file in folder.rglob("*")
        if file.suffix in (*_SUFFIXES, ".xml") and "__pycache__" not in file.parts
    ]
    return sorted([*found, ROOT / "setup.py", ROOT / "requirements" / "dev.txt"])


def fingerprint() -> str:
    """Names the code that the results are of: the worker's, compiled parts too, and the suite's."""
    hashed = hashlib.sha256()
    for file in code_files():
        content = file.read_bytes()
        hashed.update(f"{file.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    return hashed.hexdigest()[:16]


class Book:
    """Results of one code, in a file that is complete after each.

    Args:
        file: where; results of other code that are in it are forgotten.
        again: seeds whose results of this code are forgotten, too.
    """

    def __init__(self, file: Path, *, again: Iterable[int] = ()) -> None:
        self._file = file
        self._data: dict[str, Any] = {"code": fingerprint(), "about": _about(), "runs": []}
        self._data["results"] = {}
        if file.exists():
            found = json.loads(file.read_text())
            if found["code"] == self._data["code"]:
                self._data = found
        for seed in again:
            self._data["results"].pop(str(seed), None)
        self._run = len(self._data["runs"])

    def __contains__(self, seed: int) -> bool:
        return str(seed) in self._data["results"]

    def results(self, seeds: Iterable[int]) -> list[dict[str, Any]]:
        """What these seeds gave, as far as they are done."""
        return [self._data["results"][str(seed)] for seed in seeds if seed in self]

    def failed(self, seeds: Iterable[int]) -> list[int]:
        """Those of the seeds that found something."""
        return [one["seed"] for one in self.results(seeds) if one["problems"]]

    def add(self, result: dict[str, Any]) -> None:
        """Keep a result."""
        self._data["results"][str(result["seed"])] = {**result, "run": self._run}
        self._write()

    def took(self, seconds: float, side_by_side: int, load: float) -> None:
        """Note how long this run took, and how busy the machine was."""
        done = sum(one["run"] == self._run for one in self._data["results"].values())
        run = {"seconds": round(seconds), "side_by_side": side_by_side, "load": round(load, 1)}
        self._data["runs"].append({**run, "seeds": done})
        self._write()

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(self._data, indent=1))
        part.replace(self._file)

    def table(self, seeds: Iterable[int]) -> str:
        """What these seeds gave, as Markdown."""
        results = self.results(seeds)
        runs = [self._data["runs"][at] for at in sorted({one["run"] for one in results})]
        parts = [
            _summary(results, runs, self._data["about"], self._data["code"]),
            _problems(results),
            _faults(results),
            _recoveries(results),
            _pauses(results),
        ]
        return "\n\n".join("\n".join(part) for part in parts)


Results = Sequence[Mapping[str, Any]]


def _summary(results: Results, runs: Results, about: Mapping[str, str], code: str) -> list[str]:
    records: Counter[str] = Counter()
    for one in results:
        records.update(one["records"])
    fired = [fault for one in results for fault in one["fired"]]
    seeds = [one["seed"] for one in results]
    span = f"{min(seeds)} to {max(seeds)}" if seeds else "none"
    failed = sum(bool(one["problems"]) for one in results)
    kinds = Counter(one["scenario"]["policy"] for one in results)
    took = sum(run["seconds"] for run in runs)
    open_ones = sum(one["open"] for one in fired)
    with_records = sum(one["with_records"] for one in fired)
    rows = {
        "seeds": f"{len(results)} ({span}), {failed} of them found something",
        "policy of the seed": ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())),
        "requests": f"{records['requests']:,}",
        "decisions": f"{records['decisions']:,}",
        "of these answered from the cache": f"{records['cached']:,}",
        "of these by a policy that was swapped in": f"{records['by_swapped']:,}",
        "of these by a canary": f"{records['by_canary']:,}",
        "outcomes by the compiled path, uncommitted ones included": f"{records['compiled']:,}",
        "dead letters": f"{records['dead_letters']:,}",
        "responses, differences, statuses": f"{records['responses']:,}, "
        f"{records['differences']:,}, {records['statuses']:,}",
        "worker processes": f"{sum(one['workers'] for one in results):,}",
        "faults that fired": f"{len(fired):,}",
        "transactions open when they did": f"{open_ones:,}, of {with_records:,} the broker had "
        "acknowledged records",
        "faults that were drawn and did not come to pass": str(
            sum(len(one["missed"]) for one in results)
        ),
        "time": f"{took:,} s for {sum(run['seeds'] for run in runs):,} seeds",
        "versions": ", ".join(f"{name} {value}" for name, value in about.items()),
        "code": code,
    }
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]


def _problems(results: Results) -> list[str]:
    counts: Counter[str] = Counter(dict.fromkeys(_WRONG, 0))
    for one in results:
        counts.update(one["problems"])
    rows = [f"| {kind.replace('-', ' ')} | {count:,} |" for kind, count in counts.items()]
    return ["| problem | times |", "|---|--:|", *rows]


def _faults(results: Results) -> list[str]:
    kinds: dict[str, list[Any]] = defaultdict(list)
    for one in results:
        for fault in one["fired"]:
            kinds[fault["kind"]].append(fault)
    lines = ["| fault | fired | open transactions | of these with records |", "|---|--:|--:|--:|"]
    for kind, fired in sorted(kinds.items()):
        open_ones = sum(one["open"] for one in fired)
        records = sum(one["with_records"] for one in fired)
        lines.append(f"| {kind} | {len(fired)} | {open_ones} | {records} |")
    return lines


def _recoveries(results: Results) -> list[str]:
    sessions: dict[float, list[Any]] = defaultdict(list)
    for one in results:
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


def _pauses(results: Results) -> list[str]:
    """How long partitions stood still for a fault while nothing else was wrong."""
    kinds: dict[str, list[Any]] = defaultdict(list)
    for one in results:
        for spell in one["spells"]:
            kinds[spell["kind"]].append(spell)
    lines = [
        "| fault | times it was the only one | longest pause of a partition that it hits | may be "
        "| of another | may be |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for kind, spells in sorted(kinds.items()):
        alone = [
            one for one in spells if (one["longest_hit"], one["longest_others"]) != (None, None)
        ]
        cells = [kind, str(len(alone))]
        for who in ("hit", "others"):
            timed = [one for one in alone if one[f"longest_{who}"] is not None]
            cells.append(f"{max(one[f'longest_{who}'] for one in timed):.1f} s" if timed else "")
            cells.append(f"{max(one[f'may_{who}'] for one in timed):.1f} s" if timed else "")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def write_page(page: Path, book: Book, seeds: Sequence[int]) -> bool:
    """Renew the part of a page between its marks, if all `PUBLISHED` seeds are asked for and done.

    Returns:
        Whether they are; else the page is left alone.
    """
    if not set(PUBLISHED) <= set(seeds) or not all(seed in book for seed in seeds):
        return False
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{book.table(seeds)}\n{END}{after}", encoding="utf-8")
    return True


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
