"""What stands in each box of a drawing, line by line, and how large that makes it.

No font can be measured here: widths are those of monospaced letters, and for proportional ones
generous estimates, so that text never leaves its box whichever font is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from routec.cli.graph.layout import Size
from routec.cli.graph.model import Edge, Read, Vertex
from routec.cli.graph.words import share_text
from routec.cli.text import visible, width

Style = Literal["head", "name", "code", "does", "value", "chip"]

_LETTER: dict[Style, float] = {
    "head": 6.6,
    "name": 8.3,
    "code": 7.4,
    "does": 6.9,
    "value": 7.0,
    "chip": 6.7,
}
"""Pixels of one letter's width."""
_HEIGHT: dict[Style, float] = {
    "head": 18.0,
    "name": 19.0,
    "code": 17.0,
    "does": 16.0,
    "value": 20.0,
    "chip": 22.0,
}
PAD_X = 14.0
PAD_Y = 9.0
CHIP_GAP = 6.0
CHIP_PAD = 17.0
"""Of a chip beside its text, the dot of its stage included."""
PIPS = 44.0
"""Room for the dots that show a stage."""
_COLUMNS = {"rule": 46, "other": 34}
_LINES = 4
_LEAST = {"rule": 300.0, "other": 96.0}


@dataclass(frozen=True, slots=True)
class Text:
    """A stretch of text: its place from the box's upper left corner (y of its middle)."""

    style: Style
    text: str
    x: float
    y: float
    anchor: Literal["start", "end"] = "start"
    read: Read | None = None
    width: float = 0.0


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its size and its texts."""

    size: Size
    texts: tuple[Text, ...]


def box_of(vertex: Vertex) -> Box:
    """What stands in a vertex's box."""
    rule = vertex.kind == "rule"
    columns = _COLUMNS["rule" if rule else "other"]
    lines: list[tuple[Style, str]] = []
    left, right = _head(vertex)
    if left or right:
        lines.append(("head", left))
    title: Style = "code" if vertex.kind in ("test", "switch", "bisect") else "name"
    lines += [(title, line) for line in wrapped(vertex.title, columns, _LINES)]
    body: Style = "code" if rule else "does"
    lines += [(body, line) for line in wrapped(vertex.text, columns, _LINES) if vertex.text]
    chips = _chips(vertex.reads, columns) if rule else []
    value = [("value", line) for line in wrapped(vertex.value or "", columns, 2) if line]
    widest = max(measure(text, style) for style, text in lines)
    if left or right:
        widest = max(widest, PIPS + measure(f"{left}    {right}", "head"))
    widest = max([widest, *(_row_width(row) for row in chips)])
    widest = max([widest, *(measure(f"● {text}", "value") for _, text in value)])
    total = max(widest + 2 * PAD_X, _LEAST["rule" if rule else "other"])
    texts: list[Text] = []
    y = PAD_Y
    for style, text in lines:
        middle = y + _HEIGHT[style] / 2
        if text:
            texts.append(Text(style, text, PAD_X, middle))
        if style == "head" and right:
            texts.append(Text("head", right, total - PAD_X, middle, "end"))
        y += _HEIGHT[style]
    for row in chips:
        x = PAD_X
        y += 3.0
        for text, read in row:
            length = measure(text, "chip") + (CHIP_PAD if read is not None else 0.0)
            texts.append(Text("chip", text, x, y + _HEIGHT["chip"] / 2, "start", read, length))
            x += length + CHIP_GAP
        y += _HEIGHT["chip"]
    for _, text in value:
        texts.append(Text("value", text, PAD_X, y + _HEIGHT["value"] / 2))
        y += _HEIGHT["value"]
    return Box(Size(total, y + PAD_Y), tuple(texts))


def widened(boxes: Sequence[Box]) -> list[Box]:
    """The same boxes, all as wide as the widest."""
    wide = max((box.size.width for box in boxes), default=0.0)
    return [
        Box(
            Size(wide, box.size.height),
            tuple(replace(t, x=wide - PAD_X) if t.anchor == "end" else t for t in box.texts),
        )
        for box in boxes
    ]


def label_size(edge: Edge) -> Size | None:
    """The size of an edge's label; ``None`` without one."""
    if not edge.label:
        return None
    return Size(measure(label_text(edge), "chip") + 12.0, 18.0)


def label_text(edge: Edge) -> str:
    """What an edge's label says, shortened."""
    return wrapped(edge.label, 30, 1)[0]


def measure(text: str, style: Style) -> float:
    """A generous estimate of a text's width, pixels."""
    return width(text) * _LETTER[style]


def wrapped(text: str, columns: int, most: int) -> list[str]:
    """A text on at most so many lines of at most so many columns; what is left out is a ``…``."""
    lines: list[str] = []
    current = ""
    # Longer than can be shown need not be looked at.
    for word in visible(text[: columns * (most + 1)]).split(" "):
        while word:
            room = columns - (width(current) + 1 if current else 0)
            if width(word) <= room:
                current = f"{current} {word}" if current else word
                break
            if current:
                lines.append(current)
                current = ""
            else:
                cut = _fitting(word, columns)
                lines.append(word[:cut])
                word = word[cut:]
    if current or not lines:
        lines.append(current)
    if len(lines) > most or len(text) > columns * (most + 1):
        lines = lines[:most]
        last = lines[-1]
        while last and width(last) + 1 > columns:
            last = last[:-1]
        lines[-1] = f"{last.rstrip()}…"
    return lines


def _fitting(word: str, columns: int) -> int:
    at = min(len(word), columns)
    while at > 1 and width(word[:at]) > columns:
        at -= 1
    return at


def _head(vertex: Vertex) -> tuple[str, str]:
    right = "" if vertex.share is None else share_text(vertex.share)
    if vertex.dead:
        return ("never decides" if vertex.kind == "rule" else "never taken"), right
    words = {
        "act": "guard",
        "reject": "guard rejects",
        "category": "category",
        "route": "route",
        "none": "",
        "more": "",
    }
    if vertex.kind in words:
        return words[vertex.kind], right
    return (vertex.stage or "always"), right


def _chips(reads: Sequence[Read], columns: int) -> list[list[tuple[str, Read | None]]]:
    room = columns * _LETTER["code"]
    rows: list[list[tuple[str, Read | None]]] = [[]]
    for at, read in enumerate(reads):
        text = wrapped(read.name, 22, 1)[0]
        chip = (text, read)
        left = len(reads) - at
        if rows[-1] and _row_width([*rows[-1], chip]) > room - (40.0 if left > 1 else 0.0):
            if len(rows) == 2:
                rows[-1].append((f"+{left}", None))
                break
            rows.append([])
        rows[-1].append(chip)
    return [row for row in rows if row]


def _row_width(row: Sequence[tuple[str, Read | None]]) -> float:
    widths = [measure(t, "chip") + (CHIP_PAD if r is not None else 0.0) for t, r in row]
    return sum(widths) + CHIP_GAP * (len(row) - 1)
