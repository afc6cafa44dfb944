"""Classification by nearest labelled examples, with calibrated probabilities.

The score of a label is the soft maximum of the cosines to its examples,
``w log mean exp(cosine / w)``: the nearest example as the width w goes to 0, the mean as it grows.
The probabilities are ``softmax(score / t)``. Every label counts the same however many examples it
has.

Width and temperature are the pair, from a fixed grid, with the least log loss when every example is
predicted from the others. The loss is taken against targets of ``1 - 1/(n + 2)`` for the example's
label, so that a handful of well separated examples does not end in certainty.

Sources: Goldberger et al. 2004, "Neighbourhood components analysis" (soft neighbours,
leave-one-out); Guo et al. 2017, "On calibration of modern neural networks" (temperature); Platt
1999, "Probabilistic outputs for support vector machines", section 2.2 (targets).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from routec.safety.classify.base import Scores, Vectors, softmax
from routec.safety.classify.data import Labelled, label_names, read_labelled
from routec.safety.classify.errors import ClassifierError
from routec.safety.embed.base import Embedder
from routec.safety.shared import Shared
from routec.safety.similarity import cosine

_LEAST_EXAMPLES: Final = 2
_MOST_EXAMPLES: Final = 20_000
_MOST_PREDICTED: Final = 2_000
_CHUNK: Final = 256
_WIDTHS: Final = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2)
_TEMPERATURES: Final = tuple(float(t) for t in np.geomspace(0.01, 1.0, 41))


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was fitted, and how well each example was predicted from the others.

    Attributes:
        width: of the soft maximum, in units of cosine.
        temperature: of the softmax, in units of cosine.
        log_loss: mean, natural logarithm, against the smoothed targets.
        accuracy: share of the examples whose own label came out largest.
        examples: how many examples were predicted: all, or 2,000 spread evenly.
    """

    width: float
    temperature: float
    log_loss: float
    accuracy: float
    examples: int


class Exemplars:
    """A :class:`Classifier` by the labelled examples nearest to a text.

    It knows no label but its own: a text unlike all examples still gets probabilities over them,
    so a policy that expects such texts has a label, with examples, for them. A text without content
    (a vector of zeros) gets the same probability for every label.

    Build one with :func:`load_exemplars` or :func:`fit_exemplars`.

    Args:
        name: the name it is bound under.
        labels: the labels.
        matrix: vectors of the examples, those of one label together, in the order of ``labels``.
        counts: how many examples each label has.
        calibration: the fitted width and temperature.
        embedder: digest of the embedder that made the vectors.
        revision: identifies examples and embedder.
    """

    exclusive: Final = True

    def __init__(
        self,
        name: str,
        labels: tuple[str, ...],
        matrix: Vectors,
        counts: Sequence[int],
        calibration: Calibration,
        embedder: str,
        revision: str,
    ) -> None:
        self.name: Final = name
        self.labels: Final = labels
        self.calibration: Final = calibration
        self.embedder: Final = embedder
        self.revision: Final = revision
        self._matrix = matrix
        self._counts = np.array(counts)

    def scores(self, vectors: Vectors) -> Scores:
        """Probabilities of shape (n, labels); see :class:`Classifier`.

        Raises:
            ValueError: when the vectors' dimension is not that of the examples.
        """
        rows = [np.zeros((0, len(self.labels)))]
        for start in range(0, len(vectors), _CHUNK):
            cosines = cosine(vectors[start : start + _CHUNK], self._matrix)
            soft = _soft_maximum(cosines, self._counts, self._counts, self.calibration.width)
            rows.append(softmax(soft / self.calibration.temperature))
        return np.concatenate(rows)


_LOADED: Final[Shared[tuple[str, str], Exemplars]] = Shared()


def load_exemplars(
    name: str, path: Path, embedder: Embedder, labels: Sequence[str] | None = None
) -> Exemplars:
    """A classifier from a file of labelled texts, see :func:`read_labelled`.

    While it is in use, the same texts and the same embedder give the same object.

    Raises:
        ClassifierError: as :func:`read_labelled` and :func:`fit_exemplars`.
    """
    rows = read_labelled(path)
    key = name, _revision(rows, label_names(rows, labels), embedder.digest)
    return _LOADED.get(key, lambda: fit_exemplars(name, rows, embedder, labels))


def fit_exemplars(
    name: str, rows: Sequence[Labelled], embedder: Embedder, labels: Sequence[str] | None = None
) -> Exemplars:
    """A classifier from labelled texts, one label each; deterministic.

    Args:
        name: the name it is bound under.
        rows: the examples; at least two for each label, 20,000 at most.
        embedder: makes their vectors, and shall make those to classify.
        labels: the labels in the order wanted; those of the rows, sorted, when None.

    Raises:
        ClassifierError: ``unknown-label``, ``missing-label``, ``too-few-labels``,
            ``too-few-examples`` or ``too-many-examples``.
    """
    names = label_names(rows, labels)
    if len(rows) > _MOST_EXAMPLES:
        raise ClassifierError(
            "too-many-examples",
            f"there are {len(rows):,} examples, and 20,000 at most are compared with each text",
            "train a linear classifier: `python -m routec.safety.classify fit`",
        )
    ordered = [row for label in names for row in rows if row.labels == (label,)]
    counts = np.array([sum(row.labels == (label,) for row in ordered) for label in names])
    if counts.min() < _LEAST_EXAMPLES:
        raise ClassifierError(
            "too-few-examples",
            f"the label `{names[int(counts.argmin())]}` has one example only",
            "give each label two examples or more; ten make a useful classifier",
        )
    matrix = embedder.embed([row.text for row in ordered])
    return Exemplars(
        name=name,
        labels=names,
        matrix=matrix,
        counts=[int(count) for count in counts],
        calibration=_calibrated(matrix, counts),
        embedder=embedder.digest,
        revision=_revision(ordered, names, embedder.digest),
    )


def _calibrated(matrix: Vectors, counts: NDArray[np.int64]) -> Calibration:
    total, labels = len(matrix), len(counts)
    owner = np.repeat(np.arange(labels), counts)
    chosen = np.unique(np.linspace(0, total - 1, min(total, _MOST_PREDICTED)).astype(int))
    own = owner[chosen]
    others = np.tile(counts, (len(chosen), 1))
    others[np.arange(len(chosen)), own] -= 1
    soft = {width: np.empty((len(chosen), labels)) for width in _WIDTHS}
    for start in range(0, len(chosen), _CHUNK):
        part = slice(start, start + _CHUNK)
        cosines = cosine(matrix[chosen[part]], matrix)
        cosines[np.arange(len(cosines)), chosen[part]] = -np.inf
        for width in _WIDTHS:
            soft[width][part] = _soft_maximum(cosines, counts, others[part], width)
    wrong = 1.0 / (total + 2)
    loss, width, temperature = min(
        (_log_loss(soft[width] / temperature, own, wrong), width, temperature)
        for width in _WIDTHS
        for temperature in _TEMPERATURES
    )
    accuracy = float((soft[width].argmax(axis=1) == own).mean())
    return Calibration(width, temperature, loss, accuracy, len(chosen))


def _soft_maximum(
    cosines: Scores, counts: NDArray[np.int64], divisors: NDArray[np.int64], width: float
) -> Scores:
    """(n, labels) from (n, examples): the soft maximum within each label's run of columns.

    ``divisors`` says over how many each mean is taken: the counts, less an example left out, whose
    cosine is -inf. With cosines in [-1, 1] and the widths above no sum over- or underflows.
    """
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.add.reduceat(np.exp((cosines - 1.0) / width), starts, axis=1)
    soft: Scores = width * np.log(sums / divisors)
    return soft


def _log_loss(logits: Scores, own: NDArray[np.int64], wrong: float) -> float:
    """Mean cross entropy to targets of ``1 - wrong`` for the own label, the rest spread evenly."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    mine = logs[np.arange(len(own)), own]
    rest = (logs.sum(axis=1) - mine) / (logs.shape[1] - 1)
    return float(-((1 - wrong) * mine + wrong * rest).mean())


def _revision(rows: Sequence[Labelled], names: Sequence[str], embedder: str) -> str:
    digest = sha256(f"exemplars 1\n{embedder}\n".encode())
    for part in (*names, *(field for row in rows for field in (row.labels[0], row.text))):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return f"sha256:{digest.hexdigest()}"
