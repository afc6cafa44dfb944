"""A policy as it would be if something were different, to show what its decisions hang on."""

from __future__ import annotations

from dataclasses import replace

from routec.compiler import policy as p

PICKED = ("only", "weighted", "cost", "quality", "latency", "balanced", "round_robin")
"""Selection algorithms of the reference interpreter."""


def runnable(policy: p.Policy) -> p.Policy:
    """The policy with every selection that cannot run yet drawn by equal shares instead.

    No analysis speaks of which candidate is picked, and the interpreter must pick one.
    """
    if all(route.selection.by in PICKED for route in policy.routes):
        return policy
    routes = (
        replace(route, selection=p.Selection("weighted", route.selection.candidates, (), ()))
        if route.selection.by not in PICKED
        else route
        for route in policy.routes
    )
    return replace(policy, routes=tuple(routes))


def roomy(policy: p.Policy) -> p.Policy:
    """The policy with models that hold every request, so that none overflows."""
    models = {name: replace(model, context=None) for name, model in policy.models.items()}
    return replace(runnable(policy), models=models)


def without_provider(policy: p.Policy, provider: str) -> p.Policy:
    """The policy while a provider is down: its models hold nothing, not even an empty request."""
    models = {
        name: replace(model, context=-1) if model.provider == provider else model
        for name, model in policy.models.items()
    }
    return replace(runnable(policy), models=models)
