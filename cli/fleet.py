"""Several worker processes of one consumer group, kept alive together."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
from contextlib import ExitStack
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import msgspec

from routec.cli import exits
from routec.cli.errors import CommandError, complain
from routec.cli.link import LASTING
from routec.cli.supervisor import Supervisor
from routec.compiler import program as g
from routec.runtime.config import Config
from routec.runtime.observe import (
    FleetHealth,
    FleetMetrics,
    ObservabilityServer,
    Reach,
    configure_logs,
)
from routec.runtime.stream import StreamError
from routec.runtime.stream.security import tls_context

log = logging.getLogger(__name__)

_GRACE = 5.0
"""Seconds that processes get beyond the drain before they are killed."""
_LAST_PORT = 65535


def run_fleet(program: g.Program, config: Config, count: int) -> int:
    """Run workers until a signal stops them; one that ends before is started again.

    Each has a metrics port and, where one is configured, an instance id of its own, and keeps both
    when it is started again. The fleet itself serves metrics and health on the port after theirs.

    Args:
        program: what they decide by.
        config: where they run.
        count: how many, from 2.

    Returns:
        The exit status: 0 when all ended in order.

    Raises:
        CommandError: an address is taken, or a worker cannot be kept alive.
    """
    configure_logs(config.observability.log_level, config.observability.log_format)
    context = multiprocessing.get_context("spawn")
    data = g.dump(program)

    def start(number: int) -> tuple[BaseProcess, Connection]:
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_work,
            args=(data, own_config(config, number), theirs),
            name=f"routec-worker-{number}",
        )
        try:
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        log.info("a worker is started", extra={"worker": number, "pid": process.pid})
        return process, ours

    metrics = FleetMetrics()
    try:
        reach = Reach(config.kafka.bootstrap, tls_context(config.kafka))
    except StreamError as error:
        raise CommandError(error.message, error.help) from error
    health = FleetHealth(count, metrics, reach)
    with ExitStack() as stack:
        _serve(stack, config, count, metrics, health)
        drain = config.runtime.drain_timeout + _GRACE
        return Supervisor(start, count, health, drain).run()


def own_config(config: Config, number: int) -> Config:
    """The configuration of one of the workers."""
    logs, kafka = config.observability, config.kafka
    if logs.port:
        logs = msgspec.structs.replace(logs, port=logs.port + number)
    if kafka.instance_id is not None:
        kafka = msgspec.structs.replace(kafka, instance_id=f"{kafka.instance_id}-{number}")
    return msgspec.structs.replace(config, observability=logs, kafka=kafka)


def _serve(
    stack: ExitStack, config: Config, count: int, metrics: FleetMetrics, health: FleetHealth
) -> None:
    """Serve the fleet's own metrics and health, on the port after those of its workers."""
    where = config.observability
    if not where.metrics:
        return
    port = where.port + count if where.port else 0
    if port > _LAST_PORT:
        raise CommandError(
            f"{count} workers from port {where.port} on need ports up to {port}",
            "set `observability.port` lower, or to 0 for free ports",
        )
    try:
        server = ObservabilityServer(metrics.registry, health, where.host, port)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CommandError(
            f"cannot serve the fleet's metrics on `{where.host}:{port}`: {reason}",
            "set `observability.port` to another port, 0 for any, "
            "or `observability.metrics = false`",
        ) from error
    stack.callback(server.close)
    url = f"http://{where.host}:{server.port}/metrics"
    log.info("serving metrics and health of the fleet", extra={"url": url})


def _work(data: bytes, config: Config, parent: Connection) -> None:
    """Body of a worker process."""
    # A group of its own: Ctrl-C at the terminal then reaches it once, through the parent.
    os.setpgid(0, 0)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
        from routec.cli.worker import LastingError, run_worker

        try:
            status = run_worker(g.load(data), config, parent=parent)
        except CommandError as error:
            complain(f"error: {error.message}", error.help)
            status = LASTING if isinstance(error, LastingError) else exits.UNABLE
    except KeyboardInterrupt:
        status = exits.INTERRUPTED
    sys.exit(status)
