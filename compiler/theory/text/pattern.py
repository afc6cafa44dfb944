"""RE2 patterns as trees.

Only what matters to *whether* a pattern matches is kept: greediness and captures are
dropped. The syntax is that of RE2 (https://github.com/google/re2/wiki/Syntax); RE2
has accepted the pattern before it comes here, so the parser need not look for errors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from routec.compiler import policy as p
from routec.compiler.theory.text.charset import (
    ASCII_WORD,
    EVERYTHING,
    LAST,
    NEWLINE,
    Ranges,
    asked_of_re2,
    complement,
    holds,
    ranges,
)
from routec.compiler.theory.text.matcher import source


class Unsupported(Exception):
    """A pattern uses what the automata do not model; the argument says what."""


class Edge(Enum):
    """A condition on the two neighbours of a place in the text."""

    TEXT_START = "\\A"
    TEXT_END = "\\z"
    LINE_START = "(?m)^"
    LINE_END = "(?m)$"
    WORD = "\\b"
    NO_WORD = "\\B"
    NO_WORD_BEFORE = "no word goes on before"
    NO_WORD_AFTER = "no word goes on after"


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of a set."""

    of: Ranges


@dataclass(frozen=True, slots=True)
class Concat:
    """All parts, one after the other; the empty text where there are none."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of the parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`low` to `high` times the node; no upper end where `high` is ``None``."""

    node: Node
    low: int
    high: int | None


Node = Chars | Edge | Concat | Either | Repeat

_DIGIT = ranges((0x30, 0x39))
_SPACE = ranges((9, 10), (12, 13), (32, 32))
_PERL = {
    "d": _DIGIT,
    "s": _SPACE,
    "w": ASCII_WORD,
    "D": complement(_DIGIT),
    "S": complement(_SPACE),
    "W": complement(ASCII_WORD),
}
_CONTROL = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
_REPEAT = re.compile(r"\{(\d+)(,(\d*))?\}")
_GROUP_NAME = re.compile(r"\(\?P?<\w+>")
_FLAG_GROUP = re.compile(r"\(\?([imsU]*)(-[imsU]+)?([:)])")
_CLASS = re.compile(r"\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]", re.DOTALL)
_NUMBER = re.compile(r"x\{([0-9A-Fa-f]+)\}|x([0-9A-Fa-f]{2})|([0-7]{1,3})")
_UNICODE = re.compile(r"[pP](?:\{\^?\w+\}|\w)")
_RAW = re.compile(r"\\Q(.*?)(?:\\E|\Z)", re.DOTALL)


def parse(definition: p.Regex) -> Node:
    """Return the tree of a pattern that RE2 accepts.

    Raises:
        Unsupported: the pattern reads single bytes, or is not understood.
    """
    parser = _Parser(source(definition))
    try:
        tree = parser.alternatives(frozenset())
    except RecursionError:
        raise Unsupported("it is nested too deeply") from None
    if parser.at != len(parser.text):
        raise Unsupported(f"`{parser.text[parser.at :]}` is not understood")
    return tree


def is_plain(node: Node) -> bool:
    """Whether a match stays one whatever is put before or after the text, in lines of its own."""
    if isinstance(node, Edge):
        return node not in (Edge.TEXT_START, Edge.TEXT_END)
    if isinstance(node, Chars):
        return True
    return all(is_plain(part) for part in _children(node))


def in_one_line(node: Node) -> bool:
    """Whether no match holds a line end."""
    if isinstance(node, Chars):
        return not holds(node.of, 10)
    return isinstance(node, Edge) or all(in_one_line(part) for part in _children(node))


def _children(node: Concat | Either | Repeat) -> tuple[Node, ...]:
    return (node.node,) if isinstance(node, Repeat) else node.parts


class _Parser:
    """Recursive descent over one pattern; `at` is the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def alternatives(self, flags: frozenset[str]) -> Node:
        options: list[Node] = []
        parts: list[Node] = []
        while self.at < len(self.text) and self.text[self.at] != ")":
            if self.text[self.at] == "|":
                self.at += 1
                options.append(_concat(parts))
                parts = []
            elif (change := self._flag_change()) is not None:
                flags = (flags | change[0]) - change[1]
            elif (raw := self._match(_RAW)) is not None:
                literals = [_literal(c, flags) for c in raw.group(1)]
                if literals:
                    parts += literals[:-1]
                    parts.append(self._repeated(literals[-1]))
            else:
                parts.append(self._repeated(self._item(flags)))
        options.append(_concat(parts))
        return options[0] if len(options) == 1 else Either(tuple(options))

    def _flag_change(self) -> tuple[set[str], set[str]] | None:
        found = _FLAG_GROUP.match(self.text, self.at)
        if found is None or found.group(3) != ")":
            return None
        self.at = found.end()
        return set(found.group(1)), set(found.group(2) or "") - {"-"}

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def _repeated(self, node: Node) -> Node:
        while self.at < len(self.text):
            sign = self.text[self.at]
            if sign in "*+?":
                self.at += 1
                node = Repeat(node, int(sign == "+"), 1 if sign == "?" else None)
            elif sign == "{" and (counted := self._match(_REPEAT)) is not None:
                low = int(counted.group(1))
                high = low if counted.group(2) is None else counted.group(3)
                node = Repeat(node, low, int(high) if high != "" else None)
            else:
                break
            if self.text[self.at : self.at + 1] == "?":
                self.at += 1
        return node

    def _item(self, flags: frozenset[str]) -> Node:
        sign = self.text[self.at]
        if sign == "(":
            return self._group(flags)
        if sign == "[":
            found = self._match(_CLASS)
            if found is None:
                raise Unsupported("a character class is not understood")
            return Chars(_class(found.group(), "i" in flags))
        if sign == "\\":
            return self._escape(flags)
        self.at += 1
        if sign == ".":
            return Chars(EVERYTHING if "s" in flags else complement(NEWLINE))
        if sign == "^":
            return Edge.LINE_START if "m" in flags else Edge.TEXT_START
        if sign == "$":
            return Edge.LINE_END if "m" in flags else Edge.TEXT_END
        return _literal(sign, flags)

    def _group(self, flags: frozenset[str]) -> Node:
        found = _FLAG_GROUP.match(self.text, self.at)
        if found is not None:
            flags = (flags | set(found.group(1))) - set(found.group(2) or "")
            self.at = found.end()
        elif self._match(_GROUP_NAME) is None:
            self.at += 1
            if self.text[self.at : self.at + 1] == "?":
                raise Unsupported("a group is not understood")
        inner = self.alternatives(flags)
        self.at += 1
        return inner

    def _escape(self, flags: frozenset[str]) -> Node:
        self.at += 1
        if (number := self._match(_NUMBER)) is not None:
            return _literal(chr(_code(number)), flags)
        if (named := self._match(_UNICODE)) is not None:
            return Chars(asked_of_re2("\\" + named.group(), "i" if "i" in flags else ""))
        letter = self.text[self.at]
        self.at += 1
        if letter in _PERL:
            if "i" in flags and letter.isupper():
                return Chars(asked_of_re2("\\" + letter, "i"))
            return Chars(_PERL[letter])
        edges = {"A": Edge.TEXT_START, "z": Edge.TEXT_END, "b": Edge.WORD, "B": Edge.NO_WORD}
        if letter in edges:
            return edges[letter]
        if letter in _CONTROL:
            return _literal(chr(_CONTROL[letter]), flags)
        if letter.isalnum():
            raise Unsupported(f"`\\{letter}` reads single bytes or is not understood")
        return _literal(letter, flags)


def _concat(parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else Concat(tuple(parts))


def _code(number: re.Match[str]) -> int:
    code = (
        int(number.group(3), 8) if number.group(3) else int(number.group(1) or number.group(2), 16)
    )
    if code > LAST:
        raise Unsupported("a character beyond Unicode")
    return code


def _literal(character: str, flags: frozenset[str]) -> Chars:
    code = ord(character)
    if "i" not in flags or (code < 0x80 and not character.isalpha()):
        return Chars(((code, code),))
    if code >= 0x80:
        return Chars(asked_of_re2(re.escape(character), "i"))
    return Chars(_cased(((code, code),)))


def _cased(of: Ranges) -> Ranges:
    """ASCII characters with the other case of each letter; k and s have a third form."""
    found: list[tuple[int, int]] = list(of)
    for low, high in of:
        for code in range(low, high + 1):
            if chr(code).isalpha():
                found.append((code ^ 0x20, code ^ 0x20))
                third = {"k": 0x212A, "s": 0x17F}.get(chr(code).lower())
                if third is not None:
                    found.append((third, third))
    return ranges(*found)


_MEMBER = re.compile(r"\\([dwsDWS])|\\([aftnrv])|\\([^\w\s])|([^\\])", re.DOTALL)


def _class(text: str, caseless: bool) -> Ranges:
    """What a bracketed class holds."""
    return _simple_class(text, caseless) or asked_of_re2(text, "i" if caseless else "")


def _simple_class(text: str, caseless: bool) -> Ranges | None:
    """Likewise, for the classes that people write; ``None`` where RE2 had better be asked."""
    body = text[1:-1]
    negated = body.startswith("^")
    body = body[negated:]
    if "[:" in body or not body:
        return None
    spans: list[tuple[int, int]] = []
    at = 0
    while at < len(body):
        member = _MEMBER.match(body, at)
        if member is None:
            return None
        at = member.end()
        if member.group(1):
            spans += _PERL[member.group(1)]
            continue
        low = high = _member_code(member)
        if body[at : at + 1] == "-" and at + 1 < len(body):
            upper = _MEMBER.match(body, at + 1)
            if upper is None or upper.group(1):
                return None
            at = upper.end()
            high = _member_code(upper)
        spans.append((low, high))
    held = ranges(*spans)
    if caseless:
        if held and held[-1][1] >= 0x80:
            return None
        held = _cased(held)
    return complement(held) if negated else held


def _member_code(member: re.Match[str]) -> int:
    if member.group(2):
        return _CONTROL[member.group(2)]
    return ord(member.group(3) or member.group(4))
