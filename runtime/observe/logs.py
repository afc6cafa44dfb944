"""Structured logs: one JSON object a line, without prompts and without secrets."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from traceback import format_tb
from types import TracebackType
from typing import Any, TextIO

import structlog

_WITHHELD = frozenset(
    {
        "authorization",
        "body",
        "content",
        "messages",
        "password",
        "prompt",
        "response",
        "secret",
        "text",
        "token",
        "value",
    }
)
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_QUIETER = ("aiokafka",)


def withhold(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what may hold a user's text or a secret (a structlog processor).

    It goes by the key, at any depth: ``body``, ``messages``, ``prompt``,
    ``text``, ``value`` and the like; and all bytes are shown as their length.
    """
    return {key: _shown(key, value) for key, value in event.items()}


def frames(
    exc_info: tuple[type[BaseException], BaseException, TracebackType | None],
) -> str:
    """Where an exception was raised, and its type.

    Its words are left out, and so are those of the exceptions behind it: they may quote an event.
    """
    of, error, begin = exc_info
    shown = ["Traceback (most recent call last):\n", *format_tb(begin), of.__qualname__]
    behind = error.__cause__ or error.__context__
    if behind is not None:
        shown.append(f"\nafter {type(behind).__qualname__}")
    return "".join(shown)


def _shown(key: str, value: Any, depth: int = 0) -> Any:
    if key.lower() in _WITHHELD or key.lower().endswith(("_password", "_secret", "_token")):
        return "withheld"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if isinstance(value, dict):
        if depth > 8:
            return "withheld"
        return {name: _shown(str(name), item, depth + 1) for name, item in value.items()}
    return value


def configure_logs(level: str = "info", format: str = "json", stream: TextIO | None = None) -> None:
    """Send the logs of routec and of its libraries to one stream.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        format: ``json``, or ``console`` for a person.
        stream: where to; standard error unless given.

    Raises:
        KeyError: there is no such level.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(frames),
        withhold,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(_LEVELS[level])
    for name in _QUIETER:
        logging.getLogger(name).setLevel(max(_LEVELS[level], logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
