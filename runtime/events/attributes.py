"""The attributes that a policy declares, read from an event and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from routec.compiler.program import Field
from routec.runtime.events.body import json_type, shown
from routec.runtime.events.request import FieldValue
from routec.runtime.records import Dead

_TOP = frozenset({"request_id", "time", "attributes", "body"})
_INVALID = object()


class AttributeReader:
    """Reads the declared attributes of events.

    Args:
        fields: the policy's fields, in order.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = tuple(
            (field, _path(field), frozenset(field.members), _default(field)) for field in fields
        )

    def read(self, event: Mapping[str, Any]) -> dict[str, FieldValue] | Dead:
        """The value of every field, or why the event is invalid.

        Args:
            event: a request event, decoded; ``attributes`` must be a mapping.
        """
        attributes: Mapping[str, Any] = event["attributes"]
        values: dict[str, FieldValue] = {}
        for field, path, members, default in self._fields:
            found = attributes.get(field.name) if path is None else _lookup(event, path)
            if found is None:
                if default is None:
                    where = ".".join(path or ("attributes", field.name))
                    return Dead("missing-attribute", f"`{where}` is missing: the policy needs it")
                values[field.name] = default
                continue
            value = _convert(found, field.type, members)
            if value is _INVALID:
                return Dead("invalid-attribute", _complaint(field, found))
            values[field.name] = value
        return values


def _path(field: Field) -> tuple[str, ...] | None:
    if not field.path:
        return None
    return field.path if field.path[0] in _TOP else ("attributes", *field.path)


def _default(field: Field) -> FieldValue | None:
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


def _convert(value: Any, type: str, members: frozenset[str]) -> Any:
    match type:
        case "bool":
            return value if isinstance(value, bool) else _INVALID
        case "int":
            return value if isinstance(value, int) and not isinstance(value, bool) else _INVALID
        case "float":
            if isinstance(value, bool) or not isinstance(value, int | float):
                return _INVALID
            number = float(value) if abs(value) < 1e308 else math.inf
            return number if math.isfinite(number) else _INVALID
        case "string":
            return value if isinstance(value, str) else _INVALID
        case "enum":
            return value if isinstance(value, str) and value in members else _INVALID
        case _:
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                return _INVALID
            found = frozenset(value)
            return found if not members or found <= members else _INVALID


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
