"""Classifiers: calibrated shares of labels, refusals in words, answers within a deadline."""

from __future__ import annotations

import asyncio
import json
import threading
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from routec.safety.classify import (
    Classifier,
    ClassifierError,
    Exemplars,
    Head,
    Labelled,
    Linear,
    LocalBackend,
    fit_exemplars,
    fit_linear,
    load_exemplars,
    load_linear,
    read_labelled,
    save_head,
)
from routec.safety.classify.__main__ import main
from routec.safety.embed import MiniLM
from routec.safety.models import find_minilm


class Table:
    """An embedder that knows the vectors of a few texts."""

    digest = "sha256:table"

    def __init__(self, rows: Mapping[str, NDArray[np.float32]]) -> None:
        self.rows = rows
        self.dimension = len(next(iter(rows.values())))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([self.rows[text] for text in texts], np.float32).reshape(
            len(texts), self.dimension
        )


def unit(*values: float) -> NDArray[np.float32]:
    row = np.array(values, np.float64)
    return (row / np.linalg.norm(row)).astype(np.float32)


def clusters(
    seed: int, labels: int, each: int, spread: float
) -> tuple[Table, list[Labelled], NDArray[np.float32]]:
    """Texts of ``labels`` clusters in 8 dimensions; the wider, the more they overlap."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((labels, 8))
    table, rows = {}, []
    for label in range(labels):
        for number in range(each):
            text = f"{label} {number}"
            table[text] = unit(*(centres[label] + spread * random.standard_normal(8)))
            rows.append(Labelled(text, (f"l{label}",)))
    embedder = Table(table)
    return embedder, rows, embedder.embed([row.text for row in rows])


def code_of(call: object) -> str:
    with pytest.raises(ClassifierError) as caught:
        call()  # type: ignore[operator]
    assert caught.value.help
    assert caught.value.message[0].islower() or caught.value.message[0] == "`"
    return caught.value.code


def jsonl(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# Exemplars


def test_a_text_gets_the_label_of_the_examples_around_it() -> None:
    embedder, rows, _ = clusters(seed=1, labels=3, each=8, spread=0.2)
    classifier = fit_exemplars("topic", rows[::2], embedder)
    scores = classifier.scores(embedder.embed([row.text for row in rows[1::2]]))
    found = [classifier.labels[index] for index in scores.argmax(axis=1)]
    assert found == [row.labels[0] for row in rows[1::2]]


@pytest.mark.parametrize("spread", [0.4, 0.8, 1.6])
def test_confidence_is_about_the_share_that_is_right(spread: float) -> None:
    embedder, rows, vectors = clusters(seed=2, labels=4, each=400, spread=spread)
    classifier = fit_exemplars("topic", rows[::2], embedder)
    scores = classifier.scores(vectors[1::2])
    right = [
        classifier.labels[index] == row.labels[0]
        for index, row in zip(scores.argmax(axis=1), rows[1::2], strict=True)
    ]
    assert abs(scores.max(axis=1).mean() - np.mean(right)) < 0.04


def test_a_few_separate_examples_do_not_end_in_certainty() -> None:
    embedder = Table({"a": unit(1, 0), "b": unit(1, 0.1), "c": unit(0, 1), "d": unit(0.1, 1)})
    rows = [Labelled("a", ("x",)), Labelled("b", ("x",)), Labelled("c", ("y",))]
    scores = fit_exemplars("t", [*rows, Labelled("d", ("y",))], embedder).scores(
        embedder.embed(["a"])
    )
    assert 0.6 < scores[0, 0] < 0.95


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(2, 5),
    st.integers(2, 6),
    st.sampled_from([0.0, 0.1, 1.0, 9.0]),
)
def test_shares_add_up_and_do_not_depend_on_the_batch(
    seed: int, labels: int, each: int, spread: float
) -> None:
    embedder, rows, vectors = clusters(seed, labels, each, spread)
    classifier = fit_exemplars("t", rows, embedder)
    vectors = np.concatenate([vectors, -vectors, np.zeros((1, 8), np.float32)])
    scores = classifier.scores(vectors)
    assert scores.shape == (len(vectors), labels)
    assert np.all(scores >= 0)
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-9)
    alone = np.concatenate([classifier.scores(row[np.newaxis]) for row in vectors])
    assert alone.tolist() == scores.tolist()
    assert classifier.scores(vectors[:0]).shape == (0, labels)


def test_a_text_without_content_favours_no_label() -> None:
    embedder, rows, _ = clusters(seed=1, labels=4, each=5, spread=0.2)
    rows = rows[:-2]  # labels with more examples are not favoured either
    scores = fit_exemplars("t", rows, embedder).scores(np.zeros((1, 8), np.float32))
    assert np.allclose(scores, 0.25)


def test_the_fit_is_deterministic_and_its_revision_follows_the_examples() -> None:
    embedder, rows, vectors = clusters(seed=3, labels=3, each=6, spread=0.5)
    first, second = fit_exemplars("t", rows, embedder), fit_exemplars("t", rows, embedder)
    assert first.revision == second.revision
    assert first.calibration == second.calibration
    assert np.array_equal(first.scores(vectors), second.scores(vectors))
    assert fit_exemplars("t", rows[1:], embedder).revision != first.revision


def test_labels_come_in_the_order_they_are_declared(tmp_path: Path) -> None:
    embedder, rows, _ = clusters(seed=1, labels=3, each=4, spread=0.1)
    path = jsonl(tmp_path / "x.jsonl", [{"text": r.text, "label": r.labels[0]} for r in rows])
    assert load_exemplars("t", path, embedder).labels == ("l0", "l1", "l2")
    assert load_exemplars("t", path, embedder, ["l2", "l0", "l1"]).labels == ("l2", "l0", "l1")


def test_examples_that_do_not_fit_the_labels_are_refused() -> None:
    embedder, rows, _ = clusters(seed=1, labels=2, each=4, spread=0.1)

    def fit(rows: Sequence[Labelled], labels: list[str] | None = None) -> Exemplars:
        return fit_exemplars("t", rows, embedder, labels)

    assert code_of(lambda: fit(rows, ["l0"])) == "unknown-label"
    assert code_of(lambda: fit(rows, ["l0", "l1", "l2"])) == "missing-label"
    assert code_of(lambda: fit(rows[:5])) == "too-few-examples"
    assert code_of(lambda: fit(rows[:4])) == "too-few-labels"
    assert code_of(lambda: fit([])) == "too-few-labels"
    assert code_of(lambda: fit([rows[0]] * 20_001 + rows)) == "too-many-examples"


# Labelled texts


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        "[]",
        '{"text": "x"}',
        '{"text": 3, "label": "a"}',
        '{"text": "x", "label": ["a"]}',
        '{"text": " ", "label": "a"}',
        '{"text": "x", "label": ""}',
        "[" * 100_000,
    ],
)
def test_a_row_that_is_no_labelled_text_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "x", "label": "a"}\n\n' + line + "\n", encoding="utf-8")
    with pytest.raises(ClassifierError, match="line 3") as caught:
        read_labelled(path)
    assert caught.value.code == "bad-row"


def test_rows_of_one_text_agree(tmp_path: Path) -> None:
    row = {"text": "line\u2028break", "label": "a"}
    path = tmp_path / "x.jsonl"
    assert len(read_labelled(jsonl(path, [row, row, {"text": "y", "label": "a"}]))) == 2
    conflict = jsonl(path, [row, row | {"label": "b"}])
    assert code_of(lambda: read_labelled(conflict)) == "conflicting-labels"


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    assert code_of(lambda: read_labelled(tmp_path / "none")) == "unreadable"
    (tmp_path / "latin").write_bytes(b'{"text": "caf\xe9", "label": "a"}')
    assert code_of(lambda: read_labelled(tmp_path / "latin")) == "unreadable"


# The linear head


def test_a_trained_head_labels_what_it_has_not_seen() -> None:
    embedder, rows, vectors = clusters(seed=4, labels=4, each=40, spread=0.4)
    names = ["l0", "l1", "l2", "l3"]
    seen = [row.labels for row in rows[::2]]
    classifier = Linear("t", fit_linear(vectors[::2], seen, names, embedder.digest))
    scores = classifier.scores(vectors[1::2])
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-9)
    right = [
        names[i] == row.labels[0] for i, row in zip(scores.argmax(axis=1), rows[1::2], strict=True)
    ]
    assert np.mean(right) > 0.95


@pytest.mark.parametrize("exclusive", [True, False])
def test_training_ends_where_no_step_improves_the_loss(exclusive: bool) -> None:
    _, rows, vectors = clusters(seed=5, labels=3, each=30, spread=1.0)
    names, l2 = ["l0", "l1", "l2"], 1e-3
    head = fit_linear(vectors, [row.labels for row in rows], names, "d", exclusive=exclusive, l2=l2)
    targets = np.array([[name in row.labels for name in names] for row in rows], float)

    def loss(weights: NDArray[np.float64], bias: NDArray[np.float64]) -> float:
        logits = vectors.astype(np.float64) @ weights.T + bias
        if exclusive:
            each = np.log(np.exp(logits).sum(axis=1)) - (logits * targets).sum(axis=1)
        else:
            each = (np.log1p(np.exp(logits)) - logits * targets).sum(axis=1)
        return float(each.mean() + l2 / 2 * (weights**2).sum())

    weights, bias = head.weights.astype(np.float64), head.bias.astype(np.float64)
    best = loss(weights, bias)
    random = np.random.default_rng(0)
    for _ in range(50):
        step = 0.01 * random.standard_normal(weights.shape)
        shift = 0.01 * random.standard_normal(bias.shape)
        assert loss(weights + step, bias + shift) > best


def test_labels_that_do_not_exclude_each_other_are_scored_apart() -> None:
    vectors = np.array([unit(1, 0), unit(0, 1), unit(1, 1), unit(-1, -1)] * 20, np.float32)
    labels = [("right",), ("up",), ("right", "up"), ()] * 20
    head = fit_linear(vectors, labels, ["right", "up"], "d", exclusive=False)
    classifier = Linear("t", head)
    assert not classifier.exclusive
    scores = classifier.scores(vectors[:4])
    assert (scores > 0.5).tolist() == [[True, False], [False, True], [True, True], [False, False]]


def test_extreme_weights_still_give_scores() -> None:
    for activation in ("softmax", "sigmoid"):
        head = Head(
            np.array([[1e30, 0], [-1e30, 0]], np.float32),
            np.zeros(2, np.float32),
            ("a", "b"),
            "d",
            activation,  # type: ignore[arg-type]
        )
        scores = Linear("t", head).scores(np.array([unit(1, 0)]))
        assert scores.tolist() == [[1.0, 0.0]]


def small_head() -> Head:
    return Head(np.eye(2, dtype=np.float32), np.zeros(2, np.float32), ("é", "b"), "d", "softmax")


def test_a_head_is_read_as_written_and_written_the_same_each_time(tmp_path: Path) -> None:
    path, again = tmp_path / "a.npz", tmp_path / "b.npz"
    save_head(small_head(), path)
    save_head(small_head(), again)
    assert path.read_bytes() == again.read_bytes()
    loaded = load_linear("t", path, "d", ["b", "é"])
    assert loaded.labels == ("é", "b")
    assert loaded.revision == Linear("t", small_head()).revision


def test_a_head_of_another_embedder_or_other_labels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    save_head(small_head(), path)
    assert code_of(lambda: load_linear("t", path, "another")) == "other-embedder"
    assert code_of(lambda: load_linear("t", path, "d", ["é", "c"])) == "other-labels"
    assert code_of(lambda: load_linear("t", tmp_path / "none", "d")) == "unreadable"


@pytest.mark.parametrize("damage", ["text", "truncated", "pickled", "missing", "float64", "nan"])
def test_a_file_that_is_no_head_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.npz"
    head = small_head()
    save_head(head, path)
    arrays = dict(np.load(path))
    if damage == "text":
        path.write_text("not a head")
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-40])
    elif damage == "pickled":
        arrays["labels"] = np.array([{"a": 1}, "b"], dtype=object)
    elif damage == "missing":
        del arrays["bias"]
    elif damage == "float64":
        arrays["weights"] = arrays["weights"].astype(np.float64)
    else:
        arrays["bias"][0] = np.nan
    if damage not in ("text", "truncated"):
        np.savez(path, **arrays)
    assert code_of(lambda: load_linear("t", path, "d")) == "bad-weights"


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.npy", bytes(80 * 1024 * 1024))
    assert path.stat().st_size < 1024 * 1024
    assert code_of(lambda: load_linear("t", path, "d")) == "bad-weights"


def test_training_data_that_does_not_fit_is_refused() -> None:
    vectors = np.array([unit(1, 0), unit(0, 1)])
    for labels, rows, l2 in (
        ([("a",)], vectors, 1.0),
        ([("a",), ("c",)], vectors, 1.0),
        ([("a",), ("a", "b")], vectors, 1.0),
        ([("a",), ("b",)], vectors * np.float32(np.nan), 1.0),
        ([("a",), ("b",)], vectors, 0.0),
    ):
        assert (
            code_of(lambda a=labels, v=rows, r=l2: fit_linear(v, a, ["a", "b"], "d", l2=r))
            == "bad-training-data"
        )


# The worker thread


class Slow:
    """A classifier that waits for leave to answer, and answers what it is told to."""

    name, labels, revision, exclusive, embedder = "slow", ("a", "b"), "r", True, "sha256:table"

    def __init__(self, answer: NDArray[np.float64] | Exception) -> None:
        self.answer = answer
        self.leave = threading.Event()
        self.begun = threading.Event()
        self.calls = 0

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        self.calls += 1
        self.begun.set()
        self.leave.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


TABLE = Table({"x": unit(1, 0)})
FINE = np.array([[0.25, 0.75]])


async def failure(backend: LocalBackend, within: float = 10) -> ClassifierError:
    with pytest.raises(ClassifierError) as caught:
        await backend.classify(["x"], within)
    return caught.value


async def test_an_answer_in_time_is_returned() -> None:
    slow = Slow(FINE)
    slow.leave.set()
    backend = LocalBackend(slow, TABLE)
    assert (await backend.classify(["x"], 10)).tolist() == FINE.tolist()
    await backend.close()
    await backend.close()
    assert (await failure(backend)).code == "closed"


async def test_a_late_answer_is_a_timeout_and_queued_work_is_dropped() -> None:
    slow = Slow(FINE)
    backend = LocalBackend(slow, TABLE)
    begun = asyncio.create_task(failure(backend, 0.05))
    await asyncio.to_thread(slow.begun.wait, 10)
    assert (await failure(backend, 0.01)).code == "timeout"
    assert (await begun).code == "timeout"
    slow.leave.set()
    assert (await backend.classify(["x"], 10)).tolist() == FINE.tolist()
    assert slow.calls == 2  # the one that was queued behind never ran
    await backend.close()


async def test_too_much_waiting_work_is_refused_at_once() -> None:
    slow = Slow(FINE)
    backend = LocalBackend(slow, TABLE, waiting=2)
    under_way = [asyncio.create_task(backend.classify(["x"], 10)) for _ in range(2)]
    await asyncio.to_thread(slow.begun.wait, 10)
    assert (await failure(backend)).code == "overloaded"
    slow.leave.set()
    await asyncio.gather(*under_way)
    assert (await backend.classify(["x"], 10)).tolist() == FINE.tolist()
    await backend.close()


async def test_closing_ends_queued_calls_as_closed() -> None:
    slow = Slow(FINE)
    backend = LocalBackend(slow, TABLE)
    first = asyncio.create_task(backend.classify(["x"], 10))
    await asyncio.to_thread(slow.begun.wait, 10)
    second = asyncio.create_task(failure(backend))
    await asyncio.sleep(0)
    closing = asyncio.create_task(backend.close())
    await asyncio.sleep(0.01)
    slow.leave.set()
    await closing
    assert (await first).tolist() == FINE.tolist()
    assert (await second).code == "closed"


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("the model broke"),
        np.array([[0.5, np.nan]]),
        np.array([[0.9, 0.9]]),
        np.array([[-1.0, 2.0]]),
        np.array([[1.0, 0.0], [1.0, 0.0]]),
    ],
)
async def test_a_broken_answer_is_a_failure(answer: NDArray[np.float64] | Exception) -> None:
    slow = Slow(answer)
    slow.leave.set()
    backend = LocalBackend(slow, TABLE)
    assert (await failure(backend)).code == "failed"
    await backend.close()


def test_a_classifier_needs_the_embedder_it_was_made_for() -> None:
    assert code_of(lambda: LocalBackend(Linear("t", small_head()), TABLE)) == "other-embedder"


# With the real embedder, whose weights `make setup` installs


@pytest.fixture(scope="module")
def embedder() -> MiniLM:
    found = find_minilm()
    if found is None:
        pytest.fail("the embedding model is not installed: run `routec models install minilm`")
    return MiniLM(found, quantised=True)


BILLING = [
    "I want my money back",
    "please refund my order",
    "why was my card charged twice",
    "send me the invoice for March",
    "cancel my subscription and return the payment",
    "the bill is higher than agreed",
]
CODE = [
    "why does this function raise a TypeError",
    "write a unit test for my parser",
    "how do I reverse a list in Python",
    "my Docker build fails at the install step",
    "explain this stack trace",
    "refactor the class into smaller modules",
]
UNSEEN = {
    "can I get a reimbursement for this purchase": "billing",
    "the compiler says undefined symbol": "code",
    "I was billed two times": "billing",
    "what is wrong with this SQL query": "code",
}


def corpus() -> list[dict[str, str]]:
    return [{"text": text, "label": "billing"} for text in BILLING] + [
        {"text": text, "label": "code"} for text in CODE
    ]


async def labels_of(classifier: Classifier, embedder: MiniLM) -> list[str]:
    backend = LocalBackend(classifier, embedder)
    scores = await backend.classify(list(UNSEEN), 10)
    await backend.close()
    return [backend.labels[index] for index in scores.argmax(axis=1)]


async def test_real_texts_by_exemplars(embedder: MiniLM, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", corpus())
    classifier = load_exemplars("topic", path, embedder, ["code", "billing"])
    assert await labels_of(classifier, embedder) == list(UNSEEN.values())


async def test_real_texts_by_a_head_the_command_trained(
    embedder: MiniLM, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = jsonl(tmp_path / "x.jsonl", corpus()), tmp_path / "head.npz"
    assert main(["fit", "--data", str(path), "--out", str(out), "--quantised"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["rows"], report["held_out_rows"]) == (12, 2)
    classifier = load_linear("topic", out, embedder.digest, ["billing", "code"])
    assert classifier.revision == report["revision"]
    assert await labels_of(classifier, embedder) == list(UNSEEN.values())


def test_the_command_says_what_is_wrong_with_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("nonsense\n")
    assert main(["fit", "--data", str(path), "--out", str(tmp_path / "head.npz")]) == 2
    assert "line 1 is not a labelled text" in capsys.readouterr().err
    assert not (tmp_path / "head.npz").exists()
