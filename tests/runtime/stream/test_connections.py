"""A broker that hangs up breaks a connection and nothing else; none is left behind."""

from __future__ import annotations

import asyncio
import gc
import warnings
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


async def test_a_client_that_is_given_up_while_it_starts_leaves_no_connection() -> None:
    asked = asyncio.Event()

    async with embedded_broker(("t",)) as broker:
        host, _, port = broker.bootstrap.partition(":")

        async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            to_reader, to_writer = await asyncio.open_connection(host, int(port))
            to_writer.write(await frame(reader))
            writer.write(await frame(to_reader))
            await frame(reader)
            asked.set()
            await reader.read()
            to_writer.close()
            writer.close()

        silent = await asyncio.start_server(answer_once, "127.0.0.1", 0)
        silent_port = silent.sockets[0].getsockname()[1]
        config = Config(kafka=Kafka(bootstrap=f"127.0.0.1:{silent_port}"))
        async with silent:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                starting = asyncio.create_task(connect(lambda: make_producer(config), config))
                await asked.wait()
                starting.cancel()
                await asyncio.wait([starting])
                assert starting.cancelled()
                # What it was doing is kept by its exception.
                del starting
                gc.collect()
        assert [str(one.message) for one in told] == []


async def frame(reader: asyncio.StreamReader) -> bytes:
    """The next request or response, with its length."""
    size = await reader.readexactly(4)
    return size + await reader.readexactly(int.from_bytes(size))
