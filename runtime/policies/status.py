"""What a worker tells of its policy: one record a worker in a compacted topic."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import time

import msgspec

from routec.runtime.config import Config, Observability
from routec.runtime.policies.activation import Activation, Standing

INTERVAL = 30.0
"""Seconds between two status records of a worker that has no news."""
STALE = 3 * INTERVAL + 10.0
"""Seconds without a record after which a worker counts as gone."""


class ProgramStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """A program in use.

    Attributes:
        hash: its hash.
        since: when it was put in force, seconds since the epoch.
        partition: of its record in the control topic; without one it is what the worker started
            with.
        offset: its offset there.
        share: of the requests that a canary decides, 0 for a shadow; without one for the policy in
            force.
        signed_by: id of the key that signed the record, where the worker asks for signatures.
        sequence: sequence number of the record that was followed, where the worker asks for
            signatures, also of one that took a policy back; -1 where none was.
    """

    hash: str
    since: float
    partition: int | None = None
    offset: int | None = None
    share: float | None = None
    signed_by: str | None = None
    sequence: int | None = None


class FailureStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record of the control topic that was refused.

    Attributes:
        role: what it was meant for, ``active`` or ``candidate``.
        code: stable reason.
        message: one sentence for a person.
        time: when, seconds since the epoch.
        partition: of the record in the control topic.
        offset: its offset there.
        hash: the program's hash, where it could be read.
    """

    role: str
    code: str
    message: str
    time: float
    partition: int
    offset: int
    hash: str | None = None


class ProblemStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong with what a worker follows, as long as it lasts.

    Attributes:
        code: stable reason: ``compacting-policies``.
        message: one sentence for a person.
    """

    code: str
    message: str


class WorkerStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """The status record of a worker; its key is ``GROUP/WORKER``.

    Attributes:
        worker: its name: `kafka.instance_id`, else host and process id.
        group: its consumer group.
        policy: name of its policy.
        time: when this was written, seconds since the epoch.
        started: when the worker started.
        active: the policy in force.
        candidate: the canary or shadow beside it, if there is one.
        tried: requests that canaries decided since it started.
        fallen_back: requests that were a canary's, could not be decided by it, and were
            decided by the policy in force.
        compared: events that were compared with shadows since it started.
        differing: how many of them differed.
        skipped: events that were to be compared and were not.
        refused: records of the control topic that were refused since it started.
        failures: the last of them, oldest first.
        problems: what is wrong now, though nothing was refused.
        host: the machine that it runs on.
        metrics: address of its metrics, ``http://HOST:PORT``; one of loopback is meant on that
            machine. Without one they are not served, or at a port that was free.
    """

    worker: str
    group: str
    policy: str
    time: float
    started: float
    active: ProgramStatus
    candidate: ProgramStatus | None = None
    tried: int = 0
    fallen_back: int = 0
    compared: int = 0
    differing: int = 0
    skipped: int = 0
    refused: int = 0
    failures: tuple[FailureStatus, ...] = ()
    host: str = ""
    metrics: str | None = None
    problems: tuple[ProblemStatus, ...] = ()


class Reporter:
    """Makes the status records of one worker.

    Args:
        config: names the worker.
        activation: what it tells of.
    """

    def __init__(self, config: Config, activation: Activation) -> None:
        kafka = config.kafka
        self._activation = activation
        self._group = kafka.group
        self._started = time.time()
        self._host = socket.gethostname()
        self._metrics = metrics_address(config.observability, self._host)
        self.worker = kafka.instance_id or f"{self._host}-{os.getpid()}"

    @property
    def key(self) -> bytes:
        """Key of the records."""
        return f"{self._group}/{self.worker}".encode()

    def status(self) -> WorkerStatus:
        """How things stand now."""
        activation = self._activation
        tried, fallen_back = activation.tried
        compared, differing, skipped = activation.shadowed
        return WorkerStatus(
            worker=self.worker,
            group=self._group,
            policy=activation.policy,
            time=time.time(),
            started=self._started,
            active=_program(activation.active),
            candidate=None if activation.candidate is None else _program(activation.candidate),
            tried=tried,
            fallen_back=fallen_back,
            compared=compared,
            differing=differing,
            skipped=skipped,
            refused=activation.refused,
            failures=tuple(
                FailureStatus(
                    role=one.refusal.role,
                    code=one.refusal.code,
                    message=one.refusal.message,
                    time=one.time,
                    partition=one.refusal.partition,
                    offset=one.refusal.offset,
                    hash=one.refusal.hash,
                )
                for one in activation.failures
            ),
            host=self._host,
            metrics=self._metrics,
            problems=tuple(ProblemStatus(*one) for one in activation.problems.items()),
        )


def metrics_address(observability: Observability, host: str) -> str | None:
    """Where others find a worker's metrics; ``None`` where they do not.

    Args:
        observability: what is served, and where.
        host: the machine's name, for one that listens on all its addresses.
    """
    if not observability.metrics or not observability.port:
        return None
    name = observability.host
    with contextlib.suppress(ValueError):
        name = host if ipaddress.ip_address(name).is_unspecified else name
    return f"http://{f'[{name}]' if ':' in name else name}:{observability.port}"


def _program(one: Standing) -> ProgramStatus:
    place = (one.partition, one.offset)
    return ProgramStatus(one.hash, one.since, *place, one.share, one.signed_by, one.sequence)


def encode_status(status: WorkerStatus) -> bytes:
    """The record's value, JSON."""
    return msgspec.json.encode(status)


def decode_status(value: bytes) -> WorkerStatus | None:
    """A record's value; ``None`` for what is none. Members of later versions are ignored."""
    try:
        return msgspec.json.decode(value, type=WorkerStatus)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
