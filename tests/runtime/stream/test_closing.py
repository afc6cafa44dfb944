"""Clients are closed in bounded time, and what the client does to itself is nobody else's end."""

from __future__ import annotations

import asyncio

import pytest

from routec.runtime.stream.clients import close


class CancelsItself:
    """Ends a task of its own and waits for it, as the consumer does with its heartbeats."""

    async def start(self) -> None:
        raise AssertionError

    async def stop(self) -> None:
        heartbeat = asyncio.create_task(asyncio.sleep(60))
        heartbeat.cancel()
        await heartbeat


class Slow:
    """Takes a while to end."""

    def __init__(self) -> None:
        self.stopped = False

    async def start(self) -> None:
        raise AssertionError

    async def stop(self) -> None:
        await asyncio.sleep(0.02)
        self.stopped = True


async def test_a_client_that_is_cancelled_by_itself_did_not_close_in_order() -> None:
    assert await close(CancelsItself(), 5.0) is False


async def test_a_client_that_takes_too_long_did_not_close_in_order() -> None:
    assert await close(Slow(), 0.001) is False


async def test_whoever_is_cancelled_while_closing_closes_to_the_end() -> None:
    slow = Slow()
    closing = asyncio.create_task(close(slow, 5.0))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert slow.stopped
