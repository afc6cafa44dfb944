"""Every rule of routec: the one registry of codes and names."""

from __future__ import annotations

from routec.compiler.rules import (
    always_true_condition,
    ambiguous_priority,
    assertion_failed,
    bad_regex,
    context_overflow,
    costly_first,
    dead_subcondition,
    default_route,
    duplicate_name,
    empty_band,
    fail_open,
    fallback_cycle,
    import_error,
    impossible_condition,
    impossible_similarity,
    leaky_scope,
    missing_on_error,
    out_of_range,
    over_budget,
    overlapping_categories,
    overlapping_routes,
    redundant_rule,
    shared_fate,
    single_failure,
    test_failed,
    touching_similarities,
    type_mismatch,
    unknown_name,
    unknown_option,
    unreachable_route,
    unused_declaration,
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
    unused_declaration.RULE,
    overlapping_categories.RULE,
    assertion_failed.RULE,
    empty_band.RULE,
    dead_subcondition.RULE,
    touching_similarities.RULE,
    impossible_similarity.RULE,
    fail_open.RULE,
    leaky_scope.RULE,
    context_overflow.RULE,
    fallback_cycle.RULE,
    shared_fate.RULE,
    single_failure.RULE,
    costly_first.RULE,
    over_budget.RULE,
    test_failed.RULE,
    unused_suppression.RULE,
)
"""All rules, in order of their codes."""


def find_rule(code_or_name: str) -> Rule | None:
    """The rule with this code (in either case) or name; ``None`` where there is none."""
    wanted = code_or_name.strip().lower()
    return next((r for r in RULES if wanted in (r.code.lower(), r.name)), None)


__all__ = ["RULES", "find_rule"]
