"""`docs/operations.md` names every key, default, metric and code there is."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from routec.runtime.config import Classifier, Config, Observability, load_config
from routec.runtime.deployment import open_deployment
from routec.runtime.events.decode import CODES
from routec.runtime.observe import FleetMetrics, Metrics
from routec.runtime.signals.compute import REASONS
from tests.runtime.doubles import program

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
ROWS = [
    row
    for row in re.findall(
        r"^\| `([a-zA-Z_]+(?:\.[a-zA-Z_]+)+)` \| (–|`[^`]*`) \| (.+) \|$", PAGE, re.MULTILINE
    )
    # Topics have names with dots, too.
    if row[0].partition(".")[0] in Config.__struct_fields__
]


def keys() -> set[str]:
    found = set()
    for section in Config.__struct_fields__:
        if section == "classifiers":
            found |= {f"classifiers.NAME.{name}" for name in Classifier.__struct_fields__}
        else:
            found |= {f"{section}.{name}" for name in getattr(Config(), section).__struct_fields__}
    return found


def test_every_key_has_one_row() -> None:
    assert sorted(key for key, _, _ in ROWS) == sorted(keys())


def test_the_documented_defaults_are_the_defaults() -> None:
    stated = {
        "ROUTEC_" + key.replace(".", "__").upper(): default.strip("`")
        for key, default, _ in ROWS
        if default != "–"
    }
    stated["ROUTEC_CLASSIFIERS__NAME__BACKEND"] = "linear"
    stated["ROUTEC_CLASSIFIERS__NAME__PATH"] = "weights.npz"
    loaded = load_config(None, stated)
    bound = loaded.classifiers["name"]
    assert bound == Classifier(backend="linear", path=bound.path)
    assert msgspec.structs.replace(loaded, classifiers={}) == Config()
    without = {key for key, default, _ in ROWS if default == "–"}
    assert without == {
        "classifiers.NAME.backend",
        "classifiers.NAME.path",
        *(
            f"kafka.{name}"
            for name in Config().kafka.__struct_fields__
            if getattr(Config().kafka, name) is None
        ),
    }


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    file = tmp_path / "routec.toml"
    file.write_text(example)
    config = load_config(file, {"ROUTEC_KAFKA__SASL_PASSWORD": "hunter2"})
    assert config.classifiers["topic"].backend == "exemplars"


def test_every_metric_is_there_with_its_labels() -> None:
    rows = dict(re.findall(r"^\| `(routec_[a-z_]+)` \| ([a-z, ]*) ?\|", PAGE, re.MULTILINE))
    declared = {}
    for metric in (*vars(Metrics()).values(), *vars(FleetMetrics()).values()):
        if hasattr(metric, "_labelnames"):
            name = metric._name + ("_total" if metric._type == "counter" else "")
            declared[name] = ", ".join(metric._labelnames)
    assert {name: labels.strip() for name, labels in rows.items()} == declared


def test_a_worker_and_a_fleet_show_no_metric_that_is_not_there() -> None:
    where = Config(observability=Observability(metrics=False))
    with open_deployment(program("model m {}\ndefault route rest { to m }"), where) as opened:
        opened.worker()
        families = [*opened.metrics.registry.collect(), *FleetMetrics().registry.collect()]
    shown = {one.name + ("_total" if one.type == "counter" else "") for one in families}
    assert shown == set(re.findall(r"^\| `(routec_[a-z_]+)` \|", PAGE, re.MULTILINE))


@pytest.mark.parametrize(
    "code",
    [*CODES, "event-too-large", "unreadable-batch", "decision-too-large", "decision-refused"],
)
def test_every_reason_of_a_dead_letter_is_there(code: str) -> None:
    assert f"| `{code}` |" in PAGE


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_every_reason_of_a_failure_value_is_there(reason: str) -> None:
    assert f"`{reason}`" in PAGE
