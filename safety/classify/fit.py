"""Training of a linear head: logistic regression by an accelerated fixed-metric descent.

The curvature of the loss is bounded once, for all weights, by ``c XᵀX / n + l2 I`` with c = 1/2 for
softmax and 1/4 for sigmoid; each step solves with that matrix, so no step size is searched and the
loss cannot diverge. No random numbers: the same rows give the same weights.

With few rows a label the regularisation leaves the probabilities too modest (benchmarks/embed.py
prints the calibration error); where a threshold must mean what it says, prefer exemplars.

Sources: Böhning 1992, "Multinomial logistic regression algorithm" (the bound); Nesterov 1983 (the
acceleration); O'Donoghue and Candès 2015 (its restart when it points uphill).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from routec.safety.classify.base import Scores, Vectors, sigmoid, softmax
from routec.safety.classify.errors import ClassifierError
from routec.safety.classify.linear import Activation, Head

DEFAULT_L2: Final = 1e-5
_STEPS: Final = 500
_TOLERANCE: Final = 1e-6


def fit_linear(
    vectors: Vectors,
    labels: Sequence[Sequence[str]],
    names: Sequence[str],
    embedder: str,
    exclusive: bool = True,
    l2: float = DEFAULT_L2,
) -> Head:
    """A linear head with the least regularised log loss on the given rows.

    Args:
        vectors: (n, dimension), finite.
        labels: the labels of each row: exactly one when ``exclusive``.
        names: all labels, in the order the head shall have them.
        embedder: digest of the embedder that made the vectors.
        exclusive: softmax over the labels, or a sigmoid for each.
        l2: weight of half the squared weights in the loss per row, above 0; the bias is free.

    Raises:
        ClassifierError: ``bad-training-data``, when the rows do not fit together.
    """
    targets = _targets(vectors, labels, names, exclusive)
    if not l2 > 0 or not np.isfinite(l2):
        raise _unfit(f"l2 is {l2}, and must be above 0")
    rows, dimension = vectors.shape
    inputs = np.ones((rows, dimension + 1))
    inputs[:, :-1] = vectors
    penalty = np.full((dimension + 1, 1), l2)
    penalty[-1] = 0.0
    bound = (0.5 if exclusive else 0.25) * (inputs.T @ inputs) / rows
    # The small constant keeps the solve stable where a direction does not occur in the data.
    inverse = np.linalg.inv(bound + np.diag(penalty[:, 0]) + 1e-9 * np.eye(dimension + 1))

    def gradient(weights: Scores) -> Scores:
        logits = inputs @ weights
        expected = softmax(logits) if exclusive else sigmoid(logits)
        slope: Scores = inputs.T @ (expected - targets) / rows + penalty * weights
        return slope

    weights = _descend(gradient, inverse, np.zeros((dimension + 1, len(names))))
    activation: Activation = "softmax" if exclusive else "sigmoid"
    return Head(
        np.ascontiguousarray(weights[:-1].T, np.float32),
        weights[-1].astype(np.float32),
        tuple(names),
        embedder,
        activation,
    )


def _descend(
    gradient: Callable[[Scores], Scores], inverse: NDArray[np.float64], start: Scores
) -> Scores:
    weights, ahead, momentum = start, start, 1.0
    for _ in range(_STEPS):
        slope = gradient(ahead)
        if np.abs(slope).max() < _TOLERANCE:
            return ahead
        moved = ahead - inverse @ slope
        if (slope * (moved - weights)).sum() > 0:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / following * (moved - weights)
        weights, momentum = moved, following
    return weights


def _targets(
    vectors: Vectors, labels: Sequence[Sequence[str]], names: Sequence[str], exclusive: bool
) -> Scores:
    if vectors.ndim != 2 or len(vectors) != len(labels) or not len(vectors):
        raise _unfit("there must be one row of vectors for each row of labels, and one at least")
    if not np.isfinite(vectors).all():
        raise _unfit("a vector holds NaN or infinity")
    column = {name: index for index, name in enumerate(names)}
    targets = np.zeros((len(labels), len(names)))
    for row, given in enumerate(labels):
        for label in given:
            if label not in column:
                raise _unfit(f"row {row} has the label `{label}`, which is not declared")
            targets[row, column[label]] = 1.0
    if exclusive and not np.all(targets.sum(axis=1) == 1):
        raise _unfit("a row of an exclusive classifier has exactly one label")
    return targets


def _unfit(reason: str) -> ClassifierError:
    return ClassifierError("bad-training-data", f"cannot train on this: {reason}", "check the data")
