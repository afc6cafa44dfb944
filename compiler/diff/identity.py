"""What makes two declarations the same: everything that they mean, but not their names.

Equal identities give equal values on every request, whatever the declarations are called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from routec.compiler import policy as p
from routec.compiler.expr import Expr, Variable

Identity = tuple[object, ...]


def of_definition(
    signal: p.Signal,
    variable: Callable[[Variable], Variable],
    condition: Callable[[Expr], Expr],
) -> Identity:
    """The identity of what a signal measures; when it fails, and to what, is not in it.

    Args:
        signal: the signal.
        variable: what a variable of its policy is called in the comparison.
        condition: the same of a condition.
    """
    definition = signal.definition
    match definition:
        case p.Keyword(phrases, match, case_sensitive, scope):
            return ("keyword", tuple(sorted(set(phrases))), match, case_sensitive, scope)
        case p.Regex(pattern, flags, scope):
            return ("regex", pattern, "".join(sorted(set(flags))), scope)
        case p.Structure():
            return (signal.kind,)
        case p.Clock(zone):
            return (signal.kind, zone)
        case p.Entities():
            # Whichever kinds are asked for, the answer is that for all kinds less the others:
            # all entity signals are views of one.
            return ("entities",)
        case p.Repeated(similarity):
            return ("repeated", similarity)
        case p.Similarity(examples, reduce):
            return ("similarity", tuple(sorted(examples)), reduce)
        case p.Contrast(high, low):
            return ("contrast", tuple(sorted(high)), tuple(sorted(low)))
        case p.Classifier(backend, labels, exclusive):
            return ("classifier", backend, labels, exclusive)
        case p.External(service):
            return ("external", service, signal.type)
        case p.Score(constant, summands):
            parts = tuple(
                (
                    s.coefficient,
                    None if s.variable is None else variable(s.variable),
                    None if s.condition is None else condition(s.condition),
                )
                for s in summands
            )
            return ("score", constant, parts)
        case p.Bands(source, bands):
            bounds = tuple((b.name, b.bound, b.inclusive) for b in bands)
            return ("bands", variable(source), bounds)
        case _:
            assert_never(definition)


def of_model(model: p.Model, by: str) -> Identity:
    """All of a model that shows in a decision whose target was selected `by` an algorithm."""
    ranked: Identity = ()
    if by in ("cost", "balanced"):
        ranked += ("price", model.input, model.output)
    if by in ("quality", "balanced"):
        ranked += ("quality", model.quality)
    if by in ("latency", "balanced"):
        ranked += ("latency", model.latency)
    if by not in ("only", "weighted", "round_robin", "cost", "quality", "latency", "balanced"):
        # What such an algorithm looks at is its own affair.
        ranked = (model.input, model.output, model.quality, model.latency, model.tags)
    return (model.provider, model.target, model.endpoint, model.context, *ranked)
