"""Which share of requests is expected to come where, by following a sample of requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from routec.cli.graph.flow import Flow, Key
from routec.cli.graph.known import Follower
from routec.cli.graph.model import Question
from routec.compiler.plan import Profile
from routec.compiler.plan.rows import rows_of
from routec.compiler.program import Program


@dataclass(frozen=True, slots=True)
class Shares:
    """What a sample of requests does.

    Attributes:
        requests: how many.
        measured: whether they were recorded; else they are drawn from what is usual.
        steps: requests that come to each step of a question.
        ways: requests that go from one step of a question to another.
    """

    requests: int
    measured: bool
    steps: Mapping[tuple[Question, Key], int] = field(default_factory=dict)
    ways: Mapping[tuple[Question, Key, Key], int] = field(default_factory=dict)

    def of_step(self, question: Question, key: Key) -> float:
        """Share of all requests that come to a step, 0 to 1."""
        return self.steps.get((question, key), 0) / self.requests

    def of_way(self, question: Question, source: Key, target: Key) -> float:
        """Share of all requests that go from one step to another, 0 to 1."""
        return self.ways.get((question, source, target), 0) / self.requests

    @property
    def sample(self) -> str:
        """Where the shares come from, for people."""
        if self.measured:
            return f"{self.requests:,} recorded requests"
        return f"{self.requests:,} requests drawn from usual values; no profile was given"


def expected_shares(
    program: Program, follower: Follower, flows: Sequence[Flow], profile: Profile | None = None
) -> Shares:
    """Follow each request of a profile, or of a drawn sample, through the questions.

    A request that a guard rejects comes to no other question. Cache hits are not foreseen.
    """
    rows = rows_of(program, profile)
    steps: Counter[tuple[Question, Key]] = Counter()
    ways: Counter[tuple[Question, Key, Key]] = Counter()
    fields = [each.name for each in program.fields]
    signals = [name for name in rows.columns if name not in set(fields)]
    for at in range(rows.count):
        values = follower.values(
            {name: rows.columns[name][at] for name in fields},
            {name: rows.columns[name][at] for name in signals},
        )
        for flow in flows:
            trail = follower.trail(flow, values)
            steps.update((flow.question, key) for key in trail.steps)
            ways.update((flow.question, a, b) for a, b in trail.ways)
            if follower.rejects(flow, trail):
                break
    return Shares(rows.count, bool(profile and profile.rows), steps, ways)
