"""Attributes of events, drawn from what a policy's `request` block declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from routec.cli.demo.traffic.draw import below, between, chance, pick, pick_popular, sample
from routec.cli.demo.traffic.sample import Topic

AttributeType = Literal["bool", "int", "float", "string", "enum", "set"]

_OMITTED = 0.25  # how often an attribute that may be missing is

_STRINGS = {
    "tenant": ("acme", "globex", "initech", "umbra", "stark", "wayne", "hooli", "tyrell", "wonka"),
    "roles": ("viewer", "agent", "admin", "developer", "auditor", "clinician"),
    "department": ("sales", "support", "finance", "research", "legal"),
}

_FITTING: Mapping[str, Mapping[Topic, tuple[str, ...]]] = {
    "subject": {
        "billing": ("invoice", "service"),
        "code": ("technical",),
        "legal": ("legal",),
        "medical": ("service",),
    },
    "desk": {
        "billing": ("finance", "sales"),
        "code": ("engineering", "it"),
        "legal": ("legal", "sales"),
        "medical": ("hr",),
    },
    "page": {"billing": ("shop", "account"), "legal": ("imprint",)},
}
"""Enums that say where or about what somebody asks, and the members that fit what he asks."""

_FITS = 0.8  # how often one of them is drawn: people choose wrongly, and some have no choice


@dataclass(frozen=True, slots=True)
class Attribute:
    """One field of a policy's `request` block.

    Attributes:
        name: of the field.
        type: ``bool int float string enum set``.
        members: of an enum, or of a set's element; for ``string`` and ``set`` without a closed
            list, values worth drawing (those that the policy compares with), if any.
        default: its value when missing; ``None`` for none.
        required: whether an event without it is invalid.
        path: where it is found in the attributes (``user.tier``); ``None`` for its own name.
    """

    name: str
    type: AttributeType
    members: tuple[str, ...] = ()
    default: Any = None
    required: bool = False
    path: str | None = None


def attributes_for(
    fields: Sequence[Attribute], rng: Random, topic: Topic | None = None
) -> dict[str, Any]:
    """A value for each field, as a JSON object; some of those not required are left out.

    Strings and enums are drawn with a Zipf-like popularity, the first the most popular; an enum
    that tells what a request is about (`subject`, `desk`, `page`) mostly agrees with the topic.

    Args:
        fields: what the policy declares.
        rng: where the draws come from.
        topic: what the request is about; ``None`` where that is not known.
    """
    drawn: dict[str, Any] = {}
    for field in fields:
        value = _fitting(field, topic, rng) or _value(field, rng)
        if not field.required and chance(rng, _OMITTED):
            continue
        _put(drawn, (field.path or field.name).split("."), value)
    return drawn


def _fitting(field: Attribute, topic: Topic | None, rng: Random) -> str | None:
    if topic is None or field.type != "enum" or field.name not in _FITTING:
        return None
    members = [m for m in _FITTING[field.name].get(topic, ()) if m in field.members]
    return pick_popular(rng, members) if members and chance(rng, _FITS) else None


def _value(field: Attribute, rng: Random) -> Any:
    if field.type == "bool":
        return chance(rng, 0.3)
    if field.type == "int":
        return between(rng, 0, 100)
    if field.type == "float":
        return below(rng, 1001) / 1000
    if field.type == "enum":
        return pick_popular(rng, field.members)
    if field.type == "set":
        return sample(rng, _strings(field), below(rng, 3))
    return pick_popular(rng, _strings(field))


def _strings(field: Attribute) -> tuple[str, ...]:
    if field.members or field.type == "set":
        return field.members or _STRINGS.get(field.name, _STRINGS["roles"])
    return _STRINGS.get(field.name) or tuple(f"{field.name}-{i:03d}" for i in range(1, 201))


def _put(target: dict[str, Any], path: list[str], value: Any) -> None:
    for step in path[:-1]:
        inner = target.setdefault(step, {})
        if not isinstance(inner, dict):
            raise ValueError(f"the path `{'.'.join(path)}` runs through the value of `{step}`")
        target = inner
    target[path[-1]] = value


def missing_required(fields: Sequence[Attribute], rng: Random) -> dict[str, Any]:
    """Attributes of which one that is required is missing; raises `ValueError` if none is."""
    required = [field for field in fields if field.required]
    if not required:
        raise ValueError("no attribute is required, so none can be missing")
    gone = pick(rng, required)
    return attributes_for([field for field in fields if field is not gone], rng)
