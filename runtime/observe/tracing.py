"""OpenTelemetry: one span a batch, linked to the traces of its events.

Nothing of OpenTelemetry is imported until `open_tracer` or `TracedDecider` is used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from routec.runtime.records import Dead, Decided, Decider, Headers, Outcome, Record

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_NAME = "routec"


class TracingError(Exception):
    """Spans cannot be collected.

    Attributes:
        message: one sentence for a person.
        help: what to do about it.
    """

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


def open_tracer() -> Tracer:
    """A tracer of the SDK that the process has set up, or else of one that exports by OTLP.

    The latter is configured by OpenTelemetry's own variables (``OTEL_EXPORTER_OTLP_ENDPOINT``,
    ``OTEL_SERVICE_NAME``, ``OTEL_TRACES_SAMPLER``…) and is flushed when the process ends.

    Raises:
        TracingError: there is no SDK.
    """
    try:
        from opentelemetry import trace

        provider: Any = trace.get_tracer_provider()
        if isinstance(provider, trace.ProxyTracerProvider):
            provider = _exporting()
    except ImportError as error:
        raise TracingError(
            f"there is nothing to collect spans: `{error.name}` is not installed",
            "install `routec[otel]`, or set `observability.tracing = false`",
        ) from error
    tracer: Tracer = provider.get_tracer(_NAME, version(_NAME))
    return tracer


def _exporting() -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    provider = TracerProvider(resource=Resource.create({} if named else {"service.name": _NAME}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class TracedDecider:
    """A decider whose batches are spans.

    A span has a link to the context that each event brought in its headers. A decision carries on
    the context of its event; that of an event which brought none carries on the batch's. Spans
    hold counts and names of topics and policies, nothing of what events say.

    Args:
        decider: decides.
        tracer: begins the spans.
        group: the consumer group.
    """

    def __init__(self, decider: Decider, tracer: Tracer, group: str) -> None:
        from opentelemetry import propagate, trace

        self._decider = decider
        self._tracer = tracer
        self._group = group
        self._trace = trace
        self._propagate = propagate

    @property
    def policy_hash(self) -> str:
        """Hash of the policy in force."""
        return self._decider.policy_hash

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        """Decide a batch, as a span."""
        trace = self._trace
        contexts = [self._context(record.headers) for record in records]
        brought = {(one.trace_id, one.span_id): one for one in contexts if one is not None}
        links = [trace.Link(one) for one in brought.values()]
        topic = records[0].topic if records else ""
        with self._tracer.start_as_current_span(
            f"process {topic}",
            kind=trace.SpanKind.CONSUMER,
            links=links,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.type": "process",
                "messaging.operation.name": "process",
                "messaging.destination.name": topic,
                "messaging.consumer.group.name": self._group,
                "messaging.batch.message_count": len(records),
                "routec.policy.hash": self.policy_hash,
            },
            # An error's words may quote an event.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                outcomes = await self._decider.decide(records)
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(trace.StatusCode.ERROR)
                raise
            span.set_attribute(
                "routec.dead_letters", sum(isinstance(one, Dead) for one in outcomes)
            )
            own: dict[str, str] = {}
            if None in contexts:
                self._propagate.inject(own)
        if not own:
            return outcomes
        return [
            _carrying(outcome, own) if context is None else outcome
            for outcome, context in zip(outcomes, contexts, strict=True)
        ]

    def learn(self, responses: Sequence[Record]) -> None:
        """Take in responses."""
        self._decider.learn(responses)

    def _context(self, headers: Headers) -> Any:
        """The span context that an event brought; ``None`` if it brought none that is valid."""
        if not headers:
            return None
        carrier = {
            name.lower(): value.decode("ascii", "replace")
            for name, value in headers
            if value is not None
        }
        context = self._propagate.extract(carrier)
        found = self._trace.get_current_span(context).get_span_context()
        return found if found.is_valid else None


def _carrying(outcome: Outcome, context: Mapping[str, str]) -> Outcome:
    if isinstance(outcome, Dead):
        return outcome
    kept = tuple(header for header in outcome.headers if header[0].lower() not in context)
    added = tuple((name, value.encode()) for name, value in context.items())
    return Decided(outcome.value, kept + added)
