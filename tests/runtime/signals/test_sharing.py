"""What one request pays for, it gets whole; what a batch shares changes no value and no failure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from routec.compiler.program import Program
from routec.runtime.events import Failure, Message, Request
from routec.runtime.signals import Scores
from routec.runtime.signals.compute import Signals
from routec.runtime.signals.scan import TextScan
from routec.runtime.signals.vectors import Vectors
from routec.runtime.signals.work import UNKNOWN, Work
from routec.safety.scan import Scanner
from tests.runtime.doubles import DIMENSION, Backend, Embedder, ask, engine, program, services

MADE = program("""
signal near  = similarity { examples: ["money back", "please refund", "return my order"] }
signal mean  = similarity { examples: ["money back", "where is it"], reduce: mean, on_error: 0.5 }
signal gap   = contrast { high: ["prove the theorem", "why so"], low: ["hello you"] }
signal again = repeated { similarity: 0.9 }
signal word  = keyword("refund", "prove")
signal shape = regex(/[0-9]{3}/)
signal early = keyword("refund") { scope: all_user }
signal topic = classifier("topic") { labels: [law, code], on_error: law }
model m {}
route r {
  when near > 0.9 or mean > 0.9 or gap > 0.9 or again or word or shape or early or topic == code
  to m
}
default route rest { to m }
""")
PLACE = {signal.name: at for at, signal in enumerate(MADE.signals)}
MEASURED = ("near", "mean", "gap")


def known_of(work: Work, made: Program = MADE) -> dict[str, Any]:
    """The values that are known, by signal."""
    pairs = zip(made.signals, work.values, strict=True)
    return {signal.name: value for signal, value in pairs if value is not UNKNOWN}


def work_of(request: Request) -> Work:
    return Work(request, [UNKNOWN] * len(MADE.signals))


# --- one embedding ------------------------------------------------------------------


async def test_one_embedding_tells_all_similarities_and_contrasts() -> None:
    embedder = Embedder()
    signals = Signals(MADE, services(embedder=embedder))
    embedder.calls.clear()
    work, other = work_of(ask("please refund")), work_of(ask("prove it"))
    known = Vectors(embedder)
    await signals.compute([(work, PLACE["gap"]), (other, PLACE["near"])], known)
    assert set(known_of(work)) == set(known_of(other)) == set(MEASURED)
    assert known_of(work)["near"] == 1.0
    assert embedder.calls == [["please refund", "prove it"]]


async def test_the_examples_of_a_program_are_embedded_in_one_call() -> None:
    embedder = Embedder()
    Signals(MADE, services(embedder=embedder))
    assert [len(call) for call in embedder.calls] == [8]


async def test_a_decision_that_reads_several_of_them_embeds_once() -> None:
    embedder = Embedder()
    made = engine(
        """
        signal a = similarity { examples: ["money back"] }
        signal b = similarity { examples: ["where is it"] }
        signal c = contrast { high: ["prove it"], low: ["hello you"] }
        model m {}
        route one   priority 3 { when a > 0.9 to m }
        route two   priority 2 { when b > 0.9 to m }
        route three priority 1 { when c > 0.5 to m }
        default route rest { to m }
        """,
        embedder=embedder,
    )
    embedder.calls.clear()
    (decision,) = await made.decide([ask("prove it")])
    assert decision.route == "three"
    assert embedder.calls == [["prove it"]]


async def test_a_fixed_value_stays_as_it_was_fixed() -> None:
    embedder = Embedder()
    work = work_of(ask("please refund"))
    work.values[PLACE["mean"]] = 0.125
    signals = Signals(MADE, services(embedder=embedder))
    await signals.compute([(work, PLACE["near"])], Vectors(embedder))
    assert known_of(work)["mean"] == 0.125


class Rough:
    """A test double: vectors drawn from a hash, so that cosines use every digit."""

    dimension = 384
    digest = "sha256:rough"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [np.random.default_rng(list(text.encode())).standard_normal(384) for text in texts]
        return np.array([row / np.linalg.norm(row) for row in rows], np.float32)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=40))
def test_a_batch_gives_the_values_that_its_requests_get_alone(texts: list[str]) -> None:
    signals = Signals(MADE, services(embedder=Rough()))

    def values(requests: list[Request]) -> list[dict[str, Any]]:
        works = [work_of(request) for request in requests]
        asyncio.run(signals.compute([(w, PLACE["near"]) for w in works], Vectors(Rough())))
        return [known_of(work) for work in works]

    together = values([ask(text) for text in texts])
    assert together == [values([ask(text)])[0] for text in texts]
    assert all(set(one) == set(MEASURED) for one in together)


# --- an embedder that fails ---------------------------------------------------------


class Flaky(Embedder):
    """A test double: fails on the calls whose number is given, counted from 0."""

    def __init__(self, *failing: int) -> None:
        super().__init__()
        self.failing = failing

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.fails = len(self.calls) in self.failing
        return super().embed(texts)


async def test_what_failed_once_fails_for_all_that_the_request_needs_later() -> None:
    embedder = Flaky(1)  # call 0 is that of the examples
    signals = Signals(MADE, services(embedder=embedder))
    work, known = work_of(ask("please refund")), Vectors(embedder)
    await signals.compute([(work, PLACE["near"])], known)
    assert known_of(work) == {"near": 0.0}
    assert work.failures == (Failure("near", "error"),)
    await signals.compute([(work, PLACE["mean"])], known)
    assert known_of(work) == {"near": 0.0, "mean": 0.5}
    assert work.failures == (Failure("near", "error"), Failure("mean", "error"))
    assert len(embedder.calls) == 2


async def test_a_request_that_comes_later_in_the_batch_is_not_drawn_in() -> None:
    embedder = Flaky(1)
    signals = Signals(MADE, services(embedder=embedder))
    work, later, known = work_of(ask("please refund")), work_of(ask("prove it")), Vectors(embedder)
    await signals.compute([(work, PLACE["near"])], known)
    await signals.compute([(work, PLACE["gap"]), (later, PLACE["gap"])], known)
    assert known_of(work) == {"near": 0.0, "gap": 0.0}
    assert set(known_of(later)) == set(MEASURED)
    assert later.failures == ()
    assert embedder.calls[1:] == [["please refund"], ["prove it"]]


async def test_a_classifier_of_vectors_fails_with_them() -> None:
    class Head:
        name, labels, revision = "topic", ("law", "code"), "sha256:x"
        exclusive, embedder = True, Embedder.digest

        def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
            assert vectors.shape == (1, DIMENSION)
            return np.array([[0.25, 0.75]])

    embedder = Flaky(1)
    signals = Signals(MADE, services(embedder=embedder, classifiers={"topic": Head()}))
    lost, fine, known = work_of(ask("one")), work_of(ask("two")), Vectors(embedder)
    await signals.compute([(lost, PLACE["near"])], known)
    await signals.compute([(lost, PLACE["topic"]), (fine, PLACE["topic"])], known)
    assert known_of(lost)["topic"] == Scores("law", {"law": 1.0, "code": 0.0})
    assert known_of(fine)["topic"] == Scores("code", {"law": 0.25, "code": 0.75})
    assert lost.failures[1:] == (Failure("topic", "error"),)
    assert fine.failures == ()


async def test_a_repetition_has_its_own_texts() -> None:
    embedder = Flaky(2)
    signals = Signals(MADE, services(embedder=embedder))
    talk = [("user", "where is it"), ("assistant", "there"), ("user", "where is it now")]
    work, short = work_of(ask(messages=talk)), work_of(ask("where is it now"))
    known = Vectors(embedder)
    await signals.compute([(work, PLACE["near"])], known)
    await signals.compute([(work, PLACE["again"]), (short, PLACE["again"])], known)
    assert set(known_of(work)) == {*MEASURED, "again"}
    assert work.failures == (Failure("again", "error"),)
    # Nothing was said before, so there is nothing to embed and nothing that could fail.
    assert known_of(short) == {"again": False}
    assert short.failures == ()


# --- one scan, one call -------------------------------------------------------------


def count_scans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    scanned: list[str] = []
    scan = Scanner.scan

    def counting(self: Scanner, text: str) -> frozenset[str]:
        scanned.append(text)
        return scan(self, text)

    monkeypatch.setattr(Scanner, "scan", counting)
    return scanned


async def test_equal_texts_are_scanned_once_for_all_keywords_and_regexes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signals = Signals(MADE, services(embedder=Embedder()))
    scanned = count_scans(monkeypatch)
    works = [work_of(ask(text)) for text in ("refund 123", "refund 123", "hello", "refund 123")]
    needs = [(work, PLACE[name]) for work, name in zip(works, ("word", "shape") * 2, strict=True)]
    await signals.compute(needs, Vectors(None))
    assert scanned == ["refund 123", "hello"]
    refund = {"word": True, "shape": True}
    hello = {"word": False, "shape": False}
    assert [known_of(work) for work in works] == [refund, refund, hello, refund]


pieces = st.sampled_from(("refund", "prove it", "123", "hello", ""))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.tuples(st.sampled_from(("user", "system")), pieces)), max_size=8))
def test_a_scan_of_a_batch_tells_what_scans_one_by_one_tell(
    talks: list[list[tuple[str, str]]],
) -> None:
    signals = Signals(MADE, services(embedder=Embedder()))
    alone = TextScan(MADE)
    works = [
        work_of(Request("r", {}, tuple(Message(role, text) for role, text in talk)))
        for talk in talks
    ]
    needs = [(work, PLACE[name]) for work in works for name in ("word", "early", "shape")]
    asyncio.run(signals.compute(needs, Vectors(None)))
    for work in works:
        for scope in ("last_user", "all_user"):
            for at, value in alone.scan(scope, work.request.text(scope)):
                assert work.values[at] is value


async def test_a_scan_that_fails_fails_what_was_needed_and_no_other_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signals = Signals(MADE, services(embedder=Embedder()))
    scan = TextScan.scan

    def broken(self: TextScan, scope: str, text: str) -> list[tuple[int, bool]]:
        if text == "hello":
            raise RuntimeError("boom")
        return scan(self, scope, text)

    monkeypatch.setattr(TextScan, "scan", broken)
    lost, fine = work_of(ask("hello")), work_of(ask("refund"))
    await signals.compute([(lost, PLACE["shape"]), (fine, PLACE["word"])], Vectors(None))
    assert known_of(lost) == {"shape": False}
    assert lost.failures == (Failure("shape", "error"),)
    assert known_of(fine) == {"word": True, "shape": False}


async def test_a_classifier_is_asked_once_for_equal_texts() -> None:
    backend = Backend("law", "code")
    signals = Signals(MADE, services(embedder=Embedder(), classifiers={"topic": backend}))
    works = [work_of(ask(text)) for text in ("code", "law", "code")]
    await signals.compute([(work, PLACE["topic"]) for work in works], Vectors(None))
    assert backend.calls == [["code", "law"]]
    assert [known_of(work)["topic"].label for work in works] == ["code", "law", "code"]
