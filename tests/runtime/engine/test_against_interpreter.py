"""The engine decides what the reference interpreter decides, on random policies."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routec.compiler import interpreter
from routec.compiler.lower import lower
from routec.runtime.engine import Engine
from routec.runtime.events import Decision, Request
from routec.safety.text import NORMALISER_VERSION
from tests.compiler.policies import Made, policies, requests, signal_values
from tests.runtime.doubles import services


def as_interpreted(decision: Decision) -> interpreter.Decision:
    """An engine's decision in the interpreter's terms."""
    reject, selection = decision.reject, decision.selection
    return interpreter.Decision(
        decision.outcome,
        guard=reject.guard if reject else None,
        status=reject.status if reject else None,
        reason=reject.reason if reject else None,
        route=decision.route,
        category=decision.category,
        entry=decision.cache.entry,
        model=decision.model,
        fallbacks=decision.fallbacks,
        by=selection.by if selection else None,
        candidates=selection.candidates if selection else (),
        propensity=selection.propensity if selection else 1.0,
        parameters=decision.parameters,
        shadow=decision.shadow,
        redacted=decision.redacting,
        tags=decision.tags,
        headers=decision.headers,
        overflow=reject is not None and reject.guard is None,
    )


def with_defaults(made: Made, asked: interpreter.Request) -> Request:
    attributes = {
        name: asked.attributes.get(name, field.default)
        for name, field in made.policy.fields.items()
    }
    return Request(asked.id, attributes, tokens=asked.tokens, max_tokens=asked.max_tokens)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_engine_and_interpreter_agree(data: st.DataObject) -> None:
    made = data.draw(policies())
    asked = data.draw(st.lists(requests(made.policy), min_size=1, max_size=3))
    pins = [data.draw(signal_values(made.policy)) for _ in asked]
    engine = Engine(lower(made.policy, normaliser=NORMALISER_VERSION), services())
    decided = asyncio.run(engine.decide([with_defaults(made, each) for each in asked], pins))
    for each, values, decision in zip(asked, pins, decided, strict=True):
        expected = interpreter.decide(made.policy, each, values)
        assert as_interpreted(decision) == expected
