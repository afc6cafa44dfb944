"""What is worth seeing of a worker, worked out of two looks at its metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from routec.runtime.observe.scrape import Labels, Snapshot

Number = float | None


class _Between:
    """The newer look, and what was added since the older one."""

    def __init__(self, new: Snapshot, old: Snapshot | None) -> None:
        self.new = new
        self.old = old
        self.seconds = None if old is None else max(new.at - old.at, 1e-9)

    def total(self, name: str, **labels: str) -> float:
        """Sum of the samples with these labels."""
        return _sum(self.new, name, labels)

    def added(self, name: str, **labels: str) -> Number:
        """What was added; a worker that was started again begins from zero."""
        if self.old is None:
            return None
        now, before = self.total(name, **labels), _sum(self.old, name, labels)
        return now if now < before else now - before

    def rate(self, name: str, **labels: str) -> Number:
        added = self.added(name, **labels)
        return None if added is None or self.seconds is None else added / self.seconds

    def count(self, name: str, **labels: str) -> dict[str, Number]:
        """A counter as total and rate."""
        return {
            "total": self.total(name, **labels),
            "per_second": self.rate(name, **labels),
        }

    def values(self, name: str, label: str, **labels: str) -> list[str]:
        """Values that a label has, most frequent first."""
        sums: dict[str, float] = {}
        for own, value in self.new.samples.get(name, {}).items():
            found = dict(own)
            if label in found and _fits(own, labels):
                sums[found[label]] = sums.get(found[label], 0.0) + value
        return sorted(sums, key=lambda one: (-sums[one], one))

    def quantiles(self, name: str, **labels: str) -> dict[str, Number]:
        """Median and 99th percentile in milliseconds, of the time between the looks if it saw
        any, else of all time."""
        now = _buckets(self.new, name, labels)
        if self.old is not None:
            before = _buckets(self.old, name, labels)
            since = {edge: count - before.get(edge, 0.0) for edge, count in now.items()}
            if since and since.get(math.inf, 0.0) > 0 and min(since.values()) >= 0:
                now = since
        return {"p50": _milliseconds(quantile(0.5, now)), "p99": _milliseconds(quantile(0.99, now))}


def view(new: Snapshot, old: Snapshot | None = None) -> dict[str, Any]:
    """What workers are doing, as JSON data.

    Args:
        new: what they showed last.
        old: what they showed before; without it rates are ``None``.

    Returns:
        Counters as ``{"total", "per_second"}``, latencies as ``{"p50", "p99"}`` in milliseconds
        (estimated within the histogram's buckets; ``None`` where nothing was measured), and
        gauges as numbers; see ``docs/operations.md``.
    """
    seen = _Between(new, old)
    decisions, lookups = "routec_decisions_total", "routec_cache_lookups_total"
    return {
        "version": 1,
        "workers": [{"ready": _ready(one), "conditions": dict(one)} for one in new.conditions],
        "seconds": seen.seconds,
        "policies": _policies(new),
        "decisions": seen.count(decisions),
        "outcomes": {
            outcome: seen.count(decisions, outcome=outcome)
            for outcome in ("route", "cached", "reject")
        },
        "routes": {
            route: seen.count(decisions, outcome="route", route=route)
            for route in seen.values(decisions, "route", outcome="route")
        },
        "batch": {
            "events": _ratio(
                seen.total("routec_batch_size_sum"), seen.total("routec_batch_size_count")
            ),
            "ms": seen.quantiles("routec_decision_seconds"),
        },
        "commits": {
            "events": seen.count("routec_committed_events_total"),
            "ms": seen.quantiles("routec_commit_seconds"),
        },
        "lag": {
            "events": seen.total("routec_consumer_lag"),
            "partitions": {
                f"{dict(labels).get('topic', '')}/{dict(labels).get('partition', '')}": events
                for labels, events in sorted(new.samples.get("routec_consumer_lag", {}).items())
            },
        },
        "oldest_event_seconds": seen.total("routec_oldest_event_age_seconds"),
        "in_flight": {
            "events": seen.total("routec_in_flight_events"),
            "bytes": seen.total("routec_in_flight_bytes"),
        },
        "paused_partitions": seen.total("routec_paused_partitions"),
        "cache": {
            category: {
                "hits": seen.count(lookups, category=category, status="hit"),
                "misses": seen.count(lookups, category=category, status="miss"),
                "hit_rate": _ratio(
                    seen.total(lookups, category=category, status="hit"),
                    seen.total(lookups, category=category),
                ),
                "entries": seen.total("routec_cache_entries", category=category),
            }
            for category in seen.values(lookups, "category")
        },
        "signals": {
            signal: {
                "values": seen.count("routec_signal_calls_total", signal=signal),
                "ms": seen.quantiles("routec_signal_seconds", signal=signal),
                "failures": {
                    reason: seen.total("routec_signal_failures_total", signal=signal, reason=reason)
                    for reason in seen.values(
                        "routec_signal_failures_total", "reason", signal=signal
                    )
                },
            }
            for signal in _signals(seen)
        },
        "dead_letters": {
            code: seen.count("routec_dead_letters_total", code=code)
            for code in seen.values("routec_dead_letters_total", "code")
        },
        "fenced": seen.total("routec_fenced_total"),
        "rebuilds": {
            reason: seen.total("routec_rebuilds_total", reason=reason)
            for reason in seen.values("routec_rebuilds_total", "reason")
        },
        "rebalances": seen.total("routec_rebalance_seconds_count"),
    }


def quantile(share: float, buckets: Mapping[float, float]) -> Number:
    """Estimate of a quantile from a cumulative histogram, linear within its bucket.

    As Prometheus' `histogram_quantile`: what lies in the last, open bucket is given that bucket's
    lower edge.

    Args:
        share: the quantile, from 0 to 1.
        buckets: upper edge to number of values up to it; the last edge is infinite.

    Returns:
        The estimate; ``None`` of no values.
    """
    edges = sorted(buckets)
    whole = buckets[edges[-1]] if edges else 0.0
    if whole <= 0 or not math.isinf(edges[-1]):
        return None
    rank, low, below = share * whole, 0.0, 0.0
    for edge in edges:
        count = buckets[edge]
        if count >= rank and count > below:
            if math.isinf(edge):
                return low
            return low + (edge - low) * max(0.0, rank - below) / (count - below)
        low, below = (edge if not math.isinf(edge) else low), max(below, count)
    return low


def _signals(seen: _Between) -> list[str]:
    """Signals that got values or failed; those that took the most time first."""
    calls = seen.values("routec_signal_calls_total", "signal")
    failed = seen.values("routec_signal_failures_total", "signal")
    timed = seen.values("routec_signal_seconds_sum", "signal")
    return list(dict.fromkeys([*timed, *calls, *failed]))


def _sum(snapshot: Snapshot, name: str, labels: Mapping[str, str]) -> float:
    values = snapshot.samples.get(name, {})
    return sum(value for own, value in values.items() if _fits(own, labels))


def _fits(own: Labels, wanted: Mapping[str, str]) -> bool:
    return not wanted or wanted.items() <= dict(own).items()


def _buckets(snapshot: Snapshot, name: str, labels: Mapping[str, str]) -> dict[float, float]:
    found: dict[float, float] = {}
    for own, value in snapshot.samples.get(f"{name}_bucket", {}).items():
        if _fits(own, labels):
            try:
                edge = float(dict(own)["le"])
            except (KeyError, ValueError):
                continue
            found[edge] = found.get(edge, 0.0) + value
    return found


def _policies(snapshot: Snapshot) -> list[dict[str, str]]:
    infos = [dict(labels) for labels in snapshot.samples.get("routec_policy_info", {})]
    return sorted(
        ({"name": one.get("name", ""), "hash": one.get("hash", "")} for one in infos),
        key=lambda one: (one["name"], one["hash"]),
    )


def _ready(conditions: Mapping[str, bool]) -> bool:
    return bool(conditions) and all(conditions.values())


def _ratio(part: float, whole: float) -> Number:
    return part / whole if whole else None


def _milliseconds(seconds: Number) -> Number:
    return None if seconds is None else round(seconds * 1000, 3)
