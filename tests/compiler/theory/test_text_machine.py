"""Automata find what RE2 and the matcher find, and the alphabet leaves no character out."""

from __future__ import annotations

import re2
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from routec.compiler import policy as p
from routec.compiler.theory.text import TextSignal, matches
from routec.compiler.theory.text.alphabet import symbols
from routec.compiler.theory.text.charset import LAST, asked_of_re2, holds
from routec.compiler.theory.text.machine import Machine, build
from routec.compiler.theory.text.matcher import search
from routec.compiler.theory.text.normal import fold, normalise
from routec.compiler.theory.text.pattern import Chars, parse
from tests.compiler.theory.test_text_matcher import KEYWORDS, TEXTS

ATOMS = st.sampled_from(
    [
        "a", "b", "k", "S", "_", "1", " ", "\\n", "é", "É", "ß", ".", "\\d", "\\D", "\\w", "\\W",
        "\\s", "\\S", "[ab]", "[^a]", "[a-c1]", "[^\\w]", "[]a]", "[^]a]", "[a-]", "[\\]\\-b]",
        "[[:alpha:]]", "[^[:^digit:]b]", "[é-ü]", "\\pL", "\\p{Lu}", "\\P{Greek}", "\\p{^L}",
        "[\\pN_]", "\\x41", "\\x{e9}", "\\101", "\\.", "\\Qa.\\E", "\\b", "\\B", "^", "$",
        "\\A", "\\z", "(?i)", "(?i:k)", "(?s:.)", "(?-m:^)", "(?m:$)", "\\t", "",
    ]
)  # fmt: skip
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map("".join)
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})")
        | st.tuples(
            inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0}", "*?", "{2,}"])
        ).map(lambda of: f"(?:{of[0]}){of[1]}")
        | inner.map(lambda part: f"(?P<n>{part})".replace("<n>", "<n1>"))
    ),
    max_leaves=6,
)
FLAGS = st.sampled_from(["", "i", "m", "s", "im", "is", "ims"])
READ = st.text("abkKsS_1 \n\t.é\u0301ÉßüλΛ日A-]", max_size=6)


def read(machine: Machine, text: str) -> bool:
    state = 0
    for character in fold(text) if machine.view == "folded" else text:
        state = machine.step(state, machine.classify(character))
    return machine.ends(state)


@given(PATTERNS, FLAGS, st.lists(READ, min_size=1, max_size=8))
@example("\\B", "", ["é", "a", "aéa", ""])
@example("x|\\B", "", ["aéa", "aa", "a"])
@example("a{,2}", "", ["a", "a{,2}"])
@example("(?i)k|s", "", ["K", "S"])
@example("a|(?i)b|c", "", ["A", "B", "C"])
@example("(?:a|(?i)b)c", "", ["BC", "Bc", "A"])
@settings(max_examples=500, deadline=None)
def test_a_pattern_finds_what_re2_finds(pattern: str, flags: str, texts: list[str]) -> None:
    definition = p.Regex(pattern, flags, "all")
    try:
        compiled = search(definition)
    except re2.error:
        assume(False)
    machine = build(definition, 4_000)
    for text in texts:
        assert read(machine, text) is (compiled.search(text.encode()) is not None), text


@given(KEYWORDS, TEXTS, st.data())
@settings(max_examples=120, deadline=None)
def test_a_keyword_finds_what_the_matcher_finds(
    definition: p.Keyword, around: str, data: st.DataObject
) -> None:
    inside = data.draw(st.sampled_from(definition.phrases))
    at = data.draw(st.integers(0, len(around)))
    machine = build(definition, 4_000)
    for text in (around, around[:at] + inside.upper() + around[at:]):
        expected = matches(TextSignal("it", definition), [("user", text)])
        assert read(machine, normalise(text)) is expected


@given(
    st.lists(
        st.sampled_from(["a", "k", "s", "S", "_", "-", "\\-", "\\]", "\\d", "\\W", "a-z", "X-b", "é",
                         "é-ü", "\\n", "[:alpha:]", "[:^space:]", "\\p{Lu}", "\\x41", ".", "^"]),
        min_size=1, max_size=4,
    ).map("".join),
    st.booleans(),
    st.booleans(),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_a_class_holds_what_re2_says(body: str, negated: bool, caseless: bool) -> None:
    text = f"[{'^' * negated}{body}]"
    try:
        expected = asked_of_re2(text, "i" if caseless else "")
    except re2.error:
        assume(False)
    tree = parse(p.Regex(text, "i" * caseless, "all"))
    assert isinstance(tree, Chars)
    surrogates = range(0xD800, 0xE000)
    ends = {code for low, high in (*expected, *tree.of) for code in (low - 1, low, high, high + 1)}
    for code in ends:
        if 0 <= code <= LAST and code not in surrogates:
            assert holds(tree.of, code) is holds(expected, code), (text, hex(code))


@given(
    st.lists(
        st.builds(p.Regex, PATTERNS, FLAGS, st.just("all")) | KEYWORDS, min_size=1, max_size=3
    ),
    TEXTS,
)
@settings(max_examples=120, deadline=None)
def test_every_text_is_a_row_of_symbols(definitions: list[p.Keyword | p.Regex], text: str) -> None:
    """Some symbol moves all automata as the character does, so no text escapes a proof."""
    try:
        for definition in definitions:
            if isinstance(definition, p.Regex):
                search(definition)
    except re2.error:
        assume(False)
    machines = [build(definition, 4_000) for definition in definitions]
    found = symbols(machines)
    states = [0] * len(machines)
    for character in normalise(text):
        following = _moved(machines, states, character)
        assert any(_moved(machines, states, symbol) == following for symbol in found), character
        states = following


def _moved(machines: list[Machine], states: list[int], symbol: str) -> list[int]:
    moved: list[int] = []
    for machine, state in zip(machines, states, strict=True):
        for character in fold(symbol) if machine.view == "folded" else symbol:
            state = machine.step(state, machine.classify(character))
        moved.append(state)
    return moved
