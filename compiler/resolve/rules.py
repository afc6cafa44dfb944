"""Guards and routes."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from routec.compiler import policy as p
from routec.compiler.catalogue import SELECTORS
from routec.compiler.resolve.conditions import Conditions
from routec.compiler.resolve.context import Context
from routec.compiler.resolve.incomplete import incomplete
from routec.compiler.resolve.options import Options, describe, word
from routec.compiler.rules.default_route import missing_default, second_default
from routec.compiler.rules.duplicate_name import duplicate_name
from routec.compiler.rules.out_of_range import out_of_range
from routec.compiler.rules.type_mismatch import type_mismatch
from routec.compiler.rules.unknown_name import unknown_name
from routec.compiler.rules.unknown_option import unknown_option
from routec.compiler.types import Kind
from routec.dsl import ast
from routec.dsl.source import Span

_MAX_PRIORITY = 1_000_000_000
_PARAMETER_BOUND = 2**63


def _priority(context: Context, number: ast.Number | None) -> int:
    if number is None:
        return 0
    if (
        number.unit != "number"
        or number.value != number.value.to_integral_value()
        or abs(number.value) > _MAX_PRIORITY
    ):
        context.report(out_of_range(f"the priority {number.text} is no whole number", number.span))
        return 0
    return int(number.value)


def _share(context: Context, number: ast.Number, what: str) -> Decimal:
    if number.unit != "percent":
        context.report(
            type_mismatch(f"{what} is {number.text}", number.span, "write a share such as `90%`")
        )
    elif not 0 < number.value <= 1:
        context.report(
            out_of_range(f"{what} is {number.text}", number.span, "use more than 0% up to 100%")
        )
    return number.value


# --- guards ---------------------------------------------------------------------


def resolve_guards(context: Context, conditions: Conditions) -> tuple[p.Guard, ...]:
    """The guards in order of meaning: highest priority first, then file order."""
    guards = [_guard(context, conditions, g) for g in context.syntax_guards.values()]
    return tuple(sorted(guards, key=lambda g: -g.priority))


def _guard(context: Context, conditions: Conditions, syntax: ast.Guard) -> p.Guard:
    name = syntax.name.name
    when = p.Condition(context.table.const(False), None)
    if syntax.when is None:
        context.report(incomplete("guard", name, "when", syntax.name.span, "add `when CONDITION`"))
    else:
        when = conditions.resolve(syntax.when)
    if not syntax.actions:
        context.report(
            incomplete(
                "guard",
                name,
                "action",
                syntax.name.span,
                'add `reject 403 "reason"`, `redact SIGNAL`, `tag "x"` or `set "header" = "value"`',
            )
        )
    reject: p.Rejection | None = None
    first: Span | None = None
    redact: list[str] = []
    for action in syntax.actions:
        if isinstance(action, ast.Reject):
            if first is not None:
                context.report(duplicate_name("action", "reject", action.span, first))
                continue
            first = action.span
            reject = _rejection(context, action)
        elif isinstance(action, ast.Redact):
            signal = _redacted(context, action)
            if signal is not None:
                redact.append(signal)
    return p.Guard(
        name=name,
        priority=_priority(context, syntax.priority),
        when=when,
        reject=reject,
        redact=tuple(dict.fromkeys(redact)),
        tags=_tags(syntax.actions),
        headers=_headers(context, syntax.actions),
        span=syntax.name.span,
    )


def _rejection(context: Context, action: ast.Reject) -> p.Rejection:
    status = action.status
    whole = status.value == status.value.to_integral_value()
    if status.unit != "number" or not whole or not 400 <= status.value <= 599:
        context.report(
            out_of_range(
                f"the status {status.text} is no HTTP error", status.span, "use one from 400 to 599"
            )
        )
        return p.Rejection(403, action.reason.value)
    return p.Rejection(int(status.value), action.reason.value)


def _redacted(context: Context, action: ast.Redact) -> str | None:
    name = context.known("signal", action.signal, context.syntax_signals)
    if name is None or name not in context.signals:
        return None
    if context.signals[name].kind != "entities":
        context.report(
            type_mismatch(
                f"`{name}` is a {context.signals[name].kind} signal and has no spans to redact",
                action.signal.span,
                "name an `entities` signal",
                name,
            )
        )
        return None
    return name


def _tags(parts: Iterable[ast.Action | ast.Statement]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.value.value for part in parts if isinstance(part, ast.Tag)))


def _headers(
    context: Context, parts: Iterable[ast.Action | ast.Statement]
) -> tuple[tuple[str, str], ...]:
    found = [part for part in parts if isinstance(part, ast.SetHeader)]
    context.unique("header", ((h.header.value, h.header.span) for h in found))
    for part in found:
        if (
            not _is_header(part.header.value)
            or "\n" in part.value.value
            or "\r" in part.value.value
        ):
            context.report(
                out_of_range(
                    f"`{part.header.value}` is no HTTP header of one line",
                    part.span,
                    'use letters, digits and hyphens, for example `set "x-team" = "law"`',
                )
            )
    return tuple((h.header.value, h.value.value) for h in found)


def _is_header(name: str) -> bool:
    return bool(name) and name.isascii() and all(c.isalnum() or c in "-_" for c in name)


# --- routes ---------------------------------------------------------------------


def resolve_routes(
    context: Context, conditions: Conditions, policy: Span | None, *, complete: bool
) -> tuple[p.Route, ...]:
    """The routes in order of meaning: highest priority, then file order; the default route last.

    `policy` is where to report that there is no default route; ``None`` for a file of
    shared declarations, which needs none.
    """
    routes = [_route(context, conditions, r) for r in context.syntax_routes.values()]
    defaults = [r for r in routes if r.default]
    if not defaults and complete and (policy is not None or routes):
        context.report(missing_default(policy or routes[0].span))
    for extra in defaults[1:]:
        context.report(second_default(extra.name, extra.span, defaults[0].name, defaults[0].span))
    return tuple(sorted(routes, key=lambda r: (r.default, -r.priority)))


def _route(context: Context, conditions: Conditions, syntax: ast.Route) -> p.Route:
    name = syntax.name.name
    table = context.table
    when = p.Condition(table.const(syntax.default), None)
    if syntax.default:
        if syntax.when is not None:
            context.report(
                type_mismatch(
                    f"the default route `{name}` has a condition",
                    syntax.name.span,
                    "remove `when`, or make it a route with a priority",
                    name,
                )
            )
        if syntax.priority is not None:
            context.report(unknown_option("a default route", "priority", syntax.priority.span, ()))
    elif syntax.when is None:
        context.report(
            incomplete(
                "route",
                name,
                "when",
                syntax.name.span,
                "add `when CONDITION`, or make it the `default route`",
            )
        )
    if syntax.when is not None:
        when = conditions.resolve(syntax.when)
    once: dict[type[ast.Statement], ast.Statement] = {}
    for statement in syntax.body:
        kind = type(statement)
        if kind in once and kind not in (ast.Tag, ast.SetHeader):
            what = kind.__name__.lower()
            context.report(duplicate_name("statement", what, statement.span, once[kind].span))
        once.setdefault(kind, statement)
    to = once.get(ast.To)
    if not isinstance(to, ast.To):
        context.report(incomplete("route", name, "to", syntax.name.span, "add `to MODEL`"))
    cache: str | bool | None = None
    written = once.get(ast.Cache)
    if isinstance(written, ast.Cache):
        cache = False
        if written.category is not None:
            cache = context.known("category", written.category, context.syntax_categories)
    fallback = once.get(ast.Fallback)
    fallbacks: list[str] = []
    if isinstance(fallback, ast.Fallback):
        found = (context.known("model", m, context.syntax_models) for m in fallback.models)
        fallbacks = [m for m in found if m is not None]
    return p.Route(
        name=name,
        priority=_priority(context, None if syntax.default else syntax.priority),
        default=syntax.default,
        when=when,
        selection=_selection(context, to) if isinstance(to, ast.To) else _NOTHING,
        fallbacks=tuple(fallbacks),
        cache=cache,
        parameters=_parameters(context, once.get(ast.With)),
        sticky=_sticky(context, once.get(ast.Sticky)),
        shadow=_shadow(context, once.get(ast.Shadow)),
        tags=_tags(syntax.body),
        headers=_headers(context, syntax.body),
        span=syntax.name.span,
    )


_NOTHING = p.Selection("only", (), (), ())


def _parameters(
    context: Context, statement: ast.Statement | None
) -> tuple[tuple[str, p.Parameter], ...]:
    if not isinstance(statement, ast.With):
        return ()
    options = Options(context, "`with`", statement.entries)
    return tuple((e.key.name, _parameter(context, e.value)) for e in options.rest())


def _parameter(context: Context, value: ast.Value) -> p.Parameter:
    match value:
        case ast.Bool():
            return value.value
        case ast.Number():
            if abs(value.value) >= _PARAMETER_BOUND:
                context.report(
                    out_of_range(
                        "a request parameter has more than 64 bits",
                        value.span,
                        "use a number that JSON readers take, from -2^63 to 2^63",
                    )
                )
                return 0
            whole = value.value == value.value.to_integral_value()
            return int(value.value) if whole else float(value.value)
        case ast.List():
            return tuple(_scalar(context, item) for item in value.items)
        case _:
            return _scalar(context, value)


def _scalar(context: Context, value: ast.Value) -> p.Scalar:
    if not isinstance(value, ast.List):
        text = word(value)
        if text is not None:
            return text
        if isinstance(value, ast.Bool | ast.Number):
            found = _parameter(context, value)
            assert not isinstance(found, tuple)
            return found
    context.report(
        type_mismatch(
            f"a request parameter is {describe(value)}",
            value.span,
            "use a name, a string, a number, a bool or a list of these",
        )
    )
    return ""


def _sticky(context: Context, statement: ast.Statement | None) -> str | None:
    if not isinstance(statement, ast.Sticky):
        return None
    name = context.known("field", statement.field, context.fields)
    if name is not None and context.fields[name].type.kind is Kind.SET:
        context.report(
            type_mismatch(
                f"`{name}` is a set, not one key", statement.field.span, "name a field of one value"
            )
        )
    return name


def _shadow(context: Context, statement: ast.Statement | None) -> tuple[str, Decimal] | None:
    if not isinstance(statement, ast.Shadow):
        return None
    share = _share(context, statement.share, "the share of the shadow")
    model = context.known("model", statement.model, context.syntax_models)
    return None if model is None else (model, share)


def _selection(context: Context, to: ast.To) -> p.Selection:
    by, args = _selector(context, to.selector)
    if isinstance(to.target, tuple):
        return _listed(context, to, to.target, by, args)
    name = to.target.name
    if name in context.pools:
        if by is None:
            context.report(
                type_mismatch(
                    f"`{name}` is a pool, and nothing says how to choose from it",
                    to.target.span,
                    f"write for example `to {name} by cost`",
                    name,
                )
            )
        return p.Selection(by or "weighted", context.pools[name], (), args)
    if context.known("model or pool", to.target, [*context.syntax_models, *context.pools]) is None:
        return _NOTHING
    if to.selector is not None:
        context.report(
            type_mismatch(
                f"`{name}` is one model, there is nothing to choose",
                to.selector.span,
                f"remove `by {to.selector.name.name}`, or name a pool",
                name,
            )
        )
    return p.Selection("only", (name,), (), ())


def _listed(
    context: Context,
    to: ast.To,
    shares: tuple[ast.Share, ...],
    by: str | None,
    args: tuple[tuple[str, Decimal], ...],
) -> p.Selection:
    context.unique("target", ((s.target.name, s.target.span) for s in shares))
    names = [context.known("model", s.target, context.syntax_models) for s in shares]
    candidates = tuple(dict.fromkeys(n for n in names if n is not None))
    given = [s.share for s in shares if s.share is not None]
    if not shares:
        context.report(out_of_range("the list of targets is empty", to.span, "name a model"))
    if not given:
        if by is None and len(shares) > 1:
            context.report(
                type_mismatch(
                    "nothing says how to choose from the list",
                    to.span,
                    "give each model a share such as `90%`, or add `by cost`",
                )
            )
        return p.Selection(by or "weighted", candidates, (), args)
    if by not in (None, "weighted"):
        context.report(
            type_mismatch(
                f"`by {by}` does not use shares", to.span, "remove the shares, or the `by`"
            )
        )
    if len(given) < len(shares):
        missing = next(s for s in shares if s.share is None)
        context.report(
            type_mismatch(
                f"`{missing.target.name}` has no share", missing.span, "give each model a share"
            )
        )
        return p.Selection("weighted", candidates, (), ())
    weights = tuple(_share(context, g, "the share") for g in given)
    total = sum(weights, Decimal(0))
    if total != 1:
        percent = format((total * 100).normalize(), "f")
        context.report(
            out_of_range(f"the shares add up to {percent}%", to.span, "make them add up to 100%")
        )
    if len(candidates) != len(weights):
        return p.Selection("weighted", candidates, (), ())
    return p.Selection("weighted", candidates, weights, ())


def _selector(
    context: Context, selector: ast.Selector | None
) -> tuple[str | None, tuple[tuple[str, Decimal], ...]]:
    if selector is None:
        return None, ()
    name = selector.name.name
    if name not in SELECTORS:
        context.report(unknown_name("selection algorithm", name, selector.name.span, SELECTORS))
        return "weighted", ()
    options = Options(context, f"`{name}`", selector.args)
    args = []
    for key in SELECTORS[name]:
        unit = "duration" if key == "slo" else "number"
        high = 1 if key == "confidence" else None
        value = options.take_number(key, (unit,), 0, high)
        if value is not None:
            args.append((key, value))
    options.close()
    if name == "balanced" and args and not any(value for _, value in args):
        context.report(
            out_of_range("all weights of `balanced` are zero", selector.span, "weigh something")
        )
    return name, tuple(args)
