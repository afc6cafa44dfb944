"""One worker process: what it opens, in which order, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Coroutine
from typing import Any

import msgspec

from routec.cli import exits
from routec.cli.errors import CommandError
from routec.cli.metering import Metered
from routec.compiler.program import Program, ProgramError
from routec.runtime.config import Config
from routec.runtime.embedded import EmbeddedBrokerError, embedded_broker
from routec.runtime.engine import ServiceError
from routec.runtime.observe import POLICY, Health, Metrics, ObservabilityServer, configure_logs
from routec.runtime.service import PolicyService, open_service
from routec.runtime.stream import Observed, StreamError, Worker, run_until_signalled

log = logging.getLogger(__name__)


def with_bootstrap(config: Config, bootstrap: str, fetch_max_wait: float | None = None) -> Config:
    """The configuration for another cluster."""
    kafka = msgspec.structs.replace(config.kafka, bootstrap=bootstrap)
    if fetch_max_wait is not None:
        kafka = msgspec.structs.replace(kafka, fetch_max_wait=fetch_max_wait)
    return msgspec.structs.replace(config, kafka=kafka)


def topic_names(config: Config) -> list[str]:
    """The topics in use."""
    topics = config.topics
    return [name for field in topics.__struct_fields__ if (name := getattr(topics, field))]


def open_policy(program: Program, config: Config, metrics: Metrics) -> PolicyService:
    """Open what the policy needs.

    Raises:
        CommandError: something is missing, or the program cannot run here.
    """
    try:
        return open_service(program, config, observer=Metered(metrics, program.name))
    except (ServiceError, ProgramError) as error:
        raise CommandError(error.message, getattr(error, "help", None)) from error


def run_worker(program: Program, config: Config, *, embedded: bool = False) -> int:
    """Work until a signal stops it; the exit status.

    Raises:
        CommandError: the worker cannot start, or cannot go on.
    """
    logs = config.observability
    configure_logs(logs.log_level, logs.log_format)
    metrics, health = Metrics(), Health()
    service = open_policy(program, config, metrics)
    metrics.policy(service.policy_name, service.policy_hash)
    health.set(POLICY, True)
    server: ObservabilityServer | None = None
    if logs.metrics:
        try:
            server = ObservabilityServer(metrics.registry, health, logs.host, logs.port)
        except OSError as error:
            raise CommandError(
                f"cannot serve metrics on `{logs.host}:{logs.port}`: "
                f"{(error.strerror or str(error)).lower()}",
                "set `observability.port` to another port, 0 for any, "
                "or `observability.metrics = false`",
            ) from error
    try:
        if server is not None:
            where = f"http://{logs.host}:{server.port}/metrics"
            log.info("serving metrics and health", extra={"url": where})
        work = _work_embedded if embedded else _work
        run_loop(work(service, config, Observed(metrics, health)))
    except (StreamError, EmbeddedBrokerError) as error:
        raise CommandError(error.message, error.help) from error
    except asyncio.CancelledError:
        return exits.INTERRUPTED
    finally:
        if server is not None:
            server.close()
    return exits.FINE


def run_loop(work: Coroutine[Any, Any, Any]) -> Any:
    """Run on uvloop's loop."""
    import uvloop

    try:
        return uvloop.run(work)
    finally:
        work.close()  # interrupted before it began, it would be reported as never awaited


async def _work(service: PolicyService, config: Config, observer: Observed) -> None:
    worker = Worker(config, service, observer)
    log.info(
        "deciding",
        extra={
            "policy": service.policy_name,
            "hash": service.policy_hash,
            "bootstrap": config.kafka.bootstrap,
            "group": config.kafka.group,
            "topic": config.topics.requests,
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


async def _work_embedded(service: PolicyService, config: Config, observer: Observed) -> None:
    async with embedded_broker(topic_names(config)) as broker:
        print(f"embedded broker at {broker.bootstrap}; nothing is kept", file=sys.stderr)
        config = with_bootstrap(config, broker.bootstrap, broker.fetch_max_wait)
        await _work(service, config, observer)


def _watch_parent(worker: Worker) -> None:
    """Stop when the process that started this one is gone."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        loop = asyncio.get_running_loop()
        sentinel = parent.sentinel

        def gone() -> None:
            loop.remove_reader(sentinel)
            worker.stop()

        loop.add_reader(sentinel, gone)
