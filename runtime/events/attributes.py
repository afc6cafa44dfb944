"""The attributes that a policy declares, read from an event and checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from routec.compiler.program import Field
from routec.runtime.events.body import json_type, shown
from routec.runtime.events.request import FieldValue
from routec.runtime.records import Dead

_TOP = frozenset({"request_id", "time", "attributes", "body"})

Convert = Callable[[Any], FieldValue | None]
"""From a member's value to the field's; ``None`` for a value outside its type."""


class AttributeReader:
    """Reads the declared attributes of events.

    Args:
        fields: the policy's fields, in order.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = tuple(
            (field.name, _path(field), _converter(field), default_of(field), field)
            for field in fields
        )
        self._plain = all(path is None for _, path, *_ in self._fields)

    def read(
        self, event: Mapping[str, Any], request_id: str, attributes: Mapping[str, Any]
    ) -> dict[str, FieldValue] | Dead:
        """The value of every field, or why the event is invalid.

        Args:
            event: a request event, decoded.
            request_id: its id, which it need not hold itself.
            attributes: its attributes, likewise.
        """
        if not self._plain:
            event = {**event, "request_id": request_id, "attributes": attributes}
        values: dict[str, FieldValue] = {}
        for name, path, convert, default, field in self._fields:
            found = attributes.get(name) if path is None else _lookup(event, path)
            value = default if found is None else convert(found)
            if value is None:
                return _refusal(field, path, found)
            values[name] = value
        return values


def _path(field: Field) -> tuple[str, ...] | None:
    if not field.path:
        return None
    return field.path if field.path[0] in _TOP else ("attributes", *field.path)


def default_of(field: Field) -> FieldValue | None:
    """The value of a field that an event does not have; ``None`` if it must have one."""
    if field.type == "set":
        members = field.default if isinstance(field.default, tuple | list) else ()
        return None if field.required else frozenset(str(member) for member in members)
    if field.required or isinstance(field.default, tuple | list):
        return None
    if field.type == "float" and field.default is not None:
        return float(field.default)
    return field.default


def _lookup(event: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = event
    for member in path:
        value = value.get(member) if isinstance(value, Mapping) else None
        if value is None:
            return None
    return value


def _converter(field: Field) -> Convert:
    # JSON as it is decoded has no subclasses of its types.
    members = frozenset(field.members)
    match field.type:
        case "bool":
            return lambda value: value if type(value) is bool else None
        case "int":
            return lambda value: value if type(value) is int else None
        case "float":
            return _float
        case "string":
            return lambda value: value if type(value) is str else None
        case "enum":
            return lambda value: value if type(value) is str and value in members else None
        case _:
            return lambda value: _set(value, members)


def _float(value: Any) -> float | None:
    if type(value) is not int and type(value) is not float:
        return None
    number = float(value) if abs(value) < 1e308 else math.inf
    return number if math.isfinite(number) else None


def _set(value: Any, members: frozenset[str]) -> frozenset[str] | None:
    if type(value) is not list or not all(type(item) is str for item in value):
        return None
    found = frozenset(value)
    return found if not members or found <= members else None


def _refusal(field: Field, path: tuple[str, ...] | None, value: object) -> Dead:
    if value is None:
        where = ".".join(path or ("attributes", field.name))
        return Dead("missing-attribute", f"`{where}` is missing: the policy needs it")
    return Dead("invalid-attribute", _complaint(field, value))


def _complaint(field: Field, value: object) -> str:
    listed = ", ".join(f"`{member}`" for member in field.members[:8])
    listed += ", …" if len(field.members) > 8 else ""
    wanted = {
        "bool": "`true` or `false`",
        "int": "a whole number of at most 64 bits",
        "float": "a finite number",
        "string": "a string",
        "enum": f"one of {listed}",
        "set": f"a list out of {listed}" if field.members else "a list of strings",
    }[field.type]
    got = shown(value) if not isinstance(value, list | dict) else json_type(value)
    return f"attribute `{field.name}` must be {wanted}, it is {got}"
