"""Decide one request and say why: the path, why no other route, and what would change it.

Signals that need a model are computed only if they are needed and not given by --with; the
classifiers are those of routec.toml, looked for beside the policy.
"""

from __future__ import annotations

import argparse
import asyncio

from routec.cli import exits
from routec.cli.arguments import add_format
from routec.cli.asking import add_request, ask
from routec.cli.programs import Compiled, compile_file
from routec.cli.reading import read_once

EXAMPLES = """\
  routec explain helpdesk.route --text "please refund my order" --attr tenant=acme
  routec explain helpdesk.route --text hi --attr tenant=acme --with attack.jailbreak=0.97
  routec explain helpdesk.route --event request.json --format json
"""

_EVENT_BYTES = 64 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec explain``."""
    parser.add_argument("policy", metavar="POLICY", help="a policy")
    add_request(parser, required=True)
    parser.add_argument("--config", metavar="FILE", help="the configuration (routec.toml)")
    add_format(parser, ("full", "json"))


def run(options: argparse.Namespace) -> int:
    """Decide, explain and print."""
    read_once({"POLICY": options.policy, "--event": options.event})
    compiled = compile_file(options.policy, config=options.config)
    asyncio.run(_explain(options, compiled))
    return exits.FINE


async def _explain(options: argparse.Namespace, compiled: Compiled) -> None:
    from routec.cli.flips import find_flips
    from routec.cli.why import Reasons
    from routec.runtime.events.encode import Encoder, decision_id

    program = compiled.program
    asked = await ask(options, compiled)
    request, pins, answer = asked.request, asked.pins, asked.answer
    decision = answer.decision
    reasons = Reasons(program, request, decision, pins)
    path, why_not = reasons.path(), reasons.why_not()
    flips = await find_flips(asked.offline, compiled.policy, program, request, pins, answer)
    encoder = Encoder(program.name, compiled.hash, {m.name: m for m in program.models})
    event = encoder.event(decision_id(asked.record), request, decision)
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
