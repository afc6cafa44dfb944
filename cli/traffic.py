"""How often findings happen in recorded traffic."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from routec.cli.checking import One, Report
from routec.cli.corpus import Corpus, read_events
from routec.cli.findings import Key, key
from routec.cli.frequency import Frequency
from routec.cli.reading import STDIN
from routec.cli.regions import SHOWN, Region, Regions, Truths
from routec.compiler.analysis.analysis import open_analysis
from routec.dsl.diagnostic import Diagnostic, Verdict


@dataclass(slots=True)
class Unread:
    """Lines of a corpus that cannot be used.

    Attributes:
        count: how many.
        first: the first one's number and what is wrong with it.
    """

    count: int = 0
    first: tuple[int, str] | None = None


@dataclass(slots=True)
class _Counting:
    hits: Counter[Key] = field(default_factory=Counter)
    misses: Counter[Key] = field(default_factory=Counter)
    open: Counter[Key] = field(default_factory=Counter)


def measure(report: Report, file: str) -> tuple[Report, dict[Key, Frequency], Unread]:
    """Count in how many recorded requests each finding happens.

    Findings that were not decided and of which the records hold a case become estimated.

    Args:
        report: the findings.
        file: the recorded requests, one event a line; ``-`` is standard input.

    Raises:
        CommandError: the file cannot be read, or the policy uses what cannot be computed here.
    """
    # It is read for each policy, and standard input can be read once only.
    events = list(read_events(file)) if file == STDIN else None
    counting, unread = _Counting(), Unread()
    regional: set[Key] = set()
    for one in report.checks:
        findings = [f for f in report.findings if report.owners[key(f)] is one]
        numbered = read_events(file) if events is None else events
        asyncio.run(_count(one, findings, numbered, counting, regional, unread))
    frequencies = {
        k: Frequency(counting.hits[k], counting.hits[k] + counting.misses[k], counting.open[k])
        for k in regional
    }
    seen = [_judged(f, frequencies.get(key(f))) for f in report.findings]
    return replace(report, findings=tuple(seen)), frequencies, unread


def _judged(finding: Diagnostic, frequency: Frequency | None) -> Diagnostic:
    undecided = finding.verdict is Verdict.UNKNOWN and finding.code in SHOWN
    if undecided and frequency is not None and frequency.hits:
        return replace(finding, verdict=Verdict.ESTIMATED)
    return finding


async def _count(
    one: One,
    findings: Sequence[Diagnostic],
    events: Iterable[tuple[int, bytes]],
    counting: _Counting,
    regional: set[Key],
    unread: Unread,
) -> None:
    if one.policy is None:
        return
    corpus = Corpus(one.policy)
    regions = Regions(open_analysis(one.policy, one.checked.sources), corpus)
    asked = [(key(f), region) for f, region in _regions(regions, findings)]
    regional.update(k for k, _ in asked)
    count = 0
    for number, event in events:
        known = await corpus.known(event, number)
        if isinstance(known, str):
            count += 1
            if unread.first is None:
                unread.first = (number, known)
            continue
        truths = Truths(known.values)
        for k, region in asked:
            answer = region(known, truths)
            counter = counting.open if answer is None else None
            if counter is None:
                counter = counting.hits if answer else counting.misses
            counter[k] += 1
    unread.count = max(unread.count, count)


def _regions(
    regions: Regions, findings: Iterable[Diagnostic]
) -> Iterable[tuple[Diagnostic, Region]]:
    for finding in findings:
        region = regions.of(finding)
        if region is not None:
            yield finding, region
