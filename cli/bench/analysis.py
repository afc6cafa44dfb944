"""How long `routec check` takes to prove what it says, and what its start costs.

The policies are generated: routes in tiers of five that exclude each other by tenant, over a
fixed vocabulary of about 300 atoms (attributes, keywords, patterns, classifiers, scores). Each
run is a process of its own that reads the policy, checks names and types, and runs every
analysis that is on by default; loading the code is not counted. Two further cases are hard for
propositional reasoning: a conjunction of 18 alternatives, and a pigeonhole puzzle as a guard,
which no bounded effort decides; it must end, say `unknown`, and cost no other finding.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

from routec.cli.bench import cold_start
from routec.cli.bench.result import Disagreement, Outcome, Result, Target
from routec.cli.bench.timing import in_child, peak_mib
from routec.compiler import analyse, check_bytes
from routec.compiler.expr import Compare, Contains, Empty, Equals, Truth, walk
from routec.dsl.diagnostic import Verdict

SECONDS: Mapping[str, float] = {
    "1,000 routes": 5.0,
    "200 routes": 1.0,
    "18 factors": 0.1,
    "pigeonhole 10": 10.0,
}
MEMORY = 500.0
"""MiB of resident memory that no case may exceed."""

TIER = 5
TENANTS = [f"tenant-{i}" for i in range(40)]
PLANS = ("free", "team", "business", "enterprise")
REGIONS = ("eu", "us", "uk", "apac", "latam")
TOPICS = ("billing", "code", "legal", "sales", "health", "other")
INTENTS = ("ask", "fix", "write", "plan", "other")
ROLES = ("admin", "dev", "ops", "finance", "support", "intern", "partner", "auditor")
FLAGS = tuple(f"flag_{i}" for i in range(48))
WORDS = tuple(f"words_{i}" for i in range(60))
TICKETS = tuple(f"ticket_{i}" for i in range(20))
NEAR = tuple(f"near_{i}" for i in range(8))


def vocabulary() -> tuple[list[str], list[list[str]]]:
    """The declarations, and the atoms by what they read; one group a variable."""
    lines = [
        "request {",
        "  tenant: string",
        f"  plan: enum({', '.join(PLANS)}) = free",
        f"  region: enum({', '.join(REGIONS)}) = eu",
        f"  roles: set(enum({', '.join(ROLES)}))",
        "  seats: int = 1",
        "  spend: float = 0.0",
        *(f"  {flag}: bool = false" for flag in FLAGS),
        "}",
        "signal size = tokens()",
        "signal turn = turns()",
        'signal hour_of_day = hour("UTC")',
        "signal spoken = language()",
        "signal pii = entities(email, phone, credit_card, iban)",
        *(f'signal {w} = keyword("{w[6:]} word", "phrase {w[6:]}", "term{w[6:]}")' for w in WORDS),
        *(f"signal {t} = regex(/\\bT{t[7:]}-[0-9]{{4,6}}\\b/)" for t in TICKETS),
        *(f'signal {n} = similarity {{ examples: ["example {n}", "{n} again"] }}' for n in NEAR),
    ]
    for name, labels, error in (("topic", TOPICS, "other"), ("intent", INTENTS, "other")):
        options = f"labels: [{', '.join(labels)}], on_error: {error}"
        lines.append(f'signal {name} = classifier("{name}") {{ {options} }}')
    for name in ("attack", "toxic"):
        options = f"labels: [benign, {name}], on_error: {name}"
        lines.append(f'signal {name} = classifier("{name}") {{ {options} }}')
    lines += [
        "signal need = score { 0.5 * near_0 + 0.3 * words_0 + 0.2 * (size > 2k) }",
        "signal band = bands(need) { low: < 0.3, mid: < 0.6, high }",
    ]
    groups = [
        [f"plan == {x}" for x in PLANS],
        [f"region == {x}" for x in REGIONS],
        *([f'"{x}" in roles'] for x in ROLES),
        [f"seats > {x}" for x in (1, 5, 10, 25, 50, 100, 250, 500, 1000)],
        [f"spend >= {x}" for x in ("0.5", "10", "50", "99.5", "250", "1000", "5000")],
        [f"size > {x}" for x in ("100", "500", "1k", "2k", "4k", "8k", "16k", "32k")],
        [f"turn >= {x}" for x in (2, 4, 8, 16, 32)],
        [f"hour_of_day >= {x}" for x in (6, 9, 12, 17, 20, 22)],
        [f"spoken == {x}" for x in ("en", "de", "fr", "es", "it", "pl")],
        [f"pii.any({x})" for x in ("email", "phone", "credit_card", "iban")],
        [f"topic == {x}" for x in TOPICS],
        *([f"topic.{x} >= {y}" for y in ("0.5", "0.7", "0.85")] for x in TOPICS[:4]),
        [f"intent == {x}" for x in INTENTS],
        *([f"intent.{x} >= {y}" for y in ("0.6", "0.8")] for x in INTENTS[:4]),
        *([f"{n} >= {x}" for x in ("0.6", "0.75", "0.9")] for n in NEAR),
        [f"need >= {x}" for x in ("0.4", "0.5", "0.75")],
        [f"band == {x}" for x in ("low", "mid", "high")],
        *([flag] for flag in FLAGS),
        *([word] for word in WORDS),
        *([ticket] for ticket in TICKETS),
    ]
    return lines, groups


MODELS = """
model mini   { provider: openai,    input: $0.25, output: $2.00,  context: 400k, quality: 0.62 }
model large  { provider: openai,    input: $2.50, output: $10.00, context: 400k, quality: 0.85 }
model opus   { provider: anthropic, input: $5.00, output: $25.00, context: 200k, quality: 0.93 }
model haiku  { provider: anthropic, input: $0.80, output: $4.00,  context: 200k, quality: 0.70 }
model local  { provider: vllm,      input: $0.05, output: $0.10,  context: 128k, quality: 0.48 }
model pro    { provider: google,    input: $1.25, output: $10.00, context: 1M,   quality: 0.88 }
model flash  { provider: google,    input: $0.10, output: $0.40,  context: 1M,   quality: 0.60 }
pool expert = [opus, pro, large]
pool quick  = [mini, haiku, flash]
"""
POOLS = {"expert": ("opus", "pro", "large"), "quick": ("mini", "haiku", "flash")}
_MODELS = ("mini", "large", "opus", "haiku", "local", "pro", "flash")


def generate(routes: int, seed: int = 7) -> str:
    """A policy of this many routes in tiers; realistic, and mostly without defects."""
    draw = random.Random(seed)
    lines, groups = vocabulary()
    parts = ['policy generated "A large policy"', *lines, MODELS]
    parts += [
        'guard attacks { when attack.attack >= 0.9 reject 403 "prompt_injection" }',
        'guard abuse { when toxic == toxic and not "admin" in roles reject 451 "abuse" }',
        "guard cards { when pii.any(credit_card, iban) redact pii }",
        "category money { when topic == billing and plan != free, similarity: 0.93, "
        "ttl: 10m, scope: tenant }",
        "category code { when topic == code and size <= 4k, similarity: 0.95, "
        "ttl: 1d, scope: tenant }",
    ]

    def condition(tenant: str, chosen: list[list[str]]) -> str:
        factors = []
        for group in chosen:
            atom = draw.choice(group)
            turn = draw.random()
            if turn < 0.15:
                atom = f"not {atom}"
            elif turn < 0.35:
                other = draw.choice(draw.choice([g for g in groups if g not in chosen]))
                atom = f"({atom} or {other})"
            factors.append(atom)
        return " and ".join((f'tenant == "{tenant}"', *factors))

    for at in range(routes):
        tier, place = divmod(at, TIER)
        tenant = TENANTS[(tier * TIER + place) % len(TENANTS)]
        when = condition(tenant, draw.sample(groups, draw.randint(2, 4)))
        turn = draw.random()
        named = draw.sample(_MODELS, 4)
        if turn < 0.5:
            target = named[0]
        elif turn < 0.8:
            pool = draw.choice(list(POOLS))
            target = f"{pool} by {draw.choice(('cost', 'quality'))}"
            named = [m for m in named if m not in POOLS[pool]]
        else:
            target = f"[{named[0]} 90%, {named[1]} 10%]"
        body = [f"to {target}"]
        if draw.random() < 0.4:
            body.append(f"fallback {named[-1]}")
        if draw.random() < 0.2:
            body.append("cache off")
        body.append(f'tag "class-{at}"' if draw.random() < 0.7 else 'tag "shared"')
        parts.append(
            f"route r_{at} priority {10 * (routes - tier)} {{\n  when {when}\n  "
            + "\n  ".join(body)
            + "\n}"
        )
    parts.append("default route rest { to quick by cost fallback local }")
    parts.append(
        'assert "attacks never reach a model" { never attack.attack >= 0.95 and not reject }'
    )
    return "\n".join(parts) + "\n"


def factors(count: int) -> str:
    """One route whose condition is a conjunction of alternatives."""
    fields = "\n".join(f"  a_{i}: bool = false\n  b_{i}: bool = false" for i in range(count))
    when = " and ".join(f"(a_{i} or b_{i})" for i in range(count))
    return (
        f"policy factors\nrequest {{\n{fields}\n}}\nmodel m {{ provider: p }}\n"
        f"model n {{ provider: q }}\nroute r priority 1 {{ when {when} to m }}\n"
        "default route rest { to n }\n"
    )


def pigeonhole(holes: int) -> str:
    """A guard that asks whether one pigeon more than there are holes can each have its own."""
    cells = [[f"p_{i}_{j}" for j in range(holes)] for i in range(holes + 1)]
    fields = "\n".join(f"  {cell}: bool = false" for row in cells for cell in row)
    clauses = [f"({' or '.join(row)})" for row in cells]
    clauses += [
        f"not ({cells[i][j]} and {cells[k][j]})"
        for j in range(holes)
        for i in range(holes + 1)
        for k in range(i)
    ]
    return (
        f"policy pigeons\nrequest {{\n{fields}\n  tier: enum(free, pro) = free\n}}\n"
        "model m { provider: p }\nmodel n { provider: q }\n"
        f'guard puzzle {{ when {" and ".join(clauses)} reject 403 "no" }}\n'
        "route a priority 2 { when tier == pro to m }\n"
        "route b priority 1 { when tier == pro and p_0_0 to n }\n"
        "default route rest { to n }\n"
    )


CASES: Mapping[str, Callable[[], str]] = {
    "1,000 routes": lambda: generate(1000),
    "200 routes": lambda: generate(200),
    "18 factors": lambda: factors(18),
    "pigeonhole 10": lambda: pigeonhole(10),
}


def measure(quick: bool) -> Iterator[Outcome]:
    """The figures of the analysis."""
    for case in CASES:
        yield from _measure(case, 1 if quick else 3)
    yield from cold_start.measure(5 if quick else 15)


def _measure(case: str, rounds: int) -> Iterator[Outcome]:
    reports = [in_child("analysis", case) for _ in range(rounds)]
    best = min(reports, key=lambda report: float(report["cpu"]))
    if case == "pigeonhole 10" and not (best["unknown"] and best["proved"]):
        raise Disagreement("the pigeonhole puzzle is not left undecided, or costs other findings")
    yield Result(
        f"analysis/{case}",
        best["cpu"],
        "s",
        best["read"],
        "reading it and checking names and types",
        (Target("<", SECONDS[case]),),
        f"{best['atoms']} atoms, {best['proved']} proved, {best['unknown']} unknown",
    )
    yield Result(
        f"analysis/{case}, peak memory",
        max(report["peak"] for report in reports),
        "MiB",
        targets=(Target("<", MEMORY),),
    )


def analyse_case(case: str) -> dict[str, Any]:
    """Check one policy in this process, and what that took.

    Raises:
        ValueError: the policy has errors.
    """
    data = CASES[case]().encode()
    import_module("routec.compiler.analysis.run")
    start = time.process_time()
    checked = check_bytes("bench.route", data)
    read = time.process_time() - start
    found = analyse(checked)
    spent = time.process_time() - start
    if found.policy is None:
        raise ValueError(f"the generated policy has errors: {found.findings[0].message}")
    conditions = [r.when.expr for r in found.policy.routes]
    conditions += [g.when.expr for g in found.policy.guards]
    conditions += [c.when.expr for c in found.policy.categories]
    atoms = {
        node
        for condition in conditions
        for node in walk(condition)
        if isinstance(node, Truth | Compare | Equals | Contains | Empty)
    }
    return {
        "cpu": spent,
        "read": read,
        "peak": peak_mib(),
        "atoms": len(atoms),
        "unknown": sum(f.verdict is Verdict.UNKNOWN for f in found.findings),
        "proved": sum(f.verdict is Verdict.PROVED for f in found.findings),
    }
