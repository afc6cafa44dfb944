"""Automata that read a text one character at a time and know whether a signal is true.

A signal becomes a nondeterministic automaton (Thompson 1968) whose edges may also be
conditions on the neighbours of a place, as ``\\b`` is. It is made deterministic while
it is read, so that only states that a search visits are ever built. A state is the
set of nodes reached, before conditions are tried, and the character class before it:
the conditions are tried once the next character is known. The search for a match
starts anew at each place, and a match once found is never lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from routec.compiler import policy as p
from routec.compiler.theory.text.charset import ASCII_WORD, Ranges, holds, white_space
from routec.compiler.theory.text.matcher import needles
from routec.compiler.theory.text.normal import extends_word, is_unspaced
from routec.compiler.theory.text.pattern import (
    Chars,
    Concat,
    Edge,
    Either,
    Node,
    Repeat,
    Unsupported,
    parse,
)

MATCHED = -1
"""The state in which the signal is true whatever follows."""

MAX_STATES = 10_000
"""Most deterministic states that one automaton may ever have."""

# What the conditions know of a neighbour.
_END = 1
_NEWLINE = 2
_ASCII_WORD = 4
_EXTENDS = 8

_LOOKS_AT = {
    Edge.TEXT_START: _END,
    Edge.TEXT_END: 0,
    Edge.LINE_START: _END | _NEWLINE,
    Edge.LINE_END: 0,
    Edge.WORD: _ASCII_WORD,
    Edge.NO_WORD: _ASCII_WORD,
    Edge.NO_WORD_BEFORE: _EXTENDS,
    Edge.NO_WORD_AFTER: 0,
}
"""What each condition needs to know of the character before it."""

_SEES = {
    Edge.TEXT_START: 0,
    Edge.TEXT_END: 0,
    Edge.LINE_START: _NEWLINE,
    Edge.LINE_END: _NEWLINE,
    Edge.WORD: _ASCII_WORD,
    Edge.NO_WORD: _ASCII_WORD,
    Edge.NO_WORD_BEFORE: _EXTENDS,
    Edge.NO_WORD_AFTER: _EXTENDS,
}
"""What each condition needs to know of characters on either side."""

_AT_END = -1
"""Stands for the end of the text among the classes of characters."""

View = Literal["plain", "folded"]
"""Whether an automaton reads a normalised text or its case-folded form."""


def _kind(character: str) -> int:
    if character < "\x80":
        if character == "\n":
            return _NEWLINE
        word = character.isalnum() or character == "_"
        return _ASCII_WORD | _EXTENDS if word else 0
    return _EXTENDS if extends_word(character) else 0


def _edge_holds(edge: Edge, before: int, after: int) -> bool:
    match edge:
        case Edge.TEXT_START:
            return bool(before & _END)
        case Edge.TEXT_END:
            return bool(after & _END)
        case Edge.LINE_START:
            return bool(before & (_END | _NEWLINE))
        case Edge.LINE_END:
            return bool(after & (_END | _NEWLINE))
        case Edge.WORD:
            return (before ^ after) & _ASCII_WORD != 0
        case Edge.NO_WORD:
            return (before ^ after) & _ASCII_WORD == 0
        case Edge.NO_WORD_BEFORE:
            return not before & _EXTENDS
        case Edge.NO_WORD_AFTER:
            return not after & _EXTENDS


@dataclass(slots=True)
class _Program:
    """Nodes of a nondeterministic automaton; node 0 is the match."""

    limit: int
    reads: list[Ranges | None] = field(default_factory=lambda: [None])
    edges: list[Edge | None] = field(default_factory=lambda: [None])
    after: list[tuple[int, ...]] = field(default_factory=lambda: [()])

    def add(self, reads: Ranges | None, edge: Edge | None, after: tuple[int, ...]) -> int:
        if len(self.reads) >= self.limit:
            raise Unsupported("its automaton is too large")
        self.reads.append(reads)
        self.edges.append(edge)
        self.after.append(after)
        return len(self.reads) - 1

    def build(self, node: Node, then: int) -> int:
        """Add what reads `node` and goes on at `then`; return where it starts."""
        match node:
            case Chars(of):
                return self.add(of, None, (then,))
            case Edge():
                return self.add(None, node, (then,))
            case Concat(parts):
                for part in reversed(parts):
                    then = self.build(part, then)
                return then
            case Either(parts):
                return self.add(None, None, tuple(self.build(part, then) for part in parts))
            case Repeat(inner, low, high):
                if high is None:
                    loop = self.add(None, None, ())
                    self.after[loop] = (self.build(inner, loop), then)
                    then = loop
                else:
                    end = then
                    for _ in range(high - low):
                        then = self.add(None, None, (self.build(inner, then), end))
                for _ in range(low):
                    then = self.build(inner, then)
                return then


class Machine:
    """A signal's automaton, deterministic as far as it has been read.

    Args:
        tree: what to find in the text.
        view: which form of the text it reads.
        limit: most nodes.

    Attributes:
        view: likewise.
        sets: the character sets that it tells apart.
        sees_words: whether Unicode word characters matter to it.
        visits: nodes visited so far, the measure of work done.

    Raises:
        Unsupported: it needs more nodes.
    """

    __slots__ = (
        "_class_of",
        "_classes",
        "_examples",
        "_index",
        "_inside",
        "_known",
        "_looks_at",
        "_program",
        "_sees",
        "_start",
        "_steps",
        "sees_words",
        "sets",
        "view",
        "visits",
    )

    def __init__(self, tree: Node, view: View, limit: int) -> None:
        self.view: View = view
        self.visits = 0
        self._program = _Program(limit)
        self._start = self._program.build(tree, 0)
        sets = {of for of in self._program.reads if of is not None}
        edges = {edge for edge in self._program.edges if edge is not None}
        self._looks_at = 0
        self._sees = 0
        for edge in edges:
            self._looks_at |= _LOOKS_AT[edge]
            self._sees |= _SEES[edge]
        self.sees_words = not edges.isdisjoint((Edge.NO_WORD_BEFORE, Edge.NO_WORD_AFTER))
        if edges & {Edge.WORD, Edge.NO_WORD}:
            sets |= {ASCII_WORD}
        if edges & {Edge.LINE_START, Edge.LINE_END}:
            sets |= {((10, 10),)}
        if Edge.NO_WORD in edges:
            # It also holds between the bytes of one character.
            sets |= {((0, 0x7F),)}
        self.sets: frozenset[Ranges] = frozenset(sets)
        self._known: list[tuple[frozenset[int], int]] = [(frozenset((self._start,)), _END)]
        self._index: dict[tuple[frozenset[int], int], int] = {self._known[0]: 0}
        self._steps: list[dict[int, int]] = [{}]
        self._class_of: dict[str, int] = {}
        self._classes: dict[tuple[tuple[bool, ...], int], int] = {}
        self._examples: list[str] = []
        self._inside = Edge.NO_WORD in edges and 0 in self._closure({self._start}, 0, 0)

    def classify(self, character: str) -> int:
        """Return the class of a character: those of one class move the automaton alike."""
        found = self._class_of.get(character)
        if found is None:
            code = ord(character)
            sign = tuple(holds(of, code) for of in self.sets), _kind(character) & self._sees
            found = self._classes.setdefault(sign, len(self._classes))
            if found == len(self._examples):
                self._examples.append(character)
            self._class_of[character] = found
        return found

    def step(self, state: int, kind: int) -> int:
        """Return the state after one more character.

        Args:
            state: 0 at the start of a text; `MATCHED` stays `MATCHED`.
            kind: the character's class.

        Raises:
            Unsupported: there are more than `MAX_STATES` states.
        """
        if state == MATCHED:
            return MATCHED
        steps = self._steps[state]
        found = steps.get(kind)
        if found is None:
            found = steps[kind] = self._advance(state, self._examples[kind])
        return found

    def ends(self, state: int) -> bool:
        """Whether a text that ends in this state has a match."""
        if state == MATCHED:
            return True
        steps = self._steps[state]
        found = steps.get(_AT_END)
        if found is None:
            nodes, before = self._known[state]
            found = steps[_AT_END] = 0 in self._closure(nodes, before, _END)
        return bool(found)

    def _advance(self, state: int, character: str) -> int:
        nodes, before = self._known[state]
        kind = _kind(character)
        reached = self._closure(nodes, before, kind)
        if 0 in reached or (self._inside and character > "\x7f"):
            return MATCHED
        code = ord(character)
        program = self._program
        following = {self._start}
        for node in reached:
            of = program.reads[node]
            if of is not None and holds(of, code):
                following.update(program.after[node])
        if 0 in following:
            return MATCHED
        key = (frozenset(following), kind & self._looks_at)
        known = self._index.get(key)
        if known is None:
            if len(self._known) >= MAX_STATES:
                raise Unsupported("its automaton has too many states")
            known = self._index[key] = len(self._known)
            self._known.append(key)
            self._steps.append({})
        return known

    def _closure(self, nodes: frozenset[int] | set[int], before: int, after: int) -> set[int]:
        program = self._program
        seen = set(nodes)
        stack = list(nodes)
        while stack:
            node = stack.pop()
            if program.reads[node] is not None:
                continue
            edge = program.edges[node]
            if edge is not None and not _edge_holds(edge, before, after):
                continue
            for following in program.after[node]:
                if following not in seen:
                    seen.add(following)
                    stack.append(following)
        self.visits += len(seen)
        return seen


def keyword_tree(definition: p.Keyword) -> Node:
    """Return what a keyword looks for, over the case-folded text or, if sensitive, the text."""
    whole = definition.match == "word"
    options: list[Node] = []
    for needle in dict.fromkeys(needles(definition)):
        parts: list[Node] = []
        if whole and not is_unspaced(needle[0]):
            parts.append(Edge.NO_WORD_BEFORE)
        for character in needle:
            if character == " ":
                parts.append(Repeat(Chars(white_space()), 1, None))
            else:
                parts.append(Chars(((ord(character), ord(character)),)))
        if whole and not is_unspaced(needle[-1]):
            parts.append(Edge.NO_WORD_AFTER)
        options.append(Concat(tuple(parts)))
    return Either(tuple(options))


def build(definition: p.Keyword | p.Regex, limit: int) -> Machine:
    """Return the automaton of a signal.

    Raises:
        Unsupported: it needs more than `limit` nodes, or a pattern is not modelled.
    """
    if isinstance(definition, p.Regex):
        return Machine(parse(definition), "plain", limit)
    view: View = "plain" if definition.case_sensitive else "folded"
    return Machine(keyword_tree(definition), view, limit)
