"""Declarations that two policies share by name but not in meaning, and what accepts what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from routec.compiler import policy as p
from routec.compiler.dependencies import guarded_signals
from routec.compiler.diff.union import Union, common_type

_UNSEEN = frozenset({"name", "span", "type"})


@dataclass(frozen=True, slots=True)
class Redefinition:
    """A declaration of one name that means something else in the new policy.

    Attributes:
        kind: ``field``, ``signal``, ``model``, ``route`` or ``budget``.
        name: its name.
        how: what is different, in words.
    """

    kind: str
    name: str
    how: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Requests that only one of the policies decides at all.

    Attributes:
        field: the field that tells.
        before: what the old policy takes, in words.
        after: what the new policy takes.
    """

    field: str
    before: str
    after: str


def redefined(union: Union) -> list[Redefinition]:
    """What was redefined, in the order of the old policy."""
    return [*_fields(union), *_signals(union), *_models(union), *_budgets(union)]


def acceptance(union: Union) -> Iterator[Acceptance]:
    """Where the two policies do not take the same requests."""
    old, new = union.old.policy.fields, union.new.policy.fields
    for name in dict.fromkeys((*old, *new)):
        one, other = old.get(name), new.get(name)
        if one is None or other is None:
            declared = one or other
            assert declared is not None
            if declared.default is None:
                words = (f"`{name}` is required", f"`{name}` is ignored")
                before, after = words if one is not None else tuple(reversed(words))
                yield Acceptance(name, before, after)
            continue
        if one.type != other.type:
            yield Acceptance(name, f"`{name}` is {_type(one)}", f"`{name}` is {_type(other)}")
        if (one.default is None) != (other.default is None):
            yield Acceptance(name, *(f"`{name}` is {_need(f)}" for f in (one, other)))


def _type(declared: p.Field) -> str:
    type_ = declared.type
    if type_.members:
        listed = ", ".join(type_.members)
        return f"set(enum({listed}))" if type_.kind == "set" else f"enum({listed})"
    return str(type_)


def _need(declared: p.Field) -> str:
    return "required" if declared.default is None else "optional"


def _fields(union: Union) -> Iterator[Redefinition]:
    for name, one in union.old.policy.fields.items():
        other = union.new.policy.fields.get(name)
        if other is None:
            continue
        parts: list[str] = []
        if one.type != other.type:
            apart = "" if common_type(one.type, other.type) else ", which have no value in common"
            parts.append(f"{_type(one)} became {_type(other)}{apart}")
        if one.path != other.path:
            parts.append(f"is read from `{_path(other)}`, no longer from `{_path(one)}`")
        if one.default != other.default:
            parts.append(f"default {_value(one.default)} became {_value(other.default)}")
        if parts:
            yield Redefinition("field", name, "; ".join(parts))


def _signals(union: Union) -> Iterator[Redefinition]:
    for name, one in union.old.policy.signals.items():
        other = union.new.policy.signals.get(name)
        if other is None:
            continue
        parts: list[str] = []
        bound = union.old.bindings[name], union.new.bindings[name]
        if one.kind != other.kind:
            parts.append(f"{one.kind} became {other.kind}")
        elif isinstance(one.definition, p.Bands) and isinstance(other.definition, p.Bands):
            bands = [
                (side.variable(d.variable), [(b.name, b.bound, b.inclusive) for b in d.bands])
                for side, d in ((union.old, one.definition), (union.new, other.definition))
            ]
            if bands[0] != bands[1]:
                parts.append("its bands, or what they divide, differ")
        elif bound[0].name != bound[1].name or bound[0].kinds != bound[1].kinds:
            parts.append(_definitions(one.definition, other.definition))
        guarded = [name in guarded_signals(side.policy) for side in (union.old, union.new)]
        if guarded[0] != guarded[1] and isinstance(other.definition, p.Keyword | p.Regex):
            parts.append(
                "also sees decoded text, as a guard depends on it"
                if guarded[1]
                else "no longer sees decoded text, as no guard depends on it"
            )
        if one.on_error != other.on_error and one.kind == other.kind:
            parts.append(f"on_error {_value(one.on_error)} became {_value(other.on_error)}")
        waits = getattr(one.definition, "timeout", None), getattr(other.definition, "timeout", None)
        if waits[0] != waits[1]:
            parts.append("its timeout differs")
        parts = list(dict.fromkeys(part for part in parts if part))
        if parts:
            yield Redefinition("signal", name, "; ".join(parts))


def _definitions(one: p.Definition, other: p.Definition) -> str:
    """What differs between two definitions of one kind."""
    parts: list[str] = []
    for at in fields(one):
        before, after = getattr(one, at.name), getattr(other, at.name)
        if before == after or at.name == "timeout":
            continue
        what = at.name.replace("_", " ")
        if isinstance(before, tuple) and all(isinstance(x, str) for x in (*before, *after)):
            more, less = set(after) - set(before), set(before) - set(after)
            counts = [f"{len(more)} added"] * bool(more) + [f"{len(less)} removed"] * bool(less)
            parts.append(f"{what}: " + (", ".join(counts) or "another order"))
        elif isinstance(before, tuple) or at.name in ("constant", "variable"):
            parts.append("its terms, or what they read, differ")
        else:
            parts.append(f"{what} {_value(before)} became {_value(after)}")
    return ", ".join(dict.fromkeys(parts))


def _models(union: Union) -> Iterator[Redefinition]:
    for name, one in union.old.policy.models.items():
        other = union.new.policy.models.get(name)
        if other is None:
            continue
        parts: list[str] = []
        for at in fields(p.Model):
            before, after = getattr(one, at.name), getattr(other, at.name)
            if at.name in _UNSEEN or before == after:
                continue
            told = isinstance(before, str | int | float | None) or hasattr(before, "as_tuple")
            parts.append(f"{at.name} {_value(before)} became {_value(after)}" if told else at.name)
        if parts:
            yield Redefinition("model", name, "; ".join(parts))


def _budgets(union: Union) -> Iterator[Redefinition]:
    old = {b.name: b for b in union.old.policy.budgets}
    new = {b.name: b for b in union.new.policy.budgets}
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            yield Redefinition("budget", name, "was removed")
        elif name not in old:
            yield Redefinition("budget", name, "was added")
        else:
            caps = [(b.per, b.limit, b.window, b.then) for b in (old[name], new[name])]
            if caps[0] != caps[1]:
                yield Redefinition("budget", name, "caps differently")


def _path(declared: p.Field) -> str:
    return ".".join(declared.path or (declared.name,))


def _value(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(value)) + "}"
    shown = getattr(value, "label", value)
    return f"`{shown}`" if isinstance(shown, str) else str(shown)
