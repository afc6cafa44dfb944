"""Picking a model: order, shares, contexts, and the same choice every time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.compiler.program import Model, Route
from routec.runtime.selection import Selector, Size, draw, key_text, pick, shadow

MODELS = {
    "mini": Model("mini", "mini", input=0.25, output=2.0, context=8000, quality=0.6, latency=0.3),
    "opus": Model("opus", "opus", input=5.0, output=25.0, context=200_000, quality=0.93),
    "local": Model("local", "local", input=0.05, output=0.1, context=2000, latency=0.9),
    "free": Model("free", "free"),
}
SMALL = Size(100, 100)


def route(by: str, *candidates: str, **given: Any) -> Route:
    return Route("r", 0, by, candidates, **given)


def chosen(by: str, *candidates: str, size: Size = SMALL, key: str = "k", **given: Any) -> str:
    circumstances = {n: given.pop(n) for n in ("turn", "latencies") if n in given}
    choice = Selector(route(by, *candidates, **given), MODELS).choose(size, key, **circumstances)
    assert choice is not None
    return choice.model


def test_cost_is_input_and_output_at_their_prices() -> None:
    assert chosen("cost", "opus", "mini", "local") == "local"
    assert chosen("cost", "free", "opus") == "opus"  # no price is infinitely dear
    assert chosen("cost", "free") == "free"
    assert chosen("cost", "mini", "mini") == "mini"


def test_quality_latency_and_balance() -> None:
    assert chosen("quality", "mini", "opus", "free") == "opus"
    assert chosen("latency", "local", "mini", "opus") == "mini"
    assert chosen("latency", "local", "mini", latencies={"mini": 2.0}) == "local"
    assert chosen("latency", "opus", "free") == "opus"  # equal: the first written
    assert chosen("balanced", "mini", "opus") == "mini"  # 0.5*0 - 0 against 0.5*1 - 0.5
    assert chosen("balanced", "mini", "opus", args=(("quality", 1.0),)) == "opus"


def test_round_robin_takes_turns_and_a_sticky_one_draws() -> None:
    names = ("mini", "opus", "local")
    assert [chosen("round_robin", *names, turn=k) for k in range(4)] == [*names, "mini"]
    sticky = {chosen("round_robin", *names, turn=k, sticky="tenant") for k in range(9)}
    assert len(sticky) == 1
    keys = {chosen("round_robin", *names, key=str(k), sticky="tenant") for k in range(50)}
    assert keys == set(names)


def test_a_sticky_route_ranks_by_declared_figures_whatever_the_request() -> None:
    for size in (Size(1, 1), Size(1900, 5)):
        assert chosen("cost", "mini", "local", sticky="t", size=size) == "local"
    # 1,000 tokens in and 500 out: 5,500 against 6,500, though this request would be cheaper there.
    models = {"a": Model("a", "a", input=1, output=9), "b": Model("b", "b", input=6, output=1)}
    for sticky, expected in (("t", "a"), (None, "b")):
        plan = route("cost", "a", "b", sticky=sticky)
        choice = Selector(plan, models).choose(Size(1, 500), "k")
        assert choice is not None
        assert choice.model == expected
    slow = {"mini": 9.0}
    assert chosen("latency", "mini", "local", sticky="t", latencies=slow) == "mini"


def test_models_too_small_are_passed_over_among_the_fallbacks_as_well() -> None:
    big = Size(7000, 2000)
    plan = route("only", "mini", fallbacks=("local", "opus", "free"))
    choice = Selector(plan, MODELS).choose(big, "k")
    assert choice is not None
    assert (choice.model, choice.by, choice.fallbacks) == ("opus", "fallback", ("free",))
    assert choice.candidates == ()
    assert Selector(route("only", "mini", fallbacks=("local",)), MODELS).choose(big, "k") is None
    weighted = route("weighted", "mini", "opus", "free", weights=(0.8, 0.1, 0.1))
    choice = Selector(weighted, MODELS).choose(big, "k")
    assert choice is not None
    assert choice.candidates == ("opus", "free")
    assert choice.propensity == 0.5


def test_a_context_is_full_at_its_last_token() -> None:
    assert Size(7900, 100).fits(MODELS["mini"])
    assert not Size(7900, 101).fits(MODELS["mini"])
    assert Size(8000).fits(MODELS["mini"])
    assert Size(10**9, 10**9).fits(MODELS["free"])


def test_the_chosen_model_is_not_its_own_fallback() -> None:
    choice = Selector(route("only", "mini", fallbacks=("mini", "opus")), MODELS).choose(SMALL, "k")
    assert choice is not None
    assert choice.fallbacks == ("opus",)


def test_an_unknown_algorithm_is_an_error() -> None:
    with pytest.raises(ValueError, match="linucb"):
        Selector(route("linucb", "mini", "opus"), MODELS).choose(SMALL, "k")


def test_a_draw_is_the_documented_hash() -> None:
    # printf 'select:r\0k' | b2sum -l 64
    assert draw("select:r", "k") == int("378c6f9f0daea972", 16) / 2**64
    assert draw("a", "b\0c") != draw("a\0b", "d")


def test_draws_match_shares() -> None:
    plan = route("weighted", "mini", "opus", "local", weights=(0.7, 0.25, 0.05))
    drawn: Counter[str] = Counter()
    for at in range(20_000):
        choice = Selector(plan, MODELS).choose(SMALL, f"r-{at}")
        assert choice is not None
        assert choice.propensity == {"mini": 0.7, "opus": 0.25, "local": 0.05}[choice.model]
        drawn[choice.model] += 1
    # Five standard deviations of a binomial share.
    for name, share in zip(plan.candidates, plan.weights, strict=True):
        assert abs(drawn[name] / 20_000 - share) < 5 * (share * (1 - share) / 20_000) ** 0.5


def test_a_share_of_traffic_is_shadowed() -> None:
    plan = route("only", "mini", shadow=("opus", 0.2))
    copies = [shadow(plan, f"r-{at}") for at in range(5000)]
    assert set(copies) == {None, "opus"}
    assert abs(copies.count("opus") / 5000 - 0.2) < 0.03
    assert shadow(route("only", "mini"), "r") is None


weights = st.lists(st.floats(0, 1e3), min_size=1, max_size=6).filter(lambda w: sum(w) > 1e-6)


@given(weights, st.floats(0, 1))
def test_a_pick_has_a_share_and_it_is_its_propensity(shares: list[float], number: float) -> None:
    at, propensity = pick(shares, number)
    assert shares[at] > 0
    assert propensity == shares[at] / sum(shares)
    before = sum(shares[:at]) / sum(shares)
    assert before - 1e-9 <= number <= before + propensity + 1e-9


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_draw_lies_between_0_and_1(salt: str, key: str) -> None:
    assert 0.0 <= draw(salt, key) <= 1.0


def test_keys_are_written_as_json_writes_them() -> None:
    values = (True, False, 7, 0.5, "a b", frozenset(), frozenset(("b", "a")))
    assert [key_text(v) for v in values] == [
        "true",
        "false",
        "7",
        "0.5",
        "a b",
        "[]",
        '["a","b"]',
    ]
