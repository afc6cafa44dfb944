"""Reading what a worker shows of itself: `/metrics` and `/healthz`."""

from __future__ import annotations

import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]
"""Labels of a sample, sorted by name."""
Samples = Mapping[str, Mapping[Labels, float]]
"""Values by name of the sample and its labels."""
_Shown = tuple[Samples, Mapping[str, bool]]

MAX_BYTES = 16 * 1024 * 1024
"""Longest answer that is read."""


class ScrapeError(Exception):
    """A worker cannot be looked at.

    Attributes:
        message: one sentence for a person.
        help: what to do about it.
    """

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a worker, or several together, showed at one moment.

    Attributes:
        at: seconds of the monotonic clock.
        samples: the values; of several workers their sums, of ages the largest.
        conditions: for each worker its conditions of readiness.
    """

    at: float
    samples: Samples
    conditions: tuple[Mapping[str, bool], ...]


_AT_ONCE = 16
_LARGEST = frozenset({"routec_oldest_event_age_seconds"})
_HELP = "name a worker's address, as `routec run` logs it: `http://127.0.0.1:9464`"
# A proxy is for the world outside, not for a worker's own port.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def base_of(url: str) -> str:
    """The address of a worker without the path: ``http://HOST:PORT``.

    Args:
        url: ``HOST:PORT``, an address, or that of its `/metrics`.

    Raises:
        ScrapeError: it is no such address.
    """
    whole = url if "://" in url else f"http://{url}"
    try:
        parts = urllib.parse.urlsplit(whole)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        good = False
    if not good or parts.path not in ("", "/", "/metrics", "/healthz") or parts.username:
        raise ScrapeError(f"`{url}` is no address of a worker", _HELP)
    return f"{parts.scheme}://{parts.netloc}"


def look(bases: Iterable[str], seconds: float = 5.0) -> Snapshot:
    """Read the metrics and conditions of workers.

    Args:
        bases: their addresses, from `base_of`.
        seconds: how long each may take to answer.

    Raises:
        ScrapeError: one does not answer, or with something else than a worker's metrics.
    """
    return _together([_read(base, seconds) for base in bases])


def look_where_possible(
    bases: Iterable[str], seconds: float = 2.0
) -> tuple[Snapshot | None, dict[str, str]]:
    """Read the metrics and conditions of those workers that answer, all at once.

    Args:
        bases: their addresses.
        seconds: how long each may take to answer.

    Returns:
        What they showed, ``None`` where none answers; and why the others do not, by address.
    """
    wanted = list(bases)
    found: list[_Shown] = []
    failed: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        asked = [pool.submit(_read_named, base, seconds) for base in wanted]
        for base, answer in zip(wanted, asked, strict=True):
            try:
                found.append(answer.result())
            except ScrapeError as error:
                failed[base] = error.message
    return (_together(found) if found else None), failed


def _read_named(base: str, seconds: float) -> _Shown:
    """Read what an address shows that a worker has named: it may be anything."""
    return _read(base_of(base), seconds)


def _read(base: str, seconds: float) -> _Shown:
    samples = read_samples(_get(base, "/metrics", seconds), base)
    return samples, _conditions(_get(base, "/healthz", seconds))


def _together(shown: Iterable[_Shown]) -> Snapshot:
    together: dict[str, dict[Labels, float]] = {}
    conditions: list[Mapping[str, bool]] = []
    for samples, own in shown:
        conditions.append(own)
        for name, values in samples.items():
            sums = together.setdefault(name, {})
            for labels, value in values.items():
                before = sums.get(labels, 0.0)
                sums[labels] = max(before, value) if name in _LARGEST else before + value
    return Snapshot(time.monotonic(), together, tuple(conditions))


def read_samples(text: str, base: str) -> dict[str, dict[Labels, float]]:
    """The samples named `routec_*` in Prometheus' text format.

    Raises:
        ScrapeError: the text has another format, or no such sample.
    """
    found: dict[str, dict[Labels, float]] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.startswith("routec_") and math.isfinite(sample.value):
                    labels = tuple(sorted(sample.labels.items()))
                    found.setdefault(sample.name, {})[labels] = float(sample.value)
    except (ValueError, KeyError, IndexError):
        found = {}
    if not found:
        raise ScrapeError(f"`{base}/metrics` shows no metrics of routec", _HELP)
    return found


def _conditions(text: str) -> Mapping[str, bool]:
    try:
        report: Any = json.loads(text)
        conditions = report["conditions"]
        return {str(name): bool(holds) for name, holds in conditions.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _get(base: str, path: str, seconds: float) -> str:
    try:
        with _OPENER.open(base + path, timeout=seconds) as answer:
            body: bytes = answer.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            if path != "/healthz" or error.code != 503:
                raise ScrapeError(
                    f"`{base}{path}` answers with status {error.code}", _HELP
                ) from error
            body = error.read(MAX_BYTES + 1)
    except (OSError, ValueError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", error)
        words = str(getattr(reason, "strerror", None) or reason).lower()
        raise ScrapeError(
            f"`{base}` does not answer: {words}",
            "check that the worker runs, and its `observability.host` and `observability.port`",
        ) from error
    except Exception as error:  # http.client has errors of its own
        raise ScrapeError(f"`{base}` does not speak HTTP", _HELP) from error
    if len(body) > MAX_BYTES:
        raise ScrapeError(f"`{base}{path}` answers with more than {MAX_BYTES} bytes", _HELP)
    return body.decode("utf-8", "replace")
