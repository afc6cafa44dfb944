"""Decide one request and say why: the path, why no other route, and what would change it.

Signals that need a model are computed only if they are needed and not given by --with; the
classifiers are those of routec.toml, looked for beside the policy.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import Any

from routec.cli import exits
from routec.cli.arguments import add_format
from routec.cli.errors import CommandError, unreadable
from routec.cli.programs import Compiled, compile_file

EXAMPLES = """\
  routec explain helpdesk.route --text "please refund my order" --attr tenant=acme
  routec explain helpdesk.route --text hi --attr tenant=acme --with attack.jailbreak=0.97
  routec explain helpdesk.route --event request.json --format json
"""

_EVENT_BYTES = 64 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec explain``."""
    parser.add_argument("policy", metavar="POLICY", help="a policy")
    what = parser.add_mutually_exclusive_group(required=True)
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
    parser.add_argument("--config", metavar="FILE", help="the configuration (routec.toml)")
    add_format(parser, ("full", "json"))


def run(options: argparse.Namespace) -> int:
    """Decide, explain and print."""
    compiled = compile_file(options.policy, config=options.config)
    asyncio.run(_explain(options, compiled))
    return exits.FINE


async def _explain(options: argparse.Namespace, compiled: Compiled) -> None:
    from routec.cli.flips import find_flips
    from routec.cli.offline import Offline
    from routec.cli.values import parse_attributes, parse_pins
    from routec.cli.why import Reasons
    from routec.runtime.events.decode import Limits, decode_request
    from routec.runtime.events.encode import Encoder, decision_id
    from routec.runtime.records import Dead, Record

    program = compiled.program
    pins = parse_pins(options.pins, program)
    data = _event(options, parse_attributes(options.attr, program.fields))
    now = time.time_ns() // 1_000_000
    record = Record("explain", 0, 0, now, None, data)
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
    decision = answer.decision
    reasons = Reasons(program, request, decision, pins)
    path, why_not = reasons.path(), reasons.why_not()
    flips = await find_flips(offline, compiled.policy, program, request, pins, answer)
    encoder = Encoder(program.name, compiled.hash, {m.name: m for m in program.models})
    event = encoder.event(decision_id(record), request, decision)
    if options.format == "json":
        from routec.cli.render.json import write_json

        write_json(
            {
                "decision": event,
                "path": [
                    {
                        "rule": step.rule,
                        "node": step.node,
                        "test": step.test,
                        "value": sorted(step.value)
                        if isinstance(step.value, frozenset)
                        else step.value,
                        "holds": step.holds,
                        "source": step.source,
                    }
                    for step in path
                ],
                "why_not": [{"route": name, "because": why} for name, why in why_not],
                "flip": [{"change": flip.change, "outcome": flip.outcome} for flip in flips],
            }
        )
    else:
        from routec.cli.render.explanation import explanation
        from routec.cli.render.styled import write

        write(explanation(event, decision, path, why_not, flips))


def _event(options: argparse.Namespace, attributes: dict[str, Any]) -> bytes:
    """The bytes of the request event that the command line describes."""
    if options.text is not None:
        messages = [{"role": "user", "content": options.text}]
        event: Any = {
            "request_id": "explain",
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
        given = event["metadata" if "messages" in event else "attributes"]
        given.update(attributes)
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
