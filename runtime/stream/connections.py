"""Connections to brokers, where the client uses or leaves them in a way that hurts."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_bootstrap = AIOKafkaClient.bootstrap
_connect = AIOKafkaConnection.connect
_send = AIOKafkaConnection.send

_MADE: ContextVar[WeakSet[AIOKafkaConnection] | None] = ContextVar("_MADE", default=None)
"""Connections of the client that is being bootstrapped."""


async def bootstrap(client: AIOKafkaClient) -> None:
    """As `AIOKafkaClient.bootstrap`, and broken off it leaves no connection behind.

    The client does not know the first one it makes until a broker has answered on it.
    """
    made: WeakSet[AIOKafkaConnection] = WeakSet()
    token = _MADE.set(made)
    try:
        await _bootstrap(client)
    except BaseException:
        for connection in made:
            connection.close()
        raise
    finally:
        _MADE.reset(token)


async def connect(connection: AIOKafkaConnection) -> Any:
    """As `AIOKafkaConnection.connect`; who bootstraps is told of the connection."""
    made = _MADE.get()
    if made is not None:
        made.add(connection)
    return await _connect(connection)


def send(connection: AIOKafkaConnection, request: Any, expect_response: bool = True) -> Any:
    """As `AIOKafkaConnection.send`, also where the broker has just closed the connection.

    A closed transport of asyncio swallows what is written to it; one of uvloop raises a
    `RuntimeError`, which ends the client's own tasks, and the worker with them
    (https://github.com/aio-libs/aiokafka/issues/1038).

    Raises:
        KafkaConnectionError: the connection is broken; the client knows how to go on.
    """
    writer = connection._writer
    try:
        return _send(connection, request, expect_response)
    except RuntimeError as error:
        if writer is None or not writer.is_closing():
            raise
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        broker = f"{connection.host}:{connection.port}"
        raise KafkaConnectionError(f"connection at {broker} broken: {error}") from error


def mend_connections() -> None:
    """Have every client of this process do so; once is enough."""
    AIOKafkaClient.bootstrap = bootstrap
    AIOKafkaConnection.connect = connect
    AIOKafkaConnection.send = send
