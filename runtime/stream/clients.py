"""Kafka clients made from the configuration."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    InvalidTransactionTimeout,
    KafkaError,
    ProducerClosed,
    TransactionalIdAuthorizationFailed,
)

from routec.runtime.config import Config, Kafka
from routec.runtime.stream.connections import mend_connections
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.patience import PATIENCE
from routec.runtime.stream.security import (
    AUTHENTICATION,
    authentication_failed,
    refusal,
    tls_context,
)
from routec.runtime.stream.unpacking import bound_unpacking
from routec.runtime.stream.unreachable import unreachable

log = logging.getLogger(__name__)

mend_connections()
bound_unpacking()

MAX_BATCH_BYTES = 512 * 1024
"""Bytes of one produced batch before compression: below every broker's default limit."""
_MAX_BACKOFF = 5.0
_LEAST_TRY = 3.0
_PARTITION_BYTES = 1_048_576
_LEAST_PARTITION_BYTES = 65_536
_DAY = 86_400.0
_METADATA_AGE = 5.0
"""Seconds after which a member of the group asks again which partitions there are.

The member that hands out partitions may have asked a broker that was just starting and knew of
none: then nobody has any, and nothing is read until it asks again, after five minutes by default.
"""
_SENDER_END = 1.0
"""Seconds for each step of ending a producer that cannot be trusted."""


class Client(Protocol):
    """What the clients have in common."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect."""


class Admin:
    """The admin client under the names of the other clients.

    Args:
        config: the configuration.

    Attributes:
        client: what it does.

    Raises:
        StreamError: a file of the TLS options cannot be used.
    """

    def __init__(self, config: Config) -> None:
        self.client = AIOKafkaAdminClient(**common_options(config.kafka))

    async def start(self) -> None:
        """Connect."""
        await self.client.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self.client.close()


C = TypeVar("C", bound=Client)
T = TypeVar("T")


def common_options(kafka: Kafka) -> dict[str, Any]:
    """Options that every client takes.

    Raises:
        StreamError: a file of the TLS options cannot be used.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap,
        "client_id": kafka.client_id,
        "request_timeout_ms": _ms(kafka.request_timeout),
        "retry_backoff_ms": _ms(kafka.retry_backoff),
        "security_protocol": kafka.security_protocol,
    }
    if (tls := tls_context(kafka)) is not None:
        options["ssl_context"] = tls
    if kafka.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = kafka.sasl_mechanism
        options["sasl_plain_username"] = kafka.sasl_username
        options["sasl_plain_password"] = kafka.sasl_password and kafka.sasl_password.value
    return options


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def make_consumer(config: Config, *, group: bool, partitions: int = 1) -> AIOKafkaConsumer:
    """A consumer, not yet started and without topics; offsets are committed by hand.

    Args:
        config: the configuration.
        group: whether it is a member of the configured group.
        partitions: partitions of the topic, which share what may be fetched ahead.
    """
    kafka = config.kafka
    in_flight = config.runtime.max_in_flight_bytes
    membership: dict[str, Any] = {}
    if group:
        membership = {
            "group_id": kafka.group,
            "group_instance_id": kafka.instance_id,
            "metadata_max_age_ms": _ms(_METADATA_AGE),
        }
    each = max(_LEAST_PARTITION_BYTES, in_flight // max(1, partitions))
    return AIOKafkaConsumer(
        **common_options(kafka),
        **membership,
        enable_auto_commit=False,
        # A group member seeks by itself; this is for positions that retention has overtaken,
        # and then what is left is still to be decided. Others must hear that they were overtaken.
        auto_offset_reset="earliest" if group else "none",
        session_timeout_ms=_ms(kafka.session_timeout),
        heartbeat_interval_ms=_ms(kafka.heartbeat_interval),
        rebalance_timeout_ms=_ms(kafka.rebalance_timeout),
        # A worker that waits for room is no dead one: `decide_timeout` tells those.
        max_poll_interval_ms=_ms(_DAY),
        fetch_max_wait_ms=_ms(kafka.fetch_max_wait),
        fetch_max_bytes=in_flight,
        max_partition_fetch_bytes=min(_PARTITION_BYTES, in_flight, each),
        # Decisions about requests of an aborted transaction would be orphans.
        isolation_level="read_committed",
    )


def transactional_id(config: Config, partition: TopicPartition) -> str:
    """The name that whoever decides a partition's requests produces under."""
    return f"routec.{config.kafka.group}.{partition.topic}.{partition.partition}"


def make_producer(config: Config, *, transactional: str | None = None) -> AIOKafkaProducer:
    """A producer, not yet started, that waits for all in-sync replicas.

    Args:
        config: the configuration.
        transactional: the transactional id; without one it makes no transactions.
    """
    compression = config.kafka.compression
    options: dict[str, Any] = {}
    if transactional is not None:
        options["transactional_id"] = transactional
        options["transaction_timeout_ms"] = _ms(config.kafka.transaction_timeout)
    return AIOKafkaProducer(
        **common_options(config.kafka),
        **options,
        acks="all",
        compression_type=None if compression == "none" else compression,
        max_batch_size=MAX_BATCH_BYTES,
        max_request_size=config.runtime.max_dead_letter_bytes,
        linger_ms=0,
    )


def transaction_forbidden(group: str) -> StreamError:
    """Why the worker stops when it may make no transactions."""
    return StreamError(
        "transaction-forbidden",
        f"Kafka forbids transactions under names that begin with `routec.{group}.`",
        f"grant WRITE on the transactional ids with the prefix `routec.{group}.` to this "
        'client, or use `delivery = "at_least_once"`',
    )


async def connect(make: Callable[[], C], config: Config, deadline: float | None = None) -> C:
    """Make and start a client, trying again until the cluster answers.

    Args:
        make: makes the client; called anew for each try.
        config: the configuration.
        deadline: time of the monotonic clock to give up; ``connect_timeout`` from now if not given,
            or as long as `PATIENCE` lasts.

    Raises:
        StreamError: the cluster cannot be reached in time, or refuses the credentials.
    """
    patience = PATIENCE.get()
    if deadline is None:
        longest = config.kafka.connect_timeout
        if patience is not None:
            longest = min(longest, patience.seconds)
        deadline = time.monotonic() + longest
    waiting = nullcontext() if patience is None else patience.waiting(config.kafka.bootstrap)
    with waiting:
        return await _connect(make, config.kafka, deadline)


async def _connect(make: Callable[[], C], kafka: Kafka, deadline: float) -> C:
    backoff = kafka.retry_backoff
    while True:
        client = make()
        try:
            # A broker that accepts and never answers must not hold us for ever.
            left = max(_LEAST_TRY, deadline - time.monotonic())
            async with asyncio.timeout(min(left, kafka.request_timeout)):
                await client.start()
            return client
        except AUTHENTICATION as error:
            await close(client)
            raise authentication_failed(kafka, str(error)) from error
        except TransactionalIdAuthorizationFailed as error:
            await close(client)
            raise transaction_forbidden(kafka.group) from error
        except InvalidTransactionTimeout as error:
            await close(client)
            raise StreamError(
                "transaction-timeout-refused",
                f"Kafka refuses a transaction timeout of {kafka.transaction_timeout:g} s",
                "lower `kafka.transaction_timeout` below the brokers' `transaction.max.timeout.ms`",
            ) from error
        except (KafkaError, OSError, TimeoutError) as error:
            await close(client)
            refused = await refusal(kafka, common_options(kafka))
            if refused is not None:
                raise refused from error
            if time.monotonic() + backoff >= deadline:
                raise await unreachable(kafka, error) from error
            log.info("kafka does not answer yet", extra={"error": repr(error)})
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _MAX_BACKOFF)
        except BaseException:
            await close(client)
            raise


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Do something bounded to its end, though the caller be cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def close(client: Client, seconds: float = 3.0) -> bool:
    """Stop a client in bounded time.

    Returns:
        Whether it ended in order.
    """
    return await _to_its_end(_close(client, seconds))


async def _close(client: Client, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await client.stop()
    except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as error:
        task = asyncio.current_task()
        # The client waits for tasks of its own that it has cancelled; nobody may have cancelled us.
        if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
            raise
        log.warning("a kafka client did not stop in order", extra={"error": repr(error)})
        return False
    return True


async def leave(consumer: AIOKafkaConsumer, seconds: float) -> None:
    """Leave the group in order; if that takes too long, by closing the connections."""
    if not await close(consumer, seconds):
        for task in (consumer._coordinator._coordination_task, consumer._fetcher._fetch_task):
            task.cancel()
        try:
            async with asyncio.timeout(1.0):
                await consumer._client.close()
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("a consumer did not disconnect", extra={"error": repr(error)})


async def discard(producer: AIOKafkaProducer) -> None:
    """End a producer at once, in bounded time; what it still holds is never sent.

    No public way ends it without sending what it holds, which is what hangs here.
    """
    await _to_its_end(_discard(producer))


async def _discard(producer: AIOKafkaProducer) -> None:
    sender = producer._sender.sender_task
    if sender is not None:
        sender.cancel()
        # With brokers that answer, it ends now; else when its connections are closed.
        await asyncio.wait([sender], timeout=_SENDER_END)
    try:
        async with asyncio.timeout(_SENDER_END):
            await producer.client.close()
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning("a producer did not disconnect in order", extra={"error": repr(error)})
    if sender is not None and not sender.done():
        sender.cancel()
        await asyncio.wait([sender], timeout=_SENDER_END)
    held = producer._message_accumulator
    batches = [*held._pending_batches, *(one for many in held._batches.values() for one in many)]
    held.fail_all(ProducerClosed())
    # Nobody waits for these any more; they must not be reported as forgotten.
    forgotten = [batch._drain_waiter for batch in batches]
    if producer._txn_manager is not None:
        forgotten.append(producer._txn_manager._transaction_waiter)
        for _, _, offsets in producer._txn_manager._pending_txn_offsets:
            if not offsets.done():
                offsets.set_exception(ProducerClosed())
    for one in forgotten:
        if one is not None and one.done() and not one.cancelled():
            one.exception()
    producer._closed = True
