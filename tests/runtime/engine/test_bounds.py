"""A score that cannot matter any more is not completed."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from routec.compiler import check_bytes
from routec.compiler.lower import lower
from routec.runtime.engine.conditions import Conditions
from routec.runtime.events import Request
from routec.runtime.signals import Scores
from routec.runtime.signals.work import UNKNOWN, Work
from tests.runtime.doubles import Backend, ask, engine

POLICY = """
request {{ vip: bool = false }}
signal urgent = keyword("urgent")
signal attack = classifier("attack") {{ labels: [benign, bad], on_error: bad }}
signal risk = score {{ {terms} }}
signal level = bands(risk) {{ low: < 0.3, mid: <= 0.7, high }}
model m {{ provider: vllm }}
route hot {{ when {condition} to m }}
default route rest {{ to m }}
"""
TERMS = "0.4 * urgent + 0.5 * attack.bad + 0.1 * vip"


def made(condition: str, terms: str = TERMS) -> str:
    return POLICY.format(condition=condition, terms=terms)


async def test_a_score_that_cannot_reach_its_threshold_asks_no_classifier() -> None:
    backend = Backend("bad", "benign")
    asked = engine(made("risk >= 0.8"), classifiers={"attack": backend})
    [calm] = await asked.decide([ask("hello", attributes={"vip": False})])
    assert (calm.route, calm.skipped, backend.calls) == ("rest", ("attack", "risk", "level"), [])
    [hot] = await asked.decide([ask("urgent bad", attributes={"vip": False})])
    assert (hot.route, hot.skipped) == ("hot", ("level",))


async def test_a_score_that_is_past_its_threshold_asks_no_classifier() -> None:
    backend = Backend("bad", "benign")
    asked = engine(made("risk >= 0.3"), classifiers={"attack": backend})
    [hot] = await asked.decide([ask("urgent", attributes={"vip": False})])
    assert (hot.route, backend.calls) == ("hot", [])


async def test_a_band_that_is_out_of_reach_asks_no_classifier() -> None:
    backend = Backend("bad", "benign")
    asked = engine(made("level == high"), classifiers={"attack": backend})
    [calm] = await asked.decide([ask("hello", attributes={"vip": False})])
    assert (calm.route, backend.calls) == ("rest", [])


COEFFICIENTS = st.sampled_from(("0.1", "-0.3", "0.7", "-1", "2", "0"))
OPERATORS = st.sampled_from((">=", ">", "<", "<=", "=="))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(COEFFICIENTS, min_size=3, max_size=3),
    OPERATORS,
    st.sampled_from(("0", "0.3", "-0.3", "0.7", "1.0")),
    st.booleans(),
    st.sampled_from((None, False, True)),
    st.sampled_from((None, 0.0, 0.25, 1.0)),
)
def test_what_is_settled_early_holds_for_every_value(
    coefficients: list[str],
    op: str,
    threshold: str,
    vip: bool,
    urgent: bool | None,
    bad: float | None,
) -> None:
    names = ("urgent", "attack.bad", "vip")
    terms = " + ".join(f"{c} * {name}" for c, name in zip(coefficients, names, strict=True))
    text = "policy made\n" + made(f"risk {op} {threshold} and level != mid", terms)
    checked = check_bytes("made.route", text.encode())
    # Some thresholds are out of the score's range, which is an error.
    assume(checked.policy is not None)
    assert checked.policy is not None
    read = lower(checked.policy, normaliser="n")
    conditions = Conditions(read)
    route = read.routes[0]

    def holds(urgent: bool | None, bad: float | None) -> bool | None:
        known = {
            "urgent": urgent,
            "attack": None
            if bad is None
            else Scores("bad" if bad > 0.5 else "benign", {"bad": bad, "benign": 1 - bad}),
        }
        values: list[Any] = [
            UNKNOWN if known.get(signal.name) is None else known[signal.name]
            for signal in read.signals
        ]
        return conditions.nodes[route.when](Work(Request("r", {"vip": vip}), values))

    early = holds(urgent, bad)
    completions = {
        holds(u, b)
        for u, b in product(
            (False, True) if urgent is None else (urgent,),
            (0.0, 0.1, 0.25, 0.5, 0.9, 1.0) if bad is None else (bad,),
        )
    }
    assert None not in completions
    if early is not None:
        assert completions == {early}
