"""From a program's fields to attributes that sample traffic can fill."""

from __future__ import annotations

from typing import Any, cast

from routec.cli.demo.traffic import Attribute
from routec.cli.demo.traffic.attributes import AttributeType
from routec.compiler.program import Field, Program

_OTHER = "other"
"""A string that no condition compares with."""


def attributes_of(program: Program) -> list[Attribute]:
    """The attributes to draw; strings are drawn among those that the policy compares with."""
    compared: dict[str, set[str]] = {}
    for node in program.nodes:
        if node.variable is not None and isinstance(node.value, str):
            variable = program.variables[node.variable]
            if variable.source == "field":
                compared.setdefault(variable.name, set()).add(node.value)
    return [
        _attribute(field, tuple(sorted(compared.get(field.name, ()))))
        for field in program.fields
        if field.path[:1] not in (("request_id",), ("time",))
    ]


def placed(event: dict[str, Any]) -> dict[str, Any]:
    """The event with attributes that belong into its body moved there."""
    attributes = event["attributes"]
    moved = attributes.pop("body", None)
    if isinstance(moved, dict):
        event["body"] = {**event["body"], **moved}
    return event


def _attribute(field: Field, compared: tuple[str, ...]) -> Attribute:
    members = field.members
    if not members and field.type in ("string", "set") and compared:
        members = (*compared, _OTHER)
    path = field.path[1:] if field.path[:1] == ("attributes",) else field.path
    return Attribute(
        field.name,
        cast(AttributeType, field.type),
        members,
        field.default,
        field.required,
        ".".join(path) or None,
    )
