"""Test blocks: attributes, messages, pinned signal values, expectations."""

from __future__ import annotations

from collections.abc import Iterable

from routec.compiler import policy as p
from routec.compiler.resolve.context import Context
from routec.compiler.resolve.fields import constant
from routec.compiler.resolve.incomplete import incomplete
from routec.compiler.resolve.options import Options, describe
from routec.compiler.resolve.signals import Signals
from routec.compiler.rules.duplicate_name import duplicate_name
from routec.compiler.rules.out_of_range import out_of_range
from routec.compiler.rules.type_mismatch import type_mismatch
from routec.compiler.rules.unknown_name import unknown_name
from routec.compiler.types import SHARE, Plain, Scores, Value
from routec.dsl import ast
from routec.dsl.source import Span

_ROLES = ("user", "assistant", "system", "developer", "tool")


def resolve_cases(
    context: Context, signals: Signals, tests: Iterable[ast.Test]
) -> tuple[p.Case, ...]:
    """The tests, in file order."""
    return tuple(_case(context, signals, syntax) for syntax in tests)


def _case(context: Context, signals: Signals, syntax: ast.Test) -> p.Case:
    options = Options(context, "a test's request", syntax.request)
    text = options.take("text")
    messages = options.take("messages")
    attributes: dict[str, Plain] = {}
    for name, field in context.fields.items():
        value = options.take(name)
        if value is not None:
            found = constant(context, f"`{name}`", value, field.type)
            if found is not None:
                attributes[name] = found
        elif field.default is None and name not in context.broken:
            context.report(
                type_mismatch(
                    f"the test's request has no `{name}`, which is required",
                    syntax.text.span,
                    f"add `{name}: …`, or give the field a default",
                    name,
                )
            )
    options.close()
    if not syntax.expects:
        context.report(
            incomplete("test", syntax.text.value, "expect", syntax.text.span, "say what it expects")
        )
    return p.Case(
        text=syntax.text.value,
        attributes=attributes,
        messages=_messages(context, text, messages),
        pins=_pins(context, signals, syntax.pins),
        expects=tuple(_expectation(context, e) for e in syntax.expects),
        span=syntax.text.span,
    )


def _messages(
    context: Context, text: ast.Value | None, messages: ast.Value | None
) -> tuple[tuple[str, str], ...]:
    if text is not None and messages is not None:
        context.report(duplicate_name("part of the request", "messages", messages.span, text.span))
    if isinstance(text, ast.String):
        return (("user", text.value),)
    if text is not None:
        context.report(
            type_mismatch(f"`text` is {describe(text)}, not a string", text.span, 'write `"…"`')
        )
        return ()
    if messages is None:
        return (("user", ""),)
    if not isinstance(messages, ast.List):
        context.report(
            type_mismatch(
                f"`messages` is {describe(messages)}, not a list",
                messages.span,
                'write `[{ role: user, content: "…" }]`',
            )
        )
        return ()
    found = (_message(context, item) for item in messages.items)
    return tuple(m for m in found if m is not None)


def _message(context: Context, item: ast.Value) -> tuple[str, str] | None:
    if isinstance(item, ast.String):
        return ("user", item.value)
    if not isinstance(item, ast.Map):
        context.report(
            type_mismatch(
                f"a message is {describe(item)}",
                item.span,
                'write `{ role: user, content: "…" }`',
            )
        )
        return None
    options = Options(context, "a message", item.entries)
    role = options.take_choice("role", _ROLES)
    content = options.take_word("content")
    options.close()
    return (role or "user", content or "")


# --- pins -----------------------------------------------------------------------


def _pins(context: Context, signals: Signals, pins: Iterable[ast.Pin]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    scores: dict[str, dict[str, float]] = {}
    places: dict[tuple[str, str | None], Span] = {}
    for pin in pins:
        target = pin.target
        key = (target.name, target.member)
        if key in places:
            name = target.name if target.member is None else f"{target.name}.{target.member}"
            context.report(duplicate_name("pin", name, target.span, places[key]))
            continue
        places[key] = target.span
        if target.name in context.fields:
            context.report(
                type_mismatch(
                    f"`{target.name}` is a field, not a signal",
                    target.span,
                    "fill it in `request { … }`",
                    target.name,
                )
            )
            continue
        variable = signals.variable(target)
        if variable is None:
            continue
        value = constant(context, f"`{variable}`", pin.value, variable.type)
        if value is None:
            continue
        if target.member is None:
            found[target.name] = value
        else:
            assert variable.type == SHARE
            assert isinstance(value, float)
            scores.setdefault(target.name, {})[target.member] = value
    for name in dict.fromkeys((*found, *scores)):
        signal = context.signals[name]
        if isinstance(signal.definition, p.Classifier) or signal.kind == "language":
            span = next(s for (n, _), s in places.items() if n == name)
            found[name] = _scores(context, signal, found.get(name), scores.get(name, {}), span)
    return found


def _scores(
    context: Context, signal: p.Signal, label: Value | None, pinned: dict[str, float], span: Span
) -> Scores:
    """A classifier's whole answer from what a test says of it."""
    assert label is None or isinstance(label, str)
    if not isinstance(signal.definition, p.Classifier):
        return Scores(
            label or "und", {"confidence": pinned.get("confidence", 1.0 if label else 0.0)}
        )
    labels = signal.definition.labels
    if label is not None and not pinned:
        return Scores(label, {name: float(name == label) for name in labels})
    rest = [name for name in labels if name not in pinned]
    left = 1.0 - sum(pinned.values())
    if signal.definition.exclusive:
        if left < -1e-9 or (not rest and abs(left) > 1e-9):
            context.report(
                out_of_range(
                    f"the scores of `{signal.name}` add up to {1.0 - left:g}",
                    span,
                    "scores of an exclusive classifier add up to 1",
                    signal.name,
                )
            )
        share = max(left, 0.0) / len(rest) if rest else 0.0
    else:
        share = 0.0
    scores = {name: pinned.get(name, share) for name in labels}
    most = max(labels, key=lambda name: scores[name])
    if label is not None and scores[label] < scores[most]:
        context.report(
            out_of_range(
                f"`{signal.name}` is pinned to `{label}`, but `{most}` has the greater score",
                span,
                "pin the label or the scores",
                signal.name,
            )
        )
    return Scores(label or most, scores)


# --- expectations ---------------------------------------------------------------


def _expectation(context: Context, syntax: ast.Expect) -> p.Expectation:
    value: str | None = None
    if isinstance(syntax.value, ast.String):
        value = syntax.value.value
    elif syntax.value is not None:
        value = syntax.value.name
    known: dict[str, list[str]] = {
        "route": list(context.syntax_routes),
        "reject": [*context.syntax_guards, "context_overflow"],
        "model": list(context.syntax_models),
        "category": [*context.syntax_categories, "none"],
    }
    if syntax.kind in known and value not in known[syntax.kind]:
        what = "guard" if syntax.kind == "reject" else syntax.kind
        place = syntax.span if syntax.value is None else syntax.value.span
        context.report(unknown_name(what, value or "", place, known[syntax.kind]))
    return p.Expectation(syntax.kind, value, syntax.span)
