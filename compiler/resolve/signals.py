"""Signals: each kind's arguments and options, typed; derived ones resolve what they read first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from routec.compiler import policy as p
from routec.compiler.catalogue import (
    ENTITY_KINDS,
    LANGUAGES,
    SCOPES,
    STAGES,
    WEEKDAYS,
)
from routec.compiler.expr import Variable
from routec.compiler.resolve.conditions import Conditions
from routec.compiler.resolve.context import Context
from routec.compiler.resolve.fields import constant, resolve_type
from routec.compiler.resolve.options import Options, describe, strings, word, words
from routec.compiler.rules.bad_regex import bad_regex
from routec.compiler.rules.missing_on_error import missing_on_error
from routec.compiler.rules.out_of_range import out_of_range
from routec.compiler.rules.type_mismatch import type_mismatch
from routec.compiler.rules.unknown_name import self_reference, unknown_name
from routec.compiler.rules.unknown_option import unknown_option
from routec.compiler.types import (
    BOOL,
    COSINE,
    COUNT,
    SHARE,
    Kind,
    Scores,
    Type,
    Value,
    enum_of,
    set_of,
)
from routec.dsl import ast
from routec.dsl.diagnostic import Diagnostic

_CONTRAST = Type(Kind.FLOAT, low=Decimal(-2), high=Decimal(2))
_HOUR = Type(Kind.INT, low=Decimal(0), high=Decimal(23))
_REGEX_MEMORY = 8 << 20

Built = tuple[Type, p.Definition, Value | None]


@dataclass(frozen=True, slots=True)
class Signals:
    """Resolves signals and what references to them read."""

    context: Context

    @property
    def conditions(self) -> Conditions:
        """Resolver of conditions over fields and signals."""
        return Conditions(self.context, self.variable)

    def variable(self, ref: ast.Ref) -> Variable | None:
        """What a reference reads; reports and answers ``None`` where it reads nothing."""
        context = self.context
        if ref.name in context.broken:
            return None
        field = context.fields.get(ref.name)
        if field is not None:
            if ref.member is not None:
                context.report(_no_member(ref, "field", ()))
                return None
            return Variable("field", field.name, None, field.type)
        if ref.name not in context.syntax_signals:
            known = [*context.fields, *context.syntax_signals]
            context.report(unknown_name("signal or field", ref.name, ref.span, known))
            return None
        signal = self.signal(ref.name)
        if signal is None:
            return None
        if ref.member is None:
            return Variable("signal", signal.name, None, signal.type)
        members = score_members(signal)
        if ref.member not in members:
            context.report(_no_member(ref, signal.kind, members))
            return None
        return Variable("signal", signal.name, ref.member, SHARE)

    def signal(self, name: str) -> p.Signal | None:
        """A signal, resolved once; ``None`` where its declaration is wrong."""
        context = self.context
        if name in context.signals:
            return context.signals[name]
        if name in context.broken:
            return None
        syntax = context.syntax_signals[name]
        key = f"signal {name}"
        if key in context.in_progress:
            context.report(self_reference("signal", name, syntax.name.span))
            context.broken.add(name)
            return None
        context.in_progress.add(key)
        found = self._build(syntax)
        context.in_progress.discard(key)
        if found is None or name in context.broken:
            context.broken.add(name)
            return None
        context.signals[name] = found
        return found

    def _build(self, syntax: ast.Signal) -> p.Signal | None:
        context, kind = self.context, syntax.kind.name
        build = _BUILDERS.get(kind)
        if build is None:
            context.report(unknown_name("kind of signal", kind, syntax.kind.span, STAGES))
            return None
        article = "an" if kind[0] in "aeiou" else "a"
        options = Options(context, f"{article} {kind} signal", syntax.options)
        if kind not in ("score", "bands") and (syntax.terms or syntax.bands):
            context.report(type_mismatch(f"`{kind}` takes options, not an expression", syntax.span))
            return None
        built = build(self, syntax, options)
        options.close()
        if built is None:
            return None
        type_, definition, on_error = built
        return p.Signal(
            syntax.name.name, kind, STAGES[kind], type_, definition, on_error, syntax.name.span
        )


def score_members(signal: p.Signal) -> tuple[str, ...]:
    """The members of a signal that are scores from 0 to 1."""
    if isinstance(signal.definition, p.Classifier):
        return signal.definition.labels
    return ("confidence",) if signal.kind == "language" else ()


def _no_member(ref: ast.Ref, kind: str, members: tuple[str, ...]) -> Diagnostic:
    assert ref.member is not None
    span = ref.member_span or ref.span
    if members:
        return unknown_name(f"member of `{ref.name}`", ref.member, span, members)
    return type_mismatch(
        f"`{ref.name}` is a {kind} and has no member `{ref.member}`", span, f"write `{ref.name}`"
    )


# --- builders, one a kind -------------------------------------------------------


def _no_args(signals: Signals, syntax: ast.Signal) -> None:
    for arg in syntax.args:
        signals.context.report(
            unknown_option(f"`{syntax.kind.name}()`", describe(arg).strip("`"), arg.span, ())
        )


def _one_string(signals: Signals, syntax: ast.Signal, what: str) -> ast.String | None:
    if len(syntax.args) == 1 and isinstance(syntax.args[0], ast.String):
        return syntax.args[0]
    place = syntax.args[0] if syntax.args else syntax.kind
    signals.context.report(
        type_mismatch(
            f"`{syntax.kind.name}` needs {what} as one string",
            place.span,
            f'write `{syntax.kind.name}("…")`',
        )
    )
    return None


def _scope(options: Options) -> str:
    return options.take_choice("scope", SCOPES) or "last_user"


def _keyword(signals: Signals, syntax: ast.Signal, options: Options) -> Built | None:
    phrases = strings(signals.context, "`keyword`", syntax.args)
    match = options.take_choice("match", ("word", "substring")) or "word"
    case = options.take_choice("case", ("sensitive", "insensitive")) or "insensitive"
    scope = _scope(options)
    if not phrases:
        if not syntax.args:
            signals.context.report(
                out_of_range("`keyword` has no phrases", syntax.kind.span, "give at least one")
            )
        return None
    return BOOL, p.Keyword(phrases, match, case == "sensitive", scope), None


def _regex(signals: Signals, syntax: ast.Signal, options: Options) -> Built | None:
    scope = _scope(options)
    if len(syntax.args) != 1 or not isinstance(syntax.args[0], ast.Regex):
        place = syntax.args[0] if syntax.args else syntax.kind
        signals.context.report(
            type_mismatch(
                "`regex` needs one regular expression", place.span, r"write `regex(/\bTKT-[0-9]+/)`"
            )
        )
        return None
    regex = syntax.args[0]
    reason = regex_error(regex.pattern, regex.flags)
    if reason is not None:
        signals.context.report(bad_regex(regex.pattern, reason, regex.span))
        return None
    return BOOL, p.Regex(regex.pattern, "".join(sorted(set(regex.flags))), scope), None


def regex_error(pattern: str, flags: str) -> str | None:
    """Why the linear-time engine refuses a pattern; ``None`` where it takes it."""
    import re2  # only policies with regular expressions pay for it

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _REGEX_MEMORY
    try:
        re2.compile(f"(?{flags}:{pattern})" if flags else pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "it is not understood"
        return (reason.decode() if isinstance(reason, bytes) else str(reason)).lower()
    return None


def _structure(type_: Type) -> Callable[[Signals, ast.Signal, Options], Built | None]:
    def build(signals: Signals, syntax: ast.Signal, options: Options) -> Built | None:
        _no_args(signals, syntax)
        return type_, p.Structure(), None

    return build


def _clock(type_: Type) -> Callable[[Signals, ast.Signal, Options], Built | None]:
    def build(signals: Signals, syntax: ast.Signal, options: Options) -> Built | None:
        zone = _one_string(signals, syntax, "a time zone")
        if zone is None:
            return None
        if not _is_zone(zone.value):
            signals.context.report(
                type_mismatch(
                    f"`{zone.value}` is no time zone", zone.span, 'use one such as "Europe/Berlin"'
                )
            )
            return None
        return type_, p.Clock(zone.value), None

    return build


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo  # only policies with clocks pay for it

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _entities(signals: Signals, syntax: ast.Signal, options: Options) -> Built | None:
    context = signals.context
    kinds = words(context, "`entities`", syntax.args)
    for arg in syntax.args:
        text = word(arg)
        if text is not None and text not in ENTITY_KINDS:
            context.report(unknown_name("kind of entity", text, arg.span, ENTITY_KINDS))
            return None
    if not kinds:
        context.report(
            out_of_range("`entities` has no kinds", syntax.kind.span, "name some, such as `email`")
        )
        return None
    return set_of(kinds), p.Entities(kinds), None


def _repeated(signals: Signals, syntax: ast.Signal, options: Options) -> Built | None:
    _no_args(signals, syntax)
    threshold = options.take_number("similarity", ("number", "percent"), -1, 1)
    on_error = options.take_bool("on_error")
    if threshold is None:
        threshold = Decimal("0.8")
    return BOOL, p.Repeated(threshold), bool(on_error)


def _similarity(signals: Signals, syntax: ast.Signal, options: Options) -> Built | None:
    _no_args(signals, syntax)
    examples = options.take_strings("examples")
    reduce = options.take_choice("reduce", ("max", "mean")) or "max"
    on_error = options.take_number("on_error", low=-1, high=1)
    if examples is None:
        _needs(signals, syntax, options, "examples")
        return None
    return COSINE, p.Similarity(examples, reduce), float(on_error or 0)


def _contrast(signals: Signals, syntax: ast.Signal, options: Options) -> Built | None:
    _no_args(signals, syntax)
    high, low = options.take_strings("high"), options.take_strings("low")
    on_error = options.take_number("on_error", low=-2, high=2)
    if high is None or low is None:
        _needs(signals, syntax, options, "high", "low")
        return None
    return _CONTRAST, p.Contrast(high, low), float(on_error or 0)


def _needs(signals: Signals, syntax: ast.Signal, options: Options, *keys: str) -> None:
    for key in keys:
        if not options.has(key):
            signals.context.report(
                out_of_range(
                    f"`{syntax.kind.name}` has no `{key}`",
                    syntax.kind.span,
                    f'add `{key}: ["…"]`',
                )
            )


def _classifier(signals: Signals, syntax: ast.Signal, options: Options) -> Built | None:
    context = signals.context
    backend = _one_string(signals, syntax, "the name of its backend")
    labels = options.take_words("labels")
    exclusive = options.take_bool("exclusive")
    timeout = options.take_positive("timeout", "duration")
    failed = options.take("on_error")
    if not options.has("labels"):
        context.report(
            out_of_range("`classifier` has no `labels`", syntax.kind.span, "add `labels: [a, b]`")
        )
    if labels is not None and len(labels) < 2:
        context.report(
            out_of_range("`labels` has fewer than two", syntax.kind.span, "name at least two")
        )
        labels = None
    if failed is None:
        example = labels[-1] if labels else "LABEL"
        context.report(missing_on_error(syntax.name.name, "classifier", syntax.name.span, example))
    if backend is None or labels is None:
        return None
    on_error: Value | None = None
    if failed is not None:
        label = word(failed)
        if label is None or label not in labels:
            context.report(
                unknown_name(
                    f"label of `{syntax.name.name}`", label or describe(failed), failed.span, labels
                )
            )
        else:
            on_error = Scores(label, {name: float(name == label) for name in labels})
    definition = p.Classifier(backend.value, labels, exclusive is not False, timeout)
    return enum_of(labels), definition, on_error


def _external(signals: Signals, syntax: ast.Signal, options: Options) -> Built | None:
    context = signals.context
    service = _one_string(signals, syntax, "the name of its service")
    written = options.take("type")
    timeout = options.take_positive("timeout", "duration")
    failed = options.take("on_error")
    type_ = resolve_type(context, written)
    if type_ is None:
        if written is None:
            context.report(
                out_of_range("`external` has no `type`", syntax.kind.span, "add `type: bool`")
            )
        return None
    if failed is None:
        context.report(missing_on_error(syntax.name.name, "external", syntax.name.span, "false"))
    on_error = None if failed is None else constant(context, "`on_error`", failed, type_)
    if service is None:
        return None
    return type_, p.External(service.value, timeout), on_error


def _score(signals: Signals, syntax: ast.Signal, options: Options) -> Built | None:
    _no_args(signals, syntax)
    context = signals.context
    if not syntax.terms:
        context.report(
            out_of_range(
                "`score` has no expression", syntax.kind.span, "write `score { 0.5 * x + … }`"
            )
        )
        return None
    fixed = Decimal(0)
    summands: list[p.Summand] = []
    low: Decimal | None = Decimal(0)
    high: Decimal | None = Decimal(0)
    wrong = False
    for term in syntax.terms:
        if term.operand is None:
            fixed += term.coefficient
            continue
        summand = _summand(signals, term)
        if summand is None:
            wrong = True
            continue
        summands.append(summand)
        kind = Type(Kind.FLOAT, low=Decimal(0), high=Decimal(1))
        if summand.variable is not None:
            kind = summand.variable.type
        first, last = (kind.low, kind.high) if term.coefficient >= 0 else (kind.high, kind.low)
        low = None if low is None or first is None else low + term.coefficient * first
        high = None if high is None or last is None else high + term.coefficient * last
    if wrong:
        return None
    type_ = Type(
        Kind.FLOAT,
        low=None if low is None else low + fixed,
        high=None if high is None else high + fixed,
    )
    return type_, p.Score(fixed, tuple(summands)), None


def _summand(signals: Signals, term: ast.Term) -> p.Summand | None:
    operand = term.operand
    assert operand is not None
    context = signals.context
    plain = isinstance(operand, ast.Ref) and operand.member != "empty"
    if isinstance(operand, ast.Ref) and plain and operand.name not in context.syntax_lets:
        variable = signals.variable(operand)
        if variable is None:
            return None
        if variable.type.numeric:
            return p.Summand(term.coefficient, variable, None)
        if variable.type.kind is not Kind.BOOL:
            context.report(
                type_mismatch(
                    f"`{variable}` is of type {variable.type}, not a number or a bool",
                    operand.span,
                    "use a score, a bool, or a condition in parentheses",
                )
            )
            return None
    condition = signals.conditions.resolve(operand)
    return p.Summand(term.coefficient, None, condition.expr)


def _bands(signals: Signals, syntax: ast.Signal, options: Options) -> Built | None:
    context = signals.context
    if len(syntax.args) != 1 or not isinstance(syntax.args[0], ast.Ref):
        context.report(
            type_mismatch(
                "`bands` divides one signal", syntax.kind.span, "write `bands(need) { … }`"
            )
        )
        return None
    if not syntax.bands:
        context.report(
            out_of_range("`bands` has no bands", syntax.kind.span, "write `low: < 0.3, high`")
        )
        return None
    context.unique("band", ((b.name.name, b.name.span) for b in syntax.bands))
    for band in syntax.bands[:-1]:
        if band.bound is None:
            context.report(
                type_mismatch(
                    f"band `{band.name.name}` has no bound", band.span, "only the last has none"
                )
            )
            return None
    last = syntax.bands[-1]
    if last.bound is not None:
        context.report(
            type_mismatch(
                f"the last band `{last.name.name}` has a bound, so some values have no band",
                last.span,
                "leave its bound out, or add a last band without one",
            )
        )
        return None
    variable = signals.variable(syntax.args[0])
    if variable is None:
        return None
    if not variable.type.numeric:
        context.report(
            type_mismatch(
                f"`{variable}` is of type {variable.type}, not a number", syntax.args[0].span
            )
        )
        return None
    bands = tuple(
        p.Band(b.name.name, None if b.bound is None else b.bound.value, b.op == "<=", b.span)
        for b in syntax.bands
    )
    return enum_of(tuple(b.name for b in bands)), p.Bands(variable, bands), None


_BUILDERS: dict[str, Callable[[Signals, ast.Signal, Options], Built | None]] = {
    "keyword": _keyword,
    "regex": _regex,
    "tokens": _structure(COUNT),
    "turns": _structure(COUNT),
    "has_tools": _structure(BOOL),
    "has_image": _structure(BOOL),
    "language": _structure(enum_of(LANGUAGES)),
    "hour": _clock(_HOUR),
    "weekday": _clock(enum_of(WEEKDAYS)),
    "entities": _entities,
    "repeated": _repeated,
    "similarity": _similarity,
    "contrast": _contrast,
    "classifier": _classifier,
    "external": _external,
    "score": _score,
    "bands": _bands,
}
