"""How fast policies are read: lines a second of CPU time, and the price of a cold start.

    python benchmarks/parse.py [--lines 10000] [--rounds 5] [--format text|json]

The text is generated: blocks of all kinds in the proportions of a large policy. The
baseline is the same grammar run by Lark itself (LALR, contextual lexer, tree only).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable

from lark import Lark

from routec.dsl import Source, parse
from routec.dsl.table import GRAMMAR_PATH

LINES_TARGET = 10_000.0  # lines in one second
START_ALLOWANCE = 60.0  # ms of CPU beyond an interpreter that has imported Lark

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


def cpu_seconds(work: Callable[[], object], rounds: int) -> float:
    """The least CPU time of several runs."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def cold_start_ms(code: str, rounds: int) -> float:
    """CPU time of a fresh interpreter running a program, in ms; the least of several."""
    wrapped = (
        f"import time\nstart = time.process_time()\n{code}\nprint(time.process_time() - start)"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", wrapped], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(rounds)
    ]
    return 1000 * min(float(output) for output in outputs)


def result(
    name: str, value: float, unit: str, baseline: float, ratio: float, target: float, met: bool
) -> dict[str, object]:
    """One line of the report."""
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "baseline": round(baseline, 3),
        "ratio": round(ratio, 3),
        "target": target,
        "met": met,
    }


def measure(lines: int, rounds: int) -> list[dict[str, object]]:
    """All results."""
    text = generate(lines)
    parsed = parse(Source("generated.route", text))
    if parsed.diagnostics:
        raise SystemExit(f"the generated policy does not parse: {parsed.diagnostics[0].message}")
    ours = lines / cpu_seconds(lambda: parse(Source("generated.route", text)), rounds)
    grammar = GRAMMAR_PATH.read_text(encoding="utf-8")
    lark = Lark(grammar, parser="lalr", lexer="contextual", propagate_positions=True)
    theirs = lines / cpu_seconds(lambda: lark.parse(text), max(2, rounds // 2))
    start = cold_start_ms(
        "from routec.dsl import Source, parse\n"
        f"assert not parse(Source('p', {_SMALL!r})).diagnostics",
        rounds,
    )
    lark_start = cold_start_ms(
        "import lark\n"
        f"text = open({str(GRAMMAR_PATH)!r}).read()\n"
        f"lark.Lark(text, parser='lalr', lexer='contextual').parse({_SMALL!r})",
        rounds,
    )
    start_target = START_ALLOWANCE + cold_start_ms("import lark", rounds)
    return [
        result("parse", ours, "lines/s", theirs, ours / theirs, LINES_TARGET, ours >= LINES_TARGET),
        result(
            "cold_start",
            start,
            "ms",
            lark_start,
            lark_start / start,
            round(start_target, 1),
            start <= start_target,
        ),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--format", choices=["text", "json"], default="text")
    options = parser.parse_args()
    results = measure(options.lines, options.rounds)
    if options.format == "json":
        print(json.dumps({"results": results}))
        return
    for line in results:
        verdict = "met" if line["met"] else "missed"
        print(
            f"{line['name']:<12}{line['value']:>12} {line['unit']:<8}"
            f"baseline {line['baseline']:>10}  ratio {line['ratio']:>6}"
            f"  target {line['target']:>8} {verdict}"
        )


if __name__ == "__main__":
    main()
