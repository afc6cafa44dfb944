"""Everything that a policy needs where it runs, opened by one call."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from routec.compiler.program import Program
from routec.runtime.config import Config
from routec.runtime.engine.open import ServiceError
from routec.runtime.observe import (
    BROKERS,
    GROUP,
    MODELS,
    POLICY,
    AgedDecider,
    EngineMetrics,
    Health,
    Metrics,
    ObservabilityServer,
    PolicyMetrics,
    Reach,
)
from routec.runtime.policies.activation import Activation
from routec.runtime.policies.follower import PolicyFollower
from routec.runtime.policies.live import LivePolicy
from routec.runtime.policies.signature import open_admission
from routec.runtime.records import Decider
from routec.runtime.service import Memory, PolicyService, open_service
from routec.runtime.stream import Observed, StreamError, Worker
from routec.runtime.stream.security import tls_context


@dataclass(frozen=True, slots=True)
class Deployment:
    """An opened policy; a context manager that closes it.

    Attributes:
        config: where it runs.
        service: the policy to begin with: decides records and learns from responses.
        live: the policy in force, which a worker may replace.
        records: counts what becomes of records of the control topic, and of candidates.
        metrics: what is counted.
        health: what readiness depends on: policy, models, group and brokers; the policy is
            loaded and its models are warm.
        server: serves both; ``None`` where the configuration turns it off.
    """

    config: Config
    service: PolicyService
    live: LivePolicy
    records: PolicyMetrics
    metrics: Metrics
    health: Health
    server: ObservabilityServer | None

    def worker(self, config: Config | None = None) -> Worker:
        """A worker that reports to the metrics and the health; to be run once.

        It follows the control topic, if the configuration names one.

        Args:
            config: another cluster, other topics or limits than those of the deployment, such
                as those of an embedded broker.

        Raises:
            StreamError: a file of the TLS options cannot be used, or tracing is on and there is
                nothing to collect spans.
        """
        config = config or self.config
        kafka, metrics = config.kafka, self.metrics
        self.health.ask(BROKERS, Reach(kafka.bootstrap, tls_context(kafka)))
        decider = AgedDecider(self.live)
        control = None
        if config.topics.policies:
            activation = self._activation(config)
            self.records.follow(activation)
            control = PolicyFollower(config, self.live, activation)
        traced = _traced(decider, config)
        worker = Worker(config, traced, Observed(metrics, self.health), control=control)
        metrics.in_flight_events.set_function(lambda: worker.in_flight[0])
        metrics.in_flight_bytes.set_function(lambda: worker.in_flight[1])
        metrics.oldest_event_age.set_function(lambda: decider.age() if worker.in_flight[0] else 0.0)
        return worker

    def _activation(self, config: Config) -> Activation:
        metrics, service = self.metrics, self.service

        def open_here(
            program: Program, hash: str, memory: Memory | None, *, silent: bool
        ) -> PolicyService:
            if silent:
                return open_service(program, config, hash=hash, pending=0)
            observer = EngineMetrics(metrics, program.name)
            return open_service(program, config, observer=observer, hash=hash, memory=memory)

        own = service.program
        return Activation(
            own,
            service.policy_hash,
            self.live,
            open_here,
            self.records,
            admission=open_admission(config.policies.keys),
        )

    @property
    def url(self) -> str | None:
        """Address of the metrics; ``None`` where they are not served."""
        if self.server is None:
            return None
        return f"http://{self.config.observability.host}:{self.server.port}/metrics"

    def close(self) -> None:
        """Stop serving metrics and health, and what the cache does in the background."""
        self.health.set(POLICY, False)
        if self.server is not None:
            self.server.close()
        self.live.close()

    def __enter__(self) -> Deployment:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_deployment(program: Program, config: Config, *, hash: str | None = None) -> Deployment:
    """Open a program with its real models, classifiers and cache, its metrics and its health.

    Metrics and health are served first, so that a probe sees a worker that is not ready while
    the models load.

    Args:
        program: the program.
        config: says what its names are bound to, and where metrics are served.
        hash: the program's hash; worked out unless given.

    Raises:
        ServiceError: something it needs cannot be opened, or the address of the metrics is taken.
        ProgramError: the program cannot run here.
    """
    metrics, health = Metrics(), Health((POLICY, MODELS, GROUP, BROKERS))
    server = _server(config, metrics, health)
    try:
        observer = EngineMetrics(metrics, program.name)
        service = open_service(program, config, observer=observer, hash=hash)
    except BaseException:
        if server is not None:
            server.close()
        raise
    metrics.policy(service.policy_name, service.policy_hash)
    health.set(POLICY, True)
    health.set(MODELS, True)
    # Half of it: the other half is for the policy in force, in the place of a canary that hangs.
    live = LivePolicy(service, config.runtime.decide_timeout / 2)
    records = PolicyMetrics(metrics)
    return Deployment(config, service, live, records, metrics, health, server)


def _traced(decider: Decider, config: Config) -> Decider:
    """The decider, its batches spans where the configuration wants them."""
    if not config.observability.tracing:
        return decider
    from routec.runtime.observe.tracing import TracedDecider, TracingError, open_tracer

    try:
        return TracedDecider(decider, open_tracer(), config.kafka.group)
    except TracingError as error:
        raise StreamError("tracing-unavailable", error.message, error.help) from error


def _server(config: Config, metrics: Metrics, health: Health) -> ObservabilityServer | None:
    where = config.observability
    if not where.metrics:
        return None
    try:
        return ObservabilityServer(metrics.registry, health, where.host, where.port)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ServiceError(
            "address-unusable",
            f"cannot serve metrics on `{where.host}:{where.port}`: {reason}",
            "set `observability.port` to another port, 0 for any, "
            "or `observability.metrics = false`",
        ) from error
