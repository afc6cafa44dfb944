"""The Grafana dashboard asks for nothing but metrics and labels that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from routec.runtime.observe import FleetMetrics, Metrics
from routec.runtime.observe.dashboard import dump

FILE = Path(__file__).resolve().parents[2] / "docs" / "grafana-dashboard.json"
BOARD = json.loads(FILE.read_text(encoding="utf-8"))
QUERIES = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
OF_PROMETHEUS = {"instance", "le"}


def series() -> dict[str, set[str]]:
    """Every series there is, with its labels."""
    found: dict[str, set[str]] = {}
    for metric in (*vars(Metrics()).values(), *vars(FleetMetrics()).values()):
        if not hasattr(metric, "_labelnames"):
            continue
        labels = set(metric._labelnames)
        if metric._type == "histogram":
            found |= {f"{metric._name}{end}": labels for end in ("_sum", "_count")}
            found[f"{metric._name}_bucket"] = labels | {"le"}
        else:
            found[metric._name + ("_total" if metric._type == "counter" else "")] = labels
    return found


def test_the_file_is_what_the_generator_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == dump()


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_asks_for_series_and_labels_that_exist(query: str) -> None:
    known = series()
    names = re.findall(r"\broutec_[a-z_]+", query)
    assert names
    for name in names:
        assert name in known
    labels = {
        label.strip()
        for group in re.findall(r"by \(([^)]*)\)", query)
        for label in group.split(",")
    } | set(re.findall(r"([a-z_]+)=~?\"", query))
    assert labels <= set.intersection(*(known[name] for name in names)) | OF_PROMETHEUS
    for selected in re.findall(r"\{([^}]*)\}", query):
        assert 'instance=~"$instance"' in selected


def test_what_counts_is_asked_as_a_rate_and_what_is_measured_as_it_is() -> None:
    for query in QUERIES:
        for name in re.findall(r"\broutec_[a-z_]+", query):
            counts = name.endswith(("_total", "_bucket", "_count"))
            assert (f"rate({name}" in query) is counts


def test_every_metric_there_is_is_drawn() -> None:
    drawn = {
        re.sub("_(bucket|count)$", "", name)
        for query in QUERIES
        for name in re.findall(r"\broutec_[a-z_]+", query)
    }
    assert drawn == {re.sub("_(bucket|count|sum)$", "", name) for name in series()}


def test_panels_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in BOARD["panels"]]
    cells = {
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    }
    assert len(cells) == sum(place["w"] * place["h"] for place in places)
    assert max(x for x, _ in cells) < 24
