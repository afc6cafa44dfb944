"""One model in memory, however many policies use it.

What this prevents: during a swap two policies hold, and warm, the same embedder and classifiers
twice, for as long as both are there. These tests need the weights that `make setup` installs.
"""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import routec.safety.language as language
from routec.safety.classify import exemplars
from routec.safety.classify.exemplars import load_exemplars
from routec.safety.classify.linear import Head, load_linear, save_head
from routec.safety.embed import MiniLM, minilm
from routec.safety.language import Languages
from routec.safety.models import require_minilm
from routec.safety.shared import Shared


class Thing:
    """Something that may be referred to weakly."""


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str], list[int]]:
    """Counts calls of a function from now on."""
    gc.collect()

    def count(module: Any, name: str) -> list[int]:
        calls: list[int] = []
        original = getattr(module, name)

        def counted(*given: Any, **named: Any) -> Any:
            calls.append(1)
            return original(*given, **named)

        monkeypatch.setattr(module, name, counted)
        return calls

    return count


def test_a_thing_is_loaded_once_and_anew_after_its_last_user_has_gone() -> None:
    shared: Shared[str, Thing] = Shared()
    first = shared.get("a", Thing)
    second = shared.get("a", Thing)
    assert first is second
    assert shared.get("b", Thing) is not first
    assert len(shared) == 1
    del first
    assert shared.get("a", Thing) is second
    del second
    assert len(shared) == 0


def test_what_cannot_be_loaded_is_tried_again() -> None:
    def fail() -> Thing:
        raise OSError("no such file")

    shared: Shared[str, Thing] = Shared()
    with pytest.raises(OSError, match="no such file"):
        shared.get("a", fail)
    assert isinstance(shared.get("a", Thing), Thing)


def test_threads_that_ask_at_once_get_one_thing() -> None:
    shared: Shared[str, Thing] = Shared()
    meet = threading.Barrier(8)
    made: list[Thing] = []

    def load() -> Thing:
        made.append(Thing())
        return made[-1]

    def ask() -> Thing:
        meet.wait()
        return shared.get("a", load)

    with ThreadPoolExecutor(8) as threads:
        found = {id(one.result()) for one in [threads.submit(ask) for _ in range(8)]}
    assert (len(found), len(made)) == (1, 1)


def test_embedders_of_the_same_files_share_the_model_and_keep_their_own_vectors(
    loads: Callable[[Any, str], list[int]],
) -> None:
    installed = require_minilm()
    opened = loads(minilm, "_session")
    first = MiniLM(installed, quantised=True)
    second = MiniLM(installed, quantised=True)
    assert len(opened) <= 1
    assert np.array_equal(first.embed(["hello"]), second.embed(["hello"]))
    assert (first.counts.embedded, second.counts.embedded) == (1, 1)
    # Neither other settings nor other weights.
    others = [MiniLM(installed, threads=2, quantised=True), MiniLM(installed)]
    assert len({id(one._model) for one in (first, *others)}) == 3
    # It lives as long as somebody uses it, and no longer.
    held = len(minilm._MODELS)
    del others
    assert len(minilm._MODELS) == held - 2
    del first
    assert second.embed(["hello", "world"]).shape == (2, 384)
    assert len(minilm._MODELS) == held - 2


def test_language_identifiers_share_their_model(loads: Callable[[Any, str], list[int]]) -> None:
    opened = loads(language, "_Model")
    finders = [Languages() for _ in range(3)]
    found = {finder.identify(["der Hund bellt laut"])[0][0] for finder in finders}
    assert found == {"de"}
    assert len(opened) <= 1
    assert len({id(finder._model) for finder in finders}) == 1


def test_a_linear_classifier_is_shared_while_its_file_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "head.npz"

    def save(bias: float) -> None:
        weights, biases = np.eye(2, 3, dtype=np.float32), np.full(2, bias, np.float32)
        save_head(Head(weights, biases, ("a", "b"), "d", "softmax"), path)

    save(0.0)
    first = load_linear("t", path, "d")
    assert load_linear("t", path, "d", ["b", "a"]) is first
    assert load_linear("u", path, "d") is not first
    save(1.0)
    changed = load_linear("t", path, "d")
    assert changed is not first
    assert changed.revision != first.revision


def test_examples_are_embedded_once_while_they_are_the_same(
    tmp_path: Path, loads: Callable[[Any, str], list[int]]
) -> None:
    path = tmp_path / "examples.jsonl"
    texts = [("a", "red apple"), ("a", "green apple"), ("b", "fast car"), ("b", "slow car")]

    def save(rows: list[tuple[str, str]]) -> None:
        path.write_text(
            "".join(json.dumps({"label": label, "text": text}) + "\n" for label, text in rows)
        )

    save(texts)
    embedder = MiniLM(require_minilm(), quantised=True)
    fitted = loads(exemplars, "fit_exemplars")
    first = load_exemplars("t", path, embedder)
    assert load_exemplars("t", path, embedder) is first
    assert len(fitted) == 1
    # Whatever changes a score, or how scores are read, makes another.
    turned = load_exemplars("t", path, embedder, ["b", "a"])
    assert turned is not first
    save([*texts, ("b", "red car")])
    assert load_exemplars("t", path, embedder) is not first
    assert len(fitted) == 3
