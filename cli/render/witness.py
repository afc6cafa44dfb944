"""A witness in words: the request that shows a finding, without what does not matter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from routec.compiler import policy as p
from routec.compiler.dependencies import inputs
from routec.compiler.expr import Expr, Variable, variables
from routec.compiler.types import Kind
from routec.dsl.diagnostic import Diagnostic

_OVERFLOW = "context_overflow"

MOST = 200
"""Characters of a text that are shown."""


@dataclass(frozen=True, slots=True)
class Matters:
    """What of a witness a reader needs to see.

    Attributes:
        keys: keys of its signals; ``None`` for all.
        names: keys whose values are names of the language, such as members of an enum.
        nearly: whether it is only the nearest to what there is not: of interest is then what it
            has, false and 0 too, and not what is decided of it.
    """

    keys: frozenset[str] | None = None
    names: frozenset[str] = frozenset()
    nearly: bool = False


EVERYTHING = Matters()


def matters(policy: p.Policy, finding: Diagnostic) -> Matters:
    """What matters of a finding's witness: the signals that its subjects' conditions read.

    Keywords and regular expressions are left out, for the text says what they are.
    """
    named = {*finding.subjects, *(r.subject for r in finding.related if r.subject)}
    read = set(_read(policy, _conditions(policy, named)))
    read |= {
        Variable("signal", name, None, policy.signals[name].type)
        for name in named
        if name in policy.signals
    }
    told = (p.Keyword, p.Regex)
    keys = frozenset(
        str(v)
        for v in read
        if v.source == "signal" and not isinstance(policy.signals[v.name].definition, told)
    )
    types = {n: f.type for n, f in policy.fields.items()}
    types |= {n: s.type for n, s in policy.signals.items()}
    # A set without members is one of strings.
    names = frozenset(
        n for n, t in types.items() if t.kind is Kind.ENUM or (t.kind is Kind.SET and t.members)
    )
    return Matters(keys, names, nearly=finding.code == "RC203")


def _conditions(policy: p.Policy, named: set[str]) -> Iterator[Expr]:
    rules: list[p.Route | p.Guard | p.Category]
    rules = [*policy.routes, *policy.guards, *policy.categories]
    yield from (rule.when.expr for rule in rules if rule.name in named)
    for name, condition in policy.lets.items():
        if name in named:
            yield condition.expr
    for promise in policy.promises:
        if promise.text in named:
            yield promise.condition.expr


def _read(policy: p.Policy, conditions: Iterable[Expr]) -> Iterator[Variable]:
    """What conditions read, through derived signals to what these are made from."""
    waiting = [v for condition in conditions for v in variables(condition)]
    seen: set[Variable] = set()
    while waiting:
        variable = waiting.pop()
        if variable not in seen:
            seen.add(variable)
            yield variable
            if variable.source == "signal":
                waiting += inputs(policy.signals[variable.name])


def in_words(witness: Mapping[str, Any], what: Matters = EVERYTHING) -> str:
    """A witness as one line.

    Such as ``the request { tenant: "acme" } with text "very urgent" and topic: legal → route `a```.
    Values that say nothing (false, 0, nothing at all) are left out unless `what` keeps them.
    """
    return " ".join(in_pieces(witness, what))


def in_pieces(witness: Mapping[str, Any], what: Matters = EVERYTHING) -> list[str]:
    """The same as pieces to be joined by spaces: a line is broken between pieces only."""
    attributes = _entries(witness.get("attributes", {}), what)
    pieces = ["the", "request", "{", *_listed(attributes), "}"] if attributes else ["a", "request"]
    said: list[list[str]] = []
    messages = witness.get("messages")
    if messages:
        listed = ", ".join(f"{m['role']}: {_quoted(m['content'])}" for m in messages)
        said.append(f"messages [{listed}]".split(" "))
    elif witness.get("text"):
        said.append(f"text {_quoted(witness['text'])}".split(" "))
    signals = _entries(_kept(witness.get("signals", {}), what), what)
    if "tokens" in witness:
        signals = [f"{witness['tokens']} tokens", *signals]
    if signals:
        said.append(_listed(signals))
    for at, part in enumerate(said):
        pieces += ["with" if at == 0 else "and", *part]
    if witness.get("outcome") is not None and not what.nearly:
        pieces.append(f"→ {_outcome(witness['outcome'])}")
    failed = witness.get("failed")
    if failed:
        pieces[-1] += ","
        value = ", ".join(_entries(_own(failed["signals"]), what))
        pieces += ["but", "while", "it", "fails", f"({value})"]
        pieces.append(f"→ {_outcome(failed['outcome'])}")
    return pieces


def _listed(entries: list[str]) -> list[str]:
    return [*(f"{entry}," for entry in entries[:-1]), *entries[-1:]]


def _own(signals: Mapping[str, Any]) -> dict[str, Any]:
    """A failed signal's own value, without the scores behind a label."""
    first = next(iter(signals), None)
    return {} if first is None else {first: signals[first]}


def _kept(signals: Mapping[str, Any], what: Matters) -> dict[str, Any]:
    """The signals that matter and say something."""
    kept: dict[str, Any] = {}
    for name, value in signals.items():
        if what.keys is not None and name not in what.keys:
            continue
        if not what.nearly and (value is False or value in (0, "", [])):
            continue
        kept[name] = value
    return kept


def _entries(values: Mapping[str, Any], what: Matters) -> list[str]:
    return [f"{name}: {_value(name, value, what)}" for name, value in values.items()]


def _value(name: str, value: Any, what: Matters) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_value(name, item, what) for item in value) + "]"
    if isinstance(value, str):
        bare = name in what.names and value.isidentifier() and value.islower()
        return value if bare else _quoted(value)
    if isinstance(value, float):
        return f"{value:.12g}"
    return str(value)


def _quoted(text: str) -> str:
    shown = text if len(text) <= MOST else text[: MOST - 1] + "…"
    escaped = shown.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + '"'


def _outcome(outcome: Mapping[str, Any]) -> str:
    kind, name = outcome.get("kind"), outcome.get("name")
    if kind == "reject":
        return f"rejected as `{name}`" if name == _OVERFLOW else f"rejected by `{name}`"
    return f"{kind} `{name}`"
