"""Connections to brokers, on loops whose closed transports refuse what is written."""

from __future__ import annotations

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_send = AIOKafkaConnection.send


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
    """Have every connection of this process send so; once is enough."""
    AIOKafkaConnection.send = send
