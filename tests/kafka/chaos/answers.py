"""What came from the cache, held against what was answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.kafka.chaos.events import Event


@dataclass(frozen=True, slots=True)
class Asked:
    """A decision, and what was asked.

    Attributes:
        decision: the decision.
        event: the request.
        scope: the field that keeps the answers of its policy apart.
    """

    decision: dict[str, Any]
    event: Event
    scope: str

    @property
    def place(self) -> tuple[str, str, str]:
        """What an answer has to have in common with it."""
        return self.scope, getattr(self.event, self.scope), self.event.question


def good_answers(responses: Sequence[Any]) -> dict[str, Any]:
    """Bodies of the answers that may be kept, by decision."""
    good = {}
    for record in responses:
        try:
            answer = json.loads(record.value)
        except (TypeError, ValueError):
            continue
        body = answer["body"]
        whole = body["choices"][0]["finish_reason"] == "stop" and "padding" not in body
        if answer["ok"] is True and whole:
            good[answer["decision_id"]] = body
    return good


def wrong_with(
    found: Asked, answers: Mapping[str, Any], asked: Callable[[str], Asked | None]
) -> list[str]:
    """What is wrong with a decision that the cache answered; nothing, if all is well.

    Args:
        found: the decision.
        answers: the good answers, by decision.
        asked: finds another decision by its id.
    """
    cache, decision = found.decision["cache"], found.decision
    served = cache["response"]
    whole = (
        cache["status"] == "hit"
        and cache.get("tier") == "exact"
        and decision["category"] == "answers"
        and decision["route"] is None
        and decision["model"] is None
    )
    wrong = [] if whole else ["it is no hit as it should be"]
    if not found.event.wanted.cached:
        wrong.append("it was not to be answered by the cache")
    if not isinstance(served, dict):
        return [*wrong, "no answer"]
    whose = str(served.get("id", "")).removeprefix("answer-")
    if answers.get(whose) != served:
        return [*wrong, "an answer that nobody gave, or that was not to be kept"]
    first = asked(whose)
    if first is None:
        return [*wrong, "an answer to a request that was not decided"]
    if first.decision["cache"]["status"] != "miss":
        wrong.append("an answer to a request that did not miss the cache")
    if first.place != found.place:
        wrong.append(f"an answer from elsewhere: {first.place} for {found.place}")
    return wrong
