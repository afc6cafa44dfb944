"""A request of a comparison, written down."""

from __future__ import annotations

from typing import Any

from routec.compiler.analysis.analysis import outcome
from routec.compiler.analysis.witness import Witness, as_json
from routec.compiler.diff.union import NO_SIGNAL, Side, Union


def shown(union: Union, witness: Witness) -> dict[str, Any]:
    """A witness in the shape of the contract.

    Its `outcome` is that of the new policy, with the old one's as `before`. Beside the members of
    every witness it has `tokens`, where the request's size matters but no signal has it, `absent`,
    the fields that it does not give, and `failing`, the signals that fail.
    """
    found = as_json(union.policy, witness, _outcome(union.new, witness))
    found["outcome"]["before"] = _outcome(union.old, witness)
    absent = [n for n, flag in union.absent.items() if witness.attributes[flag] is True]
    failing = [n for n, flag in union.failing.items() if witness.attributes[flag] is True]
    hidden = {*union.absent.values(), *union.failing.values(), *absent}
    found["attributes"] = {n: v for n, v in found["attributes"].items() if n not in hidden}
    tokens = found["signals"].pop(NO_SIGNAL, 0)
    found["signals"] = {
        name: value
        for name, value in found["signals"].items()
        if not any(name == n or name.startswith((f"{n}.", f"{n}[")) for n in failing)
    }
    if tokens:
        found["tokens"] = tokens
    if absent:
        found["absent"] = absent
    if failing:
        found["failing"] = failing
    return found


def _outcome(side: Side, witness: Witness) -> dict[str, Any]:
    seen = side.see(witness)
    if seen.overflow:
        return {"kind": "reject", "name": "context_overflow"}
    return dict(outcome(seen.decision))
