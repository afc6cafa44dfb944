"""A decided request's way through the questions of a program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from routec.cli.describe import value_text
from routec.cli.graph.build import Trails
from routec.cli.graph.flow import Flow
from routec.cli.graph.known import Follower, Trail
from routec.cli.graph.model import Question, Replay, Value
from routec.compiler.program import Program
from routec.runtime.events.decision import Decision
from routec.runtime.events.request import Request

_TEXT = 240


def replayed(
    program: Program,
    follower: Follower,
    flows: Sequence[Flow],
    request: Request,
    pins: Mapping[str, object],
    decision: Decision,
) -> Trails:
    """Follow a request by the values that its decision recorded.

    Args:
        program: the program.
        follower: of that program.
        flows: its questions.
        request: the request.
        pins: signals that were fixed.
        decision: what became of it.
    """
    values = follower.values(request.attributes, decision.signals)
    ways: dict[Question, Trail] = {}
    for flow in flows:
        if flow.question == "category" and not _cacheable(program, decision):
            continue
        trail = follower.trail(flow, values)
        ways[flow.question] = trail
        if follower.rejects(flow, trail):
            break
    unfinished = tuple(question for question, trail in ways.items() if not trail.ended)
    return Trails(values, ways, _story(request, pins, decision, unfinished))


def _cacheable(program: Program, decision: Decision) -> bool:
    """Whether the category was asked for: some routes keep out of the cache, or force one."""
    route = next((route for route in program.routes if route.name == decision.route), None)
    return bool(program.plan.cases) or route is None or route.cache == "auto"


def _story(
    request: Request,
    pins: Mapping[str, object],
    decision: Decision,
    unfinished: tuple[Question, ...],
) -> Replay:
    last = request.last_user
    text = "" if last is None else request.messages[last].text
    text = text if len(text) <= _TEXT else f"{text[:_TEXT]}…"
    fields = [
        Value(name, value_text(value), "request") for name, value in request.attributes.items()
    ]
    read = [
        Value(
            name,
            value_text(value),
            "given" if name in pins or name.partition(".")[0] in pins else "computed",
        )
        for name, value in decision.signals.items()
    ]
    return Replay(
        text,
        _outcome(decision),
        tuple(_facts(decision)),
        (*fields, *read),
        decision.skipped,
        unfinished,
    )


def _outcome(decision: Decision) -> str:
    if decision.reject is not None:
        by = f" by guard {decision.reject.guard}" if decision.reject.guard is not None else ""
        return f"rejected{by}: {decision.reject.status} {decision.reject.reason}"
    if decision.outcome == "cached":
        return "answered from the cache"
    return f"route {decision.route} to {decision.model}"


def _facts(decision: Decision) -> Iterator[tuple[str, str]]:
    if decision.fallbacks:
        yield "fallbacks", " → ".join(decision.fallbacks)
    if decision.reject is None:
        yield "category", decision.category or "none"
    if decision.redacted:
        yield "redacted", ", ".join(dict.fromkeys(span.kind for span in decision.redacted))
    if decision.tags:
        yield "tags", ", ".join(decision.tags)
    if decision.failures:
        yield "failed", ", ".join(f"{f.signal} ({f.reason})" for f in decision.failures)
