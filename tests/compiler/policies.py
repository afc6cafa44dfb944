"""Random policies that check clean, and random requests and signal values for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from routec.compiler import check_bytes
from routec.compiler import policy as p
from routec.compiler.interpreter import Request
from routec.compiler.types import Kind, Plain, Scores, Type, Value

FIELDS = """
request {
  tenant: string = "acme"
  tier: enum(free, pro, "big corp") = free
  seats: int = 1
  load: float = 0.5
  beta: bool = false
  roles: set(enum(admin, dev, ops))
  groups: set(string)
}
"""

SIGNALS = {
    "kw": 'signal kw = keyword("urgent", "asap")',
    "rx": r"signal rx = regex(/TKT-[0-9]+/)",
    "size": "signal size = tokens()",
    "turn": "signal turn = turns()",
    "tool": "signal tool = has_tools()",
    "when_h": 'signal when_h = hour("UTC")',
    "day": 'signal day = weekday("UTC")',
    "lang": "signal lang = language()",
    "pii": "signal pii = entities(email, iban, phone)",
    "again": "signal again = repeated { similarity: 0.8 }",
    "near": 'signal near = similarity { examples: ["a b", "c d"] }',
    "hard": 'signal hard = contrast { high: ["prove it"], low: ["two plus two"] }',
    "topic": 'signal topic = classifier("topic") { labels: [law, code, other], on_error: other }',
    "bad": 'signal bad = classifier("bad") { labels: [ok, attack], on_error: attack }',
    "multi": (
        'signal multi = classifier("multi") { labels: [a, b, c], exclusive: false, on_error: a }'
    ),
}

ATOMS = (
    'tenant == "acme"',
    'tenant in ["acme", "globex"]',
    "tier == free",
    'tier != "big corp"',
    "tier in [free, pro]",
    "seats > 3",
    "seats in 2..5",
    "load <= 0.5",
    "load == 0.25",
    "beta",
    "beta == false",
    "roles.any(admin, dev)",
    "roles.all(dev, ops)",
    "roles.empty",
    '"x" in groups',
    "groups.empty",
)

SIGNAL_ATOMS = {
    "kw": ("kw",),
    "rx": ("rx", "rx == true"),
    "size": ("size > 2k", "size <= 100", "size in 10..1k"),
    "turn": ("turn >= 2",),
    "tool": ("tool",),
    "when_h": ("when_h >= 18", "when_h in 9..17"),
    "day": ("day in [sat, sun]", "day == mon"),
    "lang": ("lang == de", "lang.confidence >= 0.6"),
    "pii": ("pii.any(email, iban)", "pii.empty", "pii.all(email, phone)"),
    "again": ("again",),
    "near": ("near >= 0.8", "near < 0.2"),
    "hard": ("hard > 0", "hard <= 0.5"),
    "topic": ("topic == law", "topic != code", "topic.law >= 0.7", "topic.other < 0.2"),
    "bad": ("bad.attack >= 0.9", "bad == ok"),
    "multi": ("multi.a >= 0.5", "multi == c"),
    "need": ("need >= 0.8", "need < 0.3"),
    "band": ("band == low", "band in [mid, high]"),
}

MODELS = """
model mini  { provider: openai, input: $0.25, output: $2.00, context: 8k, quality: 0.6, latency: 300ms }
model opus  { provider: anthropic, input: $5, output: $25, context: 200k, quality: 0.93 }
model local { provider: vllm, input: $0.05, output: $0.10, context: 2k, quality: 0.4, latency: 900ms }
model free  { provider: vllm }
pool expert = [opus, mini]
pool every  = [mini, opus, local, free]
"""
_MODELS = ("mini", "opus", "local", "free")


@dataclass(frozen=True)
class Made:
    """A random policy: its text and what it means."""

    text: str
    policy: p.Policy = field(repr=False)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # Hypothesis would print the whole policy, and complain of the length.
        printer.text(self.text)


@st.composite
def conditions(draw: st.DrawFn, names: tuple[str, ...], depth: int = 3) -> str:
    """A condition over the fields and these signals and lets."""
    kind = draw(st.sampled_from(("atom", "atom", "not", "and", "or"))) if depth else "atom"
    if kind == "atom":
        atoms = [*ATOMS]
        for name in names:
            atoms += SIGNAL_ATOMS.get(name, (name,)) * 3
        return draw(st.sampled_from(atoms))
    if kind == "not":
        return f"not ({draw(conditions(names, depth - 1))})"
    parts = draw(st.lists(conditions(names, depth - 1), min_size=2, max_size=3))
    return f" {kind} ".join(f"({part})" for part in parts)


@st.composite
def bodies(draw: st.DrawFn, categories: tuple[str, ...]) -> str:
    """The body of a route but its condition."""
    shares = draw(st.sampled_from((("50%", "50%"), ("90%", "10%"), ("0.5%", "99.5%"))))
    two = draw(st.permutations(_MODELS))[:2]
    target = draw(
        st.sampled_from(
            (
                two[0],
                f"[{two[0]} {shares[0]}, {two[1]} {shares[1]}]",
                *(
                    f"{pool} by {by}"
                    for pool in ("expert", "every")
                    for by in (
                        "weighted",
                        "cost",
                        "quality",
                        "latency",
                        "balanced(quality: .6, cost: .4)",
                        "balanced(quality: .5, cost: .2, latency: .3)",
                        "balanced",
                    )
                ),
            )
        )
    )
    lines = [f"to {target}"]
    if draw(st.booleans()):
        chain = draw(st.lists(st.sampled_from(_MODELS), min_size=1, max_size=3, unique=True))
        lines.append("fallback " + " -> ".join(chain))
    lines.append(draw(st.sampled_from(("", "cache off", *(f"cache {c}" for c in categories)))))
    lines.append(draw(st.sampled_from(("", "with { max_tokens: 800, reasoning: high }"))))
    lines.append(draw(st.sampled_from(("", "sticky by tenant", "sticky by seats"))))
    lines.append(draw(st.sampled_from(("", "shadow to opus 50%"))))
    lines.append(draw(st.sampled_from(("", 'tag "a" tag "b"', 'set "x-a" = "route"'))))
    return "\n  ".join(line for line in lines if line)


@st.composite
def policies(draw: st.DrawFn, max_routes: int = 5) -> Made:
    """A policy without errors."""
    names = tuple(draw(st.lists(st.sampled_from(tuple(SIGNALS)), max_size=6, unique=True)))
    parts = ["policy made", FIELDS, MODELS, *(SIGNALS[name] for name in names)]
    numeric = [n for n in names if n in ("near", "hard", "size", "kw", "again", "tool")]
    scores = [n for n in names if n in ("topic", "bad", "multi")]
    if draw(st.booleans()):
        member = {"topic": "topic.law", "bad": "bad.attack", "multi": "multi.b"}
        terms = [
            f"{draw(st.sampled_from(('0.1', '0.5', '-0.25', '2')))} * {operand}"
            for operand in [*numeric, *(member[s] for s in scores), "(seats > 2)"]
        ]
        parts.append("signal need = score { " + " + ".join(terms) + " + 2 * beta - 0.2 }")
        names = (*names, "need")
        if draw(st.booleans()):
            parts.append("signal band = bands(need) { low: < 0.3, mid: <= 0.7, high }")
            names = (*names, "band")
    if draw(st.booleans()):
        parts.append(f"let handy = {draw(conditions(names, 2))}")
        names = (*names, "handy")
    categories = []
    for at in range(draw(st.integers(0, 2))):
        condition = draw(conditions(names, 2))
        terms_ = draw(
            st.sampled_from(("similarity: 0.9", "max_error: 1%", "similarity: 0.8, quota: 30%"))
        )
        scope = draw(st.sampled_from(("global", "tenant")))
        parts.append(f"category c{at} {{ when {condition}, {terms_}, ttl: 10m, scope: {scope} }}")
        categories.append(f"c{at}")
    for at in range(draw(st.integers(0, 3))):
        actions = ['reject 403 "no"', 'tag "a"', 'tag "g" set "x-a" = "guard"']
        if "pii" in names:
            actions += ["redact pii", 'redact pii reject 451 "pii"']
        action = draw(st.sampled_from(actions))
        rank = draw(st.sampled_from(("", "priority 5", "priority 9")))
        parts.append(f"guard g{at} {rank} {{ when {draw(conditions(names))} {action} }}")
    for at in range(draw(st.integers(0, max_routes))):
        body = draw(bodies(tuple(categories)))
        rank = draw(st.integers(0, 4)) * 10
        parts.append(
            f"route r{at} priority {rank} {{\n  when {draw(conditions(names))}\n  {body}\n}}"
        )
    parts.append(f"default route rest {{\n  {draw(bodies(tuple(categories)))}\n}}")
    text = "\n".join(parts)
    checked = check_bytes("made.route", text.encode())
    assert checked.policy is not None, (text, [f.message for f in checked.findings])
    return Made(text, checked.policy)


def plain_values(type_: Type) -> st.SearchStrategy[Plain]:
    """Values of a type, with a liking for those near constants of the policies above."""
    match type_.kind:
        case Kind.BOOL:
            return st.booleans()
        case Kind.INT:
            low = int(type_.low if type_.low is not None else -3)
            high = int(type_.high if type_.high is not None else 5000)
            near = [n for n in (0, 1, 2, 3, 4, 5, 9, 17, 18, 100, 2000, 2001) if low <= n <= high]
            return st.one_of(st.sampled_from(near), st.integers(low, high))
        case Kind.FLOAT:
            low_, high_ = type_.low or Decimal(-3), type_.high or Decimal(3)
            near_ = [
                x for x in (0.0, 0.2, 0.25, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0) if low_ <= x <= high_
            ]
            return st.one_of(st.sampled_from(near_), st.floats(float(low_), float(high_)))
        case Kind.STRING:
            return st.sampled_from(("acme", "globex", "umbrella", ""))
        case Kind.ENUM:
            return st.sampled_from(type_.members[:8])
        case Kind.SET:
            members = type_.members or ("x", "y")
            return st.frozensets(st.sampled_from(members))


@st.composite
def scores(draw: st.DrawFn, definition: p.Classifier) -> Scores:
    """A classifier's answer: of an exclusive one the scores add up to 1."""
    raw = [draw(st.sampled_from((0.0, 0.1, 0.5, 0.7, 0.9, 1.0))) for _ in definition.labels]
    if definition.exclusive:
        total = sum(raw) or 1.0
        raw = [x / total for x in raw] if sum(raw) else [1.0, *raw[1:]]
    found = dict(zip(definition.labels, raw, strict=True))
    return Scores(max(definition.labels, key=lambda name: found[name]), found)


@st.composite
def signal_values(draw: st.DrawFn, policy: p.Policy) -> dict[str, Value]:
    """A value for every signal that is not derived."""
    found: dict[str, Value] = {}
    for name, signal in policy.signals.items():
        if signal.stage is p.Stage.DERIVED:
            continue
        if isinstance(signal.definition, p.Classifier):
            found[name] = draw(scores(signal.definition))
        elif signal.kind == "language":
            code = draw(st.sampled_from(("de", "en", "und")))
            found[name] = Scores(code, {"confidence": draw(st.sampled_from((0.0, 0.6, 0.99)))})
        else:
            found[name] = draw(plain_values(signal.type))
    return found


@st.composite
def requests(draw: st.DrawFn, policy: p.Policy) -> Request:
    """A request with some of the fields given."""
    attributes = {
        name: draw(plain_values(declared.type))
        for name, declared in policy.fields.items()
        if declared.default is None or draw(st.booleans())
    }
    return Request(
        id=draw(st.uuids()).hex,
        attributes=attributes,
        tokens=draw(st.sampled_from((0, 10, 1500, 1999, 2000, 7500, 100_000, 300_000))),
        max_tokens=draw(st.sampled_from((None, 0, 100, 1000))),
    )
