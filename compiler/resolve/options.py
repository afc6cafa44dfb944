"""Reading the entries of a block, typed: whatever is not understood is reported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from routec.compiler.resolve.context import Context
from routec.compiler.rules.duplicate_name import duplicate_name
from routec.compiler.rules.out_of_range import out_of_range
from routec.compiler.rules.type_mismatch import type_mismatch
from routec.compiler.rules.unknown_name import unknown_name
from routec.compiler.rules.unknown_option import unknown_option
from routec.dsl import ast

_UNITS = {
    "number": "a number",
    "percent": "a percentage such as `30%`",
    "duration": "a duration such as `50ms`",
    "money": "an amount of money such as `$0.25`",
}


def describe(value: ast.Value | ast.Operand) -> str:
    """What a value is, in the author's words."""
    match value:
        case ast.Ref():
            return f"`{value.name}`"
        case ast.String():
            return "a string"
        case ast.Number(unit=unit):
            return _UNITS[unit].split(" such")[0]
        case ast.Bool():
            return "a bool"
        case ast.Regex():
            return "a regular expression"
        case ast.List() | ast.File():
            return "a list"
        case ast.Map():
            return "a block"
        case ast.TypeExpr():
            return "a type"
        case ast.Relax():
            return "a `when_load` value"


def word(value: ast.Value | ast.Operand) -> str | None:
    """The text of a plain identifier or a string; ``None`` for anything else."""
    if isinstance(value, ast.String):
        return value.value
    if isinstance(value, ast.Ref) and value.member is None:
        return value.name
    return None


def in_bounds(
    context: Context,
    number: ast.Number,
    what: str,
    low: Decimal | None,
    high: Decimal | None,
) -> bool:
    """Whether a number is within both ends; reports it otherwise."""
    if low is not None and number.value < low:
        context.report(
            out_of_range(
                f"{what} is {number.text}, less than {low}", number.span, _range(low, high)
            )
        )
        return False
    if high is not None and number.value > high:
        context.report(
            out_of_range(
                f"{what} is {number.text}, greater than {high}", number.span, _range(low, high)
            )
        )
        return False
    return True


def _range(low: Decimal | None, high: Decimal | None) -> str:
    if low is None:
        return f"use at most {high}"
    if high is None:
        return f"use at least {low}"
    return f"use a value from {low} to {high}"


class Options:
    """The entries of one block, each asked for once by its key.

    Every ``take_*`` method answers ``None`` where the key is absent or wrong; what is
    wrong is reported. `close` reports the keys that nobody asked for.
    """

    def __init__(self, context: Context, owner: str, entries: Iterable[ast.Entry]) -> None:
        self._context = context
        self._owner = owner
        self._entries: dict[str, ast.Entry] = {}
        self._known: set[str] = set()
        for entry in entries:
            key = entry.key.name
            if key in self._entries:
                first = self._entries[key].key.span
                context.report(duplicate_name("option", key, entry.key.span, first))
            else:
                self._entries[key] = entry

    def has(self, key: str) -> bool:
        """Whether the author gave this key."""
        return key in self._entries

    def take(self, key: str) -> ast.Value | None:
        """The value as written."""
        self._known.add(key)
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def rest(self) -> list[ast.Entry]:
        """The entries that nobody asked for, which then count as known."""
        left = [e for k, e in self._entries.items() if k not in self._known]
        self._known.update(e.key.name for e in left)
        return left

    def close(self) -> None:
        """Report every key that nobody asked for."""
        for key, entry in self._entries.items():
            if key not in self._known:
                self._context.report(unknown_option(self._owner, key, entry.key.span, self._known))

    def take_number(
        self,
        key: str,
        units: Sequence[str] = ("number",),
        low: Decimal | int | None = None,
        high: Decimal | int | None = None,
    ) -> Decimal | None:
        """A number of one of these units within these ends."""
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, ast.Number) or value.unit not in units:
            self._wrong(key, value, " or ".join(_UNITS[u] for u in units))
            return None
        ends = (None if e is None else Decimal(e) for e in (low, high))
        return value.value if in_bounds(self._context, value, f"`{key}`", *ends) else None

    def take_positive(self, key: str, unit: str) -> Decimal | None:
        """A number of this unit above zero."""
        value = self.take(key)
        found = self.take_number(key, (unit,), low=0)
        if found == 0 and value is not None:
            self._context.report(out_of_range(f"`{key}` is zero", value.span, "use more than zero"))
            return None
        return found

    def take_bool(self, key: str) -> bool | None:
        """``true`` or ``false``."""
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, ast.Bool):
            self._wrong(key, value, "`true` or `false`")
            return None
        return value.value

    def take_word(self, key: str) -> str | None:
        """An identifier or a string."""
        value = self.take(key)
        if value is None:
            return None
        text = word(value)
        if text is None:
            self._wrong(key, value, "a name or a string")
        return text

    def take_choice(self, key: str, choices: Sequence[str]) -> str | None:
        """One of a few words."""
        value = self.take(key)
        text = self.take_word(key)
        if value is None or text is None:
            return None
        if text not in choices:
            self._context.report(unknown_name(f"value of `{key}`", text, value.span, choices))
            return None
        return text

    def take_strings(self, key: str) -> tuple[str, ...] | None:
        """A list of strings, inline or from a file; not empty."""
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, ast.List | ast.File):
            self._wrong(key, value, 'a list of strings such as `["a", "b"]`')
            return None
        found = strings(self._context, f"`{key}`", [value])
        if not found and isinstance(value, ast.List) and not value.items:
            self._context.report(
                out_of_range(f"`{key}` is empty", value.span, "give at least one string")
            )
        return found or None

    def take_words(self, key: str) -> tuple[str, ...] | None:
        """A list of distinct identifiers or strings."""
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, ast.List):
            self._wrong(key, value, "a list of names such as `[a, b]`")
            return None
        return words(self._context, f"`{key}`", value.items)

    def _wrong(self, key: str, value: ast.Value, wanted: str) -> None:
        self._context.report(
            type_mismatch(
                f"`{key}` is {describe(value)}, not {wanted}", value.span, f"use {wanted}"
            )
        )


def strings(context: Context, what: str, values: Iterable[ast.Value]) -> tuple[str, ...]:
    """All strings of these values, lists and files; empty strings are reported and left out."""
    found: list[str] = []
    for value in values:
        match value:
            case ast.String():
                if value.value.strip():
                    found.append(value.value)
                else:
                    context.report(
                        out_of_range(f"{what} has an empty string", value.span, "remove it")
                    )
            case ast.List():
                found.extend(strings(context, what, value.items))
            case ast.File():
                found.extend(context.read_lines(value))
            case _:
                context.report(
                    type_mismatch(
                        f"{what} has {describe(value)}, not a string",
                        value.span,
                        'write it as a string, in `"…"`',
                    )
                )
    return tuple(dict.fromkeys(found))


def words(context: Context, what: str, values: Iterable[ast.Value]) -> tuple[str, ...]:
    """All identifiers or strings of these values; others and repeated ones are reported."""
    found: list[tuple[str, ast.Value]] = []
    for value in values:
        text = word(value)
        if text is None:
            context.report(
                type_mismatch(
                    f"{what} has {describe(value)}, not a name",
                    value.span,
                    "use a name or a string",
                )
            )
        else:
            found.append((text, value))
    context.unique(f"{what} entry", ((text, value.span) for text, value in found))
    return tuple(dict.fromkeys(text for text, _ in found))
