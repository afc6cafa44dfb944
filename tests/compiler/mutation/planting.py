"""Planting one defect into a clean policy, and knowing what must be said about it.

A planter adds as little as the defect needs. Signals that only a dead rule reads are
out of use, so planters that make a rule dead take fields, which nobody counts as unused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.compiler.mutation.clean import MODELS, PROVIDERS, TOPICS, Draft, Rule


@dataclass(frozen=True)
class Planted:
    """What must be said of a policy with a defect.

    Attributes:
        code: of the finding.
        subjects: the finding's first subjects.
        related: further names or texts that it must mention, in any order; ``None`` for any.
        part: what stands at its place; ``None`` for anything.
        implied: code and first subject of findings that follow from the defect.
    """

    code: str
    subjects: tuple[str, ...]
    related: frozenset[str] | None = None
    part: str | None = None
    implied: frozenset[tuple[str, str]] = field(default_factory=frozenset)


Planter = Callable[[Draft], Planted]
PLANTERS: dict[str, Planter] = {}


def planter(plant: Planter) -> Planter:
    """Register a planter under its name."""
    PLANTERS[plant.__name__] = plant
    return plant


def family(name: str, cases: dict[str, Planter]) -> None:
    """Register planters that differ in the theory they are about."""
    for case, plant in cases.items():
        PLANTERS[f"{name}_{case}"] = plant


# --- things to clash over --------------------------------------------------------------------


def _field(draft: Draft, name: str, declared: str) -> str:
    made = f"{name}_{draft.number()}"
    draft.fields.append(f"{made}: {declared}")
    return made


def _signal(draft: Draft, name: str, declared: str) -> str:
    made = f"{name}_{draft.number()}"
    draft.signals.append(f"signal {made} = {declared}")
    return made


def _flag(draft: Draft) -> str:
    return _field(draft, "on", "bool = false")


def _classifier(draft: Draft, exclusive: bool = True) -> str:
    options = "" if exclusive else ", exclusive: false"
    return _signal(
        draft, "guess", f'classifier("guess") {{ labels: [a, b, c], on_error: c{options} }}'
    )


def _score(draft: Draft) -> tuple[str, str]:
    """A score up to 1, and a bool signal that it counts half."""
    like = _signal(draft, "like", 'similarity { examples: ["one thing"] }')
    word = _signal(draft, "word", f'keyword("omega{draft.number()}")')
    need = _signal(draft, "want", f"score {{ 0.5 * {like} + 0.5 * {word} }}")
    return need, word


def _bands(draft: Draft) -> tuple[str, str]:
    """A score, and its bands."""
    need, _ = _score(draft)
    bands = f"bands({need}) {{ low: < 0.3, mid: < 0.7, high }}"
    return need, _signal(draft, "step", bands)


# Partitions: parts that together are everything, and of which two never hold at once.


def _halves_int(draft: Draft) -> list[str]:
    name = _field(draft, "years", "int = 30")
    return [f"{name} < 18", f"{name} in 18..64", f"{name} > 64"]


def _halves_float(draft: Draft) -> list[str]:
    name = _field(draft, "rate", "float = 0.5")
    return [f"{name} <= 0.5", f"{name} > 0.5"]


def _halves_bool(draft: Draft) -> list[str]:
    name = _flag(draft)
    return [name, f"not {name}"]


def _halves_enum(draft: Draft) -> list[str]:
    name = _field(draft, "size", "enum(small, middle, large) = small")
    return [f"{name} == small", f"{name} == middle", f"{name} == large"]


def _halves_string(draft: Draft) -> list[str]:
    name = _field(draft, "team", 'string = "red"')
    return [f'{name} == "red"', f'{name} == "blue"', f'not {name} in ["red", "blue"]']


def _halves_set(draft: Draft) -> list[str]:
    name = _field(draft, "rights", "set(enum(read, write))")
    return [f"{name}.empty", f'"read" in {name}', f'"write" in {name} and not "read" in {name}']


def _halves_label(draft: Draft) -> list[str]:
    name = _classifier(draft)
    return [f"{name} == a", f"{name} in [b, c]"]


def _halves_scores(draft: Draft) -> list[str]:
    name = _classifier(draft)
    return [f"{name}.a >= 0.5", f"{name}.a < 0.5"]


def _halves_bands(draft: Draft) -> list[str]:
    _, step = _bands(draft)
    return [f"{step} == low", f"{step} == mid", f"{step} == high"]


def _halves_keyword(draft: Draft) -> list[str]:
    at = draft.number()
    long = _signal(draft, "long", f'keyword("refund order {at}")')
    short = _signal(draft, "short", f'keyword("refund order {at}", "money {at} back")')
    return [long, f"{short} and not {long}", f"not {short}"]


HALVES: dict[str, Callable[[Draft], list[str]]] = {
    "int": _halves_int,
    "float": _halves_float,
    "bool": _halves_bool,
    "enum": _halves_enum,
    "string": _halves_string,
    "set": _halves_set,
    "label": _halves_label,
    "scores": _halves_scores,
    "bands": _halves_bands,
    "keyword": _halves_keyword,
}

# Clashes: parts of which all but any one can hold together, but not all of them.


def _clash_int(draft: Draft) -> list[str]:
    name = _field(draft, "years", "int = 30")
    return [f"{name} > 30", f"{name} < 31"]


def _clash_float(draft: Draft) -> list[str]:
    name = _field(draft, "rate", "float = 0.5")
    return [f"{name} > 0.30", f"{name} <= 0.3"]


def _clash_between(draft: Draft) -> list[str]:
    name = _field(draft, "years", "int = 30")
    return [f"{name} >= 3", f"{name} <= 5", f"not {name} in 2..7"]


def _clash_enum(draft: Draft) -> list[str]:
    name = _field(draft, "size", "enum(small, middle, large) = small")
    return [f"{name} != small", f"{name} != middle", f"not {name} == large"]


def _clash_string(draft: Draft) -> list[str]:
    name = _field(draft, "team", 'string = "red"')
    return [f'{name} == "red"', f'{name} == "blue"']


def _clash_set(draft: Draft) -> list[str]:
    name = _field(draft, "rights", "set(enum(read, write))")
    return [f"{name}.empty", f'"read" in {name}']


def _clash_open_set(draft: Draft) -> list[str]:
    name = _field(draft, "groups", "set(string)")
    return [f'{name}.all("x", "y")', f'not {name}.any("y", "z")']


def _clash_keyword(draft: Draft) -> list[str]:
    at = draft.number()
    long = _signal(draft, "long", f'keyword("refund order {at}", "refund {at} money")')
    short = _signal(draft, "short", f'keyword("Order {at}", "money")')
    return [long, f"not {short}"]


def _clash_substring(draft: Draft) -> list[str]:
    at = draft.number()
    inside = _signal(draft, "inside", f'keyword("fund{at}") {{ match: substring }}')
    whole = _signal(draft, "whole", f'keyword("refund{at}ing")')
    return [whole, f"not {inside}"]


def _clash_regex(draft: Draft) -> list[str]:
    at = draft.number()
    narrow = _signal(draft, "narrow", rf"regex(/\bX{at}-[0-9]{{6}}\b/)")
    wide = _signal(draft, "wide", rf"regex(/X{at}-[0-9]+/)")
    return [narrow, f"not {wide}"]


def _clash_sum(draft: Draft) -> list[str]:
    name = _classifier(draft)
    return [f"{name}.a >= 0.6", f"{name}.b >= 0.5"]


def _clash_three(draft: Draft) -> list[str]:
    name = _classifier(draft)
    return [f"{name}.a >= 0.4", f"{name}.b >= 0.35", f"{name}.c > 0.25"]


def _clash_label(draft: Draft) -> list[str]:
    name = _classifier(draft)
    return [f"{name} == a", f"{name}.b > 0.5"]


def _clash_low(draft: Draft) -> list[str]:
    name = _classifier(draft)
    return [f"{name} == b", f"{name}.b < 0.3"]


def _clash_open_label(draft: Draft) -> list[str]:
    name = _classifier(draft, exclusive=False)
    return [f"{name} == c", f"{name}.c <= 0.4", f"{name}.a > 0.4"]


def _clash_score(draft: Draft) -> list[str]:
    need, word = _score(draft)
    return [f"{need} > 0.75", f"not {word}"]


def _clash_band(draft: Draft) -> list[str]:
    need, step = _bands(draft)
    return [f"{step} == high", f"{need} < 0.7"]


def _clash_bool(draft: Draft) -> list[str]:
    name = _flag(draft)
    return [name, f"{name} == false"]


CLASHES: dict[str, Callable[[Draft], list[str]]] = {
    "int": _clash_int,
    "float": _clash_float,
    "between": _clash_between,
    "enum": _clash_enum,
    "string": _clash_string,
    "set": _clash_set,
    "open_set": _clash_open_set,
    "keyword": _clash_keyword,
    "substring": _clash_substring,
    "regex": _clash_regex,
    "scores_of_two": _clash_sum,
    "scores_of_three": _clash_three,
    "label_and_score": _clash_label,
    "label_too_low": _clash_low,
    "open_label": _clash_open_label,
    "score": _clash_score,
    "band": _clash_band,
    "bool": _clash_bool,
}

# Meetings: two atoms that can hold together though neither implies the other.


def _meet_int(draft: Draft) -> list[str]:
    name = _field(draft, "years", "int = 30")
    return [f"{name} in 1..10", f"{name} in 10..20"]


def _meet_float(draft: Draft) -> list[str]:
    name = _field(draft, "rate", "float = 0.5")
    return [f"{name} in 0.1..0.5", f"{name} in 0.5..0.9"]


def _meet_enum(draft: Draft) -> list[str]:
    name = _field(draft, "size", "enum(small, middle, large, huge) = small")
    return [f"{name} in [small, middle]", f"{name} in [middle, large]"]


def _meet_set(draft: Draft) -> list[str]:
    name = _field(draft, "rights", "set(enum(read, write, run))")
    return [f"{name}.any(read, run)", f"{name}.all(write)"]


def _meet_text(draft: Draft) -> list[str]:
    at = draft.number()
    word = _signal(draft, "word", f'keyword("invoice {at}")')
    ticket = _signal(draft, "card", rf"regex(/\bC{at}[a-f]{{3,}}\b/i)")
    return [word, ticket]


def _meet_scores(draft: Draft) -> list[str]:
    name = _classifier(draft)
    return [f"{name}.a >= 0.5", f"{name}.b >= 0.5"]


def _meet_label(draft: Draft) -> list[str]:
    name = _classifier(draft)
    return [f"{name} == a", f"{name}.b > 0.4"]


def _meet_score(draft: Draft) -> list[str]:
    need, step = _bands(draft)
    return [f"{need} >= 0.65", f"{step} == mid"]


MEETINGS: dict[str, Callable[[Draft], list[str]]] = {
    "int": _meet_int,
    "float": _meet_float,
    "enum": _meet_enum,
    "set": _meet_set,
    "text": _meet_text,
    "scores": _meet_scores,
    "label_and_score": _meet_label,
    "score_and_band": _meet_score,
}

# Implications: the first atom holds wherever the second does.


def _implied_int(draft: Draft) -> tuple[str, str]:
    name = _field(draft, "years", "int = 30")
    return f"{name} > 3", f"{name} >= 5"


def _implied_enum(draft: Draft) -> tuple[str, str]:
    name = _field(draft, "size", "enum(small, middle, large) = small")
    return f"{name} != small", f"{name} == large"


def _implied_set(draft: Draft) -> tuple[str, str]:
    name = _field(draft, "rights", "set(string)")
    return f'{name}.any("read", "write")', f'"read" in {name}'


def _implied_keyword(draft: Draft) -> tuple[str, str]:
    at = draft.number()
    short = _signal(draft, "short", f'keyword("refund {at}")')
    return short, _signal(draft, "long", f'keyword("full refund {at}")')


def _implied_regex(draft: Draft) -> tuple[str, str]:
    at = draft.number()
    wide = _signal(draft, "wide", rf"regex(/Y{at}[0-9]+/i)")
    return wide, _signal(draft, "narrow", rf"regex(/\by{at}[0-9]{{3}}\b/)")


def _implied_label(draft: Draft) -> tuple[str, str]:
    name = _classifier(draft)
    return f"{name} == a", f"{name}.a > 0.5"


def _implied_score(draft: Draft) -> tuple[str, str]:
    need, word = _score(draft)
    return word, f"{need} >= 0.51"


def _implied_band(draft: Draft) -> tuple[str, str]:
    need, step = _bands(draft)
    return f"{step} != low", f"{need} >= 0.31"


IMPLIED: dict[str, Callable[[Draft], tuple[str, str]]] = {
    "int": _implied_int,
    "enum": _implied_enum,
    "set": _implied_set,
    "keyword": _implied_keyword,
    "regex": _implied_regex,
    "label": _implied_label,
    "score": _implied_score,
    "band": _implied_band,
}

# --- RC201 ------------------------------------------------------------------------------------


def _tie(meeting: Callable[[Draft], list[str]]) -> Planter:
    def plant(draft: Draft) -> Planted:
        one, two = meeting(draft)
        priority = draft.random.choice((draft.lowest(), draft.highest()))
        draft.route("tie_one", priority, one)
        draft.route("tie_two", priority, two)
        return Planted("RC201", ("tie_two", "tie_one"), frozenset({"tie_one"}))

    return plant


family("tie", {name: _tie(meeting) for name, meeting in MEETINGS.items()})

# --- RC202 ------------------------------------------------------------------------------------


def _dead_route(draft: Draft, priority: int, when: str) -> None:
    """A route that nothing takes; its model is in use elsewhere."""
    draft.route("dead", priority, when, draft.default + ' tag "dead"')


@planter
def shadowed_by_one(draft: Draft) -> Planted:
    above = draft.random.choice(draft.routes)
    assert above.priority is not None
    _dead_route(draft, above.priority - 1, f"({above.when}) and {draft.fresh_field()}")
    return Planted("RC202", ("dead",), frozenset({above.name}))


def _union(halves: Callable[[Draft], list[str]]) -> Planter:
    def plant(draft: Draft) -> Planted:
        parts = halves(draft)
        base = draft.fresh_field()
        priority = draft.highest()
        for at, part in enumerate(parts):
            draft.route(f"part_{at}", priority, f"({base}) and ({part})")
        below = draft.random.choice((priority - 1, draft.lowest()))
        _dead_route(draft, below, base)
        cover = frozenset(f"part_{at}" for at in range(len(parts)))
        return Planted("RC202", ("dead",), cover)

    return plant


family("shadowed_by_union", {name: _union(halves) for name, halves in HALVES.items()})


@planter
def shadowed_by_guard(draft: Draft) -> Planted:
    base = draft.fresh_field()
    draft.guards.append(Rule("stop", base, 'reject 409 "stop"'))
    _dead_route(draft, draft.highest(), f"{base} and {draft.fresh_field()}")
    return Planted("RC202", ("dead",), frozenset({"stop"}))


@planter
def shadowed_by_guard_and_route(draft: Draft) -> Planted:
    base, other = draft.fresh_field(), _flag(draft)
    draft.guards.append(Rule("stop", f"{base} and {other}", 'reject 409 "stop"'))
    draft.route("wide", draft.highest(), f"not {other}")
    _dead_route(draft, draft.highest() - 15, base)
    return Planted("RC202", ("dead",), frozenset({"stop", "wide"}))


@planter
def default_unreachable(draft: Draft) -> Planted:
    parts = draft.random.choice((_halves_int, _halves_float, _halves_bool, _halves_enum))(draft)
    low = draft.lowest()
    for at, part in enumerate(parts):
        draft.route(f"part_{at}", low, part, f'{draft.default} tag "only-{at}"')
    cover = frozenset(f"part_{at}" for at in range(len(parts)))
    return Planted("RC202", ("rest",), cover)


# --- RC203 ------------------------------------------------------------------------------------


def _contradiction(clash: Callable[[Draft], list[str]]) -> Planter:
    def plant(draft: Draft) -> Planted:
        before = set(draft.signals)
        parts = clash(draft)
        # What a rule that never acts reads is out of use.
        unused = {("RC207", s.split()[1]) for s in draft.signals if s not in before}
        others = [draft.fresh_field() for _ in range(draft.random.randint(0, 2))]
        mixed = [*parts, *others]
        draft.random.shuffle(mixed)
        where = draft.random.choice(("guard", "route", "category", "let"))
        when = " and ".join(mixed)
        implied: set[tuple[str, str]] = set()
        match where:
            case "guard":
                draft.guards.append(Rule("blocked", when, 'reject 409 "blocked"'))
            case "route":
                draft.route("blocked", draft.highest(), when, draft.default + ' tag "blocked"')
                implied = unused
            case "category":
                terms = "similarity: 0.77, ttl: 9h, scope: tenant"
                draft.categories.append(Rule("blocked", when, terms))
                implied = unused
            case "let":
                draft.lets.append(f"let blocked = {when}")
                draft.route("partly", draft.lowest(), f"blocked or {draft.fresh_field()}")
                implied = {("RC212", "partly")}
        return Planted("RC203", ("blocked",), frozenset(parts), implied=frozenset(implied))

    return plant


family("contradiction", {name: _contradiction(clash) for name, clash in CLASHES.items()})

# --- RC204 ------------------------------------------------------------------------------------


def _tautology(halves: Callable[[Draft], list[str]]) -> Planter:
    def plant(draft: Draft) -> Planted:
        parts = halves(draft)
        when = " or ".join(f"({part})" for part in parts)
        body = draft.default + ' tag "only-total"'
        draft.route("total", draft.lowest(), when, body)
        return Planted("RC204", ("total",), implied=frozenset({("RC202", "rest")}))

    return plant


family("tautology", {name: _tautology(halves) for name, halves in HALVES.items()})

# --- RC205 ------------------------------------------------------------------------------------


@planter
def redundant_because_of_later(draft: Draft) -> Planted:
    base = draft.fresh_field()
    body = f'to {draft.target()} tag "twice"'
    draft.route("spare", draft.lowest(), f"{base} and {draft.fresh()}", body)
    draft.route("wide", draft.lowest(), base, body)
    return Planted("RC205", ("spare",), frozenset({"wide"}))


@planter
def redundant_because_of_two_later(draft: Draft) -> Planted:
    base, split = draft.fresh_field(), _flag(draft)
    body = f'to {draft.target()} tag "twice"'
    draft.route("spare", draft.lowest(), base, body)
    low = draft.lowest()
    draft.route("one", low, f"{base} and {split}", body)
    draft.route("two", low, f"{base} and not {split}", body)
    # The two lower routes get nothing from the upper one's requests: they are covered by it.
    implied = frozenset({("RC202", "one"), ("RC202", "two")})
    return Planted("RC205", ("spare",), frozenset({"one", "two"}), implied=implied)


@planter
def redundant_because_of_default(draft: Draft) -> Planted:
    draft.route("spare", draft.lowest(), draft.fresh(), draft.default)
    return Planted("RC205", ("spare",), frozenset({"rest"}))


@planter
def redundant_guard_before(draft: Draft) -> Planted:
    base = draft.fresh_field()
    draft.guards.append(Rule("spare", f"{base} and {draft.fresh()}", 'reject 409 "stop"'))
    draft.guards.append(Rule("wide", base, 'reject 409 "stop"'))
    return Planted("RC205", ("spare",), frozenset({"wide"}))


@planter
def redundant_guard_after(draft: Draft) -> Planted:
    base = draft.fresh_field()
    draft.guards.append(Rule("wide", base, 'reject 409 "stop"'))
    action = draft.random.choice(('reject 410 "later"', 'tag "later"'))
    draft.guards.append(Rule("spare", f"{base} and {draft.fresh()}", action))
    return Planted("RC205", ("spare",), frozenset({"wide"}))


@planter
def redundant_tag(draft: Draft) -> Planted:
    base = draft.fresh_field()
    draft.guards.append(Rule("wide", base, 'tag "same"'))
    draft.guards.append(Rule("spare", f"{base} and {draft.fresh()}", 'tag "same"'))
    return Planted("RC205", ("spare",), frozenset({"wide"}))


@planter
def redundant_category(draft: Draft) -> Planted:
    base, terms = f"(topic == other and {draft.fresh_field()})", "similarity: 0.8, scope: tenant"
    _topics(draft)
    narrow = Rule("spare", f"{base} and {draft.fresh_field()}", terms)
    wide = Rule("wide", base, terms)
    first = draft.random.random() < 0.5
    draft.categories += [narrow, wide] if first else [wide, narrow]
    # A category that never applies is out of use, too.
    implied = frozenset() if first else frozenset({("RC207", "spare")})
    return Planted("RC205", ("spare",), None, implied=implied)


def _topics(draft: Draft) -> None:
    if not any(s.startswith("signal topic ") for s in draft.signals):
        draft.signals.append(
            f'signal topic = classifier("topic") {{ labels: [{", ".join(TOPICS)}], on_error: other }}'
        )


# --- RC207 ------------------------------------------------------------------------------------


def _unused(what: str, line: Callable[[Draft], str]) -> Planter:
    def plant(draft: Draft) -> Planted:
        declared = line(draft)
        if what == "signal":
            draft.signals.append(declared)
        elif what == "let":
            draft.lets.append(declared)
        elif what == "pool":
            draft.pools.append(declared)
        else:
            draft.models["spare"] = declared
        return Planted("RC207", ("spare",))

    return plant


family(
    "unused",
    {
        "signal": _unused("signal", lambda draft: 'signal spare = keyword("never asked")'),
        "classifier": _unused(
            "signal",
            lambda draft: 'signal spare = classifier("x") { labels: [a, b], on_error: b }',
        ),
        "let": _unused("let", lambda draft: f"let spare = {draft.fresh_field()}"),
        "model": _unused("model", lambda draft: "provider: openai, context: 8k"),
        "pool": _unused("pool", lambda draft: f"pool spare = [{draft.default.split()[1]}]"),
    },
)

# --- RC208, RC302 -------------------------------------------------------------------------------


@planter
def overlapping_categories(draft: Draft) -> Planted:
    _topics(draft)
    base = f"topic == other and {draft.fresh_field()}"
    draft.categories.append(
        Rule("one", f"{base} and {draft.fresh_field()}", "similarity: 0.8, scope: tenant")
    )
    draft.categories.append(Rule("two", base, "similarity: 0.8, ttl: 3h, scope: tenant"))
    return Planted("RC208", ("two", "one"))


@planter
def leaky_by_field(draft: Draft) -> Planted:
    _topics(draft)
    when = f'topic == other and tenant != "acme" and {draft.fresh_field()}'
    draft.categories.append(Rule("shared", when, "similarity: 0.8, scope: global"))
    return Planted("RC302", ("shared", "tenant"))


@planter
def leaky_by_entities(draft: Draft) -> Planted:
    _topics(draft)
    found = _signal(draft, "found", "entities(passport, email)".replace("passport", "phone"))
    mask = "" if draft.random.random() < 0.5 else f"{found}.any(phone)"
    draft.route("asks", draft.highest(), f"not {found}.empty")
    if mask:
        draft.guards.append(Rule("mask", mask, f"redact {found}"))
    draft.categories.append(
        Rule("shared", f"topic == other and {draft.fresh_field()}", "similarity: 0.8")
    )
    # Of several entities signals the first that is not redacted is named.
    return Planted("RC302", ("shared",))


# --- RC209 ------------------------------------------------------------------------------------


def _promise(draft: Draft, said: str) -> str:
    draft.promises.append(f'assert "planted" {{ {said} }}')
    return "planted"


def _two_models(draft: Draft) -> tuple[str, str]:
    one, two = draft.random.sample(list(MODELS), 2)
    draft.models |= {one: MODELS[one], two: MODELS[two]}
    return one, two


def _broken_by_model(body: str, said: str) -> Planter:
    def plant(draft: Draft) -> Planted:
        one, two = draft.random.sample(list(MODELS), 2)
        used = {name for key, name in (("{one}", one), ("{two}", two)) if key in body}
        draft.models |= {name: MODELS[name] for name in used}
        base = draft.fresh_field()
        draft.route("guilty", draft.highest(), base, body.format(one=one, two=two) + ' tag "g"')
        text = _promise(draft, said.format(base=base, one=one, two=two, by=PROVIDERS[two]))
        return Planted("RC209", (text, "guilty"))

    return plant


family(
    "broken",
    {
        "by_target": _broken_by_model("to {two}", "never {base} and model.provider == {by}"),
        "by_fallback": _broken_by_model(
            "to {one} fallback {two}", "never {base} and model.provider == {by}"
        ),
        "by_minor_candidate": _broken_by_model(
            "to [{one} 99.5%, {two} 0.5%]", "never {base} and model == {two}"
        ),
        "by_shadow": _broken_by_model(
            "to {one} shadow to {two} 1%", "always {base} implies model == {one}"
        ),
        "by_plan": _broken_by_model(
            "to {one} fallback {two}", "never {base} and fallback.provider == {by}"
        ),
        "by_route": _broken_by_model("to {one}", "never {base} and route == guilty"),
        "by_not_rejecting": _broken_by_model("to {one}", "always {base} implies reject"),
    },
)


@planter
def broken_by_cached(draft: Draft) -> Planted:
    _topics(draft)
    base = draft.fresh_field()
    when = f"topic == other and {base}"
    draft.categories.append(Rule("kept", when, "similarity: 0.8, scope: tenant"))
    draft.route("guilty", draft.highest(), base)
    return Planted("RC209", (_promise(draft, f"never {base} and cached"), "guilty"))


@planter
def broken_by_category(draft: Draft) -> Planted:
    _topics(draft)
    base = draft.fresh_field()
    when = f"topic == other and {draft.fresh_field()}"
    draft.categories.append(Rule("kept", when, "similarity: 0.8, scope: tenant"))
    draft.route("guilty", draft.highest(), base)
    said = f"always {base} and route == guilty implies category == none"
    return Planted("RC209", (_promise(draft, said), "guilty"))


@planter
def broken_by_forced_category(draft: Draft) -> Planted:
    _topics(draft)
    base = draft.fresh_field()
    when = f"topic == other and {draft.fresh_field()}"
    draft.categories.append(Rule("kept", when, "similarity: 0.8, scope: tenant"))
    draft.route("guilty", draft.highest(), base, f'to {draft.target()} cache kept tag "g"')
    said = f"never {base} and category == kept and topic != other"
    return Planted("RC209", (_promise(draft, said), "guilty"))


@planter
def broken_by_redaction(draft: Draft) -> Planted:
    found = _signal(draft, "found", "entities(phone, email)")
    draft.guards.append(Rule("mask", f"{found}.any(phone)", f"redact {found}"))
    base = draft.fresh_field()
    draft.route("guilty", draft.highest(), base)
    said = f"always {base} and not {found}.empty and not reject implies redact"
    return Planted("RC209", (_promise(draft, said), "guilty"))


@planter
def broken_by_wrong_guard(draft: Draft) -> Planted:
    base = draft.fresh_field()
    draft.guards.insert(0, Rule("guilty", base, 'reject 409 "stop"', 99))
    draft.guards.append(Rule("meant", draft.fresh_field(), 'reject 410 "other"'))
    said = f"always {base} implies reject == meant"
    return Planted("RC209", (_promise(draft, said), "guilty"))


# --- RC210 ------------------------------------------------------------------------------------


def _empty_band(bands: str, empty: str) -> Planter:
    def plant(draft: Draft) -> Planted:
        need, _ = _score(draft)
        name = _signal(draft, "level", f"bands({need}) {{ {bands} }}")
        other = draft.random.choice([b for b in ("first", "last") if b != empty])
        draft.route("levels", draft.lowest(), f"{name} == {other} and {draft.fresh_field()}")
        return Planted("RC210", (name, empty))

    return plant


family(
    "empty_band",
    {
        "descending": _empty_band("first: < 0.5, second: < 0.3, last", "second"),
        "equal": _empty_band("first: <= 0.5, second: < 0.5, last", "second"),
        "below": _empty_band("first: < -0.5, second: < 0.5, last", "first"),
        "above": _empty_band("first: < 0.5, second: <= 1, last", "last"),
    },
)

# --- RC212 ------------------------------------------------------------------------------------


def _dead(shape: str) -> Callable[[Callable[[Draft], tuple[str, str]]], Planter]:
    def made(implication: Callable[[Draft], tuple[str, str]]) -> Planter:
        def plant(draft: Draft) -> Planted:
            wide, narrow = implication(draft)
            base = draft.fresh_field()
            when = shape.format(wide=wide, narrow=narrow, base=base)
            where = draft.random.choice(("route", "guard", "let"))
            dead = wide if " and {narrow}" in shape or "{narrow} and " in shape else narrow
            if where == "guard":
                draft.guards.append(Rule("partly", when, 'tag "partly"'))
            elif where == "route":
                draft.route("partly", draft.lowest(), when)
            else:
                draft.lets.append(f"let partly = {when}")
                draft.route("user", draft.lowest(), f"partly and {draft.fresh_field()}")
            return Planted("RC212", ("partly",), part=dead)

        return plant

    return made


for _shape, _form in {
    "and": "{base} and {wide} and {narrow}",
    "or": "{base} and ({wide} or {narrow})",
    "not": "{base} and not ({narrow} or {wide})",
    "deep": "{base} or not ({wide} and {narrow})",
}.items():
    family(f"dead_under_{_shape}", {name: _dead(_form)(made) for name, made in IMPLIED.items()})


@planter
def dead_because_of_higher_route(draft: Draft) -> Planted:
    base = draft.fresh_field()
    draft.route("higher", draft.highest(), base)
    draft.route("partly", draft.lowest(), f"{base} or {draft.fresh_field()}")
    return Planted("RC212", ("partly",), part=base)


@planter
def dead_because_of_guard(draft: Draft) -> Planted:
    base = _flag(draft)
    draft.guards.append(Rule("stop", base, 'reject 409 "stop"'))
    draft.route("partly", draft.lowest(), f"not {base} and {draft.fresh_field()}")
    return Planted("RC212", ("partly",), part=f"not {base}")


# --- RC301 ------------------------------------------------------------------------------------


def _opens(*atoms: str) -> Planter:
    def plant(draft: Draft) -> Planted:
        name = _signal(
            draft, "danger", 'classifier("danger") { labels: [safe, bad], on_error: safe }'
        )
        extra = draft.random.choice(("", f" and {draft.fresh_field()}"))
        atom = draft.random.choice(atoms).format(name=name)
        if "{sum}" in atom or "risk" in atom:
            draft.signals.append(f"signal risk = score {{ 0.8 * {name}.bad }}")
        draft.guards.append(Rule("open", f"{atom}{extra}", 'reject 409 "danger"'))
        return Planted("RC301", ("open", name))

    return plant


family(
    "fails_open",
    {
        "by_score": _opens("{name}.bad >= 0.8", "{name}.safe < 0.3"),
        "by_label": _opens("{name} == bad", "{name} != safe", "not {name} == safe"),
        "by_sum": _opens("risk >= 0.6"),
    },
)

# --- RC304, RC305 -----------------------------------------------------------------------------


@planter
def fallback_cycle_by_target(draft: Draft) -> Planted:
    one, two = _two_models(draft)
    body = f'to {one} fallback {two} -> {one} tag "c"'
    draft.route("cycle", draft.highest(), draft.fresh(), body)
    return Planted("RC304", ("cycle", one))


@planter
def fallback_cycle_in_chain(draft: Draft) -> Planted:
    one, two = _two_models(draft)
    draft.models["other"] = "provider: another"
    body = f'to {one} fallback {two} -> other -> {two} tag "c"'
    draft.route("cycle", draft.highest(), draft.fresh(), body)
    return Planted("RC304", ("cycle", two))


@planter
def shared_fate(draft: Draft) -> Planted:
    one, _ = _two_models(draft)
    draft.models["twin"] = f"provider: {PROVIDERS[one]}, context: 8k"
    body = f'to {one} fallback twin tag "f"'
    draft.route("fated", draft.highest(), draft.fresh(), body)
    return Planted("RC305", ("fated", "twin"))


# --- RC402 ------------------------------------------------------------------------------------


@planter
def over_budget(draft: Draft) -> Planted:
    name = _classifier(draft)
    draft.head = "{ p99: 1ms }"
    draft.guards.append(Rule("dear", f"{name}.a > 0.9", 'tag "dear"'))
    return Planted("RC402", ("drafted",))
