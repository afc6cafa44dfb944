"""Running the `test` blocks of a policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from routec.cli.flips import outcome
from routec.cli.offline import Answer, Offline
from routec.cli.programs import Compiled
from routec.cli.why import Reasons
from routec.compiler.policy import Case, Expectation, Signal
from routec.compiler.program import Program
from routec.compiler.rules.test_failed import failing_test
from routec.dsl.diagnostic import Diagnostic
from routec.runtime.events.decision import Decision
from routec.runtime.events.request import FieldValue, Message, Request


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How one test went.

    Attributes:
        case: the test.
        outcome: what was decided, such as ``route general``; ``None`` where a signal was missing.
        failures: a finding for each expectation that is not met; empty for a test that passed.
    """

    case: Case
    outcome: str | None
    failures: tuple[Diagnostic, ...]

    @property
    def passed(self) -> bool:
        """Whether every expectation is met."""
        return not self.failures


async def run_cases(compiled: Compiled, *, live: bool = False) -> list[CaseResult]:
    """Decide the request of each test and compare.

    Args:
        compiled: the policy.
        live: whether to compute costly signals that a test does not pin, with the real models.

    Raises:
        CommandError: a model or classifier cannot be opened.
    """
    policy, program = compiled.policy, compiled.program
    if not policy.cases:
        return []
    offline = Offline(compiled, live=live)
    requests = [_request(compiled, case) for case in policy.cases]
    pins: list[Mapping[str, object]] = [case.pins for case in policy.cases]
    answers = await offline.decide(requests, pins)
    return [
        _result(program, policy.signals, case, request, answer)
        for case, request, answer in zip(policy.cases, requests, answers, strict=True)
    ]


def _request(compiled: Compiled, case: Case) -> Request:
    attributes: dict[str, FieldValue] = {}
    for name, field in compiled.policy.fields.items():
        value = case.attributes.get(name, field.default)
        assert value is not None, "the resolver refuses a test without a required field"
        attributes[name] = value
    messages = tuple(Message(role, content) for role, content in case.messages)
    body = {"messages": [{"role": role, "content": content} for role, content in case.messages]}
    return Request(case.text, attributes, messages, body=body)


def _result(
    program: Program, signals: Mapping[str, Signal], case: Case, request: Request, answer: Answer
) -> CaseResult:
    if answer.missing:
        name = answer.missing[0]
        finding = failing_test(
            case.text,
            f"`{case.text}` needs signal `{name}`, which it does not pin",
            case.span,
            f"add `{name}: …` to `with {{ … }}`, or run `routec test --live` "
            f"to compute it ({signals[name].kind} signals need a model)",
        )
        return CaseResult(case, None, (finding,))
    reasons = Reasons(program, request, answer.decision, case.pins)
    failures = [
        failing_test(
            case.text,
            f"`{case.text}`: expected {_wanted(expected)}, {_got(expected, answer.decision)}",
            expected.span,
            _why(program, expected, answer.decision, reasons),
        )
        for expected in case.expects
        if not _met(expected, answer.decision)
    ]
    return CaseResult(case, outcome(answer.decision), tuple(failures))


def _met(expected: Expectation, decision: Decision) -> bool:
    value, reject = expected.value, decision.reject
    match expected.kind:
        case "route":
            return reject is None and decision.route == value
        case "reject":
            return reject is not None and (reject.guard or reject.reason) == value
        case "model":
            return decision.model == value
        case "category":
            return decision.category == (None if value == "none" else value)
        case "redact":
            return bool(decision.redacting)
        case "tag":
            return value in decision.tags
    raise AssertionError(f"unknown expectation `{expected.kind}`")


def _wanted(expected: Expectation) -> str:
    return expected.kind if expected.value is None else f"{expected.kind} `{expected.value}`"


def _got(expected: Expectation, decision: Decision) -> str:
    """What was decided instead, of the same kind."""
    decided = outcome(decision).partition(" ")
    whole = f"decided {decided[0]} `{decided[2]}`"
    if decision.reject is not None:
        return whole
    match expected.kind:
        case "model":
            return f"decided model `{decision.model}` ({whole.removeprefix('decided ')})"
        case "category":
            return f"decided category `{decision.category or 'none'}`"
        case "redact":
            return "nothing is redacted"
        case "tag":
            return "the tags are " + (", ".join(f"`{t}`" for t in decision.tags) or "none")
    return whole


def _why(
    program: Program, expected: Expectation, decision: Decision, reasons: Reasons
) -> str | None:
    """Why the expected did not come about, else why what was decided did."""
    value, reject = expected.value, decision.reject
    guards = {guard.name: guard.when for guard in program.guards}
    routes = {route.name: route for route in program.routes}
    if expected.kind == "reject" and value in guards and not reasons.holds(guards[value]):
        return f"guard `{value}` does not act: {reasons.because(guards[value])}"
    if reject is not None:
        if reject.guard is None:
            return "no model of the route can hold the request"
        return f"guard `{reject.guard}` rejects: {reasons.because(guards[reject.guard])}"
    assert decision.route is not None
    taken = routes[decision.route]
    if expected.kind == "route" and value in routes:
        names = list(routes)
        if names.index(value) < names.index(decision.route):
            return f"not `{value}`: {reasons.because(routes[value].when)}"
        return f"`{decision.route}` comes first: {reasons.because(taken.when)}"
    if expected.kind == "model" and decision.selection is not None:
        if decision.selection.by == "only":
            return f"route `{decision.route}` has only model `{decision.model}`"
        among = ", ".join(decision.selection.candidates) or "no candidate that fits"
        return f"route `{decision.route}` selects by {decision.selection.by} among {among}"
    if expected.kind == "category":
        if taken.cache == "off":
            return f"route `{decision.route}` has its cache off"
        wanted = next((c.when for c in program.categories if c.name == value), None)
        if wanted is not None and reasons.holds(wanted) is False:
            return reasons.because(wanted)
    return None
