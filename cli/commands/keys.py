"""Make a key pair that signs policies, or show the public half of the one in use.

`new` writes both keys. The private one belongs into the secret store of whoever deploys, and
reaches `routec deploy` and `routec compile` as ROUTEC_SIGNING_KEY; the public one belongs into
`policies.keys` of the workers' routec.toml. `public` writes the public key of ROUTEC_SIGNING_KEY.
"""

from __future__ import annotations

import argparse
import os

from routec.cli import exits
from routec.cli.arguments import add_format
from routec.cli.errors import CommandError
from routec.cli.signatures import VARIABLE, signer_of

EXAMPLES = """\
  routec keys new
  routec keys new --format json
  ROUTEC_SIGNING_KEY="$(cat /run/secrets/routec)" routec keys public
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec keys``."""
    parser.add_argument("what", metavar="WHAT", choices=("new", "public"), help="new or public")
    add_format(parser, ("full", "json"))


def run(options: argparse.Namespace) -> int:
    """Write the keys to standard output, which is where they were asked for."""
    private = None
    if options.what == "new":
        import secrets

        from routec.runtime.keys import write_private

        private = write_private(secrets.token_bytes(32))
    signer = signer_of(os.environ if private is None else {VARIABLE: private})
    if signer is None:
        raise CommandError(f"`{VARIABLE}` is not set", "`routec keys new` makes a key pair")
    if options.format == "json":
        from routec.cli.render.json import write_json

        pair = {} if private is None else {"private": private}
        write_json({"id": signer.key, "public": signer.public, **pair})
    elif private is None:
        print(signer.public)
    else:
        print(f"id       {signer.key}\npublic   {signer.public}\nprivate  {private}")
        print(
            "\nput the public key into `policies.keys` of every worker, and keep the private one "
            f"in a secret store;\n`routec deploy` takes it from `{VARIABLE}`"
        )
    return exits.FINE
