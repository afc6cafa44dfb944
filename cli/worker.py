"""One worker process: what it opens, in which order, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Coroutine
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from routec.cli import exits
from routec.cli.errors import CommandError
from routec.cli.link import News
from routec.compiler.program import Program, ProgramError
from routec.runtime.config import Config, Kafka
from routec.runtime.deployment import Deployment, open_deployment
from routec.runtime.embedded import EmbeddedBroker, EmbeddedBrokerError, embedded_broker
from routec.runtime.engine import ServiceError
from routec.runtime.observe import GROUP, configure_logs
from routec.runtime.policies.ahead import prepare_to_follow
from routec.runtime.stream import StreamError, Worker, run_until_signalled
from routec.runtime.stream.process import spare_the_stream

log = logging.getLogger(__name__)

LASTING_CODES = frozenset(
    {
        "authentication-failed",
        "commit-forbidden",
        "dead-letter-refused",
        "invalid-tls",
        "missing-topic",
        "read-forbidden",
        "tls-refused",
        "too-few-partitions",
        "too-many-dead-letters",
        "tracing-unavailable",
        "transaction-forbidden",
        "transaction-timeout-refused",
        "write-forbidden",
    }
)
"""Codes of errors of the stream that somebody has to mend before a worker can go on."""


class LastingError(CommandError):
    """A worker cannot work, and could not if it was started again."""


def embedded(config: Config, broker: EmbeddedBroker) -> Config:
    """The configuration for the embedded broker, which knows neither TLS nor transactions."""
    kafka = Kafka(
        bootstrap=broker.bootstrap, group=config.kafka.group, fetch_max_wait=broker.fetch_max_wait
    )
    runtime = msgspec.structs.replace(config.runtime, delivery="at_least_once")
    return msgspec.structs.replace(config, kafka=kafka, runtime=runtime)


def topic_names(config: Config) -> list[str]:
    """The topics in use."""
    topics = config.topics
    return [name for field in topics.__struct_fields__ if (name := getattr(topics, field))]


def open_policy(program: Program, config: Config) -> Deployment:
    """Open what the policy needs.

    Raises:
        LastingError: something is missing, or the program cannot run here.
    """
    try:
        return open_deployment(program, config)
    except (ServiceError, ProgramError) as error:
        raise LastingError(error.message, getattr(error, "help", None)) from error


def run_worker(
    program: Program,
    config: Config,
    *,
    embedded: bool = False,
    parent: Connection | None = None,
) -> int:
    """Work until a signal stops it; the exit status.

    Args:
        program: what it decides by.
        config: where it runs.
        embedded: whether it runs on a broker of its own.
        parent: a pipe to the process that keeps it alive: is told the worker's news, and says when
            to end; the worker ends when it is closed.

    Raises:
        LastingError: the worker cannot start, and could not a second time.
        CommandError: the worker cannot start, or cannot go on.
    """
    configure_logs(config.observability.log_level, config.observability.log_format)
    with open_policy(program, config) as deployment:
        if deployment.url is not None:
            log.info("serving metrics and health", extra={"url": deployment.url})
        if parent is not None:
            _tell(parent, deployment)
        work = _work_embedded(deployment) if embedded else _work(deployment, config, parent)
        try:
            run_loop(work)
        except (StreamError, EmbeddedBrokerError) as error:
            kind = LastingError if error.code in LASTING_CODES else CommandError
            raise kind(error.message, error.help) from error
        except asyncio.CancelledError:
            return exits.INTERRUPTED
    return exits.FINE


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop's loop."""
    import uvloop

    try:
        uvloop.run(work)
    finally:
        work.close()  # interrupted before it began, it would be reported as never awaited


async def _work(deployment: Deployment, config: Config, parent: Connection | None = None) -> None:
    worker = deployment.worker(config)
    log.info(
        "deciding",
        extra={
            "policy": deployment.service.policy_name,
            "hash": deployment.service.policy_hash,
            "bootstrap": config.kafka.bootstrap,
            "group": config.kafka.group,
            "topic": config.topics.requests,
            "delivery": config.runtime.delivery,
        },
    )
    if parent is not None:
        _obey(parent, worker)
    if config.topics.policies:
        prepare_to_follow(deployment.service.program)
    spare_the_stream()
    await run_until_signalled(worker)
    counts = worker.counts
    log.info(
        "stopped",
        extra={
            "taken": counts.taken,
            "decided": counts.decided,
            "dead_letters": counts.dead,
            "stale": counts.stale,
        },
    )


async def _work_embedded(deployment: Deployment) -> None:
    async with embedded_broker(topic_names(deployment.config)) as broker:
        print(
            f"embedded broker at {broker.bootstrap}; nothing is kept, delivery is at least once",
            file=sys.stderr,
        )
        await _work(deployment, embedded(deployment.config, broker))


def _tell(parent: Connection, deployment: Deployment) -> None:
    """Tell the parent that the policy is open, and from now on whether the worker decides."""

    def told(ready: bool) -> None:
        with suppress(OSError):  # it is gone, which ends the worker
            parent.send_bytes(msgspec.msgpack.encode(News(deployment.url, ready)))

    deployment.health.tell(GROUP, told)
    told(False)


def _obey(parent: Connection, worker: Worker) -> None:
    """Stop when the parent says so, or is gone."""
    loop = asyncio.get_running_loop()

    def heard() -> None:
        try:
            order = parent.recv_bytes()
        except (EOFError, OSError):
            loop.remove_reader(parent.fileno())
            order = b"stop"
        if order == b"abort":
            worker.abort()
        else:
            worker.stop()

    loop.add_reader(parent.fileno(), heard)
