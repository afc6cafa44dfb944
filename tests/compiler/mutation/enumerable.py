"""Random policies over so few values that every request can be tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from random import Random

from routec.compiler import check_bytes
from routec.compiler.check import Checked
from routec.compiler.interpreter import Request, all_values
from routec.compiler.policy import Policy
from routec.compiler.types import Plain, Scores, Value

MOST = 400
"""Assignments of one policy at the most."""


@dataclass(frozen=True)
class Read:
    """Something that conditions read.

    `values` has one value of every region that the constants of `atoms` tell apart, so that
    trying them all is trying every request.
    """

    name: str
    declared: str
    field: bool
    values: tuple[Value, ...]
    atoms: tuple[str, ...]


def _sets(*members: str) -> tuple[frozenset[str], ...]:
    return tuple(
        frozenset(m for m, taken in zip(members, row, strict=True) if taken)
        for row in product((False, True), repeat=len(members))
    )


READS = (
    Read("beta", "beta: bool = false", True, (False, True), ("beta", "beta == false")),
    Read("vip", "vip: bool = false", True, (False, True), ("vip", "vip == true")),
    Read(
        "tier",
        'tier: enum(free, pro, "big corp") = free',
        True,
        ("free", "pro", "big corp"),
        ("tier == free", 'tier != "big corp"', "tier in [free, pro]", "tier == pro"),
    ),
    Read(
        "region",
        "region: enum(eu, us) = eu",
        True,
        ("eu", "us"),
        ("region == eu", "region != eu", "region == us"),
    ),
    Read(
        "seats",
        "seats: int = 1",
        True,
        (0, 1, 2, 3, 4),
        ("seats > 1", "seats >= 3", "seats < 3", "seats in 2..3", "seats == 2", "seats <= 0"),
    ),
    Read(
        "load",
        "load: float = 0.5",
        True,
        (0.0, 0.25, 0.3, 0.5, 0.9),
        ("load > 0.25", "load <= 0.25", "load == 0.5", "load < 0.5", "load in 0.25..0.5"),
    ),
    Read(
        "roles",
        "roles: set(enum(dev, ops))",
        True,
        _sets("dev", "ops"),
        ("roles.any(dev, ops)", "roles.all(dev, ops)", "roles.empty", '"ops" in roles'),
    ),
    Read(
        "groups",
        "groups: set(string)",
        True,
        _sets("x", "other"),
        ('"x" in groups', "groups.empty", "not groups.empty"),
    ),
    Read(
        "tenant",
        'tenant: string = "acme"',
        True,
        ("acme", "globex", "other"),
        ('tenant == "acme"', 'tenant in ["acme", "globex"]', 'tenant != "globex"'),
    ),
    Read("tool", "signal tool = has_tools()", False, (False, True), ("tool", "tool == false")),
    Read(
        "turn",
        "signal turn = turns()",
        False,
        (0, 1, 2, 3),
        ("turn >= 2", "turn < 1", "turn in 1..2", "turn > 2", "turn >= 0"),
    ),
    Read(
        "pii",
        "signal pii = entities(email, iban)",
        False,
        _sets("email", "iban"),
        ("pii.any(email)", "pii.empty", "pii.all(email, iban)", "pii.any(email, iban)"),
    ),
    Read(
        "topic",
        'signal topic = classifier("topic") { labels: [law, code, other], on_error: other }',
        False,
        tuple(
            Scores(x, {y: float(x == y) for y in ("law", "code", "other")})
            for x in ("law", "code", "other")
        ),
        ("topic == law", "topic != code", "topic in [law, other]"),
    ),
    Read(
        "day",
        'signal day = weekday("UTC")',
        False,
        ("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
        ("day in [sat, sun]", "day == mon", "day != fri"),
    ),
    Read(
        "again",
        "signal again = repeated { similarity: 0.8 }",
        False,
        (False, True),
        ("again", "not again"),
    ),
)
_SUMMANDS = {
    "beta": ("0.5 * beta", "-0.25 * beta"),
    "vip": ("0.5 * vip",),
    "tier": ("0.5 * (tier == pro)",),
    "seats": ("0.5 * (seats > 1)", "-0.5 * (seats == 2)"),
    "load": ("0.25 * (load > 0.25)",),
    "tool": ("0.25 * tool",),
    "turn": ("0.5 * (turn >= 2)",),
    "again": ("0.75 * again",),
    "roles": ("0.5 * (roles.any(dev))",),
    "topic": ("0.5 * (topic == law)", "-0.5 * (topic == other)"),
}
"""Of numbers a score reads no more than conditions do: otherwise a few values would not be all."""
_BANDS = (
    "low: < 0.25, mid: <= 0.5, high",
    "low: < 0.5, mid: < 0.75, high",
    "low: < 0.5, mid: < 0.25, high",
    "low: <= 0, mid: < 9, high",
    "low: < -0.25, high",
)
MODELS = """
model mini  { provider: openai, input: $0.25, output: $2.00, quality: 0.6, region: us }
model opus  { provider: anthropic, input: $5, output: $25, quality: 0.93 }
model local { provider: vllm, input: $0.05, output: $0.10, quality: 0.4, region: eu, tags: [own] }
pool expert = [opus, mini]
"""
_BODIES = (
    "to mini",
    "to mini",
    "to opus",
    "to local cache off",
    "to expert by cost",
    "to [mini 90%, local 10%]",
    "to opus fallback mini -> local",
    "to opus shadow to mini 5%",
    'to mini tag "a"',
)


Row = tuple[Request, dict[str, Value], dict[str, Value]]
"""A request, its signals, and all values, derived ones included."""


@dataclass(frozen=True)
class Case:
    """A policy, with every request that can be told apart from others."""

    text: str
    checked: Checked
    requests: tuple[Row, ...]


def draw_case(seed: int) -> Case:
    """The policy of a seed."""
    for attempt in range(100):
        random = Random(seed * 100 + attempt)
        reads = [random.choice(READS)]
        for read in random.sample(READS, len(READS)):
            sizes = prod(len(r.values) for r in reads) * len(read.values)
            if read not in reads and sizes <= MOST and len(reads) < 6:
                reads.append(read)
        text = _text(random, reads)
        checked = check_bytes(f"seed-{seed}.route", text.encode())
        if checked.policy is not None:
            return Case(text, checked, tuple(_requests(checked.policy, reads)))
        # Constants that a drawn score cannot reach are errors of type.
        assert {f.code for f in checked.findings} == {"RC105"}, checked.findings
    raise AssertionError(f"no policy without errors for seed {seed}")


def _requests(policy: Policy, reads: list[Read]) -> Iterator[Row]:
    for row in product(*(r.values for r in reads)):
        attributes: dict[str, Plain] = {}
        signals: dict[str, Value] = {}
        for read, value in zip(reads, row, strict=True):
            if read.field:
                assert not isinstance(value, Scores)
                attributes[read.name] = value
            else:
                signals[read.name] = value
        request = Request("case", attributes)
        yield request, signals, all_values(policy, request, signals)


def _text(random: Random, reads: list[Read]) -> str:
    fields = [r.declared for r in reads if r.field]
    parts = ["policy small"]
    if fields:
        parts.append("request {\n  " + "\n  ".join(fields) + "\n}")
    parts += [r.declared for r in reads if not r.field]
    atoms = [r.atoms for r in reads]
    summands = [random.choice(_SUMMANDS[r.name]) for r in reads if r.name in _SUMMANDS]
    if summands and random.random() < 0.5:
        constant = random.choice(("", " + 0.25", " - 0.5"))
        parts.append(f"signal need = score {{ {' + '.join(summands)}{constant} }}")
        atoms.append(("need >= 0.5", "need < 0.25", "need > 0.75", "need == 0.5"))
        if random.random() < 0.6:
            parts.append(f"signal band = bands(need) {{ {random.choice(_BANDS)} }}")
            atoms.append(("band == high", "band != low"))
    parts.append(MODELS)
    for name in ("first", "second")[: random.randint(0, 2)]:
        parts.append(f"let {name} = {_condition(random, atoms, 2)}")
        atoms.append((name,))
    categories = [f"c{i}" for i in range(random.randint(0, 3))]
    for name in categories:
        terms = random.choice(("similarity: 0.9", "similarity: 0.9", "similarity: 0.95"))
        parts.append(f"category {name} {{ when {_condition(random, atoms, 2)}, {terms}, ttl: 1h }}")
    redacts = any(r.name == "pii" for r in reads)
    guards = [f"g{i}" for i in range(random.randint(0, 3))]
    for name in guards:
        actions = ['reject 403 "no"', 'reject 403 "no"', 'reject 429 "wait"', 'tag "a"', 'tag "b"']
        actions += ["redact pii", 'redact pii reject 403 "no"'] if redacts else []
        rank = random.choice(("", "priority 5", "priority 9"))
        when = _condition(random, atoms, random.randint(0, 3))
        parts.append(f"guard {name} {rank} {{ when {when} {random.choice(actions)} }}")
    routes = [f"r{i}" for i in range(random.randint(1, 6))]
    bodies = [*_BODIES, *(f"to mini cache {c}" for c in categories)]
    for name in routes:
        rank = random.randint(1, 4)
        when = _condition(random, atoms, random.randint(0, 3))
        parts.append(f"route {name} priority {rank} {{ when {when} {random.choice(bodies)} }}")
    parts.append(f"default route rest {{ {random.choice(bodies)} }}")
    decided = [
        *(f"route == {r}" for r in (*routes, "rest")),
        "model == opus",
        "model.provider == vllm",
        "model.region == eu",
        '"own" in model.tags',
        "fallback == local",
        "cached",
        "reject",
        "category == none",
        *(f"category == {c}" for c in categories),
        *(f"reject == {g}" for g in guards),
        *(("redact",) if redacts else ()),
    ]
    for at in range(random.randint(0, 3)):
        mode = random.choice(("never", "always"))
        promise = _condition(random, [*atoms, *([d] for d in random.sample(decided, 2))], 2)
        if mode == "always" and random.random() < 0.5:
            promise = f"{_condition(random, atoms, 1)} implies {promise}"
        parts.append(f'assert "promise {at}" {{ {mode} {promise} }}')
    return "\n".join(parts) + "\n"


def _condition(random: Random, atoms: list[tuple[str, ...]] | list[list[str]], depth: int) -> str:
    kind = random.choice(("atom", "not", "and", "and", "or")) if depth else "atom"
    if kind == "atom":
        return random.choice(random.choice(atoms))
    if kind == "not":
        return f"not ({_condition(random, atoms, depth - 1)})"
    parts = [_condition(random, atoms, depth - 1) for _ in range(random.randint(2, 3))]
    return f" {kind} ".join(f"({part})" for part in parts)
