"""Lines of styled text, and how they reach a terminal or a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Literal, TextIO

Style = Literal["", "error", "warning", "note", "frame", "secondary", "strong", "good"]
Line = tuple[tuple[str, Style], ...]
"""Stretches of one line and their styles; ``""`` is plain."""

_RICH = {
    "error": "bold red",
    "warning": "bold yellow",
    "note": "bold cyan",
    "frame": "bold blue",
    "secondary": "blue",
    "strong": "bold",
    "good": "bold green",
}


def line(text: str = "", style: Style = "") -> Line:
    """A line of one style."""
    return ((text, style),)


def plain(lines: Iterable[Line]) -> str:
    """The lines as text, each with its line end."""
    return "".join("".join(text for text, _ in one).rstrip() + "\n" for one in lines)


def write(lines: Iterable[Line], stream: TextIO | None = None) -> None:
    """Write lines, coloured where the stream is a terminal that wants it.

    Raises:
        BrokenPipeError: nobody reads any more.
    """
    stream = stream or sys.stdout
    if not coloured(stream):
        stream.write(plain(lines))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)
    for one in lines:
        console.print(Text.assemble(*((text, _RICH.get(style, "")) for text, style in one)))


def coloured(stream: TextIO) -> bool:
    """Whether to colour: a terminal, not a dumb one, and ``NO_COLOR`` unset or empty."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
