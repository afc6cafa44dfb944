"""What `routec top` looks at: workers by their addresses, or a cluster and whoever works there."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from routec.cli.interrupts import patient, silence_clients
from routec.cli.render.top import cluster_screen, screen
from routec.runtime.config import Config
from routec.runtime.observe.scrape import Snapshot, base_of, look, look_where_possible
from routec.runtime.observe.view import view

if TYPE_CHECKING:
    from rich.console import RenderableType

    from routec.runtime.observe.cluster import ClusterLook, ClusterWatch

T = TypeVar("T")


class Sight(Protocol):
    """Something to look at again and again; a context manager."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *error: object) -> None:
        """End."""

    def look(self) -> None:
        """Look; what is seen is compared with the look before.

        Raises:
            ScrapeError, StreamError: it cannot be looked at.
        """

    def rest(self, seconds: float) -> None:
        """Let time pass."""

    def interrupt(self) -> bool:
        """Called by a signal: end what goes on, which then raises `KeyboardInterrupt`.

        Returns:
            Whether there is something that ends so.
        """

    def document(self) -> dict[str, Any]:
        """What is seen, as JSON data."""

    def screen(self, trouble: str | None) -> RenderableType:
        """What is seen, as a picture; `trouble` says why it is not up to date."""


class WorkerSight:
    """Workers whose addresses are known.

    Args:
        addresses: of their metrics.
        patience: seconds that each may take to answer.

    Raises:
        ScrapeError: one is no address of a worker.
    """

    def __init__(self, addresses: Sequence[str], patience: float) -> None:
        self._bases = list(dict.fromkeys(base_of(one) for one in addresses))
        self._patience = patience
        self._new: Snapshot | None = None
        self._old: Snapshot | None = None

    def __enter__(self) -> Self:
        """Nothing is held open."""
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is held open."""

    def look(self) -> None:
        """Look at all of them."""
        looked = look(self._bases, self._patience)
        self._old, self._new = self._new, looked

    def rest(self, seconds: float) -> None:
        """Wait until it is time for the next look; nothing goes on meanwhile."""
        time.sleep(seconds)

    def interrupt(self) -> bool:
        """Nothing goes on that would have to be ended."""
        return False

    def document(self) -> dict[str, Any]:
        """The object of `view`."""
        assert self._new is not None
        return view(self._new, self._old)

    def screen(self, trouble: str | None) -> RenderableType:
        """The picture."""
        return screen(self.document(), self._bases, trouble)


class ClusterSight:
    """A cluster: what its topics and groups show, and the metrics of workers that answer.

    Args:
        config: the cluster, its topics and a group.
        quiet: whether a terminal is told nothing while brokers do not answer.
    """

    def __init__(self, config: Config, *, quiet: bool = False) -> None:
        silence_clients()
        self._config = config
        self._quiet = quiet
        self._runner = asyncio.Runner()
        self._task: asyncio.Task[Any] | None = None
        self._busy = self._interrupted = False
        self._stack = AsyncExitStack()
        self._host = socket.gethostname()
        self._watch: ClusterWatch | None = None
        self._new: tuple[ClusterLook, Snapshot | None] | None = None
        self._old: tuple[ClusterLook, Snapshot | None] | None = None
        self._bases: list[str] = []
        self._failed: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Connect."""
        from routec.runtime.observe.cluster import watched

        try:
            entered = self._stack.enter_async_context(watched(self._config))
            with patient(quiet=self._quiet):
                self._watch = self._runner.run(entered)
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """Disconnect."""
        try:
            self._runner.run(self._stack.aclose())
        finally:
            self._runner.close()

    def look(self) -> None:
        """Look at the cluster, then at the workers that it tells of."""
        from routec.runtime.observe.cluster import metrics_of

        assert self._watch is not None
        looked = self._run(self._watch.look())
        wanted = metrics_of(looked.workers, self._host, looked.time)
        snapshot, failed = look_where_possible(wanted)
        answering = [base for base in wanted if base not in failed]
        # What other workers have counted is no rate of these.
        before = self._new if answering == self._bases else None
        self._old = before or (None if self._new is None else (self._new[0], None))
        self._bases, self._failed = answering, failed
        self._new = looked, snapshot

    def rest(self, seconds: float) -> None:
        """Sleep, and let the connections live on."""
        self._run(asyncio.sleep(seconds))

    def interrupt(self) -> bool:
        """End what the loop is at work on, if it is; whoever waits for that is interrupted.

        An error that a signal raises there would end whichever of the client's own tasks it meets.
        """
        if self._busy:
            self._interrupted = True
            if self._task is not None:
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)
        return self._busy

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        async def noted() -> T:
            self._task = asyncio.current_task()
            if self._interrupted:
                work.close()
                raise asyncio.CancelledError
            return await work

        self._busy = True
        try:
            return self._runner.run(noted())
        finally:
            self._busy, self._task = False, None
            if self._interrupted:
                raise KeyboardInterrupt

    def document(self) -> dict[str, Any]:
        """The object of `cluster_view`, with that of `view` of the workers that answer."""
        from routec.runtime.observe.cluster import cluster_view

        assert self._new is not None
        looked, snapshot = self._new
        before, earlier = (None, None) if self._old is None else self._old
        return {
            "version": 1,
            "bootstrap": self._config.kafka.bootstrap,
            "topic": self._config.topics.requests,
            **cluster_view(looked, before),
            "unreachable": dict(self._failed),
            "metrics": None if snapshot is None else view(snapshot, earlier),
        }

    def screen(self, trouble: str | None) -> RenderableType:
        """The picture."""
        return cluster_screen(self.document(), self._bases, trouble)
