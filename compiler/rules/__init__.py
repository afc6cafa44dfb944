"""Every rule of routec: the one registry of codes and names."""

from __future__ import annotations

from routec.compiler.rules import (
    always_true_condition,
    ambiguous_priority,
    assertion_failed,
    bad_regex,
    dead_subcondition,
    default_route,
    duplicate_name,
    empty_band,
    import_error,
    impossible_condition,
    missing_on_error,
    out_of_range,
    overlapping_routes,
    redundant_rule,
    test_failed,
    type_mismatch,
    unknown_name,
    unknown_option,
    unreachable_route,
    unused_suppression,
)
from routec.dsl import syntax_error
from routec.dsl.diagnostic import Rule

RULES: tuple[Rule, ...] = (
    syntax_error.RULE,
    unknown_name.RULE,
    duplicate_name.RULE,
    type_mismatch.RULE,
    unknown_option.RULE,
    out_of_range.RULE,
    import_error.RULE,
    default_route.RULE,
    bad_regex.RULE,
    missing_on_error.RULE,
    ambiguous_priority.RULE,
    unreachable_route.RULE,
    impossible_condition.RULE,
    always_true_condition.RULE,
    redundant_rule.RULE,
    overlapping_routes.RULE,
    assertion_failed.RULE,
    empty_band.RULE,
    dead_subcondition.RULE,
    test_failed.RULE,
    unused_suppression.RULE,
)
"""All rules, in order of their codes."""


def find_rule(code_or_name: str) -> Rule | None:
    """The rule with this code (in either case) or name; ``None`` where there is none."""
    wanted = code_or_name.strip().lower()
    return next((r for r in RULES if wanted in (r.code.lower(), r.name)), None)


__all__ = ["RULES", "find_rule"]
