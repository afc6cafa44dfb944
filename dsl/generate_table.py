"""Makes `grammar.json` from `grammar.lark`: ``python -m routec.dsl.generate_table``.

Lark reads the grammar and computes the LALR(1) automaton; what is kept is plain
JSON, with symbols numbered and states in breadth-first order from the start, so
that equal grammars give equal bytes.
"""

from __future__ import annotations

import json
import re
from collections import deque
from typing import Any

from lark import Lark
from lark.grammar import Rule
from lark.lexer import PatternStr
from lark.parsers.lalr_analysis import IntParseTable, LALR_Analyzer, Shift

from routec.dsl.table import GRAMMAR_PATH, TABLE_PATH

_WORD = re.compile(r"[a-z_]+")


def read_grammar(text: str) -> tuple[Lark, IntParseTable]:
    """A grammar and its automaton.

    Raises:
        lark.exceptions.GrammarError: the grammar is malformed or not LALR(1); a
            conflict is never resolved silently.
    """
    lark = Lark(text, parser="lalr", lexer="contextual")
    analysis = LALR_Analyzer(lark.parser.parser_conf, strict=True)
    analysis.compute_lalr()  # type: ignore[no-untyped-call]
    return lark, IntParseTable.from_ParseTable(analysis.parse_table)


def build_table(text: str) -> dict[str, Any]:
    """The JSON form of the table of a grammar (see `table.decode_table`)."""
    lark, automaton = read_grammar(text)
    order = _breadth_first(automaton)
    number = {state: index for index, state in enumerate(order)}
    rules = sorted(lark.rules, key=_rule_key)
    rule_number = {rule: index for index, rule in enumerate(rules)}
    names = {symbol for row in automaton.states.values() for symbol in row}
    names |= {symbol.name for rule in rules for symbol in (rule.origin, *rule.expansion)}
    symbols = sorted(names)
    symbol_number = {name: index for index, name in enumerate(symbols)}

    rows = []
    for state in order:
        row: list[int] = []
        for name in sorted(automaton.states[state]):
            action, argument = automaton.states[state][name]
            target = number[argument] if action is Shift else -1 - rule_number[argument]
            row += [symbol_number[name], target]
        rows.append(row)

    patterns, signs, words = {}, {}, {}
    for terminal in lark.terminals:
        value = terminal.pattern.value
        if not isinstance(terminal.pattern, PatternStr):
            patterns[terminal.name] = value
        elif _WORD.fullmatch(value):
            words[value] = terminal.name
        else:
            signs[value] = terminal.name
    identifier = re.compile(patterns["IDENT"])
    return {
        "start": number[automaton.start_states["start"]],
        "accept": number[automaton.end_states["start"]],
        "symbols": symbols,
        "productions": [
            [
                symbol_number[rule.origin.name],
                [symbol_number[symbol.name] for symbol in rule.expansion],
                _build_name(rule),
                _children(rule),
                int(bool(rule.options.expand1) and not rule.alias),
            ]
            for rule in rules
        ],
        "rows": rows,
        "patterns": patterns,
        "signs": dict(sorted(signs.items())),
        "words": dict(sorted(words.items())),
        "soft": sorted(name for word, name in words.items() if identifier.fullmatch(word)),
    }


def encode_table(data: dict[str, Any]) -> str:
    """The text of `grammar.json`: one entry a line, so that a change can be reviewed."""
    parts = []
    for key, value in data.items():
        if key in ("productions", "rows"):
            lines = ",\n".join(json.dumps(item, separators=(",", ":")) for item in value)
            parts.append(f'"{key}": [\n{lines}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value, separators=(",", ":"))}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """Write the table beside the grammar."""
    table = encode_table(build_table(GRAMMAR_PATH.read_text(encoding="utf-8")))
    TABLE_PATH.write_text(table, encoding="utf-8")


def _breadth_first(automaton: IntParseTable) -> list[int]:
    start = automaton.start_states["start"]
    order, queue = [start], deque([start])
    seen = {start}
    while queue:
        row = automaton.states[queue.popleft()]
        for name in sorted(row):
            action, target = row[name]
            if action is Shift and target not in seen:
                seen.add(target)
                order.append(target)
                queue.append(target)
    return order


def _rule_key(rule: Rule) -> tuple[str, list[str], str]:
    return rule.origin.name, [symbol.name for symbol in rule.expansion], rule.alias or ""


def _build_name(rule: Rule) -> str | None:
    unwrapped = rule.options.expand1 and not rule.alias and len(_children(rule)) == 1
    if unwrapped or rule.origin.name.startswith("_"):
        return None
    return rule.alias or rule.options.template_source or rule.origin.name


def _children(rule: Rule) -> list[list[int]]:
    """Kept symbols and absent optional parts; `empty_indices` has a true for each absent part."""
    children: list[list[int]] = []
    gaps = list(rule.options.empty_indices or [False] * len(rule.expansion))
    index = 0
    for absent in gaps:
        if absent:
            children.append([-1, 0])
            continue
        symbol = rule.expansion[index]
        if not getattr(symbol, "filter_out", False):
            children.append([index, int(not symbol.is_term and symbol.name.startswith("_"))])
        index += 1
    return children


if __name__ == "__main__":
    main()
