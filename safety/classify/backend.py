"""A classifier on vectors, served from one worker thread with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from routec.safety.classify.base import Classifier, Scores, checked
from routec.safety.classify.errors import ClassifierError
from routec.safety.embed.base import Embedder

_MOST_WAITING: Final = 64


class LocalBackend:
    """A :class:`Backend` that embeds and classifies in a thread of this process.

    Calls are served one after another, in order. A call that runs out of time is given up on:
    it is taken off the queue when it has not begun; when it has, its thread finishes it and the
    answer is dropped.

    Args:
        classifier: takes the embedder's vectors.
        embedder: makes them.
        waiting: how many calls may be under way or queued before more are refused, at least 1.

    Raises:
        ClassifierError: ``other-embedder``, when the classifier was made for another embedder.
    """

    def __init__(
        self, classifier: Classifier, embedder: Embedder, waiting: int = _MOST_WAITING
    ) -> None:
        if classifier.embedder != embedder.digest:
            raise ClassifierError(
                "other-embedder",
                f"the classifier `{classifier.name}` was made for another embedder",
                "make it again with the embedder in use",
            )
        if waiting < 1:
            raise ValueError("waiting must be at least 1")
        self.name: Final = classifier.name
        self.labels: Final = classifier.labels
        self.revision: Final = classifier.revision
        self.exclusive: Final = classifier.exclusive
        self._classifier = classifier
        self._embedder = embedder
        self._waiting = waiting
        self._pending = 0
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"classify-{classifier.name}")

    async def classify(self, texts: Sequence[str], within: float) -> Scores:
        """Scores of shape (len(texts), labels); see :class:`Backend`.

        Raises:
            ClassifierError: ``timeout``, ``overloaded``, ``closed`` or ``failed``.
        """
        if self._closed:
            raise self._closed_error()
        if self._pending >= self._waiting:
            raise self._error(
                "overloaded", f"has {self._pending} calls waiting", "send less, or add workers"
            )
        work = self._thread.submit(self._run, tuple(texts))
        # Counted until the thread is done with it, not until the caller gives up: work that
        # nobody waits for still keeps the thread.
        self._pending += 1
        loop = asyncio.get_running_loop()
        work.add_done_callback(lambda _: _call_soon(loop, self._done))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(work), within)
        except TimeoutError:
            raise self._error(
                "timeout", f"did not answer in {within:g} s", "raise its `timeout`"
            ) from None
        except asyncio.CancelledError:
            # Closing cancels the queued work; a caller that was itself cancelled stays cancelled.
            task = asyncio.current_task()
            if work.cancelled() and not (task and task.cancelling()):
                raise self._closed_error() from None
            raise
        except ClassifierError:
            raise
        except Exception as error:
            raise self._error("failed", f"failed: {error}", "check its model") from error

    async def close(self) -> None:
        """Refuse further calls, drop the queued ones and wait for the one under way."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown, True, cancel_futures=True)

    def _run(self, texts: tuple[str, ...]) -> Scores:
        scores = self._classifier.scores(self._embedder.embed(texts))
        return checked(scores, len(texts), len(self.labels), self.exclusive)

    def _done(self) -> None:
        self._pending -= 1

    def _closed_error(self) -> ClassifierError:
        return self._error("closed", "is closed", "it ends with its process")

    def _error(self, code: str, what: str, help: str) -> ClassifierError:
        return ClassifierError(code, f"the classifier `{self.name}` {what}", help)


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    # The loop may have ended before the thread did; then there is nobody left to tell.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function)
