"""Source text and places in it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open stretch of one file.

    Attributes:
        file: name of the file as the user gave it.
        start: offset of the first character, in Unicode code points from 0.
        end: offset just past the last character; ``end >= start``.
        line: line of ``start``, from 1.
        column: column of ``start``, in Unicode code points from 1.
        end_line: line of ``end``, from 1.
        end_column: column of ``end``, in Unicode code points from 1.
    """

    file: str
    start: int
    end: int
    line: int
    column: int
    end_line: int
    end_column: int

    def to(self, other: Span) -> Span:
        """The stretch from the start of this span to the end of ``other`` (same file)."""
        return Span(
            self.file,
            self.start,
            other.end,
            self.line,
            self.column,
            other.end_line,
            other.end_column,
        )


@dataclass(frozen=True, slots=True)
class Source:
    """A named text that can turn offsets into spans.

    Attributes:
        name: the path as the user gave it, or ``<stdin>``.
        text: the whole text, decoded.
    """

    name: str
    text: str
    _starts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        starts = [0]
        find = self.text.find
        at = find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = find("\n", at + 1)
        object.__setattr__(self, "_starts", tuple(starts))

    def span(self, start: int, end: int) -> Span:
        """The span between two offsets, in code points; ``0 <= start <= end <= len(text)``."""
        line = bisect_right(self._starts, start)
        end_line = bisect_right(self._starts, end)
        return Span(
            self.name,
            start,
            end,
            line,
            start - self._starts[line - 1] + 1,
            end_line,
            end - self._starts[end_line - 1] + 1,
        )

    def line(self, number: int) -> str:
        """The text of one line (from 1), without its line end; empty past the last."""
        if not 1 <= number <= len(self._starts):
            return ""
        start = self._starts[number - 1]
        end = self._starts[number] - 1 if number < len(self._starts) else len(self.text)
        return self.text[start:end].rstrip("\r")
