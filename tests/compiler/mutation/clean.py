"""Random policies without any defect, by construction.

Every rule has an atom of its own, over something that no other rule reads, so that it can
be true and false whatever the others are; what rules share beside these decides nothing
by itself. Outcomes differ, everything declared is used, and promises follow from guards
and targets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

MODELS = {
    "mini": "provider: openai, input: $0.25, output: $2.00, context: 400k, quality: 0.62",
    "opus": "provider: anthropic, input: $5.00, output: $25.00, context: 200k, quality: 0.93",
    "local": "provider: vllm, input: $0.05, output: $0.10, context: 128k, quality: 0.48, region: eu",
    "flash": "provider: google, input: $0.10, output: $0.40, context: 1M, quality: 0.60",
}
PROVIDERS = {"mini": "openai", "opus": "anthropic", "local": "vllm", "flash": "google"}
TOPICS = ("billing", "code", "legal", "health", "other")


@dataclass
class Rule:
    """A guard, route or category: its condition, and the rest of its block."""

    name: str
    when: str
    body: str
    priority: int | None = None


@dataclass
class Draft:
    """A policy in pieces, so that a defect can be planted into it."""

    random: Random
    fields: list[str] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    lets: list[str] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=dict)
    pools: list[str] = field(default_factory=list)
    categories: list[Rule] = field(default_factory=list)
    guards: list[Rule] = field(default_factory=list)
    routes: list[Rule] = field(default_factory=list)
    default: str = ""
    promises: list[str] = field(default_factory=list)
    head: str = ""
    count: int = 0
    atoms: int = 0
    embeds: bool = False

    def number(self) -> int:
        """A number not used before, for names."""
        self.count += 1
        return self.count

    def fresh_field(self) -> str:
        """An atom over a new field."""
        return self.random.choice(FIELD_ATOMS)(self)

    def fresh(self) -> str:
        """An atom over something new, a field or a signal."""
        self.atoms += 1
        atom = self.random.choice(FIELD_ATOMS + SIGNAL_ATOMS)
        if atom in EMBEDDED and self.embeds:
            # Whether regions of two embeddings meet can only vectors tell.
            return self.fresh_field()
        self.embeds = self.embeds or atom in EMBEDDED
        return atom(self)

    def target(self) -> str:
        """A model, which is declared from now on."""
        name = self.random.choice(list(MODELS))
        self.models[name] = MODELS[name]
        return name

    def route(self, name: str, priority: int, when: str, body: str | None = None) -> Rule:
        """Add a route; its outcome is like no other's unless it is given."""
        if body is None:
            body = f'to {self.target()} tag "only-{name}"'
        self.routes.append(Rule(name, when, body, priority))
        return self.routes[-1]

    def lowest(self) -> int:
        """A priority below all others."""
        return min((r.priority or 0 for r in self.routes), default=10) - 10

    def highest(self) -> int:
        """A priority above all others."""
        return max((r.priority or 0 for r in self.routes), default=10) + 10

    def render(self) -> str:
        """The policy's text."""
        parts = [f"policy drafted {self.head}"]
        if self.fields:
            parts.append("request {\n  " + "\n  ".join(self.fields) + "\n}")
        parts += self.signals
        parts += self.lets
        parts += [f"model {name} {{ {keys} }}" for name, keys in self.models.items()]
        parts += self.pools
        parts += [f"category {c.name} {{ when {c.when}, {c.body} }}" for c in self.categories]
        for guard in self.guards:
            rank = "" if guard.priority is None else f" priority {guard.priority}"
            parts.append(f"guard {guard.name}{rank} {{ when {guard.when} {guard.body} }}")
        for route in self.routes:
            rank = f"priority {route.priority}"
            parts.append(f"route {route.name} {rank} {{\n  when {route.when}\n  {route.body}\n}}")
        parts.append(f"default route rest {{ {self.default} }}")
        parts += self.promises
        return "\n".join(parts) + "\n"


# --- atoms over something new -------------------------------------------------------------

Atom = Callable[[Draft], str]


def _flag(draft: Draft) -> str:
    name = f"flag_{draft.number()}"
    draft.fields.append(f"{name}: bool = {draft.random.choice(('true', 'false'))}")
    return draft.random.choice((name, f"{name} == true", f"not {name}"))


def _int(draft: Draft) -> str:
    name, low = f"seats_{draft.number()}", draft.random.randint(-5, 50)
    draft.fields.append(f"{name}: int = {draft.random.randint(-60, 60)}".replace("= -", "= -"))
    high = low + draft.random.randint(0, 20)
    return draft.random.choice(
        (f"{name} > {low}", f"{name} <= {low}", f"{name} in {low}..{high}", f"{name} == {low}")
    )


def _float(draft: Draft) -> str:
    name, low = f"load_{draft.number()}", draft.random.randint(0, 9)
    draft.fields.append(f"{name}: float = 0.5")
    return draft.random.choice(
        (f"{name} > 0.{low}", f"{name} <= {low}.25", f"{name} in 0.{low}..{low + 1}.5")
    )


def _enum(draft: Draft) -> str:
    name = f"tier_{draft.number()}"
    draft.fields.append(f'{name}: enum(free, pro, "big corp") = free')
    return draft.random.choice(
        (f"{name} == pro", f'{name} != "big corp"', f"{name} in [free, pro]", f"{name} == free")
    )


def _string(draft: Draft) -> str:
    name = f"dept_{draft.number()}"
    draft.fields.append(f'{name}: string = "sales"')
    return draft.random.choice(
        (f'{name} == "ops"', f'{name} in ["ops", "legal"]', f'{name} != "ops"')
    )


def _set(draft: Draft) -> str:
    name = f"roles_{draft.number()}"
    kind = draft.random.choice(("enum(admin, dev, ops)", "string"))
    draft.fields.append(f"{name}: set({kind})")
    one, two = ("admin", "dev") if kind != "string" else ('"admin"', '"dev"')
    return draft.random.choice(
        (
            f"{name}.any({one}, {two})",
            f"{name}.all({one}, {two})",
            f"{name}.empty",
            f'"admin" in {name}',
            f"not {name}.empty",
        )
    )


def _keyword(draft: Draft) -> str:
    at = draft.number()
    options = draft.random.choice(
        ("", "", " { match: substring }", " { case: sensitive }", " { scope: all_user }")
    )
    draft.signals.append(f'signal words_{at} = keyword("alpha{at}", "beta {at} gamma"){options}')
    return f"words_{at}"


def _regex(draft: Draft) -> str:
    at = draft.number()
    draft.signals.append(rf"signal ticket_{at} = regex(/\bT{at}-[0-9]{{4,6}}\b/)")
    return f"ticket_{at}"


def _only_once(kind: str, declared: str, *atoms: str) -> Atom:
    def atom(draft: Draft) -> str:
        if any(s.startswith(f"signal {kind} ") for s in draft.signals):
            return _flag(draft)
        draft.signals.append(f"signal {kind} = {declared}")
        return draft.random.choice(atoms)

    return atom


def _classifier(draft: Draft) -> str:
    name = f"kind_{draft.number()}"
    exclusive = draft.random.choice(("", "", ", exclusive: false"))
    draft.signals.append(
        f'signal {name} = classifier("{name}") '
        f"{{ labels: [a, b, c], on_error: {draft.random.choice('abc')}{exclusive} }}"
    )
    return draft.random.choice(
        (f"{name} == a", f"{name} != b", f"{name} in [a, c]", f"{name}.b >= 0.7", f"{name}.c < 0.2")
    )


def _similar(draft: Draft) -> str:
    at = draft.number()
    name = f"near_{at}"
    examples = f'"I want number {at} back", "please return {at}"'
    draft.signals.append(f"signal {name} = similarity {{ examples: [{examples}] }}")
    return draft.random.choice((f"{name} >= 0.75", f"{name} > 0.5"))


def _contrast(draft: Draft) -> str:
    at = draft.number()
    name = f"effort_{at}"
    draft.signals.append(
        f'signal {name} = contrast {{ high: ["prove {at} rigorously"], low: ["what is {at}"] }}'
    )
    return f"{name} > 0.{draft.random.randint(1, 5)}"


def _score(draft: Draft) -> str:
    at = draft.number()
    draft.signals.append(f'signal part_{at} = keyword("delta{at}")')
    draft.signals.append(f'signal like_{at} = similarity {{ examples: ["example {at}"] }}')
    draft.fields.append(f"vip_{at}: bool = false")
    draft.signals.append(
        f"signal need_{at} = score {{ 0.5 * like_{at} + 0.3 * part_{at} + 0.2 * vip_{at} }}"
    )
    if draft.random.random() < 0.5:
        return draft.random.choice((f"need_{at} >= 0.4", f"need_{at} < 0.25"))
    draft.signals.append(f"signal band_{at} = bands(need_{at}) {{ low: < 0.3, mid: <= 0.7, high }}")
    return draft.random.choice((f"band_{at} == high", f"band_{at} in [low, mid]"))


FIELD_ATOMS: tuple[Atom, ...] = (_flag, _int, _float, _enum, _string, _set)
SIGNAL_ATOMS: tuple[Atom, ...] = (
    _keyword,
    _keyword,
    _regex,
    _classifier,
    _similar,
    _contrast,
    _score,
    _only_once("size", "tokens()", "size > 2k", "size in 100..8k", "size <= 500"),
    _only_once("turn", "turns()", "turn >= 4", "turn < 2"),
    _only_once("tool", "has_tools()", "tool", "not tool"),
    _only_once("picture", "has_image()", "picture"),
    _only_once("again", "repeated { similarity: 0.8 }", "again"),
    _only_once("clock", 'hour("Europe/Berlin")', "clock >= 18", "clock in 9..17"),
    _only_once("day", 'weekday("UTC")', "day in [sat, sun]", "day == mon"),
    _only_once("spoken", "language()", "spoken == de", "spoken.confidence < 0.6"),
)
EMBEDDED: tuple[Atom, ...] = (_similar, _contrast, _score)


# --- whole policies -------------------------------------------------------------------------


def draft(seed: int) -> Draft:
    """The clean policy of a seed: up to 12 atoms of its rules' own, and some shared ones."""
    random = Random(seed)
    made = Draft(random)
    made.fields.append("tenant: string")
    shared = [_shared_field(made) for _ in range(random.randint(0, 2))]
    made.default = f"to {made.target()}"
    if random.random() < 0.6:
        _guards(made)
    most = random.randint(3, 12)
    priority = 10 * random.randint(8, 20)
    while made.atoms < most:
        priority -= 10
        if random.random() < 0.2:
            _tier(made, priority)
        else:
            name = f"r{made.number()}"
            made.route(name, priority, _condition(made, shared), _body(made, name))
    if random.random() < 0.6:
        _categories(made)
    _promises(made)
    return made


def _shared_field(made: Draft) -> tuple[str, ...]:
    """Atoms over a field that several rules read."""
    at = made.number()
    if made.random.random() < 0.5:
        made.fields.append(f"plan_{at}: enum(basic, plus, max) = basic")
        return (f"plan_{at} == max", f"plan_{at} != basic", f"not plan_{at} == plus")
    made.fields.append(f"age_{at}: int = 30")
    return (f"age_{at} >= 18", f"age_{at} < 65", f"not (age_{at} in 13..17)")


def _condition(made: Draft, shared: list[tuple[str, ...]]) -> str:
    """A condition that reads everything once, with an atom of its own as a factor."""
    random = made.random
    made.embeds = False
    own = made.fresh()
    match random.randint(0, 5):
        case 0:
            own = f"({own} or {made.fresh()})"
        case 1:
            own = f"({own} or ({made.fresh()} and {made.fresh()}))"
        case 2:
            # Lower routes need what is negated here: never a second nearness.
            other = made.fresh_field()
            own = f"({own} or not {other})" if made.embeds else f"(not ({own} and {other}))"
        case 3:
            name = f"wanted_{made.number()}"
            made.lets.append(f"let {name} = {own} and {made.fresh()}")
            own = name
    chosen = random.sample(shared, random.randint(0, len(shared)))
    factors = [own, *(random.choice(group) for group in chosen)]
    random.shuffle(factors)
    return " and ".join(factors)


def _body(made: Draft, name: str) -> str:
    """An outcome that no other rule has."""
    random = made.random
    first = made.target()
    match random.randint(0, 3):
        case 0:
            pool = f"pool_{name}"
            other = random.choice([m for m in MODELS if m != first])
            made.models[other] = MODELS[other]
            made.pools.append(f"pool {pool} = [{first}, {other}]")
            lines = [f"to {pool} by {random.choice(('cost', 'quality', 'weighted'))}"]
        case 1:
            other = random.choice([m for m in MODELS if m != first])
            made.models[other] = MODELS[other]
            lines = [f"to [{first} 90%, {other} 10%]"]
        case _:
            lines = [f"to {first}"]
            if random.random() < 0.5:
                other = random.choice([m for m in MODELS if m != first])
                made.models[other] = MODELS[other]
                lines.append(f"fallback {other}")
    if random.random() < 0.2:
        lines.append("cache off")
    if random.random() < 0.2:
        lines.append("with { max_tokens: 800 }")
    if random.random() < 0.2:
        lines.append("sticky by tenant")
    return "\n  ".join((*lines, f'tag "only-{name}"'))


def _tier(made: Draft, priority: int) -> None:
    """Routes of one priority that exclude each other."""
    at = made.number()
    made.atoms += 2
    match made.random.randint(0, 3):
        case 0:
            made.fields.append(f"area_{at}: enum(north, south, east, west) = north")
            parts = [f"area_{at} == {x}" for x in ("north", "south", "east")]
        case 1:
            made.fields.append(f"spend_{at}: float = 0.0")
            parts = [f"spend_{at} < 10", f"spend_{at} in 10..99.5", f"spend_{at} > 99.5"]
        case 2:
            made.signals.append(
                f'signal style_{at} = classifier("style") '
                "{ labels: [ask, tell, show], on_error: ask }"
            )
            parts = [f"style_{at}.ask >= 0.6", f"style_{at}.tell > 0.4"]
        case _:
            made.signals.append(f'signal long_{at} = keyword("very urgent {at}")')
            made.signals.append(f'signal short_{at} = keyword("urgent {at}")')
            parts = [f"long_{at}", f"not short_{at}"]
    for part in parts:
        made.route(f"t{made.number()}", priority, f"{part} and {made.fresh_field()}")


def _guards(made: Draft) -> None:
    random = made.random
    if random.random() < 0.6:
        made.signals.append(
            'signal attack = classifier("jailbreak") '
            "{ labels: [benign, jailbreak], on_error: jailbreak }"
        )
        made.guards.append(
            Rule("no_attacks", "attack.jailbreak >= 0.90", 'reject 403 "prompt_injection"')
        )
        made.promises.append(
            'assert "attacks stop" { never attack.jailbreak >= 0.95 and not reject }'
        )
        made.atoms += 1
    if random.random() < 0.5:
        made.signals.append("signal pii = entities(email, phone, credit_card, iban)")
        made.guards.append(Rule("clean_cards", "pii.any(credit_card, iban)", "redact pii"))
        made.atoms += 1
    for _ in range(random.randint(0, 2)):
        name = f"g{made.number()}"
        action = random.choice((f'reject 4{made.number():02} "no"', f'tag "mark-{name}"'))
        rank = random.choice((None, None, random.randint(1, 9)))
        made.guards.append(Rule(name, made.fresh_field(), action, rank))


def _categories(made: Draft) -> None:
    made.signals.append(
        f'signal topic = classifier("topic") {{ labels: [{", ".join(TOPICS)}], on_error: other }}'
    )
    for at, topic in enumerate(made.random.sample(TOPICS[:3], made.random.randint(1, 3))):
        terms = f"similarity: 0.9{at}, ttl: {at + 1}h, scope: tenant"
        extra = made.random.choice(("", f" and {made.fresh_field()}"))
        made.categories.append(Rule(f"c_{topic}", f"topic == {topic}{extra}", terms))


def _promises(made: Draft) -> None:
    random = made.random
    for route in random.sample(made.routes, min(2, len(made.routes))):
        named = [PROVIDERS[m] for m in MODELS if m in route.body.split("pool_")[0]]
        if "pool_" in route.body:
            pool = next(p for p in made.pools if p.startswith(f"pool pool_{route.name} "))
            named = [PROVIDERS[m] for m in MODELS if m in pool] + [
                PROVIDERS[m] for m in MODELS if f"fallback {m}" in route.body
            ]
        allowed = " or ".join(f"model.provider == {x}" for x in named)
        made.promises.append(
            f'assert "{route.name} keeps to its models" '
            f"{{ always route == {route.name} implies ({allowed}) }}"
        )
        if "cache off" in route.body:
            made.promises.append(
                f'assert "{route.name} is never cached" '
                f"{{ never route == {route.name} and (cached or category != none) }}"
            )
