"""Texts to labels, over the vectors of an embedder."""

from routec.safety.classify.backend import LocalBackend
from routec.safety.classify.base import SUM_TOLERANCE, Backend, Classifier
from routec.safety.classify.data import Labelled, read_labelled
from routec.safety.classify.errors import ClassifierError
from routec.safety.classify.exemplars import (
    Calibration,
    Exemplars,
    fit_exemplars,
    load_exemplars,
)
from routec.safety.classify.fit import fit_linear
from routec.safety.classify.linear import Head, Linear, load_linear, save_head

__all__ = [
    "SUM_TOLERANCE",
    "Backend",
    "Calibration",
    "Classifier",
    "ClassifierError",
    "Exemplars",
    "Head",
    "Labelled",
    "Linear",
    "LocalBackend",
    "fit_exemplars",
    "fit_linear",
    "load_exemplars",
    "load_linear",
    "read_labelled",
    "save_head",
]
