"""Witnesses: whole requests that show a finding, made from models and tried before printing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

from routec.compiler import policy as p
from routec.compiler.analysis.supposing import roomy, runnable
from routec.compiler.interpreter import Circumstances, Decision, Request, all_values, decide
from routec.compiler.theory.encoding import Encoding, Key, Number
from routec.compiler.theory.solver import Messages, Model
from routec.compiler.theory.texts import Texts
from routec.compiler.types import Kind, Plain, Scores, Type, Value

if TYPE_CHECKING:
    from routec.compiler.theory.caps import Caps

EFFORT = 400_000
"""Rules looked at, over a whole analysis, to make witnesses smaller."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A request with the value of every signal that is not derived, and a text that fits."""

    attributes: Mapping[str, Plain]
    signals: Mapping[str, Value]
    messages: Messages

    def request(self) -> Request:
        """What the interpreter decides about."""
        tokens = next((v for v in self.signals.values() if isinstance(v, _Tokens)), 0)
        return Request("witness", self.attributes, int(tokens))


class _Tokens(int):
    """The value of a `tokens` signal, which is also the size of the request."""


Shows = Callable[[Witness], bool]
Change = Callable[[Witness], Witness | None]


class Witnesses:
    """Makes witnesses for one policy."""

    def __init__(
        self, policy: p.Policy, encoding: Encoding, texts: Texts, caps: Caps | None = None
    ) -> None:
        self._policy = policy
        self._caps = caps
        self._runnable = runnable(policy)
        self._roomy = roomy(policy)
        self._encoding = encoding
        self._texts = texts
        self._left = EFFORT
        self._price = len(policy.routes) + len(policy.guards) + len(policy.categories)
        self._text_signals = [
            n for n, s in policy.signals.items() if isinstance(s.definition, p.Keyword | p.Regex)
        ]

    def find(self, model: Model, shows: Shows) -> Witness | None:
        """The smallest request found that shows what it should; ``None`` if none does."""
        first = self._from_model(model)
        if first is None or not shows(first):
            return None
        return self._smaller(first, shows)

    def decide(self, witness: Witness, circumstances: Circumstances | None = None) -> Decision:
        """What the reference interpreter decides about a witness."""
        return decide(self._runnable, witness.request(), witness.signals, circumstances)

    def route(self, witness: Witness) -> Decision:
        """What is decided of it by conditions alone, as if every model could hold it."""
        return decide(self._roomy, witness.request(), witness.signals)

    def values(self, witness: Witness) -> dict[str, Value]:
        """Every value of a witness, derived ones included."""
        return all_values(self._policy, witness.request(), witness.signals)

    # --- from a model ---------------------------------------------------------------

    def _from_model(self, model: Model) -> Witness | None:
        messages = model.messages
        wanted = {
            name: model.holds(self._encoding.truths[(name, None)])
            for name in self._text_signals
            if (name, None) in self._encoding.truths
        }
        if messages is None:
            messages = self._texts.write(wanted)
            if messages is None:
                return None
        attributes: dict[str, Plain] = {}
        for name, field in self._policy.fields.items():
            attributes[name] = self._plain(model, (name, None), field.type, field.default)
        signals: dict[str, Value] = {}
        found = self._texts.all_matches(messages)
        for name, signal in self._policy.signals.items():
            if signal.stage is p.Stage.DERIVED:
                continue
            if name in found:
                signals[name] = found[name]
            else:
                signals[name] = self._signal(model, signal)
        return Witness(attributes, signals, messages)

    def _signal(self, model: Model, signal: p.Signal) -> Value:
        name = signal.name
        if isinstance(signal.definition, p.Classifier):
            labels = signal.definition.labels
            tied = all((name, label) in model.numbers for label in labels)
            if tied:
                scores = {label: float(model.numbers[(name, label)]) for label in labels}
                return Scores(_best(scores), scores)
            label = self._member(model, (name, None), labels) or labels[-1]
            return Scores(label, {other: float(other == label) for other in labels})
        if signal.kind == "language":
            code = self._member(model, (name, None), signal.type.members) or "und"
            confidence = self._number(model, (name, "confidence"), SHARE_HALF)
            return Scores(code, {"confidence": float(confidence)})
        value = self._plain(model, (name, None), signal.type, None)
        return _Tokens(value) if signal.kind == "tokens" and isinstance(value, int) else value

    def _plain(self, model: Model, key: Key, type_: Type, default: Plain | None) -> Plain:
        encoding = self._encoding
        match type_.kind:
            case Kind.BOOL:
                literal = encoding.truths.get(key)
                return bool(default) if literal is None else model.holds(literal)
            case Kind.INT:
                return int(self._number(model, key, _Wish(type_, default)))
            case Kind.FLOAT:
                return float(self._number(model, key, _Wish(type_, default)))
            case Kind.STRING | Kind.ENUM:
                found = self._member(model, key, type_.members)
                mentioned = encoding.members[key].literals if key in encoding.members else {}
                if found is not None:
                    return found
                if isinstance(default, str) and default not in mentioned:
                    return default
                rest = (v for v in type_.members or _fresh() if v not in mentioned)
                return next(rest)
            case Kind.SET:
                return self._set(model, key, type_)

    def _member(self, model: Model, key: Key, members: tuple[str, ...]) -> str | None:
        """The mentioned member that the model chose; an unmentioned one where it chose none."""
        found = self._encoding.members.get(key)
        if found is None:
            return None
        for value, literal in found.literals.items():
            if model.holds(literal):
                return value
        return next((m for m in reversed(members) if m not in found.literals), None)

    def _set(self, model: Model, key: Key, type_: Type) -> frozenset[str]:
        found = self._encoding.members.get(key)
        if found is None:
            return frozenset()
        chosen = {value for value, literal in found.literals.items() if model.holds(literal)}
        if not chosen and found.empty is not None and not model.holds(found.empty):
            chosen = {next(v for v in type_.members or _fresh() if v not in found.literals)}
        return frozenset(chosen)

    def _number(self, model: Model, key: Key, wish: _Wish) -> Fraction:
        if key in model.numbers:
            return model.numbers[key]
        number = self._encoding.numbers.get(key)
        low, high = _interval(number, model, wish.type)
        return wish.within(low, high)

    def _together(self, witness: Witness) -> bool:
        """Whether one text can give similarity signals these values, as far as vectors tell."""
        if self._caps is None:
            return True
        values = ((name, witness.signals[name]) for name in self._caps.regions)
        return self._caps.realisable({n: v for n, v in values if isinstance(v, float)})

    # --- smaller ---------------------------------------------------------------------

    def _smaller(self, witness: Witness, shows: Shows) -> Witness:
        """Replace what does not matter by what is plainest.

        Changes are tried all at once, and by halves where that does not do ("Simplifying and
        Isolating Failure-Inducing Input", Zeller and Hildebrandt, 2002).
        """
        for changes in self._changes(witness):
            waiting = [changes]
            while waiting and self._left > 0:
                chunk = waiting.pop()
                changed = witness
                for change in chunk:
                    changed = change(changed) or changed
                candidate = self._rewritten(changed, witness)
                if candidate is None or candidate == witness:
                    continue
                self._left -= self._price
                if self._agree(candidate) and self._together(candidate) and shows(candidate):
                    witness = candidate
                elif len(chunk) > 1:
                    half = len(chunk) // 2
                    waiting += [chunk[half:], chunk[:half]]
        return witness

    def _agree(self, witness: Witness) -> bool:
        """Whether signals that look at the same thing say the same of it."""
        signals = self._policy.signals
        seen: dict[tuple[str, p.Definition], Value] = {}
        kinds: dict[str, bool] = {}
        for name, value in witness.signals.items():
            definition = signals[name].definition
            if seen.setdefault((signals[name].kind, definition), value) != value:
                return False
            if isinstance(definition, p.Entities):
                assert isinstance(value, frozenset)
                for kind in definition.kinds:
                    if kinds.setdefault(kind, kind in value) is not (kind in value):
                        return False
        return True

    def _changes(self, witness: Witness) -> Iterator[list[Change]]:
        """Changes that make a witness plainer, in groups that are independent of each other."""
        yield [
            partial(_with_signal, n, False)
            for n in self._text_signals
            if witness.signals[n] is True
        ]
        plain: list[Change] = []
        shorter: list[Change] = []
        for name, field in self._policy.fields.items():
            if field.default is not None:
                plain.append(partial(_with_attribute, name, field.default))
            if field.type.kind is Kind.FLOAT:
                shorter += [partial(_rounded_attribute, name, digits) for digits in (6, 3, 1)]
        others: list[Change] = []
        for name, signal in self._policy.signals.items():
            if signal.stage is p.Stage.DERIVED or name in self._text_signals:
                continue
            first, *rest = _plain_values(signal)
            plain.append(partial(_with_signal, name, first))
            if witness.signals[name] != first:
                others += [partial(_with_signal, name, value) for value in rest]
            shorter += [partial(_rounded, name, digits) for digits in (6, 3, 2)]
        yield plain
        for change in (*others, *shorter):
            yield [change]

    def _rewritten(self, witness: Witness, before: Witness) -> Witness | None:
        """The witness with a text for its signals; ``None`` where none is found."""
        wanted = {n: witness.signals[n] is True for n in self._text_signals}
        if all(before.signals[n] is value for n, value in wanted.items()):
            return witness
        messages = self._texts.write(wanted)
        if messages is None:
            return None
        signals = {**witness.signals, **self._texts.all_matches(messages)}
        return replace(witness, signals=signals, messages=messages)


# --- values -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Wish:
    """What number to prefer where several will do."""

    type: Type
    default: Plain | None

    def within(
        self, low: tuple[Fraction, bool] | None, high: tuple[Fraction, bool] | None
    ) -> Fraction:
        """A plain number between two ends, each with whether it is excluded."""
        integral = self.type.kind is Kind.INT

        def fits(x: Fraction) -> bool:
            if low is not None and (x < low[0] or (low[1] and x == low[0])):
                return False
            return high is None or not (x > high[0] or (high[1] and x == high[0]))

        wishes: list[Fraction] = []
        if isinstance(self.default, int | float) and not isinstance(self.default, bool):
            wishes.append(Fraction(str(self.default)))
        wishes += [Fraction(0), Fraction(1), Fraction(1, 2)]
        if low is not None:
            wishes += [low[0], low[0] + 1, low[0] + Fraction(1, 10), low[0] + Fraction(1, 100)]
        if high is not None:
            wishes += [high[0], high[0] - 1, high[0] - Fraction(1, 10), high[0] - Fraction(1, 100)]
        if low is not None and high is not None:
            wishes.append((low[0] + high[0]) / 2)
        for wish in wishes:
            if fits(wish) and not (integral and wish.denominator != 1):
                return wish
        raise AssertionError("the theory keeps intervals from being empty")


SHARE_HALF = _Wish(Type(Kind.FLOAT, low=Decimal(0), high=Decimal(1)), None)


def _interval(
    number: Number | None, model: Model, type_: Type
) -> tuple[tuple[Fraction, bool] | None, tuple[Fraction, bool] | None]:
    low = None if type_.low is None else (Fraction(type_.low), False)
    high = None if type_.high is None else (Fraction(type_.high), False)
    if number is None:
        return low, high
    integral = type_.kind is Kind.INT
    for (value, above), literal in number.ordered():
        bound = Fraction(value)
        if model.holds(literal):
            if high is None or bound < high[0] or (bound == high[0] and not above):
                high = (bound, not above)
            break
        if low is None or bound >= low[0]:
            low = (bound + 1, False) if integral else (bound, bool(above))
    return low, high


def _fresh() -> Iterator[str]:
    yield "other"
    at = 2
    while True:
        yield f"other-{at}"
        at += 1


def _best(scores: Mapping[str, float]) -> str:
    return max(scores, key=lambda label: scores[label])


def _plain_values(signal: p.Signal) -> Iterator[Value]:
    if isinstance(signal.definition, p.Classifier):
        for label in reversed(signal.definition.labels):
            yield Scores(label, {x: float(x == label) for x in signal.definition.labels})
        return
    if signal.kind == "language":
        yield Scores("en", {"confidence": 1.0})
        return
    match signal.type.kind:
        case Kind.BOOL:
            yield False
        case Kind.INT:
            low = int(signal.type.low or 0)
            yield _Tokens(low) if signal.kind == "tokens" else low
        case Kind.FLOAT:
            yield 0.0
        case Kind.ENUM:
            yield signal.type.members[0]
        case Kind.SET:
            yield frozenset()
        case Kind.STRING:
            yield ""


def _with_attribute(name: str, value: Plain, witness: Witness) -> Witness:
    return replace(witness, attributes={**witness.attributes, name: value})


def _with_signal(name: str, value: Value, witness: Witness) -> Witness:
    return replace(witness, signals={**witness.signals, name: value})


def _rounded_attribute(name: str, digits: int, witness: Witness) -> Witness | None:
    value = witness.attributes[name]
    return (
        _with_attribute(name, round(value, digits), witness) if isinstance(value, float) else None
    )


def _rounded(name: str, digits: int, witness: Witness) -> Witness | None:
    value = witness.signals[name]
    if isinstance(value, Scores):
        scores = {label: round(score, digits) for label, score in value.scores.items()}
        top = _best(value.scores)
        if len(scores) > 1 and abs(sum(value.scores.values()) - 1) < 1e-6:
            rest = sum(s for label, s in scores.items() if label != top)
            scores[top] = round(1 - rest, digits)
        label = value.label if "confidence" in scores else _best(scores)
        return _with_signal(name, Scores(label, scores), witness)
    if isinstance(value, float):
        return _with_signal(name, round(value, digits), witness)
    return None


# --- as JSON --------------------------------------------------------------------------


def as_json(policy: p.Policy, witness: Witness, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """The witness in the shape of the contract.

    Attributes at their defaults are left out; a classifier shows its label and the scores
    that conditions read.
    """
    attributes = {
        name: _json(value)
        for name, value in witness.attributes.items()
        if value != policy.fields[name].default
    }
    signals: dict[str, Any] = {}
    for name, value in witness.signals.items():
        if isinstance(value, Scores):
            signals[name] = value.label
            for label, score in value.scores.items():
                if score or label in (value.label, "confidence"):
                    signals[f"{name}.{label}" if label.isidentifier() else f'{name}["{label}"]'] = (
                        score
                    )
        else:
            signals[name] = _json(value)
    found: dict[str, Any] = {"attributes": attributes}
    users = [content for role, content in witness.messages if role == "user"]
    found["text"] = users[-1] if users else ""
    if len(witness.messages) > 1 or (witness.messages and not users):
        found["messages"] = [{"role": r, "content": c} for r, c in witness.messages]
    return found | {"signals": signals, "outcome": dict(outcome)}


def _json(value: Value) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    return int(value) if isinstance(value, _Tokens) else value
