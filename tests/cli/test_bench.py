"""`routec bench`: what it prints, and that its comparisons compare the same."""

from __future__ import annotations

import asyncio
import io
import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from routec.cli import exits
from routec.cli.bench import areas, cedar, plan_orders, policies, stream_side
from routec.cli.bench.by_hand import choose_by_hand, decide_by_hand
from routec.cli.bench.least_calls import LeastCalls
from routec.cli.bench.result import LeftOut, Outcome, Result, Target
from routec.cli.bench.rules import Rules
from routec.cli.bench.timing import alternate, in_child
from routec.cli.bench.without_plan import Calls, Texts, WithoutPlan
from routec.cli.main import COMMANDS
from routec.cli.render.bench import document, table
from routec.cli.render.styled import plain
from routec.compiler.check import check_bytes
from routec.compiler.interpreter import Request as Interpreted
from routec.compiler.interpreter import decide
from routec.compiler.lower import lower
from routec.compiler.types import Scores
from routec.runtime.events.request import Request
from routec.runtime.signals.values import Scores as Answer
from routec.safety.text import NORMALISER_VERSION

from .support import Run

MEASURED = [
    Result("engine/decision", 4.0, "µs", 2.5, "by hand", (Target("<=", 2.0, "ratio"),), "batched"),
    Result("engine/choice", 6.0, "µs", 2.0, "by hand", (Target("<", 5.0),)),
    Result("cache/exact lookup", 0.9, "µs"),
    LeftOut("cache/graph", "it is not installed"),
]


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "bench", COMMANDS.get("bench", ""))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Areas that measure nothing: what they say is given."""

    def measure_of(area: str) -> object:
        return lambda quick: iter([o for o in MEASURED if o.name.startswith(area)])

    monkeypatch.setattr("routec.cli.commands.bench.measure_of", measure_of)


# --- what is printed ----------------------------------------------------------------


def test_json_has_every_figure_with_its_baseline_ratio_and_target(
    routec: Run, measured: None
) -> None:
    result = routec("bench", "--format", "json")
    assert result.status == exits.FINE
    rows = {row["name"]: row for row in result.json["results"]}
    assert rows["engine/decision"] == {
        "name": "engine/decision",
        "value": 4.0,
        "unit": "µs",
        "baseline": 2.5,
        "ratio": 1.6,
        "target": "<= 2x",
        "met": True,
        "against": "by hand",
        "note": "batched",
    }
    assert rows["engine/choice"]["met"] is False
    assert rows["cache/exact lookup"]["met"] is None
    assert rows["cache/exact lookup"]["ratio"] is None
    assert result.json["left_out"] == [
        {"name": "cache/graph", "why": "it is not installed"},
        {
            "name": "stream",
            "why": "it is measured on a Kafka broker: name one with `--bootstrap`",
        },
    ]


def test_one_table_for_a_person(routec: Run, measured: None) -> None:
    result = routec("bench")
    assert result.status == exits.FINE
    head, *rows = result.out.splitlines()
    assert head.split() == ["figure", "value", "unit", "baseline", "ratio", "target"]
    [decision] = [row for row in rows if row.startswith("engine/decision")]
    assert decision.split() == [
        "engine/decision",
        "4",
        "µs",
        "2.5",
        "1.6x",
        "<=",
        "2x",
        "met",
        "[1][2]",
    ]
    assert any(row.startswith("engine/choice") and "NOT MET" in row for row in rows)
    assert "[1] by hand" in rows
    assert "left out: cache/graph: it is not installed" in rows
    assert "1 of 2 targets met; not: engine/choice" in rows


def test_only_the_areas_that_are_named(routec: Run, measured: None) -> None:
    names = [row["name"] for row in routec("bench", "cache", "--format", "json").json["results"]]
    assert names == ["cache/exact lookup"]


def test_an_unknown_area_is_named_with_the_nearest(routec: Run) -> None:
    result = routec("bench", "engin")
    assert result.status == exits.UNABLE
    assert "`engin`" in result.err
    assert "did you mean `engine`?" in result.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["stream"], "`stream` is measured on a Kafka broker, and none is named"),
        (["engine", "stream"], "`stream` is measured on a Kafka broker, and none is named"),
        (["engine", "--bootstrap", "a:1"], "`--bootstrap` is of `stream`, which is not measured"),
        (["engine", "--config", "a"], "`--config` is of `stream`, which is not measured"),
        (["stream", "--bootstrap", "a"], "`a` is no address of a broker"),
    ],
)
def test_the_stream_and_its_broker_go_together(
    routec: Run, measured: None, arguments: list[str], says: str
) -> None:
    result = routec("bench", *arguments)
    assert (result.status, result.out) == (exits.UNABLE, "")
    assert says in result.err


def test_a_broker_that_is_not_there_is_said(
    routec: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "routec.toml").write_text("[kafka]\nconnect_timeout = '0.1s'\n")
    result = routec("bench", "stream", "--bootstrap", "localhost:1")
    assert (result.status, result.out) == (exits.UNABLE, "")
    assert result.err.startswith("error: nothing answers at `localhost:1`")


def test_a_measurement_in_a_process_of_its_own_ends_in_time() -> None:
    with pytest.raises(RuntimeError, match=r"`plan` took more than 0\.01 s"):
        in_child("plan", "none", seconds=0.01)


def test_rates_are_of_the_events_after_the_first_fifth(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0, 0.0]
    monkeypatch.setattr(stream_side.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(stream_side.time, "process_time", lambda: now[1])
    tally = stream_side.Tally(1000)
    for events, at, cpu in ((100, 50.0, 5.0), (150, 60.0, 6.0), (500, 61.0, 6.5), (250, 62.5, 7.5)):
        now[:] = at, cpu
        tally.committed(events, 0.0)
    assert tally.done.is_set()
    assert tally.report() == {"rate": 750 / 2.5, "cpu_us": 1.5 / 750 * 1e6}


@pytest.mark.parametrize("area", areas.AREAS)
def test_every_area_can_be_measured(area: str) -> None:
    assert callable(areas.measure_of(area))


def test_an_interruption_keeps_what_was_measured(
    routec: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(quick: bool) -> Iterator[Outcome]:
        yield MEASURED[0]
        raise KeyboardInterrupt

    monkeypatch.setattr("routec.cli.commands.bench.measure_of", lambda area: interrupted)
    result = routec("bench", "engine", "--format", "json")
    assert result.status == exits.INTERRUPTED
    assert [row["name"] for row in result.json["results"]] == ["engine/decision"]
    assert result.json["interrupted"] is True
    assert "interrupted" in routec("bench", "engine").out


def test_ctrl_c_leaves_no_traceback() -> None:
    code = (
        "import signal, sys, time; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from routec.cli import main\n"
        "import routec.cli.commands.bench as bench\n"
        "def slow(area):\n"
        "    def measure(quick):\n"
        "        print('measuring', file=sys.stderr, flush=True); time.sleep(60); yield\n"
        "    return measure\n"
        "bench.measure_of = slow\n"
        "main.COMMANDS.setdefault('bench', '')\n"
        "sys.exit(main.main(['bench', 'engine']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"measuring\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == exits.INTERRUPTED
    assert out == b"interrupted\n"
    assert err == b""


# --- results ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target("<", 4.0), False),
        (Target("<=", 4.0), True),
        (Target(">", 3.9), True),
        (Target(">=", 4.1), False),
        (Target("=", 4), True),
        (Target("<=", 1.6, "ratio"), True),
        (Target("<", 1.6, "ratio"), False),
    ],
)
def test_a_target_bounds_the_figure_or_its_ratio(target: Target, met: bool) -> None:
    assert Result("a/b", 4.0, "s", 2.5, "c", (target,)).met is met


def test_all_targets_of_a_figure_must_be_met() -> None:
    both = Result("a/b", 4.0, "s", 2.5, "c", (Target("<", 5.0), Target("<=", 1.5, "ratio")))
    assert both.target == "< 5 s, <= 1.5x"
    assert both.met is False


def test_a_ratio_that_is_not_there_meets_no_target() -> None:
    assert Result("a/b", 4.0, "s", targets=(Target("<=", 2.0, "ratio"),)).met is False


def test_nothing_measured_is_an_empty_table() -> None:
    assert plain(table([])) == ""
    assert document([]) == {"results": []}


def test_the_sides_take_turns() -> None:
    calls: list[str] = []
    ticks = iter(range(100))
    sides = (lambda: calls.append("a"), lambda: calls.append("b"))
    times = alternate(sides, 2, clock=lambda: float(next(ticks)), prepare=lambda: calls.append("-"))
    assert calls == ["-", "a", "b", "-", "a", "b", "-", "a", "b"]
    assert times == [1.0, 1.0]


def test_a_child_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"`analysis`.*no such case"):
        in_child("analysis", "no such case")


# --- the same rules in several languages -------------------------------------------


@pytest.mark.parametrize(
    "made",
    [policies.small(), policies.small(routes=6, atoms=15, seed=3), policies.large(routes=400)],
    ids=["25 routes", "6 routes", "400 routes of tenants"],
)
def test_the_function_by_hand_decides_as_the_interpreter(made: Rules) -> None:
    policy = check_bytes("p.route", made.text().encode()).policy
    assert policy is not None
    choose, whole = choose_by_hand(made), decide_by_hand(made)
    taken = set()
    for row in made.rows(200):
        signals = {
            name: Scores(v.label, v.scores) if hasattr(v, "scores") else v
            for name, v in row.signals.items()
        }
        expected = decide(policy, Interpreted("r", row.attributes), signals)
        taken.add(expected.route)
        assert choose(*row.attributes.values(), *row.signals.values()) == expected.route
        found = whole(Request("r", row.attributes), row.signals)
        assert (found.route, found.model, found.fallbacks, dict(found.parameters), found.tags) == (
            expected.route,
            expected.model,
            expected.fallbacks,
            dict(expected.parameters),
            expected.tags,
        )
    assert len(taken) >= 3


def test_the_policies_are_of_the_sizes_that_are_promised() -> None:
    few, many = policies.small(), policies.large()
    assert (len(few.rules) + 1, few.atoms) == (25, 80)
    assert len(many.rules) + 1 == 1000
    assert 280 <= many.atoms <= 320


def test_cedar_decides_the_same_crisp_rules() -> None:
    made = policies.small(crisp=True, atoms=60)
    choose = choose_by_hand(made)
    rows = made.rows(60)
    wanted = [choose(*row.attributes.values(), *row.signals.values()) for row in rows]
    asked = [cedar.request(row) for row in rows]
    judge = cedar.Cedar(made)
    assert judge.one_by_one(asked) == wanted == judge.together(asked)
    assert len(set(wanted)) > 3


def test_what_cedar_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="Cedar has no fractions"):
        cedar.policies(policies.small())


def test_rows_are_the_same_each_time() -> None:
    made = policies.large(routes=10)
    assert made.rows(5) == made.rows(5)
    assert made.row(random.Random(1)) != made.row(random.Random(2))


# --- calls without a plan -----------------------------------------------------------

COSTLY = """\
policy costly
request { tier: enum(free, pro) = free }
signal words  = keyword("asap")
signal attack = classifier("attack") { labels: [yes, no], on_error: yes }
signal topic  = classifier("topic") { labels: [code, other], on_error: other }
signal again  = repeated { similarity: 0.8 }
signal near   = similarity { examples: ["a"] }
signal need   = score { 0.5 * near + 0.5 * words }
model mini { provider: openai }
category code { when topic == code, similarity: 0.9 }
guard stop { when words and attack == yes reject 403 "no" }
route first priority 2 { when need >= 0.4 and again to mini cache off }
route second priority 1 { when tier == pro or topic == code to mini }
default route rest { to mini }
"""


@pytest.mark.parametrize(
    ("changed", "asked", "expected"),
    [
        # near, then topic by route and category: one text, one classifier.
        ({}, None, Calls(1, 1, 0)),
        # The guard reads `attack` only after the word matched; `need` is then high, `again` is read.
        ({"words": True}, None, Calls(2, 2, 0)),
        # It rejects: nothing else is read.
        ({"words": True, "attack": "yes"}, None, Calls(1, 1, 0)),
        # `again` is read after `need`, and embeds the earlier turn too; the cache is off.
        ({"near": 0.9, "again": True}, None, Calls(2, 0, 0)),
        # `tier` settles the second route, but the category reads the topic.
        ({"tier": "pro"}, "last", Calls(1, 1, 1)),
        # What the cache is asked with is masked, so another text.
        ({"tier": "pro"}, "masked", Calls(2, 1, 1)),
    ],
)
def test_priority_order_reads_from_left_to_right(
    changed: dict[str, object], asked: str | None, expected: Calls
) -> None:
    policy = check_bytes("p.route", COSTLY.encode()).policy
    assert policy is not None
    drawn = {
        "tier": "free",
        "words": False,
        "attack": "no",
        "topic": "other",
        "again": False,
        "near": 0.1,
    }
    drawn |= changed
    values = {
        name: Scores(str(v), {}) if name in ("attack", "topic") else v for name, v in drawn.items()
    }
    values["need"] = 0.5 * float(values["near"]) + 0.5 * bool(values["words"])
    without = WithoutPlan(policy, {"attack", "topic"})
    texts = Texts("last", ("earlier",), asked)
    assert without.priority_order(values, texts) == expected
    everything = without.everything(texts)
    assert everything.classifiers == 2
    assert everything.embeddings >= expected.embeddings


FEWEST = """\
policy fewest
request { tier: enum(free, pro) = free }
signal attack = classifier("attack") { labels: [yes, no], on_error: yes }
signal topic  = classifier("topic") { labels: [code, other], on_error: other }
signal near   = similarity { examples: ["a"] }
model mini { provider: openai }
category code { when topic == code, similarity: 0.9 }
route first priority 3 { when attack == yes and near >= 0.5 to mini tag "a" cache off }
route second priority 2 { when topic == code to mini tag "b" cache off }
default route rest { to mini cache off }
"""


@pytest.mark.parametrize(
    ("attack", "near", "topic", "expected"),
    [
        # All that the first route needs.
        ("yes", 0.9, "other", Calls(1, 1, 0)),
        # No attack excludes it; the topic settles the rest.
        ("no", 0.9, "other", Calls(0, 2, 0)),
        # The similarity excludes it too: the cheaper of both would do, and they cost the same.
        ("no", 0.1, "code", Calls(0, 2, 0)),
    ],
)
def test_the_fewest_calls_settle_a_request(
    attack: str, near: float, topic: str, expected: Calls
) -> None:
    policy = check_bytes("p.route", FEWEST.encode()).policy
    assert policy is not None
    program = lower(policy, normaliser=NORMALISER_VERSION)
    values = [
        Answer(attack, {"yes": float(attack == "yes"), "no": float(attack == "no")}),
        Answer(topic, {"code": float(topic == "code"), "other": float(topic == "other")}),
        near,
    ]
    least = LeastCalls(program, on_vectors=())
    request = Request("r", {"tier": "free"})
    found = least.of(request, values, Texts("last", (), None), cached=False)
    assert found.total == expected.total


@pytest.mark.parametrize("seed", range(3))
def test_random_policies_can_be_ordered(seed: int) -> None:
    """No order beats the best, and what is planned is one of them or better."""
    costs = asyncio.run(plan_orders._costs(random.Random(seed), 2))
    assert len(costs.orders) == 2
    assert min(costs.orders) > 0
    assert 0 < costs.planned <= max(costs.orders) * 1.001


def test_the_help_lists_the_areas(routec: Run) -> None:
    result = routec("bench", "--help")
    assert result.status == exits.FINE
    assert all(area in result.out for area in areas.AREAS)
    assert io.StringIO(result.out).readline().startswith("usage: routec bench")


def test_no_policy_is_needed_beside_the_package(tmp_path: Path) -> None:
    """A child works from any folder, as an installed package must."""
    code = (
        "from routec.cli.bench.timing import in_child\n"
        "import json; print(json.dumps(in_child('analysis', '18 factors')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    report = json.loads(done.stdout)
    assert report["atoms"] == 36
    assert 0 < report["read"] < report["cpu"]
    assert report["peak"] > 10
