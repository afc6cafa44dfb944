"""Write a policy's program: what a worker loads, as canonical JSON with a content hash.

The same policy gives the same bytes everywhere.
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
from routec.cli.reading import add_stdin_filename
from routec.cli.render.styled import Line, write

EXAMPLES = """\
  routec compile policies/helpdesk.route
  routec compile policies/helpdesk.route -o build/helpdesk.json
  routec compile policies/helpdesk.route -o - | sha256sum
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
    add_format(parser, ("full", "json"))
    add_stdin_filename(parser)


def run(options: argparse.Namespace) -> int:
    """Compile, write, and say what was written."""
    from routec.compiler.program import dump

    compiled = compile_file(options.policy, stdin_name=options.stdin_filename)
    data = dump(compiled.program)
    if options.output == "-":
        sys.stdout.buffer.write(data)
        return exits.FINE
    file = options.output or f"{compiled.program.name}.program.json"
    _replace(Path(file), data)
    counts = _counts(compiled)
    if options.format == "json":
        from routec.cli.render.json import write_json

        write_json(
            {
                "name": compiled.program.name,
                "hash": compiled.hash,
                "file": file,
                "bytes": len(data),
                "counts": counts,
            }
        )
    else:
        listed = ", ".join(f"{count} {what}" for what, count in counts.items())
        lines: list[Line] = [
            ((compiled.program.name, "strong"), (f"  {compiled.hash}", "")),
            ((listed, ""),),
            ((f"wrote {file} ({len(data):,} bytes)", "good"),),
        ]
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
