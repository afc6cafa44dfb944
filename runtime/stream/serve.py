"""Running a worker as a process does: until a signal says stop."""

from __future__ import annotations

import asyncio
import logging
import signal

from routec.runtime.stream.worker import Worker

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def run_until_signalled(worker: Worker) -> None:
    """Run a worker; the first SIGTERM or SIGINT stops it in order, the second at once.

    Must run in the main thread.

    Raises:
        StreamError: the worker cannot start or go on.
        asyncio.CancelledError: it was stopped at once.
    """
    loop = asyncio.get_running_loop()
    signalled = False

    def on_signal(name: str) -> None:
        nonlocal signalled
        if signalled:
            log.warning("stopping at once", extra={"signal": name})
            worker.abort()
        else:
            signalled = True
            log.info("stopping", extra={"signal": name})
            worker.stop()

    for one in _SIGNALS:
        loop.add_signal_handler(one, on_signal, one.name)
    try:
        await worker.run()
    finally:
        for one in _SIGNALS:
            loop.remove_signal_handler(one)
