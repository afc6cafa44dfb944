"""What a value of the configuration may be, in words."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Meta

_MOST_SHOWN = 40
_AMOUNT = re.compile(r"-?[0-9.]{1,20} ?[a-z]{0,2}\Z")


def admissible(hint: Any, *, duration: bool = False) -> str:
    """What a field may be: such as "a whole number from 1 to 10,000".

    Args:
        hint: the field's type, with its bounds.
        duration: whether its numbers are seconds.
    """
    kind, bounds = _parts(hint)
    for bound in bounds:
        if bound.description is not None:
            return bound.description
    if kind is bool:
        return "`true` or `false`"
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(f"`{option}`" for option in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        most = next((f", at most {b.max_length}" for b in bounds if b.max_length is not None), "")
        return f'a list of texts, such as `["a", "b"]`{most}'
    if kind is str:
        return "text that is not empty" if any(b.min_length for b in bounds) else "text"
    if kind is Path:
        return "the path of a file"
    what = "a duration" if duration else "a whole number" if kind is int else "a number"
    return what + "".join(_bounds(bound) for bound in bounds)


def written(value: Any, hint: Any, *, in_file: bool = True) -> str:
    """What was written instead; text is repeated only where it had to be one of a few words.

    Text of other fields may be a secret that stands in the wrong place.

    Args:
        value: the value.
        hint: its field's type.
        in_file: whether values have types; in the environment all are text.
    """
    kind, _ = _parts(hint)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float):
        return f"`{value}`"
    if isinstance(value, str):
        if not value:
            return "empty"
        shown = typing.get_origin(kind) is Literal and len(value) <= _MOST_SHOWN
        if shown or _AMOUNT.match(value):
            return f"`{value}`"
        return "text" if in_file and kind is not str else "this text"
    if isinstance(value, list):
        return "this list" if typing.get_origin(kind) is tuple else "a list"
    return "a table" if isinstance(value, Mapping) else "a date or time"


def how(value: Any, hint: Any) -> str:
    """How the right kind of value is written where the wrong one stands in a file."""
    kind, _ = _parts(hint)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and (kind is str or typing.get_origin(kind) is Literal):
        return ", in quotes"
    return ", without quotes" if isinstance(value, str) and kind in (int, float, bool) else ""


def _parts(hint: Any) -> tuple[Any, list[Meta]]:
    """A type without what it is annotated with, and its bounds; the other one of it and `None`."""
    metas: list[Meta] = []
    while True:
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            hint = next(one for one in typing.get_args(hint) if one is not types.NoneType)
        elif hasattr(hint, "__metadata__"):
            metas += [one for one in hint.__metadata__ if isinstance(one, Meta)]
            hint = hint.__origin__
        else:
            return hint, metas


def _bounds(meta: Meta) -> str:
    low, above, high = meta.ge, meta.gt, meta.le
    if low is not None and high is not None:
        return f" from {low:,} to {high:,}"
    if low is not None:
        return f" of at least {low:,.15g}"
    if above is not None:
        return f" above {above:,.15g}" + ("" if high is None else f" and up to {high:,.15g}")
    return "" if high is None else f" of at most {high:,.15g}"
