"""Implications between atoms of different variables: all that are claimed hold."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routec.cli.bench.analysis import generate
from routec.compiler import policy as p
from routec.compiler.interpreter import Request, all_values
from routec.compiler.plan.atoms import Fact
from routec.compiler.plan.implications import implications
from routec.compiler.program import Node, Program
from routec.compiler.theory.text import TextSignal, matches
from routec.compiler.types import Scores, Value
from tests.compiler.plan.walking import node_holds, policy_of, prepared, random_values
from tests.compiler.policies import Made, policies

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
HEAD = "policy x\nmodel m { provider: p }\nmodel n { provider: q }\n"


class Claims:
    """A policy of one route per condition, and what is implied among their atoms."""

    def __init__(self, declared: str, *conditions: str) -> None:
        routes = [
            f"route r{at} priority {1 + at} {{ when {condition} to m }}"
            for at, condition in enumerate(conditions)
        ]
        self.policy = policy_of("\n".join((HEAD, declared, *routes, "default route rest { to n }")))
        self.program = prepared(self.policy)
        self.implied = implications(self.policy, self.program)
        self.named = {
            condition: next(r.when for r in self.program.routes if r.name == f"r{at}")
            for at, condition in enumerate(conditions)
        }

    def say(self, first: str, second: str, *, yes: bool = True, then: bool = True) -> bool:
        """Whether the first condition being `yes` implies that the second is `then`."""
        fact = (self.named[first], yes)
        return (self.named[second], then) in self.implied.get(fact, ())

    def hold(self, values: Mapping[str, Value]) -> None:
        check(self.program, self.implied, values)


def check(
    program: Program, implied: Mapping[Fact, tuple[Fact, ...]], values: Mapping[str, Value]
) -> None:
    for (a, x), forced in implied.items():
        if node_holds(program, a, values) is x:
            for b, y in forced:
                assert node_holds(program, b, values) is y, (program.nodes[a], x, program.nodes[b])


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(policies(max_routes=8), st.integers(0, 2**32))
def test_no_request_contradicts_an_implication(made: Made, seed: int) -> None:
    draw = random.Random(seed)
    program = prepared(made.policy)
    implied = implications(made.policy, program)
    for _ in range(20):
        check(program, implied, random_values(made.policy, draw))


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(policies(max_routes=6))
def test_implications_tie_different_variables_and_are_reversible(made: Made) -> None:
    program = prepared(made.policy)
    implied = implications(made.policy, program)
    assert list(implied) == sorted(implied)
    for (a, x), forced in implied.items():
        assert list(forced) == sorted(set(forced))
        for b, y in forced:
            assert program.nodes[a].variable != program.nodes[b].variable
            assert (a, not x) in implied[(b, not y)]


# --- classifiers ------------------------------------------------------------------------

TOPIC = 'signal topic = classifier("t") { labels: [law, code, chat], on_error: chat%s }'
SCORES = (
    "topic == law",
    "topic == code",
    "topic.law >= 0.7",
    "topic.law < 0.3",
    "topic.law <= 0.33",
    "topic.law >= 0.5",
    "topic.code > 0.3",
    "topic.code > 0.4",
    "topic.code > 0.5",
    "topic.code >= 0.5",
    "topic.code == 0.25",
    "topic.chat < 0.25",
)


def answers(exclusive: bool, steps: int = 20) -> Iterator[Scores]:
    """Answers on a grid, as exact as floats are, and as inexact as classifiers may be."""
    grid = [at / steps for at in range(steps + 1)]
    for law, code in itertools.product(grid, grid):
        for chat in [1 - law - code] if exclusive else (0.0, 0.25, 0.5, 1.0):
            if chat < -1e-12:
                continue
            for off in (0.0, 4e-7, -4e-7):
                scores = {"law": law + off, "code": code + off, "chat": chat}
                scores = {name: min(max(score, 0.0), 1.0) for name, score in scores.items()}
                yield Scores(max(scores, key=scores.__getitem__), scores)


@pytest.mark.parametrize("exclusive", [True, False])
def test_whatever_a_classifier_answers_its_implications_hold(exclusive: bool) -> None:
    claims = Claims(TOPIC % ("" if exclusive else ", exclusive: false"), *SCORES)
    for answer in answers(exclusive):
        claims.hold({"topic": answer})
    for label in ("law", "code", "chat"):
        only = Scores(label, {name: float(name == label) for name in ("law", "code", "chat")})
        claims.hold({"topic": only})


def test_labels_and_exclusive_scores_settle_each_other() -> None:
    claims = Claims(TOPIC % "", *SCORES)
    assert claims.say("topic.law >= 0.7", "topic == law")
    assert claims.say("topic.law >= 0.7", "topic == code", then=False)
    assert claims.say("topic.law >= 0.7", "topic.code > 0.4", then=False)
    assert claims.say("topic.law < 0.3", "topic == law", then=False)
    assert claims.say("topic == code", "topic.law >= 0.7", then=False)
    assert claims.say("topic.code >= 0.5", "topic == law", then=False) is False, "a tie is possible"


def test_scores_that_do_not_exclude_each_other_settle_nothing() -> None:
    assert Claims(TOPIC % ", exclusive: false", *SCORES).implied == {}


def test_of_two_labels_one_score_leaves_the_other() -> None:
    claims = Claims(
        'signal bad = classifier("b") { labels: [ok, attack], on_error: attack }',
        "bad.attack < 0.2",
        "bad.ok > 0.75",
        "bad == ok",
    )
    assert claims.say("bad.attack < 0.2", "bad.ok > 0.75")
    assert claims.say("bad.ok > 0.75", "bad == ok")


# --- bands, scores ------------------------------------------------------------------------


@pytest.mark.parametrize("type_", ["int", "float"])
def test_bands_and_what_they_divide_settle_each_other(type_: str) -> None:
    claims = Claims(
        f"request {{ seats: {type_} = 1 }}\n"
        "signal size = bands(seats) { small: < 3, middle: <= 7, none: < 6, large }",
        "size == small",
        "size == middle",
        "size == none",
        "size == large",
        "seats < 3",
        "seats <= 2",
        "seats >= 3",
        "seats == 5",
        "seats > 7",
        "seats >= 20",
    )
    step = 1 if type_ == "int" else 0.5
    for at in range(60):
        seats = at * step - 2
        values = all_values(claims.policy, Request("r", {"seats": seats}), {})
        claims.hold(values)
    assert claims.say("seats < 3", "size == small")
    assert claims.say("size == small", "seats <= 2") is (type_ == "int")
    assert claims.say("seats == 5", "size == middle")
    assert claims.say("size == large", "seats > 7")
    assert claims.say("seats >= 20", "size == large")
    assert claims.say("size == middle", "seats >= 20", then=False)


def test_a_summand_settles_a_sum_that_the_others_cannot_change() -> None:
    claims = Claims(
        'signal kw = keyword("a")\nsignal near = similarity { examples: ["x"] }\n'
        "request { seats: int = 1 }\n"
        "signal need = score { 0.8 * kw + 0.1 * near + 0.1 * (seats > 3) }",
        "need >= 0.65",
        "need > 0.25",
        "need >= 0.7",
        "kw",
        "near >= 0.5",
        "seats > 3",
    )
    assert claims.say("kw", "need >= 0.65")
    assert claims.say("kw", "need > 0.25")
    assert claims.say("kw", "need > 0.25", yes=False, then=False)
    assert claims.say("kw", "need >= 0.7") is False, "a cosine may be a little below -1"
    for kw, seats in itertools.product((False, True), (3, 4)):
        for near in (-1.0, -0.5, 0.0, 0.4999999, 0.5, 1.0):
            signals: dict[str, Value] = {"kw": kw, "near": near}
            claims.hold(all_values(claims.policy, Request("r", {"seats": seats}), signals))


def test_sums_are_bounded_as_doubles_are_added_up() -> None:
    parts = ("0.1", "0.2", "0.3", "0.7", "1.1", "-0.4")
    declared = "".join(f'signal k{at} = keyword("w{at}")\n' for at in range(len(parts)))
    terms = " + ".join(f"{part} * k{at}" for at, part in enumerate(parts))
    cuts = ("0.1", "0.2", "0.3", "0.7", "1.1", "1.7", "2.4")
    claims = Claims(
        f"{declared}signal need = score {{ {terms} }}",
        *(f"k{at}" for at in range(len(parts))),
        *(f"need {op} {cut}" for cut in cuts for op in (">=", ">")),
    )
    assert claims.say("k4", "need >= 0.7")
    assert claims.say("k4", "need > 0.7") is False
    for bits in itertools.product((False, True), repeat=len(parts)):
        signals: dict[str, Value] = {f"k{at}": bit for at, bit in enumerate(bits)}
        claims.hold(all_values(claims.policy, Request("r", {}), signals))


def test_a_sum_of_a_number_without_bounds_is_settled_by_none_of_the_others() -> None:
    claims = Claims(
        'signal kw = keyword("a")\nrequest { load: float = 0.0 }\n'
        "signal need = score { 0.8 * kw + 0.1 * load }",
        "need >= 0.5",
        "kw",
        "load > 10",
    )
    assert claims.say("kw", "need >= 0.5") is False
    assert claims.say("load > 10", "need >= 0.5")


# --- texts ----------------------------------------------------------------------------------


def test_keywords_settle_those_that_they_include_in_every_text() -> None:
    claims = Claims(
        'signal more = keyword("refund now")\nsignal less = keyword("refund", "money back")\n'
        'signal everywhere = keyword("refund") { scope: all }\n'
        r"signal ticket = regex(/TKT-[0-9]{4}/)" + "\n"
        r"signal long = regex(/TKT-[0-9]{4}-[a-z]/)",
        "more",
        "less",
        "everywhere",
        "ticket",
        "long",
    )
    assert claims.say("more", "less")
    assert claims.say("less", "more", yes=False, then=False)
    assert claims.say("less", "more") is False
    draw = random.Random(7)
    words = ("refund", "now", "money", "back", "TKT-1234", "TKT-1234-a", "tkt", "REFUND", "nowhere")
    texts = {
        name: TextSignal(name, signal.definition, decoded=False)
        for name, signal in claims.policy.signals.items()
        if isinstance(signal.definition, p.Keyword | p.Regex)
    }
    for _ in range(300):
        messages = tuple(
            (draw.choice(("user", "system")), " ".join(draw.choices(words, k=draw.randint(0, 4))))
            for _ in range(draw.randint(1, 3))
        )
        claims.hold({name: matches(text, messages) for name, text in texts.items()})


def test_signals_that_may_fail_apart_are_not_tied() -> None:
    alike = 'similarity { examples: ["a", "b"] }'
    claims = Claims(
        f"signal one = {alike}\nsignal two = {alike}\n"
        "signal pii = entities(email, iban)\nsignal mail = entities(email)",
        "one >= 0.8",
        "two >= 0.5",
        "pii.any(email)",
        "mail.any(email)",
    )
    assert claims.implied == {}


def test_a_large_policy_has_the_same_implications_every_time() -> None:
    policy = policy_of(generate(60))
    program = prepared(policy)
    first = implications(policy, program)
    assert first
    assert list(first.items()) == list(implications(policy, program).items())
    known: set[Node] = {program.nodes[a] for a, _ in first}
    assert all(node.variable is not None for node in known)
