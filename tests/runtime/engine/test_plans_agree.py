"""However a policy is planned and run, it decides the same, and says the same of how.

Held to each other: the reference interpreter; the lazy plan and the one with decision diagrams;
each as generated code and interpreted; request by request and as a batch. Nothing is pinned, and
services fail.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from routec.compiler import interpreter
from routec.compiler.plan import optimise
from routec.compiler.program import Program
from routec.runtime.engine import Engine
from routec.runtime.events import Decision
from tests.compiler.policies import signal_values
from tests.runtime.doubles import cache_of
from tests.runtime.engine.test_against_interpreter import as_interpreted
from tests.runtime.engine.test_lazy_equals_interpreter import (
    ANSWER,
    LATEST,
    Oracle,
    Setting,
    afresh,
    most_tokens,
    scenes,
)

SETTINGS = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


def bare(decision: Decision) -> Decision:
    """A decision without its timings and what stays inside the process."""
    return replace(decision, timing_us={}, ticket=None)


def planned(scene: Setting, limit: int) -> Program:
    """The program of a scene with its plan; with a limit of 0 no diagram fits."""
    return optimise(scene.made.policy, scene.program, limit=limit).program


@contextmanager
def examples_known(scene: Setting) -> Iterator[None]:
    """The embedder fails, if at all, once the examples of the policy have their vectors."""
    fails, scene.world.embedder.fails = scene.world.embedder.fails, False
    yield
    scene.world.embedder.fails = fails


async def decide_all(scene: Setting, program: Program, generated: bool, batch: bool) -> Any:
    """Decisions of all requests, then again with answers in the cache, and what was asked."""
    caching = scene.cached and program.categories
    cache = cache_of(program, scene.world.embedder, LATEST) if caching else None
    with examples_known(scene):
        engine = Engine(program, scene.world.services(cache=cache), generated=generated)
        oracle = Oracle(scene.made, program, scene.world, cache)
    found = []
    for id in ("", "-2"):
        requests = [afresh(one, id=one.id + id) for one in scene.requests]
        if batch:
            decisions = await engine.decide(requests)
        else:
            decisions = [(await engine.decide([one]))[0] for one in requests]
        for request, decision in zip(requests, decisions, strict=True):
            expected = await oracle.decide(afresh(request), await oracle.work(afresh(request)))
            if expected.outcome == "cached":
                expected = dataclasses.replace(expected, route=None)
            assert as_interpreted(decision) == expected
        for decision in decisions:
            if decision.ticket is not None:
                engine.store(decision.ticket, ANSWER, LATEST)
        found.append([bare(decision) for decision in decisions])
    return found


@SETTINGS
@given(scenes())
def test_every_way_of_running_a_plan_gives_the_same_decisions_and_traces(scene: Setting) -> None:
    async def run() -> None:
        paths = []
        for limit in (0, 4096):
            program = planned(scene, limit)
            ways = [
                await decide_all(scene, program, generated, batch)
                for generated in (True, False)
                for batch in (True, False)
            ]
            assert all(way == ways[0] for way in ways[1:])
            paths.append([[(d.outcome, d.path) for d in round] for round in ways[0]])
        # Which signals are asked can differ from plan to plan; what settles a decision does not.
        assert paths[0] == paths[1]

    asyncio.run(run())


@SETTINGS
@given(scenes(cached=False), st.data())
def test_what_was_skipped_could_not_have_changed_the_decision(
    scene: Setting, data: st.DataObject
) -> None:
    """The trace's claim, put to the interpreter: other values there decide the same."""

    async def run() -> None:
        for limit in (0, 4096):
            program = planned(scene, limit)
            with examples_known(scene):
                engine = Engine(program, scene.world.services())
            for request in scene.requests:
                [decision] = await engine.decide([afresh(request)])
                fresh = afresh(request)
                work = await scene.oracle.work(fresh)
                values = scene.oracle.values(work)
                asked = scene.oracle.asked(fresh)
                other = data.draw(signal_values(scene.made.policy))
                for name, signal in scene.made.policy.signals.items():
                    if signal.kind == "tokens":
                        other[name] = min(other[name], most_tokens(fresh))
                changed = {**values, **{n: other[n] for n in decision.skipped if n in values}}
                was = interpreter.decide(scene.made.policy, asked, values)
                now = interpreter.decide(scene.made.policy, asked, changed)
                assert now == was

    asyncio.run(run())
