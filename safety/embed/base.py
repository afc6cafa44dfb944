"""What an embedder is, for whatever is built on one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Embedder(Protocol):
    """Texts to vectors, so that the cosine of two vectors tells how close two texts are."""

    @property
    def dimension(self) -> int:
        """The length of a vector."""

    @property
    def digest(self) -> str:
        """Identifies the vectors: two embedders with one digest give the same ones."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row a text, shape (len(texts), dimension), in the order of ``texts``.

        A row has unit length, so that a dot product is a cosine; a text in which there is nothing
        to embed has a row of zeros, whose cosine with everything is 0. A text's row does not
        depend on the other texts.
        """
