"""What `routec check` says of a policy, and which of its rules it says that of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from routec.cli.checking import Effort, check_one, report
from routec.cli.graph.model import Finding, Place
from routec.cli.graph.rules import RuleKey
from routec.cli.selection import Selection
from routec.compiler.policy import Policy
from routec.dsl import ast
from routec.dsl.diagnostic import Diagnostic
from routec.dsl.source import Span

_BLOCKS = {ast.Guard: "guard", ast.Category: "category", ast.Route: "route"}


def rule_places(policy: Policy) -> dict[RuleKey, Place]:
    """Where each rule of a policy is written."""
    return {
        (kind, name): Place(f"{kind} {name}", span.file, span.line)
        for kind, name, span in _rules(policy)
    }


def marked_findings(name: str, data: bytes) -> list[tuple[Finding, Sequence[RuleKey]]]:
    """The findings of a policy, each with the rules it speaks of, the one at fault first.

    Args:
        name: the policy's file; its imports resolve beside it.
        data: what stands in it.

    Raises:
        CommandError: the name is none of a file.
    """
    wanted = Selection()
    one = check_one(name, data, wanted, Effort())
    policy = one.checked.policy
    assert policy is not None, "it was compiled before"
    blocks = list(_blocks(policy))
    known = {(kind, name) for kind, name, _ in _rules(policy)}
    return [
        (_finding(found), _named(found, blocks, known)) for found in report([one], wanted).findings
    ]


def _finding(found: Diagnostic) -> Finding:
    return Finding(
        found.code,
        found.rule.name,
        found.severity.value,
        found.verdict.value,
        found.message,
        found.help or "",
        found.span.file,
        found.span.line,
        found.subjects,
    )


def _named(
    found: Diagnostic, blocks: Sequence[tuple[str, str, Span]], known: set[RuleKey]
) -> Sequence[RuleKey]:
    """The rules that are its subjects.

    A guard, a category and a route may have one name: it is then the kind of the rule that the
    finding points into that is meant.
    """
    inside = next((b for b in blocks if _holds(b[2], found.span)), None)
    kinds = ("guard", "category", "route") if inside is None else (inside[0],)
    rules: list[RuleKey] = [
        (kind, name) for name in found.subjects for kind in kinds if (kind, name) in known
    ]
    if not rules and inside is not None:
        rules = [inside[:2]]
    return tuple(dict.fromkeys(rules))


def _rules(policy: Policy) -> Iterator[tuple[str, str, Span]]:
    for guard in policy.guards:
        yield "guard", guard.name, guard.span
    for category in policy.categories:
        yield "category", category.name, category.span
    for route in policy.routes:
        yield "route", route.name, route.span


def _blocks(policy: Policy) -> Iterator[tuple[str, str, Span]]:
    kinds: Mapping[type, str] = _BLOCKS
    for module in policy.syntax:
        for declared in module.declarations:
            kind = kinds.get(type(declared))
            if kind is not None and isinstance(declared, ast.Guard | ast.Category | ast.Route):
                yield kind, declared.name.name, declared.span


def _holds(block: Span, place: Span) -> bool:
    return block.file == place.file and block.start <= place.start and place.end <= block.end
