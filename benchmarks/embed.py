"""Embedder and classifiers: texts per second, and how often the label is right.

    python benchmarks/embed.py [--format json] [--rows N] [--rates-only]

Rates need the installed model; accuracies need the data folder too (`../shared/data`, or where
ROUTEC_DATA points), and are left out, with a word on standard error, where it is absent. Accuracies
are in-distribution: every fifth row of the same file is held out. Rates are per second of CPU time,
so that a busy machine does not change them much, on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from routec.safety.classify import (
    Classifier,
    Labelled,
    Linear,
    fit_exemplars,
    fit_linear,
)
from routec.safety.embed import MiniLM
from routec.safety.models import ModelError, require_minilm

Row = dict[str, Any]
Item = TypeVar("Item")
Vectors = NDArray[np.float32]
REPEATS = 5


class Known:
    """An embedder over vectors that were computed before, so that each text costs once."""

    def __init__(self, embedder: MiniLM, texts: Sequence[str]) -> None:
        self.dimension = embedder.dimension
        self.digest = embedder.digest
        self.vectors = dict(zip(texts, embedder.embed(texts), strict=True))

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of texts that were given at the start."""
        return np.array([self.vectors[text] for text in texts], np.float32)


def row(name: str, value: float, unit: str, baseline: float | None = None) -> Row:
    """One result, with its ratio to the baseline where there is one."""
    ratio = round(value / baseline, 3) if baseline else None
    return {
        "name": name,
        "value": round(value, 4),
        "unit": unit,
        "baseline": None if baseline is None else round(baseline, 4),
        "ratio": ratio,
        "target": None,
        "met": None,
    }


def per_cpu_second(count: int, work: Callable[[], object]) -> float:
    """The best of a few runs after one that warms up."""
    work()
    best = float("inf")
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return count / best


def numbered(tokens: int, count: int) -> list[str]:
    """Different texts of exactly ``tokens`` tokens, marks of begin and end included."""
    words = "card order bank help time year people way day man thing woman life child"
    choice = words.split()
    body = [choice[i % 14] for i in range(tokens - 4)]
    return [" ".join([choice[i % 14], choice[i // 14 % 14], *body]) for i in range(count)]


def rates(fp32: MiniLM, int8: MiniLM) -> list[Row]:
    """Texts per CPU second: in a batch over one by one, and int8 over fp32."""
    rows = []
    for tokens, count in ((16, 64), (64, 32), (256, 8)):
        texts = numbered(tokens, count)
        together = {}
        for name, embedder in (("fp32", fp32), ("int8", int8)):
            alone = per_cpu_second(count, lambda e=embedder, t=texts: [e.embed([x]) for x in t])
            together[name] = per_cpu_second(count, lambda e=embedder, t=texts: e.embed(t))
            rows.append(
                row(f"{name} {tokens} tokens, batched", together[name], "texts/CPU-s", alone)
            )
        rows.append(
            row(
                f"int8 over fp32, {tokens} tokens",
                together["int8"],
                "texts/CPU-s",
                together["fp32"],
            )
        )
    return rows


def agreement(fp32: MiniLM, int8: MiniLM, texts: Sequence[str]) -> list[Row]:
    """Whether a vector depends on the batch, and how near int8 is to fp32."""
    exact, small = fp32.embed(texts), int8.embed(texts)
    rows = []
    for name, embedder, batch in (("fp32", fp32, exact), ("int8", int8, small)):
        alone = np.concatenate([embedder.embed([text]) for text in texts])
        same = float((alone == batch).all(axis=1).mean())
        rows.append(row(f"{name}: share of vectors identical alone and in a batch", same, "share"))
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


def accuracy(name: str, data: Sequence[Labelled], embedder: MiniLM) -> list[Row]:
    """Accuracy and calibration of both classifiers on held-out rows."""
    known = Known(embedder, [item.text for item in data])
    held = [item for index, item in enumerate(data) if index % 5 == 4]
    seen = [item for index, item in enumerate(data) if index % 5 != 4]
    vectors = known.embed([item.text for item in held])

    def measured(title: str, classifier: Classifier) -> list[Row]:
        scores = classifier.scores(vectors)
        column = {label: index for index, label in enumerate(classifier.labels)}
        right = scores.argmax(axis=1) == np.array([column[item.labels[0]] for item in held])
        return [
            row(f"{name} {title}: accuracy", float(right.mean()), "share"),
            row(f"{name} {title}: calibration error", calibration_error(scores, right), "share"),
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


def attacks(hostile_texts: Sequence[str], benign: Sequence[str], embedder: MiniLM) -> list[Row]:
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
        rows.append(row(f"jailbreak {title}: caught at 1% false alarms", caught, "share"))
    return rows


def thinned(items: Sequence[Item], most: int) -> list[Item]:
    """At most ``most`` items, evenly spread; all of them when it is 0."""
    if not most or len(items) <= most:
        return list(items)
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, most)]


def data_folder() -> Path | None:
    """Where the data is, or None."""
    named = os.environ.get("ROUTEC_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None


def labelled(path: Path) -> list[Labelled]:
    """The labelled texts of a published file, each text once."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    # The published files hold a few texts twice, some with two labels; the first is kept.
    first = {row["text"]: Labelled(row["text"], (row["label"],)) for row in reversed(rows)}
    return list(first.values())[::-1]


def measure(most: int, rates_only: bool) -> list[Row]:
    """Everything that can be measured here."""
    installed = require_minilm()
    fp32 = MiniLM(installed, remember=0)
    int8 = MiniLM(installed, quantised=True, remember=0)
    rows = rates(fp32, int8)
    folder = None if rates_only else data_folder()
    if folder is None:
        if not rates_only:
            print("no data folder: accuracies are left out (set ROUTEC_DATA)", file=sys.stderr)
        return rows
    banking = thinned(labelled(folder / "requests" / "banking77_train.jsonl"), most)
    clinc = thinned(labelled(folder / "requests" / "clinc150_train.jsonl"), most)
    jailbreaks = json.loads(
        (folder / "safety" / "inthewild_jailbreaks_train.json").read_text(encoding="utf-8")
    )
    mixed = [item.text for item in thinned(banking, 200) + thinned(clinc, 200)]
    rows += agreement(fp32, int8, mixed + thinned(jailbreaks, 40))
    rows += accuracy("banking77", banking, fp32)
    rows += accuracy("clinc150", clinc, fp32)
    benign = [item.text for item in thinned(banking, 1000) + thinned(clinc, 1000)]
    return rows + attacks(jailbreaks, benign, fp32)


def main() -> int:
    """Measure and print; 2 when there is no model."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--format", choices=["text", "json"], default="text")
    parser.add_argument("--rows", type=int, default=5000, help="of each file at most, 0 for all")
    parser.add_argument("--rates-only", action="store_true")
    options = parser.parse_args()
    try:
        rows = measure(options.rows, options.rates_only)
    except ModelError as error:
        print(f"error: {error.message}\n help: {error.help}", file=sys.stderr)
        return 2
    if options.format == "json":
        print(json.dumps({"results": rows}))
        return 0
    for entry in rows:
        ratio = f"  x{entry['ratio']}" if entry["ratio"] is not None else ""
        print(f"{entry['name']:58} {entry['value']:>10} {entry['unit']}{ratio}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
