"""What a decision's model costs."""

from __future__ import annotations

from collections.abc import Mapping

from routec.compiler.program import Model
from routec.runtime.events.decision import Decision
from routec.runtime.events.request import Request
from routec.runtime.selection import DEFAULT_OUTPUT
from routec.safety.tokens import estimate_tokens

_MILLION = 1_000_000


def dollars(models: Mapping[str, Model], request: Request, decision: Decision) -> float | None:
    """Dollars for the chosen model, its answer as long as it may be, or 500 tokens.

    Args:
        models: the policy's models by name.
        request: the request.
        decision: what was decided.

    Returns:
        0 where no model is asked; ``None`` where the model's price is not known.
    """
    if decision.model is None:
        return 0.0
    model = models[decision.model]
    if model.input is None or model.output is None:
        return None
    limit = decision.parameters.get("max_tokens", request.max_tokens)
    known = isinstance(limit, int) and not isinstance(limit, bool)
    answer = limit if known else DEFAULT_OUTPUT
    assert isinstance(answer, int)
    if request.tokens is None:
        request.tokens = estimate_tokens(request.text("all"))
    return (request.tokens * model.input + answer * model.output) / _MILLION
