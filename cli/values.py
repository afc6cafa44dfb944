"""Values given on a command line: ``--attr NAME=VALUE`` and ``--with SIGNAL=VALUE``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from routec.cli.errors import CommandError
from routec.compiler.program import Field, Program, Signal


def parse_attributes(given: Sequence[str], fields: Sequence[Field]) -> dict[str, Any]:
    """The attributes that a command line gives, as the JSON of an event has them.

    Raises:
        CommandError: one is not written ``NAME=VALUE``, or is no field, or no value of it.
    """
    known = {field.name: field for field in fields}
    attributes: dict[str, Any] = {}
    for item in given:
        name, text = _split(item, "--attr")
        if name not in known:
            raise _unknown("field", name, known)
        attributes[name] = _value(text, known[name].type, item)
    return attributes


def parse_pins(given: Sequence[str], program: Program) -> dict[str, object]:
    """The signal values that a command line fixes; ``SIGNAL.LABEL=0.9`` fixes a label's score.

    Raises:
        CommandError: one is not written ``SIGNAL=VALUE``, or is no signal, or no value of it.
    """
    known = {signal.name: signal for signal in program.signals}
    pins: dict[str, object] = {}
    scores: dict[str, dict[str, float]] = {}
    for item in given:
        name, text = _split(item, "--with")
        signal, _, label = name.partition(".")
        if signal not in known:
            raise _unknown("signal", signal, known)
        if label:
            scores.setdefault(signal, {})[label] = _score(known[signal], label, text, item)
        else:
            pins[signal] = _pin(known[signal], text, item)
    for name, pinned in scores.items():
        if name in pins:
            raise CommandError(
                f"`{name}` is given both as a value and by its scores", "give one of them"
            )
        pins[name] = pinned
    return pins


def _pin(signal: Signal, text: str, item: str) -> object:
    if signal.kind == "classifier" and text not in signal.labels:
        raise _unknown(f"label of `{signal.name}`", text, signal.labels)
    value = _value(text, signal.type, item)
    return frozenset(value) if isinstance(value, list) else value


def _score(signal: Signal, label: str, text: str, item: str) -> float:
    if signal.kind != "classifier":
        raise CommandError(
            f"`{signal.name}` has no scores to fix", f"write `{signal.name}=VALUE` instead"
        )
    if label not in signal.labels:
        raise _unknown(f"label of `{signal.name}`", label, signal.labels)
    score = _value(text, "float", item)
    if not 0 <= score <= 1:
        raise CommandError(f"`{item}` is no score", "a score is from 0 to 1")
    return float(score)


def _split(item: str, option: str) -> tuple[str, str]:
    name, equals, text = item.partition("=")
    if not equals or not name:
        raise CommandError(f"`{option} {item}` has no value", f"write `{option} NAME=VALUE`")
    return name.strip(), text


def _value(text: str, type: str, item: str) -> Any:
    """The text as a value of a field's type; a set is a list separated by commas."""
    try:
        if type == "bool":
            return {"true": True, "false": False}[text]
        if type == "int":
            return int(text)
        if type == "float":
            number = float(text)
            if not math.isfinite(number):
                raise ValueError
            return number
    except (KeyError, ValueError):
        wanted = {"bool": "`true` or `false`", "int": "a whole number", "float": "a number"}
        raise CommandError(
            f"`{item}` is no {type}", f"write {wanted[type]} after the `=`"
        ) from None
    if type == "set":
        return [member.strip() for member in text.split(",") if member.strip()]
    return text


def _unknown(what: str, name: str, known: Iterable[str]) -> CommandError:
    names = list(known)
    near = get_close_matches(name, names, n=1)
    listed = ", ".join(f"`{n}`" for n in names[:12]) or "none"
    return CommandError(
        f"there is no {what} `{name}`", f"did you mean `{near[0]}`?" if near else f"known: {listed}"
    )
