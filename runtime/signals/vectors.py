"""Signals measured between vectors, and the vectors of one batch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from routec.compiler.program import Program, Signal
from routec.runtime.events.request import Request
from routec.safety.embed.base import Embedder
from routec.safety.text import normalise

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from routec.safety.similarity import Measures

MEASURED = frozenset({"similarity", "contrast"})
"""Kinds of signals that one vector, that of the last user text, tells all at once."""

KINDS = MEASURED | {"repeated"}
"""Kinds of signals that take vectors."""

MAX_TURNS = 64
"""Most earlier user messages, latest first, that a repetition is looked for in."""


class Vectors:
    """The vectors of one batch: each text is embedded once, with success or without.

    Args:
        embedder: texts to vectors; ``None`` fails every request for one.
    """

    __slots__ = ("_embedder", "_failed", "_rows")

    def __init__(self, embedder: Embedder | None) -> None:
        self._embedder = embedder
        self._rows: dict[str, NDArray[np.float32]] = {}
        self._failed: set[str] = set()

    def __getitem__(self, text: str) -> NDArray[np.float32]:
        return self._rows[text]

    def get(self, text: str) -> NDArray[np.float32] | None:
        """The vector of a text; ``None`` if it has none."""
        return self._rows.get(text)

    def stack(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of several texts, a row each."""
        import numpy as np

        return np.stack([self._rows[text] for text in texts])

    async def add(self, texts: Iterable[str]) -> None:
        """Embed the texts that were not embedded yet, in one call.

        A text that failed is not tried again, and stays without a vector: all that a request
        wants of its vector fails then, not only what it wanted first.

        Raises:
            Exception: whatever the embedder raises; none of the new texts has a vector then.
        """
        missing = [
            text
            for text in dict.fromkeys(texts)
            if text not in self._rows and text not in self._failed
        ]
        if not missing:
            return
        try:
            self._rows.update(zip(missing, await self._embedded(missing), strict=True))
        except Exception:
            self._failed.update(missing)
            raise

    async def _embedded(self, texts: list[str]) -> NDArray[np.float32]:
        if self._embedder is None:
            raise RuntimeError("there is no embedder")
        # The model computes for milliseconds; heartbeats must not wait for it.
        rows = await asyncio.to_thread(self._embedder.embed, texts)
        if rows.shape != (len(texts), self._embedder.dimension):
            raise RuntimeError("the embedder returned vectors of another shape")
        return rows


class Similarities:
    """The similarity and contrast signals of a program, their examples embedded once.

    Args:
        program: the program.
        embedder: texts to vectors; ``None`` where the program has no such signal.
    """

    def __init__(self, program: Program, embedder: Embedder | None) -> None:
        self._measured: list[int] = []
        self._measures: Measures | None = None
        if embedder is None:
            return
        texts: list[str] = []
        parts: list[tuple[Signal, slice, slice]] = []
        for at, signal in enumerate(program.signals):
            if signal.kind in MEASURED:
                first = _extended(texts, signal.examples or signal.high)
                parts.append((signal, first, _extended(texts, signal.low)))
                self._measured.append(at)
        if not parts:
            return
        from routec.safety.similarity import Examples, Measures

        rows = embedder.embed(texts)
        self._measures = Measures(
            [
                (Examples(rows[first]), Examples(rows[low]))
                if signal.kind == "contrast"
                else Examples(rows[first], "mean" if signal.reduce == "mean" else "max")
                for signal, first, low in parts
            ]
        )

    def values(self, texts: Sequence[str], vectors: Vectors) -> list[list[tuple[int, float]]]:
        """Index and value of every similarity and contrast signal, for each text.

        A text's values are the same, to the bit, whatever other texts there are.

        Args:
            texts: texts that have vectors.
            vectors: those.

        Raises:
            RuntimeError: the examples have no vectors, for want of an embedder.
        """
        if self._measures is None:
            raise RuntimeError("there is no embedder")
        scores = self._measures.scores(vectors.stack(texts)).tolist()
        return [list(zip(self._measured, row, strict=True)) for row in scores]


def _extended(texts: list[str], more: Iterable[str]) -> slice:
    """Where in the texts, normalised, those are that this adds."""
    start = len(texts)
    texts.extend(normalise(text) for text in more)
    return slice(start, len(texts))


def texts_of(signal: Signal, request: Request) -> list[str]:
    """What has to be embedded to compute a signal; the last user text comes first.

    Empty for a repetition where there is no earlier message to repeat.
    """
    if signal.kind != "repeated":
        return [request.text("last_user")]
    last = request.last_user
    if last is None:
        return []
    turns = [
        normalise(message.text) for message in request.messages[:last] if message.role == "user"
    ]
    return [request.text("last_user"), *turns[-MAX_TURNS:]] if turns else []


def is_repeated(signal: Signal, texts: Sequence[str], vectors: Vectors) -> bool:
    """The value of a repetition signal.

    Args:
        signal: the signal.
        texts: what `texts_of` returned.
        vectors: with a vector of each.
    """
    from routec.safety.similarity import repeated

    if len(texts) < 2:
        return False
    return repeated(vectors[texts[0]], vectors.stack(texts[1:]), signal.threshold)
