"""Models, pools, cache categories and budgets."""

from __future__ import annotations

from decimal import Decimal

from routec.compiler import policy as p
from routec.compiler.resolve.conditions import Conditions
from routec.compiler.resolve.context import Context
from routec.compiler.resolve.incomplete import incomplete
from routec.compiler.resolve.options import Options, describe, word, words
from routec.compiler.rules.out_of_range import out_of_range
from routec.compiler.rules.type_mismatch import type_mismatch
from routec.dsl import ast


def resolve_models(context: Context) -> None:
    """All models and pools into the context."""
    for name, model in context.syntax_models.items():
        context.models[name] = _model(context, name, model)
    for name, pool in context.syntax_pools.items():
        members = [context.known("model", m, context.syntax_models) for m in pool.members]
        context.unique("pool member", ((m.name, m.span) for m in pool.members))
        context.pools[name] = tuple(dict.fromkeys(m for m in members if m is not None))
        if not pool.members:
            context.report(
                out_of_range(f"pool `{name}` is empty", pool.name.span, "name its models", name)
            )


def _model(context: Context, name: str, syntax: ast.Model) -> p.Model:
    options = Options(context, "a model", syntax.entries)
    context_size = options.take_number("context", low=1)
    tags = options.take("tags")
    if tags is not None and not isinstance(tags, ast.List):
        context.report(
            type_mismatch(f"`tags` is {describe(tags)}, not a list", tags.span, "write `[a, b]`")
        )
    return p.Model(
        name=name,
        provider=options.take_word("provider"),
        target=options.take_word("name") or name,
        endpoint=options.take_word("endpoint"),
        input=options.take_number("input", ("money",), 0),
        output=options.take_number("output", ("money",), 0),
        context=None if context_size is None else int(context_size),
        quality=options.take_number("quality", ("number", "percent"), 0, 1),
        region=options.take_word("region"),
        latency=options.take_positive("latency", "duration"),
        tags=words(context, "`tags`", tags.items) if isinstance(tags, ast.List) else (),
        extra={e.key.name: _extra(context, e.value) for e in options.rest()},
        span=syntax.name.span,
    )


def _extra(context: Context, value: ast.Value) -> str | bool | Decimal | tuple[str, ...]:
    match value:
        case ast.Number() | ast.Bool():
            return value.value
        case ast.List():
            return words(context, "the list", value.items)
        case _:
            text = word(value)
            if text is None:
                context.report(
                    type_mismatch(
                        f"a model's key is {describe(value)}",
                        value.span,
                        "use a name, a string, a number, a bool or a list",
                    )
                )
            return text or ""


def resolve_categories(context: Context, conditions: Conditions) -> tuple[p.Category, ...]:
    """The categories, in file order."""
    return tuple(
        _category(context, conditions, name, syntax)
        for name, syntax in context.syntax_categories.items()
    )


def _category(
    context: Context, conditions: Conditions, name: str, syntax: ast.Category
) -> p.Category:
    when = p.Condition(context.table.const(False), None)
    if syntax.when is None:
        context.report(
            incomplete("category", name, "when", syntax.name.span, "add `when CONDITION`")
        )
    else:
        when = conditions.resolve(syntax.when)
    options = Options(context, "a category", syntax.entries)
    if options.has("similarity") and options.has("max_error"):
        context.report(
            type_mismatch(
                f"category `{name}` has both `similarity` and `max_error`",
                syntax.name.span,
                "keep one: a fixed threshold, or one learnt for an error rate",
                name,
            )
        )
    similarity = options.take_number("similarity", ("number", "percent"), 0, 1)
    relax = _relax(context, options, similarity)
    found = p.Category(
        name=name,
        when=when,
        similarity=similarity,
        max_error=options.take_number("max_error", ("percent", "number"), 0, 1),
        ttl=options.take_positive("ttl", "duration"),
        quota=_quota(context, options),
        scope=_scope(context, options),
        relax_to=relax,
        examples=options.take_number("examples", ("number", "percent"), 0, 1),
        span=syntax.name.span,
    )
    options.close()
    return found


def _quota(context: Context, options: Options) -> Decimal | int | None:
    value = options.take("quota")
    if value is None:
        return None
    if isinstance(value, ast.Number) and value.unit == "percent":
        return options.take_number("quota", ("percent",), 0, 1)
    found = options.take_number("quota", ("number",), 1)
    if found is not None and found != found.to_integral_value():
        context.report(
            out_of_range("`quota` is a fraction of an entry", value.span, "use a share such as 30%")
        )
        return None
    return None if found is None else int(found)


def _scope(context: Context, options: Options) -> str | None:
    value = options.take("scope")
    if value is None:
        return None
    if not isinstance(value, ast.Ref) or value.member is not None:
        context.report(
            type_mismatch(
                f"`scope` is {describe(value)}, not a field",
                value.span,
                "write `scope: global`, or the field that keeps entries apart",
            )
        )
        return None
    if value.name == "global":
        return None
    return context.known("field", ast.Ident(value.span, value.name), context.fields)


def _relax(
    context: Context, options: Options, similarity: Decimal | None
) -> tuple[Decimal, Decimal] | None:
    value = options.take("relax_to")
    if value is None:
        return None
    if not isinstance(value, ast.Relax):
        context.report(
            type_mismatch(
                f"`relax_to` is {describe(value)}",
                value.span,
                "write `relax_to: 0.88 when_load > 0.8`",
            )
        )
        return None
    for part, what in ((value.similarity, "`relax_to`"), (value.load, "`when_load`")):
        if not 0 <= part.value <= 1:
            context.report(
                out_of_range(f"{what} is {part.text}", part.span, "use a value from 0 to 1")
            )
            return None
    if similarity is not None and value.similarity.value > similarity:
        context.report(
            out_of_range(
                f"`relax_to` is {value.similarity.text}, above the threshold {similarity}",
                value.similarity.span,
                f"use at most {similarity}",
            )
        )
        return None
    return value.similarity.value, value.load.value


def resolve_budgets(context: Context) -> tuple[p.Budget, ...]:
    """The budgets, in file order; a wrong one is reported and left out."""
    found = []
    for name, syntax in context.syntax_budgets.items():
        options = Options(context, "a budget", syntax.entries)
        limit = options.take_positive("limit", "money")
        window = options.take_positive("window", "duration")
        names: dict[str, str | None] = {}
        for key, what, among in (
            ("per", "field", list(context.fields)),
            ("then", "route", list(context.syntax_routes)),
        ):
            value = options.take(key)
            if isinstance(value, ast.Ref) and value.member is None:
                names[key] = context.known(what, ast.Ident(value.span, value.name), among)
            elif value is not None:
                context.report(
                    type_mismatch(f"`{key}` is {describe(value)}, not a {what}", value.span)
                )
        options.close()
        for key in ("per", "limit", "window", "then"):
            if not options.has(key):
                context.report(incomplete("budget", name, key, syntax.name.span, f"add `{key}: …`"))
        per, then = names.get("per"), names.get("then")
        if limit is not None and window is not None and per is not None and then is not None:
            found.append(p.Budget(name, per, limit, window, then, syntax.name.span))
    return tuple(found)
