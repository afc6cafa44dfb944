"""How often something happens, from how often it was seen."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

_Z = 1.959963984540054
"""The 97.5th percentile of the normal distribution: an interval of 95 %."""


@dataclass(frozen=True, slots=True)
class Frequency:
    """How often recorded requests meet what a finding speaks of.

    Attributes:
        hits: requests that do.
        events: requests of which it is known whether they do.
        undecided: further requests, whose records lack a signal that it takes.
    """

    hits: int
    events: int
    undecided: int = 0

    @property
    def share(self) -> float | None:
        """The share of requests, 0 to 1; ``None`` where nothing is known."""
        return self.hits / self.events if self.events else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share; see `wilson`."""
        return wilson(self.hits, self.events)


def wilson(hits: int, events: int) -> tuple[float, float]:
    """The Wilson score interval of a share, at 95 %.

    It keeps within 0 and 1 and stays of use where nothing was seen (E. B. Wilson, "Probable
    Inference, the Law of Succession, and Statistical Inference", 1927). Of no events: 0 to 1.

    Args:
        hits: 0 to `events`.
        events: independent trials.
    """
    if not events:
        return 0.0, 1.0
    share, square = hits / events, _Z * _Z
    middle = share + square / (2 * events)
    spread = _Z * sqrt(share * (1 - share) / events + square / (4 * events * events))
    scale = 1 + square / events
    low = 0.0 if hits == 0 else (middle - spread) / scale
    high = 1.0 if hits == events else (middle + spread) / scale
    return max(0.0, low), min(1.0, high)


def frequency_object(frequency: Frequency) -> dict[str, Any]:
    """The frequency as JSON has it."""
    low, high = frequency.interval
    return {
        "hits": frequency.hits,
        "events": frequency.events,
        "undecided": frequency.undecided,
        "share": frequency.share,
        "low": low,
        "high": high,
    }


def in_traffic(frequency: Frequency) -> str:
    """The frequency in words."""
    open_ = f"{frequency.undecided:,} more lack a signal that it takes"
    if frequency.share is None:
        return f"not known: {open_}" if frequency.undecided else "there are no recorded requests"
    low, high = (_percent(end) for end in frequency.interval)
    said = (
        f"{frequency.hits:,} of {frequency.events:,} recorded requests, "
        f"{_percent(frequency.share)} (95 % interval {low} to {high})"
    )
    return f"{said}; {open_}" if frequency.undecided else said


def _percent(share: float) -> str:
    """A share in percent, with two digits that say something."""
    percent = share * 100
    digits = 0 if percent >= 99.95 or percent == 0 else 1 if percent >= 10 else 2
    if 0 < percent < 0.1:
        return f"{percent:.2g} %" if percent >= 0.0001 else f"{percent:.1e} %"
    return f"{percent:.{digits}f} %"
