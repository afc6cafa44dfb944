"""One request, as a command line describes it, and its decision."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from routec.cli.errors import CommandError, unreadable
from routec.cli.offline import Answer, Offline
from routec.cli.programs import Compiled
from routec.cli.values import parse_attributes, parse_pins
from routec.runtime.events.decode import Limits, decode_request
from routec.runtime.events.request import Request
from routec.runtime.records import Dead, Record

_EVENT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and its decision.

    Attributes:
        record: the record that it came in.
        request: the request.
        pins: the signals fixed for it.
        offline: what decided it, and decides variations of it.
        answer: its decision.
    """

    record: Record
    request: Request
    pins: Mapping[str, object]
    offline: Offline
    answer: Answer


def add_request(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the arguments that describe a request."""
    what = parser.add_mutually_exclusive_group(required=required)
    what.add_argument("--text", metavar="TEXT", help="the user's message")
    what.add_argument("--event", metavar="FILE", help="a request event as JSON, - for stdin")
    parser.add_argument(
        "--attr", action="append", default=[], metavar="NAME=VALUE", help="a field of the request"
    )
    parser.add_argument(
        "--with",
        dest="pins",
        action="append",
        default=[],
        metavar="SIGNAL=VALUE",
        help="fix a signal, or a label's score: topic=legal, topic.legal=0.7, pii=email,phone",
    )


async def ask(options: argparse.Namespace, compiled: Compiled) -> Asked:
    """Decide the request of ``--text`` or ``--event`` with ``--attr`` and ``--with``.

    Models are opened only if the decision needs a costly signal that is not fixed.

    Raises:
        CommandError: it is no valid request, or needs a signal that cannot be computed here.
    """
    program = compiled.program
    pins = parse_pins(options.pins, program)
    data = _event(options, parse_attributes(options.attr, program.fields))
    record = Record("asked", 0, 0, time.time_ns() // 1_000_000, None, data)
    request = decode_request(record, program.fields, Limits(bytes=_EVENT_BYTES))
    if isinstance(request, Dead):
        raise CommandError(request.message, _help(request.code))
    offline = Offline(compiled)
    [answer] = await offline.decide([request], [pins])
    if answer.missing:
        name = answer.missing[0]
        try:
            offline = Offline(compiled, live=True)
        except CommandError as error:
            raise CommandError(
                f"the decision needs signal `{name}`, which cannot be computed here: "
                f"{error.message}",
                f"fix it with `--with {name}=…`" + (f", or {error.help}" if error.help else ""),
            ) from error
        [answer] = await offline.decide([request], [pins])
    return Asked(record, request, pins, offline, answer)


def _event(options: argparse.Namespace, attributes: dict[str, Any]) -> bytes:
    if options.text is not None:
        messages = [{"role": "user", "content": options.text}]
        event: Any = {
            "request_id": "asked",
            "attributes": attributes,
            "body": {"messages": messages},
        }
        return json.dumps(event).encode()
    try:
        if options.event == "-":
            data = sys.stdin.buffer.read(_EVENT_BYTES + 1)
        else:
            with open(options.event, "rb") as handle:
                data = handle.read(_EVENT_BYTES + 1)
    except (OSError, ValueError) as error:
        raise unreadable(options.event, error) from error
    if not attributes:
        return data
    try:
        event = json.loads(data)
        event["metadata" if "messages" in event else "attributes"].update(attributes)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise CommandError(
            f"`{options.event}` is no request event that attributes can be added to",
            "an event is a JSON object with `attributes` and `body`",
        ) from None
    return json.dumps(event).encode()


def _help(code: str) -> str:
    if code in ("missing-attribute", "invalid-attribute"):
        return "give it with `--attr NAME=VALUE`"
    return "an event is a JSON object with `attributes` and `body`"
