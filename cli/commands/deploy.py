"""Have running workers decide by another policy, without stopping them.

The policy is checked and compiled here, and written to the control topic; every worker of a policy
of that name opens it and puts it in force between two batches. Where it cannot, the policy before
stays, and `routec status` says why.

--canary has the policy decide a share of the requests, chosen by their keys, until it is promoted
or rolled back. --shadow has it decide nothing: what it would have decided otherwise goes to the
topic `routec.differences`. --rollback withdraws either; without one it goes back to the program
before, and without that to the one each worker was started with. Each goes a step further, so
after an error see with `routec status` whether it was written before you repeat it.

With ROUTEC_SIGNING_KEY in the environment, a private key of `routec keys new`, what is written is
signed. Workers with `policies.keys` refuse all else.
"""

from __future__ import annotations

import argparse
import math
import os
from typing import TYPE_CHECKING

from routec.cli import exits
from routec.cli.arguments import add_bootstrap, add_format
from routec.cli.errors import CommandError
from routec.cli.interrupts import run_client
from routec.cli.programs import compile_file, read_config, with_bootstrap

if TYPE_CHECKING:
    from routec.cli.render.styled import Line
    from routec.compiler.program import Program
    from routec.runtime.config import Config
    from routec.runtime.policies.registry import Change
    from routec.runtime.policies.signature import Signer

EXAMPLES = """\
  routec deploy policies/helpdesk.route --bootstrap localhost:9092
  routec deploy policies/helpdesk.route --canary 5%
  routec deploy policies/helpdesk.route --shadow
  routec deploy --promote helpdesk
  routec deploy --rollback helpdesk
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec deploy``."""
    parser.add_argument("policy", metavar="POLICY", nargs="?", help="the policy to deploy")
    add_bootstrap(parser)
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the configuration (default: routec.toml beside the policy, else in this folder)",
    )
    parser.add_argument(
        "--canary",
        type=share,
        metavar="SHARE",
        help="let it decide this share of the requests, such as 5%%",
    )
    parser.add_argument(
        "--shadow", action="store_true", help="only write what it would decide otherwise"
    )
    parser.add_argument(
        "--promote",
        type=_name,
        metavar="NAME",
        help="let the canary or shadow of a policy decide all",
    )
    parser.add_argument(
        "--rollback",
        type=_name,
        metavar="NAME",
        help="withdraw the canary or shadow, else restore the program before",
    )
    add_format(parser, ("full", "json"))


def _name(text: str) -> str:
    """The name of a policy; what no policy can be called would only be looked for in vain."""
    if not text.strip() or "/" in text:
        raise argparse.ArgumentTypeError(
            f"`{text}` is no name of a policy: write the one that `routec status` shows"
        )
    return text


def share(text: str) -> float:
    """A share above 0 % up to 100 %, written ``5%`` or ``0.05``."""
    number = text.strip()
    percent = number.endswith("%")
    try:
        value = float(number.removesuffix("%"))
    except ValueError:
        value = math.nan
    value = value / 100 if percent else value
    if not number.isascii() or not 0.0 < value <= 1.0:
        raise argparse.ArgumentTypeError(
            f"`{text}` is no share above 0% up to 100%: write `5%` or `0.05`"
        )
    return value


def run(options: argparse.Namespace) -> int:
    """Write what is asked to the control topic, and say what was written."""
    wanted = [options.policy, options.promote, options.rollback]
    if sum(one is not None for one in wanted) != 1:
        raise CommandError(
            "say one of a policy to deploy, `--promote NAME` and `--rollback NAME`",
            "see `routec deploy --help` for what each does",
        )
    if (options.canary is not None or options.shadow) and options.policy is None:
        option = "--shadow" if options.shadow else "--canary"
        raise CommandError(f"`{option}` needs a policy to try", "name its file")
    if options.canary is not None and options.shadow:
        raise CommandError("`--canary` and `--shadow` exclude each other", "leave one out")
    program = None
    if options.policy is None:
        config = read_config("routec.toml", options.config)
    else:
        compiled = compile_file(options.policy, config=options.config)
        program, config = compiled.program, compiled.config
    if not config.topics.policies:
        raise CommandError(
            "there is no control topic to write to", "set `topics.policies` in routec.toml"
        )

    from routec.cli.signatures import signer_of

    signer = signer_of(os.environ)
    config = with_bootstrap(config, options.bootstrap)
    work = _deploy(options, config, program, signer)
    return run_client(work, quiet=options.format == "json")


async def _deploy(
    options: argparse.Namespace, config: Config, program: Program | None, signer: Signer | None
) -> int:
    from routec.runtime.policies.registry import DeployError

    try:
        change = await _change(options, config, program, signer)
    except DeployError as error:
        raise CommandError(error.message, error.help) from error
    _tell(options, change)
    return exits.FINE


async def _change(
    options: argparse.Namespace, config: Config, program: Program | None, signer: Signer | None
) -> Change:
    from routec.runtime.policies import registry

    if program is None:
        if options.promote is not None:
            return await registry.promote(config, options.promote, signer)
        return await registry.roll_back(config, options.rollback, signer)
    if options.canary is not None or options.shadow:
        await _refuse_in_force(options, config, program, signer)
        return await registry.try_candidate(config, program, options.canary, signer)
    return await registry.deploy(config, program, signer)


async def _refuse_in_force(
    options: argparse.Namespace, config: Config, program: Program, signer: Signer | None
) -> None:
    """Refuse to try what decides already: workers leave such a candidate alone."""
    from routec.compiler.program import digest, dump
    from routec.runtime.policies.held import read_held

    name = program.name
    active = (await read_held(config, name, signer)).records.get(name)
    if active is not None and active.value == dump(program):
        role = "shadow" if options.shadow else "canary"
        raise CommandError(
            f"`{name}` is deployed with this very program, {digest(program)}, "
            f"so there is nothing to try as a {role}",
            "name the file of the policy to try; `routec status` shows what decides now",
        )


def _tell(options: argparse.Namespace, change: Change) -> None:
    from routec.cli.render.json import write_json
    from routec.cli.render.styled import line, write

    if options.format == "json":
        told = {"policy": change.policy, "did": change.did, "hash": change.hash}
        write_json(told | {"before": change.before, "share": options.canary})
        return
    now = change.hash or "what each worker was started with"
    said = {
        "deployed": f"deployed {now}",
        "tried": f"deployed {now} as a "
        + (
            "shadow"
            if options.canary is None
            else f"canary for {options.canary:.4g} of the requests"
        ),
        "promoted": f"promoted {now}",
        "withdrawn": f"withdrew the candidate {change.before}; in force stays {now}",
        "restored": f"went back to {now}",
        "reset": f"went back to {now}",
    }[change.did]
    lines: list[Line] = [((change.policy, "strong"), (f"  {said}", ""))]
    if change.before is not None and change.did != "withdrawn":
        lines.append(((f"before: {change.before}", ""),))
    write([*lines, line("workers put it in force between two batches; see `routec status`")])
