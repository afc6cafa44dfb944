"""How fast policies are read, and what a cold start of the parser costs.

The text is generated: blocks of all kinds in the proportions of a large policy. The baseline is
the same grammar run by Lark itself (LALR, contextual lexer, tree only).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from routec.cli.bench.result import LeftOut, Outcome, Result, Target
from routec.cli.bench.timing import alternate
from routec.dsl import Source, parse
from routec.dsl.table import GRAMMAR_PATH

LINES = 10_000
LINES_TARGET = 10_000.0
"""Lines in one second."""
START_ALLOWANCE = 60.0
"""Milliseconds beyond an interpreter that has imported Lark."""

_HEAD = """\
policy generated "A large policy" { p99: 10ms }

request {
  tenant: string
  tier: enum(free, pro, enterprise) = free
  region: enum(eu, us) = eu
  roles: set(string)
}

signal size = tokens()
signal topic = classifier("topic") { labels: [billing, code, legal, other], on_error: other }

"""
_BLOCK = """\
# Traffic class {i}: reviewed by the desk
signal words_{i} = keyword("word {i}", "phrase {i}", "term {i}") {{ match: word, scope: last_user }}
signal ticket_{i} = regex(/\\bT{i}-[0-9]{{6}}\\b/i)
signal near_{i} = similarity {{
  examples: ["I want number {i} back", "please return order {i}"]
  reduce: max
}}
signal need_{i} = score {{ 0.5 * near_{i} + 0.3 * words_{i} + 0.2 * (size > 2k) }}
signal band_{i} = bands(need_{i}) {{ low: < 0.3, mid: < 0.7, high }}
let wanted_{i} = words_{i} or near_{i} >= 0.8 and topic in [billing, legal]

model m_{i} {{
  provider: openai
  input: $0.25, output: $2.00
  context: 128k
  quality: 0.62
}}

category c_{i} {{
  when wanted_{i} and topic == code
  similarity: 0.93
  ttl: 7d
  scope: tenant
}}

guard g_{i} priority {i} {{
  when ticket_{i} and not "admin" in roles
  reject 403 "reason {i}"
}}

route r_{i} priority {i} {{
  when wanted_{i} and region == eu and size in 1k..8k
    or (band_{i} == high and tier != free)
  to [m_{i} 90%, m_0 10%] by weighted
  fallback m_0
  with {{ reasoning: high, max_tokens: 800 }}
  tag "class {i}"
}}

test "class {i} goes its way" {{
  request {{ text: "word {i} please", tenant: "acme" }}
  with {{ near_{i}: 0.9, topic: legal }}
  expect route r_{i}
}}

"""
_SMALL = "route r priority 1 { when tier == pro to mini }\ndefault route d { to mini }\n"


def generate(lines: int) -> str:
    """A policy of exactly this many lines."""
    blocks = [_HEAD]
    count = _HEAD.count("\n")
    number = 0
    while count < lines:
        blocks.append(_BLOCK.format(i=number))
        count += _BLOCK.count("\n")
        number += 1
    text = "".join(blocks).splitlines(keepends=True)
    while text and not (len(text) <= lines and text[-1] == "\n"):
        text.pop()
    return "".join(text) + "# filler\n" * (lines - len(text))


def measure(quick: bool) -> Iterator[Outcome]:
    """The figures of the language."""
    rounds = 2 if quick else 5
    text = generate(LINES)
    parsed = parse(Source("generated.route", text))
    if parsed.diagnostics:
        raise ValueError(f"the generated policy does not parse: {parsed.diagnostics[0].message}")

    def ours() -> None:
        parse(Source("generated.route", text))

    speed, start = "language/parse", "language/parser cold start"
    try:
        from lark import Lark
    except ImportError:
        [seconds] = alternate((ours,), rounds)
        target = Target(">=", LINES_TARGET)
        yield Result(speed, LINES / seconds, "lines/s", targets=(target,))
        yield LeftOut(start, "its target is set by `lark`, which is not installed")
        return
    grammar = GRAMMAR_PATH.read_text(encoding="utf-8")
    lark = Lark(grammar, parser="lalr", lexer="contextual", propagate_positions=True)
    mine, theirs = alternate((ours, lambda: lark.parse(text)), rounds)
    yield Result(
        speed,
        LINES / mine,
        "lines/s",
        LINES / theirs,
        "the same grammar run by Lark (LALR)",
        (Target(">=", LINES_TARGET),),
    )
    own = (
        "from routec.dsl import Source, parse\n"
        f"assert not parse(Source('p', {_SMALL!r})).diagnostics"
    )
    other = (
        f"import lark\ntext = open({str(GRAMMAR_PATH)!r}).read()\n"
        f"lark.Lark(text, parser='lalr', lexer='contextual').parse({_SMALL!r})"
    )
    cold = [[_cold_start_ms(code) for _ in range(rounds)] for code in (own, other, "import lark")]
    mine, theirs, bare = (min(times) for times in cold)
    yield Result(
        start,
        mine,
        "ms",
        theirs,
        "Lark building its table from the grammar",
        (Target("<=", round(START_ALLOWANCE + bare, 1)),),
        f"the target is {START_ALLOWANCE:g} ms more than importing Lark takes",
    )


def _cold_start_ms(code: str) -> float:
    """Processor time of a program in a fresh interpreter, without the interpreter's own start."""
    wrapped = (
        f"import time\nstart = time.process_time()\n{code}\nprint(time.process_time() - start)"
    )
    done = subprocess.run(  # noqa: S603 - this interpreter, and a program written above
        [sys.executable, "-c", wrapped], capture_output=True, text=True, check=True
    )
    return 1000 * float(done.stdout)
