"""The load: how much of the time just past embedder and classifiers were at work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from routec.runtime.engine import Engine
from routec.runtime.signals.load import WINDOW, Load
from tests.runtime.doubles import Embedder, ask, cache_of, program, services


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def work(load: Load, clock: Clock, seconds: float) -> None:
    with load.working():
        clock.now += seconds


def test_it_is_nothing_without_work_and_nears_one_under_steady_work() -> None:
    clock = Clock()
    load = Load(clock)
    clock.now += 1000.0
    assert load() == 0.0
    work(load, clock, WINDOW)
    assert load() == pytest.approx(1 - 1 / np.e)
    work(load, clock, 10 * WINDOW)
    assert load() > 0.999
    clock.now += 10 * WINDOW
    assert load() < 0.001


def test_work_half_of_the_time_is_a_load_of_a_half() -> None:
    clock = Clock()
    load = Load(clock)
    for _ in range(1000):
        work(load, clock, 0.1)
        clock.now += 0.1
    assert load() == pytest.approx(0.5, abs=0.01)


def test_calls_that_overlap_are_work_until_the_last_ends() -> None:
    clock = Clock()
    load, single = Load(clock), Load(clock)
    with single.working(), load.working():
        clock.now += 1.0
        work(load, clock, 1.0)
        clock.now += 1.0
    assert load() == pytest.approx(single())


def test_work_that_fails_ends_too() -> None:
    clock = Clock()
    load = Load(clock)
    with pytest.raises(RuntimeError), load.working():
        raise RuntimeError("boom")
    clock.now += 100.0
    assert load() == 0.0


@given(st.lists(st.tuples(st.booleans(), st.floats(-5, 1e6))))
def test_it_stays_between_nothing_and_one(spans: list[tuple[bool, float]]) -> None:
    clock = Clock()
    load = Load(clock)
    for busy, seconds in spans:
        if busy:
            work(load, clock, seconds)
        else:
            clock.now += seconds
        assert 0.0 <= load() <= 1.0


async def test_an_engine_at_work_is_loaded_and_then_takes_answers_less_similar() -> None:
    made = program("""
    category c { when true, similarity: 0.99, relax_to: 0.6 when_load > 0.5, ttl: 1h }
    model m {}
    default route rest { to m }
    """)
    clock = Clock()

    class Slow(Embedder):
        seconds = 0.0

        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            clock.now += self.seconds
            return super().embed(texts)

    embedder = Slow()
    load = Load(clock)
    engine = Engine(made, services(embedder=embedder, cache=cache_of(made, embedder), load=load))
    (first,) = await engine.decide([ask("where is my order")])
    assert first.ticket is not None
    assert engine.store(first.ticket, {"choices": []}, 0.0)
    (calm,) = await engine.decide([ask("where is my big order")])
    assert calm.outcome == "route"
    assert load() == 0.0
    embedder.seconds = 2 * WINDOW
    (busy,) = await engine.decide([ask("where is my new order")])
    assert load() > 0.5
    assert busy.outcome == "cached"
