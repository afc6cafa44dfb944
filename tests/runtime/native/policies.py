"""Random policies, most of whose requests need nothing but themselves and the exact cache."""

from __future__ import annotations

import re

from hypothesis import strategies as st

from routec.compiler import check_bytes
from routec.compiler.lower import lower
from routec.compiler.plan import optimise
from routec.compiler.program import Program
from routec.safety.text import NORMALISER_VERSION
from tests.compiler.policies import MODELS, SIGNALS, bodies, conditions

FIELDS = {
    "tenant": ("string", '"acme"'),
    "tier": ('enum(free, pro, "big corp")', "free"),
    "seats": ("int", "1"),
    "load": ("float", "0.5"),
    "beta": ("bool", "false"),
    "roles": ("set(enum(admin, dev, ops))", ""),
    "groups": ("set(string)", ""),
}
"""Types and defaults; the conditions of `tests.compiler.policies` read them."""

PLAIN = {
    "size": SIGNALS["size"],
    "turn": SIGNALS["turn"],
    "tool": SIGNALS["tool"],
    "image": "signal image = has_image()",
    "when_h": 'signal when_h = hour("America/St_Johns")',
    "day": 'signal day = weekday("Pacific/Apia")',
    # A second count of the same tokens, of which each is asked for by itself.
    "large": "signal count = tokens()\nlet large = count > 12 and not (count in 20..30)",
    "odd": "signal words = tokens()\nlet odd = words < 7.25 or words > 18.3",
    "kw": 'signal kw = keyword("urgent", "order")',
    "rx": SIGNALS["rx"],
    "cap": 'signal cap = keyword("Brief", "ine") { match: substring, case: sensitive, scope: all }',
    "told": r"signal told = regex(/(?i)a\s+b|^$/) { scope: system }",
    "word": 'signal word = keyword("word") { scope: all_user }',
}
"""Signals that are read off a request, counted, or found by scanning its texts."""

COSTLY = {name: SIGNALS[name] for name in ("near", "topic", "pii")}
"""Signals of which the engine has to be asked."""

TERMS = (
    "ttl: 10m",
    "ttl: 10s",
    "quota: 30%",
    "similarity: 0.9, ttl: 10m",
    "max_error: 1%, ttl: 10m",
    "ttl: 1h",
)
SCOPES = ("", ", scope: global", *(f", scope: {name}" for name in FIELDS))


def compiled(text: str, planned: bool) -> Program:
    """The program of a policy, with decision diagrams or without a plan."""
    checked = check_bytes("made.route", text.encode())
    assert checked.policy is not None, (text, [finding.message for finding in checked.findings])
    program = lower(checked.policy, normaliser=NORMALISER_VERSION)
    return optimise(checked.policy, program).program if planned else program


@st.composite
def policies(draw: st.DrawFn) -> tuple[str, frozenset[str]]:
    """The text of a policy without errors, and its fields that have a default."""
    names = draw(st.lists(st.sampled_from(tuple(PLAIN)), max_size=5, unique=True))
    if draw(st.integers(0, 5)) == 3:
        names.append(draw(st.sampled_from(tuple(COSTLY))))
    optional = frozenset(name for name in FIELDS if draw(st.integers(0, 3)))
    models = re.sub(r"context: \S+", "", MODELS) if draw(st.booleans()) else MODELS
    parts = ["policy made", _fields(optional), models]
    parts += [{**PLAIN, **COSTLY}[name] for name in names]
    if draw(st.integers(0, 2)):
        names += _derived(draw, tuple(names), parts)
    asked = tuple(names)
    categories = [f"c{at}" for at in range(draw(st.integers(0, 2)))]
    for name in categories:
        terms = draw(st.sampled_from(TERMS)) + draw(st.sampled_from(SCOPES))
        parts.append(f"category {name} {{ when {draw(conditions(asked, 2))}, {terms} }}")
    for at in range(draw(st.integers(0, 3))):
        actions = ['reject 403 "n\u00f6"', 'tag "a"', 'tag "g" set "x-a" = "\\"quoted\\""']
        if "pii" in names:
            actions.append("redact pii")
        parts.append(
            f"guard g{at} {{ when {draw(conditions(asked, 2))} {draw(st.sampled_from(actions))} }}"
        )
    for at in range(draw(st.integers(0, 3))):
        rank, when = draw(st.integers(0, 4)) * 10, draw(conditions(asked, 2))
        parts.append(
            f"route r{at} priority {rank} {{\n when {when}\n {_body(draw, categories)}\n}}"
        )
    parts.append(f"default route rest {{\n  {_body(draw, categories)}\n}}")
    return "\n".join(parts), optional | {"roles", "groups"}


def _derived(draw: st.DrawFn, names: tuple[str, ...], parts: list[str]) -> list[str]:
    """The names of scores and bands over some of these signals, which are added to the parts."""
    numbers = {"size": "size", "turn": "turn", "when_h": "when_h", "near": "near"}
    bits = (*(name for name in names if name not in numbers and name not in ("day", "pii")), "beta")
    bits = tuple(name for name in bits if name != "topic")
    known = (*(numbers[name] for name in names if name in numbers), "load")
    summands = st.tuples(
        st.sampled_from(("+", "-")),
        st.sampled_from(("0.1 *", "0.3 *", "1.7 *", "0.001 *", "2 *")),
        st.sampled_from((*bits, *known)) | conditions(names, 2).map("({})".format),
    )
    chosen = draw(st.lists(summands, min_size=1, max_size=4))
    text = " ".join(" ".join(one) for one in chosen).removeprefix("+ ")
    text = f"0 {text}" if text.startswith("-") else text
    # A field can have any value, so whatever the score is compared with can be.
    more = draw(st.sampled_from(("0.01 * load", "0.15 - 0.2 * load")))
    parts.append(f"signal need = score {{ {text} + {more} }}")
    made = ["need"]
    if draw(st.booleans()):
        parts.append("signal band = bands(need) { low: < 0.3, mid: <= 0.7, high }")
        made.append("band")
        if draw(st.booleans()):
            inner = "0.5 * need + 0.25 * (band == mid)"
            parts.append(f"signal over = score {{ {inner} - 0.1 * (need > 0.4) }}")
            parts.append("let well = over > 0.35 and over <= 2.5")
            made.append("well")
    return made


def _fields(optional: frozenset[str]) -> str:
    lines = []
    for name, (type_, default) in FIELDS.items():
        given = default and name in optional
        lines.append(f"  {name}: {type_}" + (f" = {default}" if given else ""))
    return "request {\n" + "\n".join(lines) + "\n}"


def _body(draw: st.DrawFn, categories: list[str]) -> str:
    """The body of a route, in most of which the model can be told at once."""
    body = draw(bodies(tuple(categories)))
    by = ("quality", "cost", "weighted", "round_robin")
    if draw(st.integers(0, 4)) != 2:
        body = re.sub(
            r"(?<!sticky) by [a-z]+(\(.*\))?\n", f" by {draw(st.sampled_from(by))}\n", f"{body}\n"
        )
    if draw(st.integers(0, 4)) != 2:
        body = body.replace("sticky by seats", "sticky by tier")
    if draw(st.integers(0, 4)) != 2:
        body = body.replace("shadow to opus 50%", "")
    return body
