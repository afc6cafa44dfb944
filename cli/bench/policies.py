"""Random policies to measure by: one of 25 routes, and one of 1,000 routes of many tenants."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from routec.cli.bench.rules import Atom, Clause, Row, Rule, Rules
from routec.runtime.events.request import FieldValue
from routec.runtime.signals.values import Scores

_NAMES = ("mini", "opus", "local")
LABELS = ("billing", "code", "legal", "other")
TIERS = ("free", "pro", "business", "enterprise")
REGIONS = ("eu", "us", "uk", "apac")
DOMAINS = ("shop", "bank", "health", "travel", "games", "school", "public", "media")


def _keyword(name: str) -> Atom:
    return Atom(name, False, name, "{}", "{}")


def _below(name: str, bound: float, field: bool = False) -> Atom:
    whole = isinstance(bound, int)
    return Atom(
        name,
        field,
        f"{name} >= {bound}",
        f"{{}} >= {bound}",
        f"{{}} >= {bound}" if whole else None,
    )


def _member(name: str, value: str) -> Atom:
    return Atom(name, True, f"{name} == {value}", f"{{}} == {value!r}", f'{{}} == "{value}"')


def _label(name: str, value: str) -> Atom:
    return Atom(name, False, f"{name} == {value}", f"{{}}.label == {value!r}", f'{{}} == "{value}"')


def _score(name: str, label: str, bound: float) -> Atom:
    return Atom(
        name,
        False,
        f"{name}.{label} >= {bound}",
        f"{{}}.scores[{label!r}] >= {bound}",
        None,
    )


def _declared(
    fields: Sequence[str], keywords: int, similarities: int, classifiers: int, turns: bool
) -> str:
    lines = ["request {", *(f"  {field}" for field in fields), "}"]
    lines += [f'signal k{at} = keyword("word {at}", "phrase {at}")' for at in range(keywords)]
    lines += [
        f'signal s{at} = similarity {{ examples: ["example {at}", "again {at}"] }}'
        for at in range(similarities)
    ]
    listed = ", ".join(LABELS)
    lines += [
        f'signal c{at} = classifier("c{at}") {{ labels: [{listed}], on_error: other }}'
        for at in range(classifiers)
    ]
    lines.append("signal size = tokens()")
    if turns:
        lines.append("signal turn = turns()")
    return "\n".join(lines)


def _acts(dice: random.Random, at: int) -> dict[str, Any]:
    """What a route does; half of them do more than naming a model."""
    first, second = dice.sample(_NAMES, 2)
    rich = dice.random() < 0.5
    return {
        "model": first,
        "fallbacks": (second,) if rich else (),
        "parameters": {"max_tokens": dice.randrange(100, 2000)} if rich else {},
        "tags": (f"class-{at}",),
    }


def _signal_values(
    dice: random.Random, keywords: int, similarities: int, classifiers: int, often: float
) -> dict[str, Any]:
    found: dict[str, Any] = {f"k{at}": dice.random() < often for at in range(keywords)}
    for at in range(similarities):
        found[f"s{at}"] = round(dice.random() * 0.6, 3)
    for at in range(classifiers):
        raw = [dice.random() ** 2 + 1e-9 for _ in LABELS]
        scores = {name: x / sum(raw) for name, x in zip(LABELS, raw, strict=True)}
        found[f"c{at}"] = Scores(max(LABELS, key=scores.__getitem__), scores)
    found["size"] = dice.randrange(1500)
    return found


def small(routes: int = 25, atoms: int = 80, seed: int = 7, *, crisp: bool = False) -> Rules:
    """A policy of some routes of three or four atoms each.

    Args:
        routes: how many, the default route included.
        atoms: different atoms in all of them; at least three for each route but the default.
        seed: of the draw.
        crisp: whether to leave out the numbers that are not whole, which Cedar does not have.
    """
    dice = random.Random(seed)
    keywords, similarities, classifiers = 16, 6, 4
    drawn: dict[str, Atom] = {}
    while len(drawn) < atoms:
        pick = dice.randrange(6)
        label = dice.choice(LABELS)
        if pick == 0:
            atom = _keyword(f"k{dice.randrange(keywords)}")
        elif pick == 1:
            atom = _below(f"s{dice.randrange(similarities)}", round(0.2 + dice.random() * 0.6, 2))
        elif pick == 2:
            atom = _label(f"c{dice.randrange(classifiers)}", label)
        elif pick == 3:
            name = f"c{dice.randrange(classifiers)}"
            atom = _score(name, label, round(0.3 + dice.random() * 0.6, 2))
        elif pick == 4:
            atom = _below("size", dice.randrange(200, 4000))
        else:
            atom = _member("tier", dice.choice(TIERS))
        if atom.cedar is not None or not crisp:
            drawn[atom.route] = atom
    listed = list(drawn.values())
    dice.shuffle(listed)
    ways = routes - 1
    rules = []
    for at in range(ways):
        mine = listed[at::ways]
        clauses = tuple(tuple(mine[i : i + 2]) for i in range(0, len(mine), 2))
        rules.append(Rule(f"r{at}", clauses, **_acts(dice, at)))
    declared = _declared(
        [f"tier: enum({', '.join(TIERS)})"], keywords, similarities, classifiers, False
    )

    def row(dice: random.Random) -> Row:
        signals = _signal_values(dice, keywords, similarities, classifiers, 0.08)
        return Row({"tier": dice.choice(TIERS)}, signals)

    names = tuple(row(random.Random(0)).signals)
    return Rules(declared, tuple(rules), row, ("tier",), names)


def large(routes: int = 1000, seed: int = 5) -> Rules:
    """A policy of many tenants: about 300 different atoms, 25 routes to each of 40 tenants.

    Every route is for one tenant; most say for which tier, domain or region of it, and one to
    three things about the text. Some of these are alternatives.
    """
    dice = random.Random(seed)
    keywords, similarities, classifiers = 80, 12, 4
    tenants = [f"t{at}" for at in range(40)]
    groups: list[list[Atom]] = [
        *([_keyword(f"k{at}")] for at in range(keywords)),
        *(
            [_below(f"s{at}", bound) for bound in (0.3, 0.4, 0.45, 0.5, 0.55)]
            for at in range(similarities)
        ),
        *([_label(f"c{at}", label) for label in LABELS] for at in range(classifiers)),
        *(
            [_score(f"c{at}", label, bound) for bound in (0.4, 0.5, 0.7)]
            for at in range(classifiers)
            for label in LABELS
        ),
        [_below("size", bound) for bound in range(100, 1500, 120)],
        [_below("turn", bound) for bound in (2, 3, 4, 6, 8)],
        [_below("seats", bound, True) for bound in (5, 10, 25, 50, 100, 250, 500)],
        [_below("spend", bound, True) for bound in (0.5, 10, 50, 99.5, 250, 1000)],
    ]
    about = [
        [_member("tier", x) for x in TIERS],
        [_member("domain", x) for x in DOMAINS],
        [_member("region", x) for x in REGIONS],
    ]
    rules = []
    for at in range(routes - 1):
        clauses: list[Clause] = [(_member("tenant", tenants[at % len(tenants)]),)]
        clauses += [
            tuple(dice.sample(group, dice.choice((1, 1, 2))))
            for group in dice.sample(about, dice.choice((0, 1, 1, 2)))
        ]
        for group in dice.sample(groups, dice.randint(1, 3)):
            first = dice.choice(group)
            others = [dice.choice(dice.choice(groups))] if dice.random() < 0.25 else []
            clauses.append((first, *(a for a in others if a != first)))
        rules.append(Rule(f"r{at}", tuple(clauses), **_acts(dice, at)))
    declared = _declared(
        [
            f"tenant: enum({', '.join(tenants)})",
            f"tier: enum({', '.join(TIERS)})",
            f"domain: enum({', '.join(DOMAINS)})",
            f"region: enum({', '.join(REGIONS)})",
            "seats: int = 1",
            "spend: float = 0.0",
        ],
        keywords,
        similarities,
        classifiers,
        True,
    )

    def row(dice: random.Random) -> Row:
        signals = _signal_values(dice, keywords, similarities, classifiers, 0.05)
        signals["turn"] = min(1 + int(dice.expovariate(0.5)), 12)
        attributes: dict[str, FieldValue] = {
            "tenant": dice.choice(tenants),
            "tier": dice.choice(TIERS),
            "domain": dice.choice(DOMAINS),
            "region": dice.choice(REGIONS),
            "seats": int(dice.expovariate(0.02)) + 1,
            "spend": round(dice.expovariate(0.01), 2),
        }
        return Row(attributes, signals)

    sample = row(random.Random(0))
    return Rules(declared, tuple(rules), row, tuple(sample.attributes), tuple(sample.signals))
