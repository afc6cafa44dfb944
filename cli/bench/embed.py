"""Embedder and classifiers: texts per second, and how often the label is right.

Rates need the installed model; accuracies need published data sets too (`../shared/data`, or where
ROUTEC_DATA points) and are left out where these are absent. Accuracies are in-distribution: every
fifth row of the same file is held out. Rates are of one thread.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from routec.cli.bench.result import LeftOut, Outcome, Result
from routec.cli.bench.timing import alternate
from routec.safety.classify import (
    Classifier,
    Labelled,
    Linear,
    fit_exemplars,
    fit_linear,
)
from routec.safety.embed import MiniLM
from routec.safety.models import ModelError, require_minilm

Item = TypeVar("Item")
Vectors = NDArray[np.float32]
ROWS = 5000
"""Most rows of a data set."""


class Known:
    """An embedder over vectors that were computed before, so that each text costs once."""

    def __init__(self, embedder: MiniLM, texts: Sequence[str]) -> None:
        self.dimension = embedder.dimension
        self.digest = embedder.digest
        self.vectors = dict(zip(texts, embedder.embed(texts), strict=True))

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of texts that were given at the start."""
        return np.array([self.vectors[text] for text in texts], np.float32)


def row(name: str, value: float, unit: str = "share") -> Result:
    """One figure without a baseline."""
    return Result(f"safety/{name}", value, unit)


def numbered(tokens: int, count: int) -> list[str]:
    """Different texts of exactly ``tokens`` tokens, marks of begin and end included."""
    words = "card order bank help time year people way day man thing woman life child"
    choice = words.split()
    body = [choice[i % 14] for i in range(tokens - 4)]
    return [" ".join([choice[i % 14], choice[i // 14 % 14], *body]) for i in range(count)]


def rates(fp32: MiniLM, int8: MiniLM, rounds: int) -> Iterator[Outcome]:
    """Texts a second of processor time: in a batch over one by one, and int8 over fp32."""
    for tokens, count in ((16, 64), (64, 32), (256, 8)):
        texts = numbered(tokens, count)
        sides: list[Callable[[], object]] = []
        for embedder in (fp32, int8):
            sides.append(lambda e=embedder, t=texts: e.embed(t))  # type: ignore[misc]
            sides.append(lambda e=embedder, t=texts: [e.embed([x]) for x in t])  # type: ignore[misc]
        batched, alone, small, small_alone = (count / s for s in alternate(sides, rounds))
        for name, ours, theirs in (("fp32", batched, alone), ("int8", small, small_alone)):
            title = f"safety/{name} embedding, {tokens} tokens, batched"
            yield Result(title, ours, "texts/s", theirs, "one text a call")
        yield Result(
            f"safety/int8 embedding, {tokens} tokens", small, "texts/s", batched, "fp32, batched"
        )


def agreement(fp32: MiniLM, int8: MiniLM, texts: Sequence[str]) -> list[Result]:
    """Whether a vector depends on the batch, and how near int8 is to fp32."""
    exact, small = fp32.embed(texts), int8.embed(texts)
    rows = []
    for name, embedder, batch in (("fp32", fp32, exact), ("int8", int8, small)):
        alone = np.concatenate([embedder.embed([text]) for text in texts])
        same = float((alone == batch).all(axis=1).mean())
        rows.append(row(f"{name}: share of vectors identical alone and in a batch", same))
    cosines = (exact.astype(np.float64) * small).sum(axis=1)
    rows.append(row("int8 to fp32 cosine, mean", float(cosines.mean()), "cosine"))
    rows.append(row("int8 to fp32 cosine, least", float(cosines.min()), "cosine"))
    return rows


def calibration_error(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error in ten bins (Guo et al. 2017)."""
    confidence = scores.max(axis=1)
    bins = np.minimum((confidence * 10).astype(int), 9)
    return sum(
        float((bins == b).mean() * abs(confidence[bins == b].mean() - right[bins == b].mean()))
        for b in np.unique(bins)
    )


def accuracy(name: str, data: Sequence[Labelled], embedder: MiniLM) -> list[Result]:
    """Accuracy and calibration of both classifiers on held-out rows."""
    known = Known(embedder, [item.text for item in data])
    held = [item for index, item in enumerate(data) if index % 5 == 4]
    seen = [item for index, item in enumerate(data) if index % 5 != 4]
    vectors = known.embed([item.text for item in held])

    def measured(title: str, classifier: Classifier) -> list[Result]:
        scores = classifier.scores(vectors)
        column = {label: index for index, label in enumerate(classifier.labels)}
        right = scores.argmax(axis=1) == np.array([column[item.labels[0]] for item in held])
        return [
            row(f"{name} {title}: accuracy", float(right.mean())),
            row(f"{name} {title}: calibration error", calibration_error(scores, right)),
        ]

    rows = []
    for each in (5, 20, None):
        few: dict[str, list[Labelled]] = {}
        for item in seen:
            kept = few.setdefault(item.labels[0], [])
            if each is None or len(kept) < each:
                kept.append(item)
        chosen = [item for kept in few.values() for item in kept]
        title = f"exemplars ({each or 'all'} a label)"
        rows += measured(title, fit_exemplars(name, chosen, known))
    head = fit_linear(
        known.embed([item.text for item in seen]),
        [item.labels for item in seen],
        sorted({item.labels[0] for item in data}),
        embedder.digest,
    )
    return rows + measured("linear", Linear(name, head))


def area(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """The area under the ROC curve: how often a positive scores above a negative."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left")
    upto = np.searchsorted(ordered, positive, "right")
    return float((below + upto).mean() / (2 * len(negative)))


def attacks(hostile_texts: Sequence[str], benign: Sequence[str], embedder: MiniLM) -> list[Result]:
    """How well jailbreak prompts are told from ordinary requests, on held-out rows."""
    texts = [*hostile_texts, *benign]
    known = Known(embedder, texts)
    data = [Labelled(text, ("jailbreak",)) for text in hostile_texts]
    data += [Labelled(text, ("benign",)) for text in benign]
    data = list({item.text: item for item in data}.values())
    held = [item for index, item in enumerate(data) if index % 5 == 4]
    seen = [item for index, item in enumerate(data) if index % 5 != 4]
    names = ["benign", "jailbreak"]
    head = fit_linear(
        known.embed([item.text for item in seen]),
        [item.labels for item in seen],
        names,
        embedder.digest,
    )
    classifiers: dict[str, Classifier] = {
        "exemplars": fit_exemplars("jailbreak", seen, known, names),
        "linear": Linear("jailbreak", head),
    }
    hostile = np.array([item.labels[0] == "jailbreak" for item in held])
    vectors = known.embed([item.text for item in held])
    rows = []
    for title, classifier in classifiers.items():
        scores = classifier.scores(vectors)[:, 1]
        rows.append(
            row(
                f"jailbreak {title}: area under ROC",
                area(scores[hostile], scores[~hostile]),
                "area",
            )
        )
        caught = float((scores[hostile] >= np.quantile(scores[~hostile], 0.99)).mean())
        rows.append(row(f"jailbreak {title}: caught at 1% false alarms", caught))
    return rows


def thinned(items: Sequence[Item], most: int) -> list[Item]:
    """At most ``most`` items, evenly spread; all of them when it is 0."""
    if not most or len(items) <= most:
        return list(items)
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, most)]


def data_folder() -> Path | None:
    """Where the data is, or None."""
    named = os.environ.get("ROUTEC_DATA")
    folder = Path(named) if named else Path(__file__).parents[3] / "shared" / "data"
    return folder if (folder / "requests").is_dir() else None


def labelled(path: Path) -> list[Labelled]:
    """The labelled texts of a published file, each text once."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    # The published files hold a few texts twice, some with two labels; the first is kept.
    first = {row["text"]: Labelled(row["text"], (row["label"],)) for row in reversed(rows)}
    return list(first.values())[::-1]


def measure(quick: bool) -> Iterator[Outcome]:
    """The figures of embedder and classifiers."""
    try:
        installed = require_minilm()
    except ModelError as error:
        yield LeftOut("safety/embedding", f"{error.message}: {error.help}")
        return
    fp32 = MiniLM(installed, remember=0)
    int8 = MiniLM(installed, quantised=True, remember=0)
    yield from rates(fp32, int8, 2 if quick else 5)
    folder = data_folder()
    if folder is None or quick:
        why = "left out to be quick" if quick else "no data sets here: set ROUTEC_DATA to a folder"
        yield LeftOut("safety/accuracy of classifiers", why)
        return
    banking = thinned(labelled(folder / "requests" / "banking77_train.jsonl"), ROWS)
    clinc = thinned(labelled(folder / "requests" / "clinc150_train.jsonl"), ROWS)
    jailbreaks = json.loads(
        (folder / "safety" / "inthewild_jailbreaks_train.json").read_text(encoding="utf-8")
    )
    mixed = [item.text for item in thinned(banking, 200) + thinned(clinc, 200)]
    yield from agreement(fp32, int8, mixed + thinned(jailbreaks, 40))
    yield from accuracy("banking77", banking, fp32)
    yield from accuracy("clinc150", clinc, fp32)
    benign = [item.text for item in thinned(banking, 1000) + thinned(clinc, 1000)]
    yield from attacks(jailbreaks, benign, fp32)
