"""The demo's books: every event sent ends as one decision or one dead letter."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from routec.cli.demo.tally import Tally


def decision(request_id: str, outcome: str = "route", **more: Any) -> dict[str, Any]:
    route = None if outcome == "reject" else "general"
    reject = {"guard": "g", "status": 403, "reason": "r"} if outcome == "reject" else None
    return {"request_id": request_id, "outcome": outcome, "route": route, "reject": reject} | more


def test_all_decided_adds_up() -> None:
    tally = Tally()
    for name in ("a", "b", "c", None):
        tally.send(name)
    assert (tally.pending, tally.adds_up) == (4, False)
    for name, outcome in (("a", "route"), ("b", "cached"), ("c", "reject")):
        assert tally.decide(decision(name, outcome))
    assert not tally.adds_up
    tally.dead_letters["invalid-json"] += 1
    assert (tally.pending, tally.adds_up) == (0, True)
    summary = tally.summary("p")
    assert summary["events"] == summary["decisions"] + summary["dead_letters"] == 4
    assert summary["outcomes"] == {"route": 1, "cached": 1, "reject": 1}
    assert summary["routes"] == {"general": 2}
    assert summary["latency_ms"]["p50"] <= summary["latency_ms"]["p99"]


def test_a_decision_made_again_counts_once() -> None:
    tally = Tally()
    tally.send("a")
    assert tally.decide(decision("a"))
    assert not tally.decide(decision("a"))
    assert (tally.decisions, tally.repeated, tally.adds_up) == (1, 1, True)


def test_a_decision_about_nothing_does_not_add_up() -> None:
    tally = Tally()
    tally.decide(decision("ghost"))
    assert not tally.adds_up


def test_a_good_event_among_the_dead_does_not_add_up() -> None:
    tally = Tally()
    tally.send("a")
    tally.dead_letters["internal-error"] += 1
    assert tally.pending == 0
    assert not tally.adds_up


def test_before_the_first_decision_there_is_no_latency() -> None:
    assert Tally().latency_ms() == {"p50": None, "p99": None}


@given(st.lists(st.sampled_from(["route", "cached", "reject", "dead"]), max_size=50))
def test_it_adds_up_exactly_when_nothing_is_missing(fates: list[str]) -> None:
    tally = Tally()
    for number, fate in enumerate(fates):
        tally.send(None if fate == "dead" else str(number))
    for number, fate in enumerate(fates):
        assert not tally.adds_up
        if fate == "dead":
            tally.dead_letters["invalid-json"] += 1
        else:
            tally.decide(decision(str(number), fate))
    assert tally.adds_up
    assert sum(tally.summary("p")["outcomes"].values()) == tally.decisions
