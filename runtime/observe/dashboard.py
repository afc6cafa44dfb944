"""The Grafana dashboard of the workers, made from the metrics there are.

python -m routec.runtime.observe.dashboard > docs/grafana-dashboard.json
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any, Literal

from prometheus_client.metrics import MetricWrapperBase

from routec.runtime.observe.fleet import FleetMetrics
from routec.runtime.observe.kept import KeptCounter
from routec.runtime.observe.metrics import Metrics

_Metric = MetricWrapperBase | KeptCounter
Unit = Literal["short", "reqps", "s", "bytes", "percentunit"]

_SOURCE = {"type": "prometheus", "uid": "${source}"}
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 24
_CHOSEN = 'instance=~"$instance"'


@dataclass(frozen=True, slots=True)
class _Panel:
    """A panel: its title, its unit, and queries with their legends."""

    title: str
    unit: Unit
    queries: tuple[tuple[str, str], ...]


def _name(metric: _Metric) -> str:
    suffix = "_total" if metric._type == "counter" else ""
    return f"{metric._name}{suffix}"


def _rate(metric: _Metric, *by: str) -> tuple[str, str]:
    """Events a second by labels."""
    per = f"rate({_name(metric)}{{{_CHOSEN}}}[$__rate_interval])"
    return _by("sum", per, *by)


def _sum(metric: _Metric, *by: str) -> tuple[str, str]:
    return _by("sum", f"{_name(metric)}{{{_CHOSEN}}}", *by)


def _most(metric: _Metric, *by: str) -> tuple[str, str]:
    return _by("max", f"{_name(metric)}{{{_CHOSEN}}}", *by)


def _by(what: str, query: str, *by: str) -> tuple[str, str]:
    if not by:
        return f"{what}({query})", "all"
    return f"{what} by ({', '.join(by)}) ({query})", " ".join(f"{{{{{label}}}}}" for label in by)


def _calls(metric: _Metric, *by: str) -> tuple[str, str]:
    """Observations of a histogram a second, by labels."""
    return _by("sum", f"rate({_name(metric)}_count{{{_CHOSEN}}}[$__rate_interval])", *by)


def _quantiles(metric: _Metric, *by: str) -> tuple[tuple[str, str], ...]:
    per = f"rate({_name(metric)}_bucket{{{_CHOSEN}}}[$__rate_interval])"
    labels = "".join(f" {{{{{label}}}}}" for label in by)
    return tuple(
        (
            f"histogram_quantile({share}, sum by ({', '.join(('le', *by))}) ({per}))",
            f"p{round(share * 100)}{labels}",
        )
        for share in (0.5, 0.99)
    )


def _of_fleets(m: FleetMetrics) -> list[_Panel]:
    """Panels of what runs workers; it is an instance of its own, so none is chosen."""
    restarted = f"rate({_name(m.restarts)}[$__rate_interval])"
    by = ("instance", "worker", "reason")
    return [
        _Panel("Workers by state", "short", (_by("sum", _name(m.workers), "state"),)),
        _Panel("Workers started again", "reqps", (_by("sum", restarted, *by),)),
    ]


def _panels(m: Metrics) -> list[_Panel]:
    asked = _name(m.cache_lookups)
    hits = (
        f'sum by (category) (rate({asked}{{{_CHOSEN}, status="hit"}}[$__rate_interval])) / '
        f"sum by (category) (rate({asked}{{{_CHOSEN}}}[$__rate_interval]))"
    )
    return [
        _Panel("Decisions by outcome", "reqps", (_rate(m.decisions, "outcome"),)),
        _Panel("Decisions by route", "reqps", (_rate(m.decisions, "route"),)),
        _Panel("Committed events", "reqps", (_rate(m.committed, "instance"),)),
        _Panel("Lag by partition", "short", (_sum(m.consumer_lag, "topic", "partition"),)),
        _Panel("Oldest event in decision", "s", (_most(m.oldest_event_age, "instance"),)),
        _Panel("In flight", "short", (_sum(m.in_flight_events, "instance"),)),
        _Panel("Bytes in flight", "bytes", (_sum(m.in_flight_bytes, "instance"),)),
        _Panel("Paused partitions", "short", (_sum(m.paused_partitions, "instance"),)),
        _Panel("Events in a batch", "short", _quantiles(m.batch_size)),
        _Panel("Deciding a batch", "s", _quantiles(m.decision_seconds)),
        _Panel("Transactions", "reqps", (_calls(m.commit_seconds, "instance"),)),
        _Panel("Committing", "s", _quantiles(m.commit_seconds)),
        _Panel("Giving partitions up", "s", _quantiles(m.rebalance_seconds)),
        _Panel(
            "Fenced, and producers built anew",
            "reqps",
            (_rate(m.fenced), _rate(m.rebuilds, "reason")),
        ),
        _Panel("Rebalances", "reqps", (_calls(m.rebalance_seconds, "instance"),)),
        _Panel("Dead letters", "reqps", (_rate(m.dead_letters, "code"),)),
        _Panel(
            "Stops at a limit of dead letters", "reqps", (_rate(m.dead_letter_limits, "limit"),)
        ),
        _Panel("Signals: values", "reqps", (_rate(m.signal_calls, "signal", "source"),)),
        _Panel("Signals: seconds of a call", "s", _quantiles(m.signal_seconds, "signal")),
        _Panel("Signals: failure values", "reqps", (_rate(m.signal_failures, "signal", "reason"),)),
        _Panel(
            "Texts in a classifier call", "short", _quantiles(m.classifier_batch_size, "backend")
        ),
        _Panel("Cache hit rate", "percentunit", ((hits, "{{category}}"),)),
        _Panel("Cache entries", "short", (_sum(m.cache_entries, "category"),)),
        _Panel("Responses taken in", "reqps", (_rate(m.responses, "status"),)),
        _Panel("Policy in force", "short", (_sum(m.policy_info, "name", "hash"),)),
        _Panel("Policies swapped and refused", "reqps", (_rate(m.policy_records, "result"),)),
        _Panel("Canary", "reqps", (_rate(m.canary_requests, "result"),)),
        _Panel("Shadow", "reqps", (_rate(m.shadow_events, "result"),)),
    ]


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it: a data source and instances are chosen there."""
    return {
        "title": "routec",
        "uid": "routec",
        "tags": ["routec"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "source",
                    "label": "Data source",
                    "type": "datasource",
                    "query": "prometheus",
                },
                {
                    "name": "instance",
                    "label": "Worker",
                    "type": "query",
                    "datasource": _SOURCE,
                    "query": f"label_values({_name(Metrics().policy_info)}, instance)",
                    "refresh": 2,
                    "multi": True,
                    "includeAll": True,
                    "current": {"text": "All", "value": "$__all"},
                },
            ]
        },
        "panels": [
            _drawn(at, panel)
            for at, panel in enumerate([*_panels(Metrics()), *_of_fleets(FleetMetrics())])
        ],
    }


def _drawn(at: int, panel: _Panel) -> dict[str, Any]:
    across = _COLUMNS // _WIDTH
    return {
        "id": at + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": {
            "x": at % across * _WIDTH,
            "y": at // across * _HEIGHT,
            "w": _WIDTH,
            "h": _HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": query,
                "legendFormat": legend,
            }
            for number, (query, legend) in enumerate(panel.queries)
        ],
    }


def dump() -> str:
    """The file's text."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(dump())
