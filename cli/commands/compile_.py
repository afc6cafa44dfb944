"""Plan a policy and write its program: what a worker loads, as canonical JSON with a content hash.

The same policy and profile give the same bytes everywhere. With ROUTEC_SIGNING_KEY in the
environment, a private key of `routec keys new`, a signature is written beside the file (FILE.sig).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from routec.cli import exits
from routec.cli.arguments import add_format
from routec.cli.errors import CommandError
from routec.cli.programs import Compiled, compile_file
from routec.cli.reading import add_stdin_filename, read_profile
from routec.cli.render.plan import document, full
from routec.cli.render.styled import Line, line, write
from routec.cli.signatures import SUFFIX, signer_of

EXAMPLES = """\
  routec compile policies/helpdesk.route
  routec compile policies/helpdesk.route -o build/helpdesk.json
  routec compile policies/helpdesk.route -o - | sha256sum
  routec compile policies/helpdesk.route --profile traffic.json --explain-plan
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec compile``."""
    parser.add_argument("policy", metavar="POLICY", help="a policy, or - for stdin")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where to write it, - for stdout (default: NAME.program.json in this folder)",
    )
    parser.add_argument(
        "--profile",
        metavar="FILE",
        help="recorded traffic to plan for (default: what is usual)",
    )
    parser.add_argument(
        "--explain-plan",
        action="store_true",
        help="say in which order signals are asked, what that is expected to cost, and why",
    )
    add_format(parser, ("full", "json"))
    add_stdin_filename(parser)


def run(options: argparse.Namespace) -> int:
    """Compile, write, and say what was written."""
    from routec.compiler.program import dump

    if options.explain_plan and options.output == "-":
        raise CommandError(
            "the program and its plan cannot both go to standard output",
            "name a file with `-o`, or leave out `--explain-plan`",
        )
    signer = signer_of(os.environ)
    profile = None if options.profile is None else read_profile(options.profile)
    compiled = compile_file(options.policy, stdin_name=options.stdin_filename, profile=profile)
    data = dump(compiled.program)
    if options.output == "-":
        sys.stdout.buffer.write(data)
        return exits.FINE
    file = options.output or f"{compiled.program.name}.program.json"
    _replace(Path(file), data)
    if signer is not None:
        _replace(Path(file + SUFFIX), signer.sign_file(data) + b"\n")
    counts = _counts(compiled)
    planned = compiled.planned if options.explain_plan else None
    if options.format == "json":
        from routec.cli.render.json import write_json

        told = (
            document(planned, compiled.hash, file)
            if planned is not None
            else {
                "name": compiled.program.name,
                "hash": compiled.hash,
                "file": file,
                "bytes": len(data),
                "counts": counts,
            }
        )
        signed = {} if signer is None else {"signature": file + SUFFIX, "signed_with": signer.key}
        write_json({**told, **signed})
    else:
        listed = ", ".join(f"{count} {what}" for what, count in counts.items())
        lines: list[Line] = [
            ((compiled.program.name, "strong"), (f"  {compiled.hash}", "")),
            ((listed, ""),),
            *(() if planned is None else (line(), *full(planned))),
            ((f"wrote {file} ({len(data):,} bytes)", "good"),),
        ]
        if signer is not None:
            lines.append(((f"signed with {signer.key}: {file}{SUFFIX}", "good"),))
        write(lines)
    return exits.FINE


def _counts(compiled: Compiled) -> dict[str, Any]:
    program = compiled.program
    return {
        "fields": len(program.fields),
        "signals": len(program.signals),
        "conditions": len(program.nodes),
        "models": len(program.models),
        "categories": len(program.categories),
        "guards": len(program.guards),
        "routes": len(program.routes),
        "tests": len(compiled.policy.cases),
    }


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: a worker may be reading the old one."""
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a pipe or a device
            return
        handle, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(scratch, 0o666 & ~umask)  # as any newly made file; mkstemp keeps it private
            os.replace(scratch, path)
        except BaseException:
            os.unlink(scratch)
            raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no path of a file"
        raise CommandError(
            f"cannot write `{path}`: {reason.lower()}", "name another file with `-o`"
        ) from error
