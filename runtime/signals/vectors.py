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

    from routec.safety.similarity import Examples

KINDS = frozenset({"similarity", "contrast", "repeated"})

MAX_TURNS = 64
"""Most earlier user messages, latest first, that a repetition is looked for in."""


class Vectors:
    """The vectors of one batch: each text is embedded once.

    Args:
        embedder: texts to vectors; ``None`` fails every request for one.
    """

    __slots__ = ("_embedder", "_rows")

    def __init__(self, embedder: Embedder | None) -> None:
        self._embedder = embedder
        self._rows: dict[str, NDArray[np.float32]] = {}

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
        """Embed the texts that have no vector yet, in one call.

        Raises:
            Exception: whatever the embedder raises; no text has got a vector then.
        """
        missing = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if not missing:
            return
        if self._embedder is None:
            raise RuntimeError("there is no embedder")
        # The model computes for milliseconds; heartbeats must not wait for it.
        rows = await asyncio.to_thread(self._embedder.embed, missing)
        if rows.shape != (len(missing), self._embedder.dimension):
            raise RuntimeError("the embedder returned vectors of another shape")
        self._rows.update(zip(missing, rows, strict=True))


class Similarities:
    """The embedding signals of a program, their examples embedded once.

    Args:
        program: the program.
        embedder: texts to vectors; ``None`` where the program has no such signal.
    """

    def __init__(self, program: Program, embedder: Embedder | None) -> None:
        self._examples: dict[str, Examples] = {}
        self._low: dict[str, Examples] = {}
        if embedder is None:
            return
        from routec.safety.similarity import Examples

        for signal in program.signals:
            if signal.kind == "similarity":
                rows = embedder.embed([normalise(text) for text in signal.examples])
                self._examples[signal.name] = Examples(
                    rows, "mean" if signal.reduce == "mean" else "max"
                )
            elif signal.kind == "contrast":
                high = embedder.embed([normalise(text) for text in signal.high])
                low = embedder.embed([normalise(text) for text in signal.low])
                self._examples[signal.name] = Examples(high)
                self._low[signal.name] = Examples(low)

    def texts(self, signal: Signal, request: Request) -> list[str]:
        """What has to be embedded to compute a signal; the last user text comes first."""
        if signal.kind != "repeated":
            return [request.text("last_user")]
        last = request.last_user
        if last is None:
            return []
        turns = [
            normalise(message.text) for message in request.messages[:last] if message.role == "user"
        ]
        return [request.text("last_user"), *turns[-MAX_TURNS:]] if turns else []

    def value(self, signal: Signal, texts: list[str], vectors: Vectors) -> float | bool:
        """The value of a signal, its texts' vectors being there.

        Raises:
            RuntimeError: the signal's examples have no vectors, for want of an embedder.
        """
        import numpy as np

        from routec.safety.similarity import contrast, repeated, similarity

        if signal.kind == "repeated":
            if len(texts) < 2:
                return False
            return repeated(vectors[texts[0]], vectors.stack(texts[1:]), signal.threshold)
        row = vectors[texts[0]][np.newaxis, :]
        examples = self._examples.get(signal.name)
        if examples is None:
            raise RuntimeError("there is no embedder")
        if signal.kind == "similarity":
            return float(similarity(row, examples)[0])
        return float(contrast(row, examples, self._low[signal.name])[0])
