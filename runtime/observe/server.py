"""The HTTP endpoint of `/metrics` and `/healthz`, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

StartResponse = Callable[..., Any]


class Readiness(Protocol):
    """Knows whether all is well."""

    def report(self) -> tuple[bool, bytes]:
        """Whether it is, and why not, as JSON; called in several threads."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 10  # a client that says nothing must not keep a thread

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not news."""


class ObservabilityServer:
    """Serves `/metrics` (Prometheus text) and `/healthz` (200 when ready, else 503).

    Args:
        registry: what `/metrics` shows.
        health: what `/healthz` shows.
        host: address to listen on; loopback unless the operator opens it.
        port: port to listen on; 0 takes a free one.

    Raises:
        OSError: the address cannot be bound.
    """

    def __init__(
        self, registry: CollectorRegistry, health: Readiness, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        metrics = make_wsgi_app(registry)

        def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
            path = environ.get("PATH_INFO", "")
            if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
                return _answer(start_response, "405 Method Not Allowed", b"", "text/plain")
            if path == "/metrics":
                body: Iterable[bytes] = metrics(environ, start_response)
                return body
            if path == "/healthz":
                ready, report = health.report()
                status = "200 OK" if ready else "503 Service Unavailable"
                return _answer(start_response, status, report, "application/json")
            return _answer(
                start_response, "404 Not Found", b"see /metrics and /healthz\n", "text/plain"
            )

        self._server = make_server(host, port, app, _Server, _Handler)
        self.port = int(self._server.server_port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="routec-observability", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5.0)

    def __enter__(self) -> ObservabilityServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _answer(
    start_response: StartResponse, status: str, body: bytes, content_type: str
) -> Iterable[bytes]:
    start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]
