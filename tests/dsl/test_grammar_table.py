"""The checked-in parse table is the grammar, and our automaton reads as Lark itself does."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark, Token
from lark.exceptions import GrammarError, LarkError
from lark.lexer import PatternRE, PatternStr, TerminalDef

from routec.dsl.builder import Builder
from routec.dsl.generate_table import build_table, encode_table, read_grammar
from routec.dsl.lexer import BAD_CHARACTER, lex
from routec.dsl.table import GRAMMAR_PATH, TABLE_PATH, load_table

from .reading import HELPDESK, read
from .strategies import RESERVED
from .test_recovery import TOKENS

GRAMMAR = GRAMMAR_PATH.read_text(encoding="utf-8")
SETTINGS = settings(
    max_examples=100,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def whole_words(terminal: TerminalDef) -> None:
    """Keywords end where the word ends, as in our lexer."""
    if isinstance(terminal.pattern, PatternStr) and terminal.pattern.value.isidentifier():
        soft = terminal.name in load_table().soft
        if not soft:
            terminal.pattern = PatternRE(rf"{terminal.pattern.value}(?!\w)")


LARK = Lark(GRAMMAR, parser="lalr", lexer="contextual", edit_terminals=whole_words)


def lark_accepts(text: str) -> bool:
    try:
        LARK.parse(text)
    except LarkError:
        return False
    return True


def test_the_table_is_up_to_date() -> None:
    fresh = encode_table(build_table(GRAMMAR))
    assert TABLE_PATH.read_text(encoding="utf-8") == fresh, (
        "run `python -m routec.dsl.generate_table`"
    )


def test_a_conflict_in_the_grammar_is_refused() -> None:
    with pytest.raises(GrammarError):
        read_grammar('start: a "x"? "x"*\na: "y" "x"?')


def test_the_table_is_plain_data() -> None:
    data = TABLE_PATH.read_bytes()
    assert isinstance(json.loads(data), dict)
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(data)


def test_every_rule_has_its_method() -> None:
    for production in load_table().productions:
        if production.build:
            assert callable(getattr(Builder, production.build))


def test_the_reserved_words_are_those_of_the_grammar() -> None:
    identifier = load_table().patterns["IDENT"]
    listed = re.search(r"\(\?!\(\?:([a-z_|]+)\)", identifier)
    assert listed is not None
    assert set(listed[1].split("|")) == RESERVED


def test_reading_needs_no_generator() -> None:
    code = (
        "import sys, routec.dsl as d\n"
        "assert not d.parse(d.Source('p', 'let x = a')).diagnostics\n"
        "print([m for m in ('lark', 'pickle', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- Lark as the oracle -----------------------------------------------------


@SETTINGS
@given(st.lists(TOKENS, max_size=20).map(" ".join))
def test_lark_agrees_on_strange_texts(text: str) -> None:
    agree(text)


@SETTINGS
@given(st.data())
def test_lark_agrees_on_changed_policies(data: st.DataObject) -> None:
    blocks = HELPDESK.split("\n")
    start = data.draw(st.integers(0, len(blocks) - 1))
    text = "\n".join(blocks[start : start + data.draw(st.integers(1, 12))])
    at = data.draw(st.integers(0, len(text)))
    agree(text[:at] + data.draw(TOKENS | st.just("")) + text[at + data.draw(st.integers(0, 3)) :])


def agree(text: str) -> None:
    assume("\0" not in text)
    syntactic = [d for d in read(text).diagnostics if not from_literal(d.message)]
    assert lark_accepts(text) == (not syntactic)


def from_literal(message: str) -> bool:
    """Whether a finding is about what the grammar does not say: inside a literal or a block."""
    return message.startswith(
        ("unknown escape", "unknown flag", "twice the flag", "the regular expression is empty",
         "a second", "`file` takes")
    )  # fmt: skip


def test_tokens_are_those_of_lark() -> None:
    theirs = [(t.type, t.start_pos, t.end_pos) for t in LARK.lex(HELPDESK) if isinstance(t, Token)]
    ours = [tuple(token) for token in lex(HELPDESK).tokens[:-1]]
    hard = [
        ("IDENT", *place) if kind in load_table().soft else (kind, *place) for kind, *place in ours
    ]
    loose = [
        ("IDENT", *place) if kind in load_table().soft else (kind, *place)
        for kind, *place in theirs
    ]
    assert hard == loose


@settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    from_lark(
        Lark(GRAMMAR, parser="lalr", lexer="contextual"),
        start="start",
        explicit={
            "IDENT": st.sampled_from([" a ", " b_1 ", " topic "]),
            "STRING": st.sampled_from(['"a"', '""', '"""b"""']),
            "REGEX": st.just("/a/i"),
            "NUMBER": st.sampled_from([" 1 ", " 0.5 ", " 2k "]),
            "DURATION": st.just(" 5ms "),
            "PERCENT": st.just(" 5% "),
            "MONEY": st.just(" $1 "),
            "SPACE": st.just(" "),
            "COMMENT": st.just("# c\n"),
        },
    )
)
def test_what_the_grammar_generates_is_read(text: str) -> None:
    spaced = [text[t.start : t.end] for t in lex(text).tokens if t.kind != BAD_CHARACTER]
    assume(lark_accepts(text))
    assert spaced
    agree(text)
