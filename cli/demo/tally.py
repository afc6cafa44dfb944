"""What the demo has sent and seen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

OUTCOMES = ("route", "cached", "reject")


@dataclass(slots=True)
class Tally:
    """Counts and latencies; every event sent ends as one decision or one dead letter.

    Attributes:
        sent: events sent, malformed ones included.
        malformed: of these, how many were made wrong on purpose.
        outcomes: decisions by outcome.
        routes: decisions by route; cached and rejected ones have none.
        rejects: rejected decisions by guard, or by reason where no guard rejected.
        dead_letters: events that came out as dead letters, by code.
        repeated: decisions that came a second time (delivery is at least once).
        strange: decisions about no event of ours.
        latencies: seconds from sending an event to seeing its decision.
        answered: responses written for the cache to learn from.
        waiting: by request id, when each undecided event was sent.
    """

    sent: int = 0
    malformed: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    strange: int = 0
    latencies: list[float] = field(default_factory=list)
    answered: int = 0
    waiting: dict[str, float] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _begun: float = field(default_factory=perf_counter)
    _ended: float | None = None

    @property
    def decisions(self) -> int:
        """Decisions, each event's first one."""
        return self.outcomes.total()

    @property
    def pending(self) -> int:
        """Events sent that came out neither way yet."""
        return self.sent - self.decisions - self.dead_letters.total()

    @property
    def seconds(self) -> float:
        """How long it has run, or ran."""
        return (self._ended or perf_counter()) - self._begun

    @property
    def adds_up(self) -> bool:
        """Whether every good event was decided once and every malformed one is a dead letter."""
        return (
            not self.waiting
            and not self.strange
            and self.decisions == self.sent - self.malformed
            and self.dead_letters.total() == self.malformed
        )

    def start(self) -> None:
        """The first event is about to be sent."""
        self._begun = perf_counter()

    def send(self, request_id: str | None) -> None:
        """An event is being sent; one without a request id is malformed."""
        self.sent += 1
        if request_id is None:
            self.malformed += 1
        else:
            self.waiting[request_id] = perf_counter()

    def decide(self, event: dict[str, Any]) -> bool:
        """A decision was seen; whether it is the first about its event."""
        request_id = event["request_id"]
        sent = self.waiting.pop(request_id, None)
        if sent is None:
            if request_id in self._seen:
                self.repeated += 1
            else:
                self.strange += 1
            return False
        self.latencies.append(perf_counter() - sent)
        self._seen.add(request_id)
        self.outcomes[event["outcome"]] += 1
        if event["route"] is not None:
            self.routes[event["route"]] += 1
        if event["reject"] is not None:
            self.rejects[event["reject"]["guard"] or event["reject"]["reason"]] += 1
        return True

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = self._ended or perf_counter()

    def latency_ms(self) -> dict[str, float | None]:
        """Median and 99th percentile of the latencies; ``None`` before the first decision."""
        if not self.latencies:
            return {"p50": None, "p99": None}
        import numpy as np

        p50, p99 = np.quantile(self.latencies, (0.5, 0.99)) * 1000
        return {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}

    def summary(self, policy: str) -> dict[str, Any]:
        """The object of `demo --format json`."""
        return {
            "policy": policy,
            "events": self.sent,
            "decisions": self.decisions,
            "dead_letters": self.dead_letters.total(),
            "outcomes": {outcome: self.outcomes[outcome] for outcome in OUTCOMES},
            "routes": dict(self.routes.most_common()),
            "rejects": dict(self.rejects.most_common()),
            "dead_letter_codes": dict(self.dead_letters.most_common()),
            "latency_ms": self.latency_ms(),
            "seconds": round(self.seconds, 3),
            "adds_up": self.adds_up,
        }
