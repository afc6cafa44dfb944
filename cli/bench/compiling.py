"""From policy text to the program that runs, as every command makes it."""

from __future__ import annotations

from routec.compiler.check import check_bytes
from routec.compiler.lower import lower
from routec.compiler.plan import optimise
from routec.compiler.policy import Policy
from routec.compiler.program import Program
from routec.safety.text import NORMALISER_VERSION


def resolved(text: str) -> Policy:
    """The policy in a text of ours.

    Raises:
        ValueError: it has errors.
    """
    checked = check_bytes("bench.route", text.encode())
    if checked.policy is None:
        raise ValueError(f"a policy made here has errors: {checked.findings[0].message}")
    return checked.policy


def compiled(text: str) -> Program:
    """Its planned program."""
    policy = resolved(text)
    return optimise(policy, lower(policy, normaliser=NORMALISER_VERSION)).program
