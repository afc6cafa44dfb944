"""Results as text and as the tables of docs/streaming.md, judged by their targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streaming import throughput
from streaming.lanes import Held
from streaming.latency import Timing
from streaming.page import table
from streaming.side_by_side import Name, Sighting
from streaming.side_by_side import middle as middle_of

THROUGHPUT_TARGET = 0.70
"""Least ratio of the worker without a policy to the pass-through of the same delivery."""
POLICY_TARGET = 0.45
"""The same, exactly once, with `stream.route`."""
ONCE_TARGET = 0.88
"""Least ratio of exactly once to at least once, both by the worker without a policy."""
CPU_TARGET = 1.5
"""Most CPU per event, without a policy, as a ratio to the pass-through."""
POLICY_CPU_TARGET = 2.5
"""The same with `stream.route`."""
LATENCY_TARGET = 2.0
"""Most p99 at half of the own maximum, as a ratio to the pass-through's, at half of its own and at
the same rate."""

FAST_STREAM_TARGET = 1.5
"""Least ratio of the worker without a policy to FastStream, at least once."""
QUIX_TARGET = 1.0
"""Least ratio of the worker without a policy to Quix Streams, exactly once, at its best setting."""

Result = dict[str, Any]

_VERDICTS = {True: "met", False: "**missed**", None: ""}


def _result(
    name: str, unit: str, value: float, other: str, base: float, target: float | None, most: bool
) -> Result:
    ratio = value / base
    met = None if target is None else (ratio <= target if most else ratio >= target)
    return {
        "name": f"stream/{name}",
        "value": round(value, 2),
        "unit": unit,
        "baseline": round(base, 2),
        "baseline_name": other,
        "ratio": round(ratio, 3),
        "target": target,
        "met": met,
    }


def throughput_results(runs: throughput.Runs) -> list[Result]:
    """Ratios of events per second, and of CPU per event."""
    medians = {name: throughput.middle(some) for name, some in runs.items()}
    targets = {
        "worker-alo-null": (THROUGHPUT_TARGET, CPU_TARGET),
        "worker-eos-null": (THROUGHPUT_TARGET, CPU_TARGET),
        throughput.title_of(throughput.POLICY): (POLICY_TARGET, POLICY_CPU_TARGET),
    }
    found = []
    for name, one in medians.items():
        if not name.startswith("worker"):
            continue
        other = "pass-through-alo" if "-alo-" in name else "pass-through-eos"
        base = medians[other]
        rate, cpu = targets.get(name, (None, None))
        more = {
            "rounds": [round(run.rate) for run in runs[name]],
            "baseline_rounds": [round(run.rate) for run in runs[other]],
        }
        found.append(_result(name, "events/s", one.rate, other, base.rate, rate, False) | more)
        found.append(_result(f"{name}-cpu", "us/event", one.cpu_us, other, base.cpu_us, cpu, True))
    policy = throughput.title_of(throughput.POLICY)
    if policy in medians:
        one, base = medians[policy], medians[throughput.BY_HAND]
        title, other = f"{policy}-to-by-hand", throughput.BY_HAND
        found.append(_result(title, "events/s", one.rate, other, base.rate, None, False))
    for kind, name in (("worker", "worker-{}-null"), ("pass-through", "pass-through-{}")):
        once, least = medians[name.format("eos")], medians[name.format("alo")]
        target = ONCE_TARGET if kind == "worker" else None
        title, other = f"{kind}-eos-to-alo", name.format("alo")
        found.append(_result(title, "events/s", once.rate, other, least.rate, target, False))
    return found


def latency_results(
    timings: Mapping[str, Timing], pairs: Sequence[tuple[str, str]]
) -> list[Result]:
    """Ratios of p99 of each pair."""
    return [
        _result(
            f"p99 of {one}", "ms", timings[one].p99, other, timings[other].p99, LATENCY_TARGET, True
        )
        | {"p50": round(timings[one].p50, 2), "baseline_p50": round(timings[other].p50, 2)}
        for one, other in pairs
    ]


def rivals_results(found: Mapping[Name, Sequence[Sighting]]) -> list[Result]:
    """Ratios of events per second to the others of the same delivery, at their best setting."""
    rates = {name: middle_of(some).rate for name, some in found.items()}
    results = []
    for delivery, rival, target in (
        ("at_least_once", "FastStream", FAST_STREAM_TARGET),
        ("exactly_once", "Quix Streams", QUIX_TARGET),
    ):
        base, other = max(
            (rate, title)
            for (title, how), rate in rates.items()
            if how == delivery and title.startswith(rival)
        )
        title = f"routec, no policy, {delivery.replace('_', ' ')}"
        value = rates["routec, no policy", delivery]
        results.append(_result(title, "events/s", value, other, base, target, False))
    return results


def lines(results: Sequence[Result]) -> list[str]:
    """For people."""
    found = []
    for one in results:
        verdict = ""
        if one["target"] is not None:
            verdict = f" (target {one['target']}, {'met' if one['met'] else 'missed'})"
        found.append(
            f"{one['name']}: {one['value']:,} {one['unit']}, {one['baseline_name']} "
            f"{one['baseline']:,}: ratio {one['ratio']}{verdict}"
        )
        found += [
            f"  {key}: {', '.join(f'{rate:,}' for rate in one[key])}"
            for key in ("rounds", "baseline_rounds")
            if key in one
        ]
    return found


def _code(name: str) -> str:
    return name if " " in name else f"`{name}`"


def ratios_table(results: Sequence[Result]) -> str:
    """What the targets speak of."""
    rows = []
    for one in results:
        apart = one["name"].endswith(("eos-to-alo", "to-by-hand", "eos-by-hand"))
        if one["target"] is None and not apart:
            continue
        sign = "≤" if one["unit"] in ("ms", "us/event") else "≥"
        rows.append(
            (
                f"{_code(one['name'].removeprefix('stream/'))} to {_code(one['baseline_name'])}",
                f"{one['ratio']:.2f}",
                "–" if one["target"] is None else f"{sign} {one['target']:.2f}",
                _VERDICTS[one["met"]],
            )
        )
    return table(("ratio", "measured", "target", ""), rows)


def throughput_table(runs: throughput.Runs) -> str:
    """Every candidate's figures."""
    rows = []
    for name, some in runs.items():
        one = throughput.middle(some)
        low, high = min(run.rate for run in some), max(run.rate for run in some)
        rows.append(
            (
                f"`{name}`",
                f"{one.rate:,.0f}",
                f"{low:,.0f}–{high:,.0f}",
                f"{one.cpu_us:.1f}",
                f"{one.grouped:.0f}",
            )
        )
    heads = ("candidate", "events/s", "lowest–highest", "CPU µs/event", "events per transaction")
    return table(heads, rows)


def latency_table(timings: Mapping[str, Timing]) -> str:
    """Every candidate's figures at its rate."""
    rows = [
        (
            name,
            f"{one.rate:,.0f}",
            f"{one.p50:.1f}",
            f"{one.p99:.1f}",
            f"{min(one.rounds):.1f}–{max(one.rounds):.1f}",
            f"{one.cpu_us:.1f}",
            f"{one.grouped:.0f}",
        )
        for name, one in timings.items()
    ]
    heads = ("candidate at rate of", "events/s", "p50 ms", "p99 ms", "p99 of the rounds")
    return table((*heads, "CPU µs/event", "events per transaction"), rows)


def rivals_table(found: Mapping[Name, Sequence[Sighting]]) -> str:
    """The side by side."""
    rows = []
    for (name, delivery), some in found.items():
        one = middle_of(some)
        low, high = min(run.rate for run in some), max(run.rate for run in some)
        rows.append(
            (
                name,
                delivery.replace("_", " "),
                f"{one.rate:,.0f}",
                f"{low:,.0f}–{high:,.0f}",
                f"{one.cpu_us:.1f}",
            )
        )
    return table(("", "delivery", "events/s", "lowest–highest", "CPU µs/event"), rows)


def lanes_table(found: Sequence[Held]) -> str:
    """Partitions a worker."""
    rows = [
        (
            str(one.partitions),
            f"{one.opening:.1f}",
            f"{one.rss / 2**20:.0f}",
            f"{one.rate:,.0f}",
            f"{one.grouped:.1f}",
        )
        for one in found
    ]
    heads = ("partitions", "s to open", "most MiB", "events/s", "events per transaction")
    return table(heads, rows)
