"""Small parts of JSON schemas."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
SCALAR: Schema = {"type": ["boolean", "number", "string"]}
TEXTS: Schema = {"type": "array", "items": TEXT}
TIME: Schema = {"type": "string", "format": "date-time"}
DIGITS: Schema = {"type": "string", "pattern": "^[0-9]+$"}
HASH: Schema = {"type": "string", "pattern": "^sha256:"}
REFERENCE = "#/components/schemas/{name}"


def named(name: str) -> Schema:
    """The schema of that name."""
    return {"$ref": REFERENCE.format(name=name)}


def or_null(schema: Schema) -> Schema:
    """That, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def object_of(properties: dict[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    """An object whose members are all there but the optional ones; later versions may add some."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


def map_of(schema: Schema) -> Schema:
    """An object with members of any names."""
    return {"type": "object", "additionalProperties": schema}
