"""``python -m routec.safety.classify fit``: train a linear classifier on labelled texts."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from routec.safety.classify.data import Labelled, label_names, read_labelled
from routec.safety.classify.errors import ClassifierError
from routec.safety.classify.fit import DEFAULT_L2, fit_linear
from routec.safety.classify.linear import Linear, save_head
from routec.safety.embed import MiniLM
from routec.safety.models import ModelError, require_minilm

_FOLD = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when the file was written, 2 when it could not be."""
    options = _parser().parse_args(arguments)
    try:
        report = _fit(options)
    except (ClassifierError, ModelError) as error:
        print(f"error: {error.message}\n help: {error.help}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: cannot write `{options.out}`: {error.strerror}", file=sys.stderr)
        return 2
    print(json.dumps(report))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m routec.safety.classify", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    fit = commands.add_parser("fit", help="write a weights file")
    fit.add_argument("--data", type=Path, required=True, help='JSON lines {"text", "label"}')
    fit.add_argument("--out", type=Path, required=True, help="the .npz file to write")
    fit.add_argument(
        "--independent",
        action="store_true",
        help='labels do not exclude each other: JSON lines {"text", "labels"}',
    )
    fit.add_argument("--l2", type=float, default=DEFAULT_L2, help="regularisation (%(default)s)")
    fit.add_argument("--quantised", action="store_true", help="for the int8 embedder")
    fit.add_argument("--threads", type=int, default=1, help="of the embedder (%(default)s)")
    return parser


def _fit(options: argparse.Namespace) -> dict[str, object]:
    exclusive = not options.independent
    rows = read_labelled(options.data, exclusive)
    names = label_names(rows, None)
    embedder = MiniLM(require_minilm(), max(1, options.threads), options.quantised, remember=0)
    vectors = embedder.embed([row.text for row in rows])
    labels = [row.labels for row in rows]
    held = np.arange(len(rows)) % _FOLD == _FOLD - 1
    report: dict[str, object] = {"rows": len(rows), "labels": len(names)}
    if held.any():
        seen = [given for given, out in zip(labels, held, strict=True) if not out]
        trial = fit_linear(
            vectors[~held], seen, names, embedder.digest, exclusive=exclusive, l2=options.l2
        )
        kept = [row for row, out in zip(rows, held, strict=True) if out]
        report |= {
            "held_out_rows": len(kept),
            "held_out_accuracy": _accuracy(Linear("trial", trial), vectors[held], kept),
        }
    head = fit_linear(vectors, labels, names, embedder.digest, exclusive=exclusive, l2=options.l2)
    save_head(head, options.out)
    return report | {"embedder": embedder.digest, "revision": Linear("head", head).revision}


def _accuracy(classifier: Linear, vectors: NDArray[np.float32], rows: Sequence[Labelled]) -> float:
    """Share of rows whose label, or whole set of labels at 0.5, is right."""
    scores = classifier.scores(vectors)
    right = 0
    for row, given in zip(scores, rows, strict=True):
        if classifier.exclusive:
            found = {classifier.labels[int(row.argmax())]}
        else:
            found = {name for name, p in zip(classifier.labels, row, strict=True) if p >= 0.5}
        right += found == set(given.labels)
    return round(right / len(rows), 4)


if __name__ == "__main__":
    sys.exit(main())
