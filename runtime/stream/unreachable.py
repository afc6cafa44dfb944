"""Why no Kafka client can start, in words."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
from collections.abc import Sequence
from contextlib import suppress

from aiokafka.conn import collect_hosts
from aiokafka.errors import KafkaConnectionError, KafkaError

from routec.runtime.config import Kafka
from routec.runtime.stream.errors import StreamError

_TRY = 2.0
"""Seconds for asking a broker whether it takes connections at all."""
_INNER_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def in_words(error: BaseException) -> str:
    """What a failure of the client says, without the library's names for it."""
    if isinstance(error, TimeoutError) or not str(error):
        return "no answer in time"
    if isinstance(error, KafkaError):
        text = " ".join(str(one) for one in error.args)
        text = text or _INNER_CAPITAL.sub(" ", type(error).__name__.removesuffix("Error")).lower()
    else:
        number = getattr(error, "errno", None)
        text = os.strerror(number) if number else str(error)
    text = " ".join(text.split()).rstrip(".")
    # `SASL` and other names stay as they are.
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


async def unreachable(kafka: Kafka, error: BaseException) -> StreamError:
    """Why a client could not start; asks each broker once more whether it takes connections.

    Args:
        kafka: how the brokers are reached.
        error: what the client said last.
    """
    hosts = [(host, port) for host, port, _ in collect_hosts(kafka.bootstrap, randomize=False)]
    reasons = await asyncio.gather(*(_silence(host, port) for host, port in hosts))
    where = kafka.bootstrap
    if all(reasons):
        return StreamError(
            "kafka-unreachable",
            f"nothing answers at `{where}`: {_together(hosts, reasons)}",
            "check `kafka.bootstrap`, or `--bootstrap`, and that the brokers are up",
        )
    if isinstance(error, KafkaConnectionError | TimeoutError):
        return StreamError(
            "kafka-unreachable",
            f"`{where}` takes connections, but does not answer as a Kafka broker does",
            "check that `kafka.bootstrap` names a listener for "
            f"`{kafka.security_protocol}` (`kafka.security_protocol`), that the broker has "
            "started, and that its `advertised.listeners` can be reached from here",
        )
    return StreamError(
        "kafka-unreachable",
        f"Kafka at `{where}` is not ready: {in_words(error)}",
        "check that the brokers are up, and see their log",
    )


def _together(hosts: Sequence[tuple[str, int]], reasons: Sequence[str | None]) -> str:
    if len(set(reasons)) == 1:
        return str(reasons[0])
    return "; ".join(
        f"`{host}:{port}`: {why}" for (host, port), why in zip(hosts, reasons, strict=True)
    )


async def _silence(host: str, port: int) -> str | None:
    """Why there is no connection; ``None`` where there is one."""
    try:
        async with asyncio.timeout(_TRY):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
    except TimeoutError:
        return "no answer in time"
    except socket.gaierror:
        return f"the name `{host}` cannot be resolved"
    except (OSError, ValueError, OverflowError) as error:
        # The reasons of several addresses of one name come joined, without a number of their own.
        refused = f"Errno {errno.ECONNREFUSED}]" in str(error)
        return "the connection is refused" if refused else in_words(error)
    return None
