"""What is told of texts without writing one agrees with what is found by writing it."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest

from routec.compiler import policy as p
from routec.compiler.theory.text import Possible, TextSignal, TextTheory

PHRASES = ("refund", "refund now", "now", "fund", "re", "node.js", "a.", ". b", ".", "b c", "c")
PATTERNS = (r"\bT-[0-9]{2}\b", r"re.*d", r"(?s)d.*n", r"^now", r"[a-z]+", r"x?", r"\bnow\b")
SCOPES = ("last_user", "last_user", "all_user", "system", "all")


def drawn(random: Random) -> list[TextSignal]:
    found = []
    for at in range(random.randint(1, 4)):
        scope = random.choice(SCOPES)
        if random.random() < 0.7:
            phrases = tuple(random.sample(PHRASES, random.randint(1, 2)))
            match = random.choice(("word", "substring"))
            definition: p.Keyword | p.Regex = p.Keyword(
                phrases, match, random.random() < 0.2, scope
            )
        else:
            definition = p.Regex(random.choice(PATTERNS), random.choice(("", "i")), scope)
        found.append(TextSignal(f"s{at}", definition))
    return found


@pytest.mark.parametrize("seed", range(120))
def test_what_is_plain_is_so(seed: int) -> None:
    signals = drawn(Random(seed))
    theory = TextTheory(signals)
    names = [s.name for s in signals]
    for row in product((False, True), repeat=len(names)):
        true = {name for name, value in zip(names, row, strict=True) if value}
        if theory.surely(true, names):
            said = theory.check(dict(zip(names, row, strict=True)))
            assert isinstance(said, Possible), (true, said)


def test_keywords_that_do_not_touch_are_plain() -> None:
    signals = [
        TextSignal(f"s{at}", p.Keyword((f"word{at}",), "word", False, "last_user"))
        for at in range(5)
    ]
    theory = TextTheory(signals)
    names = [s.name for s in signals]
    assert theory.surely({"s1", "s3"}, names)
    assert theory.surely(set(), names)


def test_a_phrase_inside_another_is_not_plain() -> None:
    signals = [
        TextSignal("long", p.Keyword(("refund order",), "word", False, "last_user")),
        TextSignal("short", p.Keyword(("refund",), "word", False, "last_user")),
    ]
    theory = TextTheory(signals)
    assert not theory.surely({"long"}, ["long", "short"])
    assert theory.surely({"long"}, ["long"])
    assert theory.surely({"long", "short"}, ["long", "short"])
