"""With many routes an index rules most of them out, and decides what the interpreter decides."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from routec.compiler import check_bytes, interpreter
from routec.compiler.lower import lower
from routec.compiler.plan import optimise
from routec.compiler.policy import Policy
from routec.compiler.program import Program
from routec.compiler.types import Scores
from routec.runtime.engine import Engine
from routec.runtime.engine.index import FROM, Index
from routec.runtime.events import Message, Request
from routec.safety.text import NORMALISER_VERSION
from tests.runtime.doubles import Backend, services
from tests.runtime.engine.test_against_interpreter import as_interpreted

WORDS = tuple(f"word{at}" for at in range(30))
HEAD = """
request { tenant: string = "acme"  tier: enum(free, pro, gold) = free  beta: bool = false  seats: int = 1 }
signal topic = classifier("topic") { labels: [law, code, other], on_error: other }
signal size = tokens()
model m { provider: vllm }
"""
KEYWORDS = "\n".join(f'signal k{at} = keyword("{word}")' for at, word in enumerate(WORDS))


def condition(dice: random.Random) -> str:
    """Some conditions need a keyword, some name fields, some do neither."""

    def keyword() -> str:
        return f"k{dice.randrange(len(WORDS))}"

    atoms = [
        f'tenant == "t{dice.randrange(6)}"',
        f"tier == {dice.choice(('free', 'pro', 'gold'))}",
        f"tier != {dice.choice(('free', 'pro', 'gold'))}",
        "beta",
        "not beta",
        f"seats > {dice.randrange(4)}",
        f"topic == {dice.choice(('law', 'code'))}",
        f"topic.law >= 0.{dice.randrange(1, 9)}",
        f"size > {dice.randrange(5)}",
    ]
    match dice.randrange(10):
        case 0:
            parts = [f"not ({atoms[0]} or {keyword()})", *dice.sample(atoms, 4)]
        case 1:
            parts = [f"({keyword()} or {keyword()})", *dice.sample(atoms, 2)]
        case 2:
            parts = [f"({atoms[0]} or {keyword()})", keyword(), *dice.sample(atoms, 1)]
        case _:
            parts = [keyword(), *dice.sample(atoms, dice.choice((1, 2)))]
    # Routes that most requests take would hide those below.
    return " and ".join(parts)


def policy_text(dice: random.Random, routes: int) -> str:
    rules = [
        f"route r{at} priority {routes - at} {{ when {condition(dice)} to m }}"
        for at in range(routes)
    ]
    return "\n".join(["policy made", HEAD, KEYWORDS, *rules, "default route rest { to m }"])


def attributes_of(dice: random.Random) -> dict[str, Any]:
    return {
        "tenant": dice.choice(("acme", *(f"t{at}" for at in range(6)))),
        "tier": dice.choice(("free", "pro", "gold")),
        "beta": dice.random() < 0.5,
        "seats": dice.randrange(5),
    }


def values_of(dice: random.Random) -> dict[str, Any]:
    law, code = sorted((dice.random(), dice.random()))
    scores = {"law": law, "code": code - law, "other": 1 - code}
    found: dict[str, Any] = {f"k{at}": dice.random() < 0.08 for at in range(len(WORDS))}
    found["topic"] = Scores(max(("law", "code", "other"), key=scores.__getitem__), scores)
    found["size"] = dice.randrange(6)
    return found


def planned(policy: Policy, program: Program) -> Program:
    """Planned without room for a diagram of the routes, so that one that dispatches stands in."""
    made = optimise(policy, program, limit=100).program
    assert (made.plan.route, made.plan.dispatch is None) == (None, False)
    return made


@pytest.mark.parametrize("plan", [lambda policy, program: program, planned])
@pytest.mark.parametrize("seed", range(6))
def test_many_routes_decide_as_the_interpreter_does(
    seed: int, plan: Callable[[Policy, Program], Program]
) -> None:
    dice = random.Random(seed)
    checked = check_bytes("many.route", policy_text(dice, FROM + 60).encode())
    assert checked.policy is not None, checked.findings
    policy = checked.policy
    program = plan(policy, lower(policy, normaliser=NORMALISER_VERSION))
    engine = Engine(program, services())
    requests = [Request(str(at), attributes_of(dice), tokens=1) for at in range(60)]
    pins = [values_of(dice) for _ in requests]
    decisions = asyncio.run(engine.decide(requests, pins))
    for request, values, decision in zip(requests, pins, decisions, strict=True):
        asked = interpreter.Request(request.id, request.attributes, 1)
        assert as_interpreted(decision) == interpreter.decide(policy, asked, values)
    assert len({decision.route for decision in decisions}) > 5


@pytest.mark.parametrize("seed", range(4))
def test_many_routes_ask_no_more_than_looking_at_each(seed: int) -> None:
    """Signals are computed: with the index and without generated code the same ones are."""
    dice = random.Random(100 + seed)
    checked = check_bytes("many.route", policy_text(dice, FROM + 40).encode())
    assert checked.policy is not None
    program = lower(checked.policy, normaliser=NORMALISER_VERSION)

    def requests() -> list[Request]:
        made = random.Random(seed)
        return [
            Request(
                str(at),
                attributes_of(made),
                (Message("user", " ".join(made.sample(WORDS, 2))),),
            )
            for at in range(20)
        ]

    def decided(generated: bool) -> list[tuple[Any, ...]]:
        given = services(classifiers={"topic": Backend("law", "code", "other")})
        engine = Engine(program, given, generated=generated)
        return [
            (d.route, d.skipped, dict(d.signals), d.path)
            for d in asyncio.run(engine.decide(requests()))
        ]

    assert decided(True) == decided(False)


@pytest.mark.parametrize("seed", range(4))
def test_a_route_ruled_out_by_fields_could_not_have_held(seed: int) -> None:
    """What the index leaves out is false, whatever the signals are; the path does without it."""
    dice = random.Random(200 + seed)
    checked = check_bytes("many.route", policy_text(dice, FROM + 60).encode())
    assert checked.policy is not None
    policy = checked.policy
    program = lower(policy, normaliser=NORMALISER_VERSION)
    index, engine = Index(program), Engine(program, services())
    ruled_out = 0
    for at in range(40):
        attributes, values = attributes_of(dice), values_of(dice)
        mask = index.mask(attributes)
        everything = interpreter.all_values(
            policy, interpreter.Request(str(at), attributes, 1), values
        )
        for place, route in enumerate(policy.routes):
            if not mask >> place & 1:
                ruled_out += 1
                assert not interpreter.evaluate(route.when.expr, everything)
        [decision] = asyncio.run(engine.decide([Request(str(at), attributes, tokens=1)], [values]))
        chosen = next(p for p, r in enumerate(policy.routes) if r.name == decision.route)
        whens = [program.routes[p].when for p in range(chosen + 1) if mask >> p & 1]
        assert list(decision.path) == whens
    assert ruled_out > 400
