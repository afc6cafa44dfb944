"""A broker that hangs up breaks a connection, and nothing else, on uvloop, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from routec.runtime.config import Config, Kafka
from routec.runtime.embedded import embedded_broker
from routec.runtime.stream.clients import close, connect, make_producer


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[AIOKafkaProducer, AIOKafkaConnection]]:
    """A producer that has written to `t`, and its connection."""
    async with embedded_broker(("t",)) as broker:
        config = Config(kafka=Kafka(bootstrap=broker.bootstrap))
        producer = await connect(lambda: make_producer(config), config)
        await producer.send_and_wait("t", b"begins")
        [connection] = producer.client._conns.values()
        yield producer, connection
        await close(producer)


def test_what_is_sent_on_a_connection_that_just_broke_is_a_connection_error() -> None:
    async def run() -> None:
        async with connected() as (producer, connection):
            connection._writer.transport.abort()
            await asyncio.sleep(0)
            # It is closed, and the client's reader has not heard of it.
            with pytest.raises(RuntimeError, match="closed"):
                connection._writer.write(b"x")
            with pytest.raises(KafkaConnectionError):
                await connection.send(ApiVersionRequest())
            assert connection._writer is None
            await producer.send_and_wait("t", b"goes on")

    uvloop.run(run())


def test_errors_of_other_kinds_stay_what_they_are() -> None:
    class Broken(ApiVersionRequest):  # type: ignore[misc]
        def prepare(self, versions: object) -> object:
            raise RuntimeError("of another kind")

    async def run() -> None:
        async with connected() as (_, connection):
            with pytest.raises(RuntimeError, match="of another kind"):
                await connection.send(Broken())
            assert connection.connected()

    uvloop.run(run())
