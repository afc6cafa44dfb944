"""What fails takes its failure value; the rest of the batch does not notice."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from routec.runtime.events import Failure
from routec.safety.classify.errors import ClassifierError
from tests.runtime.doubles import Backend, Embedder, ask, engine, services

POLICY = """
signal bad  = classifier("guard") { labels: [fine, attack], on_error: attack, timeout: 20ms }
signal near = similarity { examples: ["money back"], on_error: 0.5 }
signal gap  = contrast { high: ["a"], low: ["b"] }
signal loop = repeated { similarity: 0.8 }
model m {}
guard stop { when bad.attack >= 0.9 reject 403 "attack" }
route near  priority 2 { when near >= 0.5 to m }
route gap   priority 1 { when gap != 0 or loop to m }
default route rest { to m }
"""


def made(backend: Any, embedder: Embedder | None = None) -> Any:
    return engine(POLICY, embedder=embedder or Embedder(), classifiers={"guard": backend})


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), "timeout"),
        (RuntimeError("boom"), "error"),
        (ClassifierError("overloaded", "too much", "wait"), "overloaded"),
        (ClassifierError("made-up", "odd", "wait"), "error"),
    ],
)
async def test_a_classifier_that_errs_takes_its_label(error: Exception, reason: str) -> None:
    backend = Backend("fine", "attack")
    backend.error = error
    (decision,) = await made(backend).decide([ask("hello")])
    assert decision.reject is not None
    assert decision.failures == (Failure("bad", reason),)
    assert decision.signals == {"bad.attack": 1.0}


async def test_a_classifier_that_hangs_is_left_after_its_timeout() -> None:
    class Hangs(Backend):
        async def classify(self, texts: Any, within: float) -> Any:
            assert within == 0.02
            await asyncio.sleep(3600)

    (decision,) = await made(Hangs("fine", "attack")).decide([ask("hello")])
    assert decision.failures == (Failure("bad", "timeout"),)
    assert decision.outcome == "reject"


@pytest.mark.parametrize(
    "answer",
    [
        np.array([[float("nan"), 0.5]]),
        np.array([[2.0, -1.0]]),
        np.array([[1.0]]),
        np.array([[0.2, 0.3, 0.5]]),
        [["a", "b"]],
    ],
)
async def test_an_answer_that_is_no_scores_is_a_failure(answer: Any) -> None:
    backend = Backend("fine", "attack")
    backend.answer = answer
    (decision,) = await made(backend).decide([ask("hello")])
    assert decision.failures == (Failure("bad", "invalid"),)
    assert decision.outcome == "reject"


async def test_too_few_answers_fail_all_of_them() -> None:
    backend = Backend("fine", "attack")
    backend.answer = np.array([[0.9, 0.1]])
    decided = await made(backend).decide([ask("a", id="1"), ask("b", id="2")])
    assert [d.failures for d in decided] == [(Failure("bad", "error"),)] * 2


async def test_an_unbound_classifier_fails() -> None:
    (decision,) = await engine(POLICY, embedder=Embedder()).decide([ask("hello")])
    assert decision.failures == (Failure("bad", "unbound"),)


async def test_a_failing_embedder_gives_the_stated_values_or_zero() -> None:
    embedder = Embedder()
    built = made(Backend("attack", "fine"), embedder)
    embedder.fails = True
    (decision,) = await built.decide([ask("hello")])
    assert decision.route == "near"
    assert decision.failures == (Failure("near", "error"),)
    built = engine(
        POLICY.replace(", on_error: 0.5", ""),
        embedder=(embedder := Embedder()),
        classifiers={"guard": Backend("attack", "fine")},
    )
    embedder.fails = True
    talk = [("user", "again"), ("assistant", "no"), ("user", "again")]
    (decision,) = await built.decide([ask(messages=talk)])
    assert decision.route == "rest"
    assert [f.signal for f in decision.failures] == ["near", "gap", "loop"]


async def test_entities_that_cannot_be_looked_for_count_as_found() -> None:
    def broken(text: str, kinds: frozenset[str]) -> Any:
        raise RuntimeError("boom")

    built = engine(
        """
        signal pii = entities(email, iban)
        model m {}
        guard stop { when pii.any(iban) reject 403 "pii" }
        default route rest { to m }
        """,
        entities=broken,
    )
    (decision,) = await built.decide([ask("hello")])
    assert decision.outcome == "reject"
    assert decision.failures == (Failure("pii", "error"),)


async def test_a_language_that_cannot_be_told_is_undetermined() -> None:
    text = """
    signal lang = language()
    model m {}
    route r { when lang == und and lang.confidence == 0 to m }
    default route rest { to m }
    """
    (decision,) = await engine(text, language=None).decide([ask("hello")])
    assert decision.route == "r"
    assert decision.signals == {"lang": "und", "lang.confidence": 0.0}
    assert services().language is not None
