"""A signal whose value cannot change the decision is never computed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.runtime.doubles import Backend, Embedder, ask, engine

POLICY = """
signal urgent = keyword("urgent")
signal bad    = classifier("guard") { labels: [attack, fine], on_error: attack }
signal topic  = classifier("topic") { labels: [billing, code, other], on_error: other }
signal refund = similarity { examples: ["please refund my order"] }
signal effort = contrast { high: ["prove it rigorously"], low: ["what is two plus two"] }
signal need   = score { 0.5 * urgent + 0.5 * topic.code }
model mini {}
model opus {}
route fast   priority 30 { when urgent or topic == billing to mini }
route money  priority 20 { when refund >= 0.9 and topic == other to opus }
route hard   priority 10 { when need >= 0.4 and effort > 0.1 to opus }
default route rest { to mini }
"""


def setup(text: str = POLICY) -> tuple[Any, Embedder, dict[str, Backend]]:
    embedder = Embedder()
    backends = {
        "guard": Backend("attack", "fine"),
        "topic": Backend("billing", "code", "other"),
    }
    made = engine(text, embedder=embedder, classifiers=backends)
    embedder.calls.clear()  # the examples were embedded at the start
    return made, embedder, backends


async def test_a_keyword_that_decides_leaves_classifiers_and_embedder_alone() -> None:
    made, embedder, backends = setup()
    (decision,) = await made.decide([ask("this is urgent")])
    assert decision.route == "fast"
    assert not backends["topic"].calls
    assert not embedder.calls
    assert decision.skipped == ("bad", "topic", "refund", "effort", "need")
    assert decision.signals == {"urgent": True}


async def test_a_cheaper_signal_of_a_rule_is_asked_first() -> None:
    made, _, backends = setup(
        POLICY.replace("urgent or topic == billing", "urgent and topic == billing")
    )
    (decision,) = await made.decide([ask("please refund my order")])
    # `fast` fell on the keyword, `money` needs both; the embedding alone did not settle it.
    assert decision.route == "money"
    assert backends["topic"].calls == [["please refund my order"]]
    (decision,) = await made.decide([ask("where are you")])
    assert decision.route == "rest"
    # One embedding settled `money` and `hard`, so nobody was asked for the topic.
    assert len(backends["topic"].calls) == 1
    assert "topic" in decision.skipped


async def test_an_unused_signal_is_skipped() -> None:
    made, _, backends = setup()
    (decision,) = await made.decide([ask("code")])
    assert "bad" in decision.skipped
    assert not backends["guard"].calls


async def test_one_call_of_each_kind_serves_the_whole_batch() -> None:
    made, embedder, backends = setup()
    texts = ["billing", "code a", "code b", "code a", "urgent"]
    await made.decide([ask(text, id=str(at)) for at, text in enumerate(texts)])
    assert backends["topic"].calls == [["billing", "code a", "code b"]]
    # `money` needs `refund` of those that are not billing, each text once.
    assert embedder.calls == [["code a", "code b"]]


async def test_a_category_costs_nothing_on_a_route_without_cache() -> None:
    text = """
    signal topic = classifier("topic") { labels: [billing, code, other], on_error: other }
    signal urgent = keyword("urgent")
    model m {}
    category c { when topic == billing, similarity: 0.9, ttl: 1m }
    route r { when urgent to m cache off }
    default route rest { to m }
    """
    made, _, backends = setup(text)
    (decision,) = await made.decide([ask("urgent billing")])
    assert not backends["topic"].calls
    assert decision.category is None
    (decision,) = await made.decide([ask("billing")])
    assert decision.category == "c"


async def test_a_rejecting_guard_stops_everything_below() -> None:
    text = """
    signal bad = classifier("guard") { labels: [attack, fine], on_error: attack }
    signal topic = classifier("topic") { labels: [billing, code, other], on_error: other }
    signal urgent = keyword("urgent")
    model m {}
    guard first priority 9 { when urgent reject 403 "no" }
    guard second { when bad == attack reject 403 "attack" }
    route r { when topic == code to m }
    default route rest { to m }
    """
    made, _, backends = setup(text)
    (decision,) = await made.decide([ask("urgent attack")])
    assert decision.reject is not None
    assert decision.reject.guard == "first"
    assert not backends["guard"].calls
    assert not backends["topic"].calls
    (decision,) = await made.decide([ask("attack")])
    assert decision.reject is not None
    assert decision.reject.guard == "second"
    assert not backends["topic"].calls


async def test_the_path_lists_the_conditions_in_the_order_consulted() -> None:
    made, _, _ = setup()
    (decision,) = await made.decide([ask("where are you")])
    whens = [route.when for route in made.program.routes]
    assert decision.route == "rest"
    assert list(decision.path) == whens


async def test_a_pinned_signal_is_never_computed() -> None:
    made, embedder, backends = setup()
    (decision,) = await made.decide([ask("urgent")], [{"urgent": False, "topic": "billing"}])
    assert decision.route == "fast"
    assert not backends["topic"].calls
    (decision,) = await made.decide(
        [ask("x")], [{"topic": {"code": 0.6}, "refund": 0, "effort": 1.5}]
    )
    assert decision.signals["need"] == 0.3
    assert decision.route == "rest"
    assert not embedder.calls
    assert not backends["topic"].calls


@pytest.mark.parametrize(
    "pin",
    [
        {"nothing": 1},
        {"urgent": "yes"},
        {"topic": "law"},
        {"topic": {"law": 0.5}},
        {"topic": {"code": 1.5}},
        {"refund": float("nan")},
        {"refund": True},
    ],
)
async def test_a_pin_that_is_no_value_of_its_signal_is_refused(pin: dict[str, Any]) -> None:
    made, _, _ = setup()
    with pytest.raises(ValueError, match=r"pin|label|score"):
        await made.decide([ask("x")], [pin])


async def test_no_task_is_made_for_a_request() -> None:
    made, _, _ = setup()
    before = len(asyncio.all_tasks())
    most = before

    class Watch(Backend):
        async def classify(self, texts: Any, within: float) -> Any:
            nonlocal most
            most = max(most, len(asyncio.all_tasks()))
            return await super().classify(texts, within)

    made.services.classifiers["topic"] = Watch("billing", "code", "other")
    await made.decide([ask(f"code {at}", id=str(at)) for at in range(50)])
    assert most <= before + 2


SIZED = """
signal size = tokens()
signal scale = bands(size) { small: < 100, middle: < 200, large }
model mini  { context: 8k }
model local { context: 2k }
guard giant { when size > 20k reject 413 "too_large" }
route large priority 20 { when size >= 1k or scale == large to local }
route tiny  priority 10 { when scale == small and size <= 5 to mini }
default route rest { to [mini 50%, local 50%] }
"""


async def test_tokens_are_not_counted_where_the_length_of_the_text_tells() -> None:
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return len(text.split())

    def most(characters: int, ascii: bool) -> int:
        return characters

    made = engine(SIZED, tokens=count, most_tokens=most)
    (decision,) = await made.decide([ask("abc")])
    assert (decision.route, decision.skipped) == ("tiny", ("size",))
    (decision,) = await made.decide([ask("a " * 40)])
    assert (decision.route, decision.signals["size"]) == ("rest", 40)
    assert counted == ["a " * 40], "shorter than any bound but that of `tiny`"
    (decision,) = await made.decide([ask("é " * 1200)])
    assert decision.route == "large"
    assert counted[1:] == ["é " * 1200], "once, whoever asks"


async def test_tokens_are_counted_where_nothing_bounds_them() -> None:
    made = engine(SIZED, tokens=lambda text: 7, most_tokens=None)
    (decision,) = await made.decide([ask("abc")])
    assert (decision.route, decision.signals["size"]) == ("rest", 7)
