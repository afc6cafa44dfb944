"""MiniLM: the published vectors, the same for a text whatever stands beside it.

These tests need the weights that `make setup` installs.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from routec.safety.embed import EmbedCounts, MiniLM, minilm
from routec.safety.embed.turns import Turns
from routec.safety.models import Installed, ModelError, find_minilm

TEXTS = [
    "please refund my order",
    "I want my money back",
    "how do I rotate an API key",
    "hi",
    "prove that there are infinitely many primes, and do it rigorously",
    "どうやって注文を取り消しますか",
    "the quick brown fox jumps over the lazy dog " * 20,
]


@pytest.fixture(scope="module")
def installed() -> Installed:
    found = find_minilm()
    if found is None:
        pytest.fail("the embedding model is not installed: run `routec models install minilm`")
    return found


@pytest.fixture(scope="module")
def fp32(installed: Installed) -> MiniLM:
    return MiniLM(installed, remember=0)


@pytest.fixture(scope="module")
def int8(installed: Installed) -> MiniLM:
    return MiniLM(installed, quantised=True, remember=0)


def test_cosines_are_those_of_the_publisher(fp32: MiniLM) -> None:
    # https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2: the widget's example.
    rows = fp32.embed(
        [
            "That is a happy person",
            "That is a happy dog",
            "That is a very happy person",
            "Today is a sunny day",
        ]
    )
    assert np.allclose(rows[1:] @ rows[0], [0.6946, 0.9429, 0.2569], atol=1e-4)


def test_rows_are_unit_vectors_in_the_order_of_the_texts(fp32: MiniLM) -> None:
    rows = fp32.embed(TEXTS)
    assert rows.shape == (len(TEXTS), fp32.dimension)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert np.array_equal(fp32.embed(TEXTS[::-1]), rows[::-1])
    assert fp32.embed([]).shape == (0, fp32.dimension)


@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_text_has_one_vector_alone_and_in_any_batch(
    installed: Installed, quantised: bool, threads: int
) -> None:
    embedder = MiniLM(installed, threads, quantised, remember=0)
    words = [
        "refund",
        "order",
        "card",
        "bank",
        "transfer",
        "what",
        "is",
        "my",
        "balance",
        "today",
        "please",
        "help",
    ]
    texts = TEXTS + [" ".join(words[: 1 + n % 12]) + f" {n}" for n in range(24)]
    together = embedder.embed(texts)
    for text, row in zip(texts, together, strict=True):
        assert np.array_equal(embedder.embed([text])[0], row)


def test_a_short_text_does_not_wait_for_all_of_a_long_batch(fp32: MiniLM) -> None:
    long = [f"{n} " + "refund my order " * 80 for n in range(12)]
    order: list[str] = []

    def embed(name: str, texts: list[str]) -> None:
        rows[name] = fp32.embed(texts)
        order.append(name)

    rows: dict[str, NDArray[np.float32]] = {}
    threads = [
        threading.Thread(target=embed, args=("long", long)),
        threading.Thread(target=embed, args=("short", ["hello"])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order == ["short", "long"]
    assert np.array_equal(rows["long"], fp32.embed(long))
    assert np.array_equal(rows["short"], fp32.embed(["hello"]))


def test_calls_at_once_remember_and_count_as_calls_in_turn(installed: Installed) -> None:
    embedder = MiniLM(installed, quantised=True, remember=8)
    texts = [f"text {n}" for n in range(6)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: embedder.embed(texts), range(8)))
    assert all(np.array_equal(result, results[0]) for result in results)
    counts = embedder.counts
    assert counts.embedded + counts.known == 8 * len(texts)
    assert len(texts) <= counts.embedded
    assert np.array_equal(embedder.embed(texts), results[0])
    assert embedder.counts.embedded == counts.embedded


def test_turns_are_taken_in_the_order_in_which_they_are_asked_for() -> None:
    turns = Turns()
    order: list[int] = []

    def take(number: int) -> None:
        with turns:
            order.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    with turns:
        for at, thread in enumerate(threads):
            thread.start()
            while len(turns._waiting) <= at:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(8))
    with pytest.raises(RuntimeError), turns:
        raise RuntimeError("boom")
    take(8)
    assert order[-1] == 8


def test_int8_is_near_fp32_and_known_as_another_embedder(fp32: MiniLM, int8: MiniLM) -> None:
    cosines = (fp32.embed(TEXTS) * int8.embed(TEXTS)).sum(axis=1)
    assert cosines.mean() > 0.995
    assert cosines.min() > 0.98
    assert fp32.digest != int8.digest


@pytest.mark.parametrize("text", ["", " \n\t ", "\u200b\u200d", "\x00\x07"])
def test_a_text_without_content_is_like_nothing(fp32: MiniLM, text: str) -> None:
    assert not fp32.embed([text, "hello"])[0].any()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(), max_size=40), max_size=4))
def test_any_text_gives_a_finite_row(int8: MiniLM, texts: list[str]) -> None:
    lengths = np.linalg.norm(int8.embed(texts), axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-5) | (lengths == 0))


def test_a_long_text_is_read_up_to_its_limit(int8: MiniLM) -> None:
    start = "refund " * 254
    rows = int8.embed([start, start + "and this is not read", "\ud800" + "x" * 3_000_000])
    assert np.array_equal(rows[0], rows[1])
    assert np.isfinite(rows).all()


def test_equal_texts_are_embedded_once_and_the_latest_remembered(installed: Installed) -> None:
    embedder = MiniLM(installed, quantised=True, remember=2)
    first = embedder.embed(["one", "two", "one"])
    assert embedder.counts == EmbedCounts(embedded=2, known=1)
    assert np.array_equal(embedder.embed(["one", "two"]), first[:2])
    assert embedder.counts == EmbedCounts(embedded=2, known=3)
    embedder.embed(["three"])  # "one" is now the oldest, and forgotten
    again = embedder.embed(["one"])
    assert embedder.counts == EmbedCounts(embedded=4, known=3)
    assert np.array_equal(again[0], first[0])


def test_a_result_is_the_callers_to_change(installed: Installed) -> None:
    embedder = MiniLM(installed, quantised=True)
    first = embedder.embed(["one"])
    first[:] = 7
    assert abs(np.linalg.norm(embedder.embed(["one"])) - 1) < 1e-5


def test_wrong_types_are_the_callers_mistake(int8: MiniLM) -> None:
    with pytest.raises(TypeError, match="not one text"):
        int8.embed("hello")
    with pytest.raises(TypeError, match="not int"):
        int8.embed(["hello", 3])  # type: ignore[list-item]


def test_a_file_that_changed_on_disk_is_not_loaded(installed: Installed, tmp_path: Path) -> None:
    changed = tmp_path / installed.path.name
    changed.write_bytes(b"not the model")
    with pytest.raises(ModelError) as caught:
        MiniLM(dataclasses.replace(installed, path=changed))
    assert caught.value.code == "damaged"


@pytest.mark.parametrize("loadable", [True, False])
def test_a_file_that_changes_while_it_is_loaded_is_not_used(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loadable: bool
) -> None:
    copy = tmp_path / installed.path.name
    copy.write_bytes(installed.path.read_bytes())
    check = minilm.check_file

    def changed_after_it_was_checked(path: Path, expected: str) -> None:
        check(path, expected)
        other = tmp_path / "other"
        other.write_bytes(copy.read_bytes() if loadable else b"no model")
        other.replace(copy)

    monkeypatch.setattr(minilm, "check_file", changed_after_it_was_checked)
    with pytest.raises(ModelError, match="changed while it was read") as caught:
        MiniLM(dataclasses.replace(installed, path=copy))
    assert caught.value.code == "damaged"


def test_importing_the_room_loads_nothing_heavy() -> None:
    program = (
        "import sys, routec.safety\n"
        "assert not {'numpy', 'onnxruntime', 'onnx', 'tokenizers'} & sys.modules.keys()\n"
        "from routec.safety import MiniLM\n"
        "assert not {'onnxruntime', 'onnx', 'tokenizers'} & sys.modules.keys()\n"
        "missing = [n for n in routec.safety.__all__ if not hasattr(routec.safety, n)]\n"
        "assert not missing, missing\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
