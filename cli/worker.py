"""One worker process: what it opens, in which order, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import sys
from collections.abc import Coroutine
from typing import Any

import msgspec

from routec.cli import exits
from routec.cli.errors import CommandError
from routec.compiler.program import Program, ProgramError
from routec.runtime.config import Config, Kafka
from routec.runtime.deployment import Deployment, open_deployment
from routec.runtime.embedded import EmbeddedBroker, EmbeddedBrokerError, embedded_broker
from routec.runtime.engine import ServiceError
from routec.runtime.observe import configure_logs
from routec.runtime.stream import StreamError, Worker, run_until_signalled

log = logging.getLogger(__name__)


def with_bootstrap(config: Config, bootstrap: str) -> Config:
    """The configuration for another cluster."""
    kafka = msgspec.structs.replace(config.kafka, bootstrap=bootstrap)
    return msgspec.structs.replace(config, kafka=kafka)


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
        CommandError: something is missing, or the program cannot run here.
    """
    try:
        return open_deployment(program, config)
    except (ServiceError, ProgramError) as error:
        raise CommandError(error.message, getattr(error, "help", None)) from error


def run_worker(program: Program, config: Config, *, embedded: bool = False) -> int:
    """Work until a signal stops it; the exit status.

    Raises:
        CommandError: the worker cannot start, or cannot go on.
    """
    configure_logs(config.observability.log_level, config.observability.log_format)
    with open_policy(program, config) as deployment:
        if deployment.url is not None:
            log.info("serving metrics and health", extra={"url": deployment.url})
        try:
            run_loop(_work_embedded(deployment) if embedded else _work(deployment, config))
        except (StreamError, EmbeddedBrokerError) as error:
            raise CommandError(error.message, error.help) from error
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


async def _work(deployment: Deployment, config: Config) -> None:
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
    _watch_parent(worker)
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


def _watch_parent(worker: Worker) -> None:
    """Stop when the process that started this one is gone."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop = asyncio.get_running_loop()
    sentinel = parent.sentinel

    def gone() -> None:
        loop.remove_reader(sentinel)
        worker.stop()

    loop.add_reader(sentinel, gone)
