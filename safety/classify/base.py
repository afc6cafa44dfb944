"""What a classifier is, for the engine and for whatever serves one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from routec.safety.classify.errors import ClassifierError

# The scores of an exclusive classifier add up to 1 within this.
SUM_TOLERANCE: Final = 1e-6

Vectors = NDArray[np.float32]
Scores = NDArray[np.float64]


class Classifier(Protocol):
    """Labels for vectors of an embedder, computed in place: a matrix product, microseconds.

    The vectors are computed once for a text and shared with similarity, cache and other
    classifiers. Scores are never NaN; the label of a row is its largest score, the first in the
    order of ``labels`` among equals.
    """

    @property
    def name(self) -> str:
        """The name it is bound under."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the columns of the scores."""

    @property
    def revision(self) -> str:
        """``sha256:…``; differs whenever a text could get another score."""

    @property
    def exclusive(self) -> bool:
        """Whether exactly one label holds: scores are then >= 0 and add up to 1."""

    @property
    def embedder(self) -> str:
        """The digest of the embedder whose vectors it takes."""

    def scores(self, vectors: Vectors) -> Scores:
        """Scores in [0, 1] of shape (n, labels) for vectors of shape (n, dimension)."""


class Backend(Protocol):
    """A classifier that may be far away: in a thread, on a GPU, behind a network.

    Everything that can go wrong while it works is a :class:`ClassifierError`, upon which the
    caller takes the signal's ``on_error`` value: ``timeout``, ``overloaded``, ``closed`` or
    ``failed``.
    """

    @property
    def name(self) -> str:
        """The name it is bound under."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the columns of the scores."""

    @property
    def revision(self) -> str:
        """``sha256:…``; differs whenever a text could get another score."""

    @property
    def exclusive(self) -> bool:
        """Whether exactly one label holds: scores are then >= 0 and add up to 1."""

    async def classify(self, texts: Sequence[str], within: float) -> Scores:
        """Scores in [0, 1] of shape (len(texts), labels), in ``within`` seconds.

        Raises:
            ClassifierError: when there is no complete answer in time.
        """

    async def close(self) -> None:
        """Stop taking work and free what is held; may be called twice."""


def checked(scores: Scores, rows: int, labels: int, exclusive: bool) -> Scores:
    """``scores``, when they are what a classifier promises.

    Raises:
        ClassifierError: ``failed``, when the shape is wrong, a score is NaN or outside [0, 1], or
            exclusive scores do not add up to 1.
    """
    reason = None
    if scores.shape != (rows, labels):
        reason = f"its scores have the shape {scores.shape}, not {(rows, labels)}"
    elif not np.all((scores >= -SUM_TOLERANCE) & (scores <= 1 + SUM_TOLERANCE)):
        reason = "a score is NaN or outside 0 to 1"
    elif exclusive and not np.all(np.abs(scores.sum(axis=1) - 1) <= SUM_TOLERANCE):
        reason = "its scores do not add up to 1"
    if reason is not None:
        raise ClassifierError("failed", f"the classifier failed: {reason}", "check its model")
    return scores


def softmax(logits: Scores) -> Scores:
    """Rows of ``logits`` as probabilities that add up to 1; finite logits give finite rows."""
    powers: Scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Scores = powers / powers.sum(axis=1, keepdims=True)
    return shares


def sigmoid(logits: Scores) -> Scores:
    """The logistic function of each logit, in a form that cannot overflow."""
    powers: Scores = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0, powers) / (1.0 + powers)
