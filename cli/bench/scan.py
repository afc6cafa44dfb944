"""What the signals that need no model cost, in time per text.

The texts are made here, from a seed: support questions, longer letters and code, some with
entities, some in other scripts. Each baseline is the plain Python that a policy engine would
write without this package, doing the same job: ``unicodedata.normalize`` and a set of invisible
characters, one ``in`` or ``re.search`` per phrase and pattern, one regex per entity kind without
checksums. Language and tokens have no baseline.
"""

from __future__ import annotations

import random
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence

from routec.cli.bench.result import Disagreement, Outcome, Result, Target
from routec.cli.bench.timing import alternate
from routec.safety.entities import find
from routec.safety.language import Languages
from routec.safety.scan import Keyword, Pattern, Scanner
from routec.safety.text import fold, normalise
from routec.safety.tokens import estimate_tokens
from routec.safety.views import decoded_views

_WORDS = re.findall(
    r"\w+",
    "please refund order invoice delivery address account password card statement transfer cancel "
    "subscription why does the my is not working since yesterday and I would like to know when it "
    "will arrive because we need this before next week could you help with our contract renewal",
)
_OTHERS = (
    "Wo bleibt meine Bestellung, und warum wurde der Betrag doppelt abgebucht?",
    "Здравствуйте, подскажите, пожалуйста, где мой заказ?",
    "您好，我上周下的订单到现在还没有收到，请帮我查询一下。",
    "¿Dónde está mi pedido? Quisiera cambiar la dirección de envío.",
)
_EXTRAS = (
    "my card is 4111 1111 1111 1111",
    "write to jane.doe@example.com",
    "call me at +1 650-253-0000",
    "ticket TKT-204512",
    "from 93.184.216.34",
)


def texts(count: int, seed: int = 1) -> list[str]:
    """Return support questions (60 %), letters (20 %), other languages and code."""
    rng = random.Random(seed)
    made: list[str] = []
    for number in range(count):
        kind = number % 10
        size = rng.randint(6, 16) if kind < 6 else rng.randint(120, 200)
        if kind == 8:
            made.append(" ".join(rng.sample(_OTHERS, 2)))
            continue
        if kind == 9:
            names = [f"{rng.choice(_WORDS)}_{i}" for i in range(30)]
            made.append(
                "\n".join(f"def {n}(x):\n    return x + {rng.randint(0, 999)}" for n in names)
            )
            continue
        words = [rng.choice(_WORDS) for _ in range(size)]
        if number % 4 == 0:
            words.insert(size // 2, rng.choice(_EXTRAS))
        made.append(" ".join(words) + "?")
    return made


def policy(seed: int = 2) -> tuple[list[Keyword], list[Pattern]]:
    """Return 200 keyword signals of three phrases each, and 50 patterns."""
    rng = random.Random(seed)
    phrases = [f"{rng.choice(_WORDS)} {rng.choice(_WORDS)} {n}" for n in range(540)]
    phrases += [f"{a} {b}" for a, b in zip(_WORDS[:20] * 3, _WORDS[:60] * 3, strict=False)]
    keywords = [Keyword(f"k{n}", tuple(phrases[n * 3 : n * 3 + 3])) for n in range(200)]
    patterns = [Pattern(f"p{n}", rf"\b[A-Z]{{2,4}}-{n}[0-9]{{4,6}}\b") for n in range(25)]
    patterns += [
        Pattern(f"w{n}", rf"{rng.choice(_WORDS)}\s+(?:\w+\s+){{0,2}}{rng.choice(_WORDS)}", "i")
        for n in range(25)
    ]
    return keywords, patterns


_INVISIBLE = {chr(c) for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c)) == "Cf"}


def naive_normalise(text: str) -> str:
    """The obvious normal form, character by character."""
    return unicodedata.normalize("NFKC", "".join(c for c in text if c not in _INVISIBLE))


def naive_scanner(
    keywords: Sequence[Keyword], patterns: Sequence[Pattern]
) -> Callable[[str], set[str]]:
    """The obvious scan: one search for each phrase and each pattern."""
    words = [
        (k.name, p.casefold(), re.compile(rf"\b{re.escape(p.casefold())}\b"))
        for k in keywords
        for p in k.phrases
    ]
    regexes = [(p.name, re.compile(p.pattern, re.I if "i" in p.flags else 0)) for p in patterns]

    def scan(text: str) -> set[str]:
        folded = text.casefold()
        found = {name for name, phrase, word in words if phrase in folded and word.search(folded)}
        return found | {name for name, regex in regexes if regex.search(text)}

    return scan


_NAIVE_ENTITIES = [
    re.compile(pattern)
    for pattern in (
        r"[\w.+-]+@[\w-]+\.[\w.-]+",
        r"\b(?:\d[ -]?){13,19}\b",
        r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b",
        r"\b\d{3}-\d{2}-\d{4}\b",
        r"\b(?:\d{1,3}\.){3}\d{1,3}\b",
        r"\+?\d[\d ().-]{7,}\d",
        r"\b(?:sk-|ghp_|AKIA)\w{16,}\b",
    )
]


Work = Callable[[str], object]


def measure(quick: bool) -> Iterator[Outcome]:
    """The figures of scan and light signals."""
    count, rounds = (500, 2) if quick else (2000, 5)
    raw = texts(count)
    normal = [normalise(text) for text in raw]
    keywords, patterns = policy()
    scanner = Scanner(keywords, patterns)
    naive = naive_scanner(keywords, patterns)
    answers = [set(found) for found in scanner.scan_batch(normal)]
    if answers != [naive(text) for text in normal] or not any(answers):
        raise Disagreement("the scan and its baseline disagree")
    languages = Languages()
    languages.load()
    jobs: list[tuple[str, Work, Work | None, float | None]] = [
        ("normalise", normalise, naive_normalise, 1.0),
        (
            "normalise and fold",
            lambda t: fold(normalise(t)),
            lambda t: naive_normalise(t).casefold(),
            1.0,
        ),
        ("scan for 200 keywords and 50 regexes", scanner.scan, naive, 0.2),
        (
            "entities, all kinds",
            find,
            lambda t: [list(r.finditer(t)) for r in _NAIVE_ENTITIES],
            1.0,
        ),
        ("decoded views", decoded_views, None, None),
        ("language", lambda t: languages.identify([t]), None, None),
        ("token estimate", estimate_tokens, None, None),
    ]
    for name, work, plain, limit in jobs:
        over = raw if name.startswith("normalise") else normal
        sides = [_over(work, over)] + ([] if plain is None else [_over(plain, over)])
        times = [seconds / count * 1e6 for seconds in alternate(sides, rounds)]
        yield Result(
            f"safety/{name}",
            times[0],
            "µs/text",
            None if plain is None else times[1],
            None if plain is None else "the same in plain Python",
            () if limit is None else (Target("<=", limit, "ratio"),),
        )


def _over(work: Work, over: Sequence[str]) -> Callable[[], object]:
    def run() -> None:
        for text in over:
            work(text)

    return run
