"""A linear head over an embedder's vectors: logistic regression, trained and kept here.

The file is a ``.npz`` archive of plain arrays (never pickled): ``weights`` (labels, dimension)
float32, ``bias`` (labels,) float32, ``labels`` and the texts ``embedder`` and ``activation``.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from routec.safety.classify.base import Scores, Vectors, sigmoid, softmax
from routec.safety.classify.errors import ClassifierError
from routec.safety.shared import Shared

Activation = Literal["softmax", "sigmoid"]

_FILE_LIMIT: Final = 64 * 1024 * 1024
_FIELDS: Final = ("weights", "bias", "labels", "embedder", "activation")


@dataclass(frozen=True, slots=True)
class Head:
    """Weights of a linear classifier.

    Attributes:
        weights: float32 of shape (labels, dimension).
        bias: float32 of shape (labels,).
        labels: names of the rows.
        embedder: digest of the embedder whose vectors they were trained on.
        activation: ``softmax`` when one label holds, ``sigmoid`` when any number may.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    labels: tuple[str, ...]
    embedder: str
    activation: Activation

    def __post_init__(self) -> None:
        names = len(self.labels)
        fits = (
            self.weights.ndim == 2
            and len(self.weights) == names
            and self.bias.shape == (names,)
            and len(set(self.labels)) == names
            and names >= (2 if self.activation == "softmax" else 1)
            and self.activation in ("softmax", "sigmoid")
        )
        if not fits:
            raise _bad("its arrays do not fit together")
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise _bad("a weight is NaN or infinite")


class Linear:
    """A :class:`Classifier` of one matrix product."""

    def __init__(self, name: str, head: Head) -> None:
        self.name: Final = name
        self.labels: Final = head.labels
        self.exclusive: Final = head.activation == "softmax"
        self.embedder: Final = head.embedder
        self.revision: Final = "sha256:" + sha256(_serialised(head)).hexdigest()
        self._weights = head.weights.astype(np.float64)
        self._bias = head.bias.astype(np.float64)

    def scores(self, vectors: Vectors) -> Scores:
        """Scores of shape (n, labels); see :class:`Classifier`.

        Raises:
            ValueError: when the vectors' dimension is not that of the weights.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self._weights.shape[1]:
            raise ValueError(f"vectors of shape {vectors.shape} do not fit the weights")
        # Dot products one by one: a matrix product's rounding would depend on the batch.
        rows = vectors.astype(np.float64)[:, np.newaxis, :]
        logits: Scores = np.vecdot(rows, self._weights[np.newaxis, :, :]) + self._bias
        return softmax(logits) if self.exclusive else sigmoid(logits)


_LOADED: Final[Shared[tuple[str, bytes], Linear]] = Shared()


def load_linear(
    name: str, path: Path, embedder: str, labels: Sequence[str] | None = None
) -> Linear:
    """A classifier from the file that :func:`save_head` wrote; one object while it is the same.

    Args:
        name: the name it is bound under.
        path: the ``.npz`` file.
        embedder: digest of the embedder in use.
        labels: the labels it must have, in any order; not checked when None.

    Raises:
        ClassifierError: ``unreadable``, ``bad-weights``, ``other-embedder`` or ``other-labels``.
    """
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= _FILE_LIMIT else b""
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ClassifierError(
            "unreadable", f"cannot read `{path}`: {reason}", "check the path"
        ) from None
    classifier = _LOADED.get((name, sha256(data).digest()), lambda: Linear(name, _parse(data)))
    if classifier.embedder != embedder:
        raise ClassifierError(
            "other-embedder",
            f"the classifier in `{path}` was trained on vectors of another embedder "
            f"(`{classifier.embedder}`, in use is `{embedder}`)",
            "train it again: `python -m routec.safety.classify fit`",
        )
    if labels is not None and set(labels) != set(classifier.labels):
        odd = sorted(set(labels) ^ set(classifier.labels))[0]
        raise ClassifierError(
            "other-labels",
            f"the classifier in `{path}` and its declaration differ in the label `{odd}`",
            f"the file has {', '.join(f'`{label}`' for label in classifier.labels)}",
        )
    return classifier


def save_head(head: Head, path: Path) -> None:
    """Write a head's file; the same head gives the same bytes.

    Raises:
        OSError: when it cannot be written.
    """
    path.write_bytes(_serialised(head))


def _serialised(head: Head) -> bytes:
    # numpy.savez stamps the time of day into the archive, which would change its checksum.
    out = io.BytesIO()
    arrays: dict[str, NDArray[Any]] = {
        "weights": head.weights,
        "bias": head.bias,
        "labels": np.array(head.labels),
        "embedder": np.array(head.embedder),
        "activation": np.array(head.activation),
    }
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, np.asarray(array, order="C"), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return out.getvalue()


def _parse(data: bytes) -> Head:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _FILE_LIMIT:
                raise _bad("it is too large")
            arrays = {name: _array(archive.read(f"{name}.npy")) for name in _FIELDS}
    except ClassifierError:
        raise
    except Exception as error:  # the readers of numpy and zipfile raise many kinds
        raise _bad(str(error) or type(error).__name__) from None
    weights, bias, labels, embedder, activation = (arrays[name] for name in _FIELDS)
    if weights.dtype != np.float32 or bias.dtype != np.float32:
        raise _bad("its weights are not float32")
    if {labels.dtype.kind, embedder.dtype.kind, activation.dtype.kind} != {"U"} or labels.ndim != 1:
        raise _bad("its labels are not texts")
    kinds: dict[str, Activation] = {"softmax": "softmax", "sigmoid": "sigmoid"}
    kind = kinds.get(str(activation))
    if kind is None:
        raise _bad(f"`{activation}` is not an activation")
    return Head(weights, bias, tuple(str(label) for label in labels), str(embedder), kind)


def _array(data: bytes) -> NDArray[Any]:
    array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array


def _bad(reason: str) -> ClassifierError:
    return ClassifierError(
        "bad-weights",
        f"this is not a classifier's weights file: {reason}",
        "make one with `python -m routec.safety.classify fit`",
    )
