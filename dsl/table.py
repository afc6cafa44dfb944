"""The LALR(1) parse table, read from `grammar.json`.

The table is data made from `grammar.lark` ahead of time, so that a start pays
neither for building it nor for importing the generator.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

GRAMMAR_PATH = Path(__file__).with_name("grammar.lark")
TABLE_PATH = Path(__file__).with_name("grammar.json")

END = "$END"
IDENT = "IDENT"

# Tokens that open a level of nesting, each closed by the reduction of its rule.
NESTING = frozenset({"LPAR", "LSQB", "LBRACE", "NOT", "IMPLIES"})


@dataclass(frozen=True, slots=True)
class Production:
    """What to do when a rule has been recognised.

    Attributes:
        origin: the nonterminal.
        size: number of symbols to take off the stack.
        build: method of the builder, or ``None`` for a plain list of children.
        children: pairs of symbol index and whether its children are spliced in;
            index -1 stands for an absent optional part.
        unwrap: whether a single child stands for the node.
        nesting: how many of the symbols are in `NESTING`.
        passes: whether the one value on the stack stays as it is.
    """

    origin: str
    size: int
    build: str | None
    children: tuple[tuple[int, bool], ...]
    unwrap: bool
    nesting: int
    passes: bool


@dataclass(frozen=True, slots=True)
class Table:
    """An LALR(1) automaton and the terminals it reads.

    Attributes:
        start: the first state.
        accept: the state reached when the whole file has been recognised.
        rows: for each state, symbol to action: ``n >= 0`` goes to state ``n``,
            ``n < 0`` reduces production ``-n - 1``.
        productions: numbered from 0.
        patterns: terminals with a regular expression, in order of the grammar.
        signs: punctuation to terminal.
        words: keyword to terminal.
        soft: terminals of words that are identifiers where the word cannot stand.
    """

    start: int
    accept: int
    rows: tuple[dict[str, int], ...]
    productions: tuple[Production, ...]
    patterns: dict[str, str]
    signs: dict[str, str]
    words: dict[str, str]
    soft: frozenset[str]


def decode_table(data: dict[str, Any]) -> Table:
    """The table from its JSON form (the layout that `generate_table.build_table` writes)."""
    symbols = data["symbols"]
    productions = []
    for origin, expansion, build, children, unwrap in data["productions"]:
        size = len(expansion)
        productions.append(
            Production(
                origin=symbols[origin],
                size=size,
                build=build,
                children=tuple((index, bool(splice)) for index, splice in children),
                unwrap=bool(unwrap),
                nesting=sum(symbols[symbol] in NESTING for symbol in expansion),
                passes=bool(unwrap) and size == 1 and children == [[0, 0]],
            )
        )
    rows = tuple(
        {symbols[symbol]: action for symbol, action in zip(row[::2], row[1::2], strict=True)}
        for row in data["rows"]
    )
    return Table(
        start=data["start"],
        accept=data["accept"],
        rows=rows,
        productions=tuple(productions),
        patterns=data["patterns"],
        signs=data["signs"],
        words=data["words"],
        soft=frozenset(data["soft"]),
    )


@cache
def load_table() -> Table:
    """The table of this package; read once a process."""
    return decode_table(json.loads(TABLE_PATH.read_bytes()))
