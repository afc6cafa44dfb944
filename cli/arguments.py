"""Command lines: a parser whose complaints are errors of ours."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import NoReturn

from routec.cli.errors import CommandError


class Parser(argparse.ArgumentParser):
    """A parser that raises `CommandError` and takes no abbreviated options."""

    def __init__(self, prog: str, description: str, examples: str = "") -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=f"examples:\n{examples}" if examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Raise the complaint; `main` prints it and exits with status 2."""
        raise CommandError(
            message[:1].lower() + message[1:], f"see `{self.prog} --help` for what it takes"
        )


def one_of(choices: Sequence[str]) -> Callable[[str], str]:
    """A type of arguments that are one of these words."""

    def convert(text: str) -> str:
        if text in choices:
            return text
        near = get_close_matches(text, choices, n=1)
        meant = f"; did you mean `{near[0]}`?" if near else ""
        known = ", ".join(f"`{choice}`" for choice in choices)
        raise argparse.ArgumentTypeError(f"`{text}` is none of {known}{meant}")

    return convert


def add_format(parser: argparse.ArgumentParser, choices: Sequence[str]) -> None:
    """Add ``--format``; the first choice is the default."""
    parser.add_argument(
        "--format",
        type=one_of(choices),
        default=choices[0],
        metavar="{" + ",".join(choices) + "}",
        help=f"how to print the result (default: {choices[0]})",
    )


def add_bootstrap(parser: argparse.ArgumentParser, help: str = "the Kafka cluster to use") -> None:
    """Add ``--bootstrap``: the brokers to start from, as `kafka.bootstrap` takes them."""
    parser.add_argument("--bootstrap", type=_brokers, metavar="HOST:PORT", help=help)


def _brokers(text: str) -> str:
    from routec.runtime.brokers import BrokersError, read_brokers

    try:
        return ",".join(read_brokers(text))
    except BrokersError as error:
        raise argparse.ArgumentTypeError(f"{error.message}: {error.help}") from error


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """A type of arguments: a whole number from `low` to `high`."""

    def convert(text: str) -> int:
        if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20:
            value = int(text)
            if low <= value <= high:
                return value
        raise argparse.ArgumentTypeError(f"`{text}` is no whole number from {low} to {high}")

    return convert
