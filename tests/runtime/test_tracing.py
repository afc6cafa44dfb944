"""One span a batch, linked to its events' traces; decisions carry their contexts on."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from routec.runtime.config import Config, Observability
from routec.runtime.deployment import open_deployment
from routec.runtime.observe.tracing import TracedDecider
from routec.runtime.records import Dead, Decided, Headers, Outcome, Record
from tests.runtime.doubles import program

POLICY = 'signal kw = keyword("x") model m {} default route r { to m }'
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01".encode()
OTHER = b"00-1bf7651916cd43dd8448eb211c80319c-c7ad6b7169203331-00"


class Copying:
    """Decides by copying headers; dead letters for empty values; fails when told to."""

    policy_hash = "sha256:copy"

    def __init__(self) -> None:
        self.learned = 0
        self.error: Exception | None = None

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        if self.error is not None:
            raise self.error
        return [
            Decided(one.value, one.headers) if one.value else Dead("empty-event", "it is empty")
            for one in records
        ]

    def learn(self, responses: Sequence[Record]) -> None:
        self.learned += len(responses)


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def copying() -> Copying:
    return Copying()


@pytest.fixture
def traced(spans: InMemorySpanExporter, copying: Copying) -> Iterator[TracedDecider]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield TracedDecider(copying, provider.get_tracer("routec"), "helpdesk")
    provider.shutdown()


def records(*headers: Headers, value: bytes = b"{}") -> list[Record]:
    return [Record("requests", 0, n, 0, None, value, one) for n, one in enumerate(headers)]


def headers(outcome: Outcome) -> dict[str, bytes]:
    assert isinstance(outcome, Decided)
    assert len({name for name, _ in outcome.headers}) == len(outcome.headers)
    return dict(outcome.headers)


async def test_a_batch_is_one_span_with_a_link_for_each_trace(
    traced: TracedDecider, spans: InMemorySpanExporter
) -> None:
    await traced.decide(
        records((("traceparent", PARENT),), (("Traceparent", OTHER),), (("traceparent", PARENT),))
    )
    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind) == ("process requests", SpanKind.CONSUMER)
    assert [f"{one.context.trace_id:032x}" for one in span.links] == [
        TRACE,
        "1bf7651916cd43dd8448eb211c80319c",
    ]
    assert span.attributes is not None
    assert span.attributes["messaging.batch.message_count"] == 3
    assert span.attributes["messaging.consumer.group.name"] == "helpdesk"
    assert span.attributes["routec.policy.hash"] == "sha256:copy"
    assert span.attributes["routec.dead_letters"] == 0
    assert span.parent is None


async def test_a_decision_carries_on_its_events_context_or_else_the_batchs(
    traced: TracedDecider, spans: InMemorySpanExporter
) -> None:
    own, none, other = await traced.decide(
        records((("traceparent", PARENT), ("a", b"1")), (), (("b", b"\xff"),))
    )
    (span,) = spans.get_finished_spans()
    assert span.context is not None
    ids = f"{span.context.trace_id:032x}-{span.context.span_id:016x}"
    batch = f"00-{ids}-{span.context.trace_flags:02x}".encode()
    assert headers(own) == {"traceparent": PARENT, "a": b"1"}
    assert headers(none) == {"traceparent": batch}
    assert headers(other) == {"b": b"\xff", "traceparent": batch}


@pytest.mark.parametrize(
    "broken", [b"", b"00-1-2-01", b"\xff\x00", PARENT + b"-more", b"00-" + b"0" * 32 + PARENT[35:]]
)
async def test_a_context_that_is_none_is_replaced(
    traced: TracedDecider, spans: InMemorySpanExporter, broken: bytes
) -> None:
    (outcome,) = await traced.decide(records((("traceparent", broken),)))
    (span,) = spans.get_finished_spans()
    assert span.links == ()
    assert span.context is not None
    assert f"{span.context.trace_id:032x}".encode() in headers(outcome)["traceparent"]


async def test_dead_letters_are_counted_and_left_alone(
    traced: TracedDecider, spans: InMemorySpanExporter
) -> None:
    (outcome,) = await traced.decide(records((), value=b""))
    assert isinstance(outcome, Dead)
    (span,) = spans.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes["routec.dead_letters"] == 1


async def test_a_failure_is_named_without_its_words(
    traced: TracedDecider, spans: InMemorySpanExporter, copying: Copying
) -> None:
    copying.error = ValueError("my diagnosis")
    with pytest.raises(ValueError, match="diagnosis"):
        await traced.decide(records(()))
    (span,) = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert "diagnosis" not in span.to_json()
    assert span.attributes is not None
    assert span.attributes["error.type"] == "ValueError"


def test_responses_pass_through(traced: TracedDecider, copying: Copying) -> None:
    traced.learn(records((), ()))
    assert copying.learned == 2


def test_nothing_is_imported_while_tracing_is_off() -> None:
    code = f"""
import sys
from routec.runtime.config import Config, Observability
from routec.runtime.deployment import open_deployment
from tests.runtime.doubles import program
with open_deployment(program({POLICY!r}), Config(observability=Observability(metrics=False))) as opened:
    opened.worker()
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Collector(BaseHTTPRequestHandler):
    """Takes spans in by OTLP over HTTP."""

    got: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        self.got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_spans_are_exported_where_opentelemetrys_variables_say() -> None:
    collector = type("Own", (Collector,), {"got": []})
    code = f"""
import asyncio
from routec.runtime.config import Config, Observability
from routec.runtime.deployment import open_deployment
from routec.runtime.records import Record
from tests.runtime.doubles import program
on = Config(observability=Observability(metrics=False, tracing=True))
with open_deployment(program({POLICY!r}), on) as opened:
    record = Record("requests", 0, 0, 0, None, b"my diagnosis", (("traceparent", {PARENT!r}),))
    asyncio.run(opened.worker()._decider.decide([record]))
"""
    with HTTPServer(("127.0.0.1", 0), collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env={
                "PATH": "/usr/bin:/bin",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
                "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            },
        )
        server.shutdown()
        thread.join()
    assert done.returncode == 0, done.stderr
    ((path, body),) = collector.got
    assert path == "/v1/traces"
    assert b"process requests" in body
    assert bytes.fromhex(TRACE) in body
    assert b"diagnosis" not in body


def test_without_an_sdk_the_worker_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from routec.runtime.stream import StreamError

    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    on = Config(observability=Observability(metrics=False, tracing=True))
    with open_deployment(program(POLICY), on) as opened:
        with pytest.raises(StreamError) as refused:
            opened.worker()
        assert refused.value.code == "tracing-unavailable"
        assert "`routec[otel]`" in refused.value.help
        off = msgspec.structs.replace(on, observability=Observability(metrics=False))
        assert opened.worker(off)
