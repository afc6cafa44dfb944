"""The same rules as Cedar policies, decided by `cedarpy`.

Cedar answers allow or deny and knows no order among its policies. So every route is a ``permit``
with its condition; the answer names all that hold, and the route is the first of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from routec.cli.bench.rules import Row, Rules
from routec.runtime.signals.values import Scores

REQUIRED = "cedarpy"


class Cedar:
    """The rules of a policy, parsed once.

    Args:
        rules: of atoms that Cedar can say.

    Raises:
        ImportError: `cedarpy` is not installed.
    """

    def __init__(self, rules: Rules) -> None:
        import cedarpy

        self._ask_one = cedarpy.is_authorized
        self._ask_many = cedarpy.is_authorized_batch
        self._policies = cedarpy.PolicySet.from_str(policies(rules))
        self._entities = cedarpy.Entities.from_json_str("[]")
        # Policies are numbered in the order of the text.
        self._names = {f"policy{at}": (at, rule.name) for at, rule in enumerate(rules.rules)}
        self._default = (len(rules.rules), rules.default.name)

    def one_by_one(self, requests: Sequence[Mapping[str, Any]]) -> list[str]:
        """The route of each request, with a call for each."""
        ask, policies, entities = self._ask_one, self._policies, self._entities
        return [self._route(ask(dict(request), policies, entities)) for request in requests]

    def together(self, requests: Sequence[Mapping[str, Any]]) -> list[str]:
        """The route of each request, with one call for all."""
        answers = self._ask_many(list(requests), self._policies, self._entities)  # type: ignore[arg-type]
        return [self._route(answer) for answer in answers]

    def _route(self, answer: Any) -> str:
        names, default = self._names, self._default
        return min((names[reason] for reason in answer.diagnostics.reasons), default=default)[1]


def policies(rules: Rules) -> str:
    """The rules in Cedar's language.

    Raises:
        ValueError: an atom that Cedar cannot say.
    """
    parts = []
    for rule in rules.rules:
        clauses = []
        for clause in rule.clauses:
            atoms = []
            for atom in clause:
                if atom.cedar is None:
                    raise ValueError(f"Cedar has no fractions: {atom.route}")
                atoms.append(atom.cedar.format(f"context.{atom.name}"))
            clauses.append(f"({' || '.join(atoms)})")
        when = " && ".join(clauses)
        parts.append(f"permit(principal, action, resource) when {{ {when} }};")
    return "\n".join(parts)


def request(row: Row) -> dict[str, Any]:
    """A request's values as Cedar takes them: those that crisp rules can read."""
    context: dict[str, Any] = dict(row.attributes)
    for name, value in row.signals.items():
        if isinstance(value, Scores):
            context[name] = value.label
        elif not isinstance(value, float):
            context[name] = value
    return {
        "principal": 'User::"anyone"',
        "action": 'Action::"route"',
        "resource": 'Service::"llm"',
        "context": context,
    }
