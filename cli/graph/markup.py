"""Text and numbers as markup has them."""

from __future__ import annotations

import re

from routec.cli.graph.layout import Point
from routec.cli.text import visible

# What XML cannot hold; `visible` has replaced most of it before.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escape(text: str) -> str:
    """A text for the content or a double-quoted attribute of an element."""
    shown = _FORBIDDEN.sub("�", visible(text))
    for plain, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        shown = shown.replace(plain, entity)
    return shown.replace("'", "&#39;")


def number_text(number: float) -> str:
    """A coordinate with one decimal place, the same on every machine."""
    text = f"{number:.1f}"
    return text[:-2] if text.endswith(".0") else text


def point_text(point: Point) -> str:
    """A place as the two coordinates of a path."""
    return f"{number_text(point.x)} {number_text(point.y)}"
