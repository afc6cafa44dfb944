"""Routes that some request takes: nothing is left out that the interpreter ever chooses."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routec.cli.bench.analysis import generate
from routec.compiler.plan.live import live_routes
from routec.compiler.theory.solver import Budget
from tests.compiler.plan.walking import interpreted, policy_of, random_values
from tests.compiler.policies import Made, policies

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)

HEAD = """policy x
request { tier: enum(free, pro) = free  seats: int = 1  a: bool = false }
signal more = keyword("refund now")
signal less = keyword("refund")
signal topic = classifier("t") { labels: [law, code, chat], on_error: chat }
model m { provider: p }
model n { provider: q }
"""


def live(rules: str) -> tuple[int, ...]:
    return live_routes(policy_of(HEAD + rules + "\ndefault route rest { to n }"))


@settings(max_examples=50, deadline=None, suppress_health_check=SLOW)
@given(policies(max_routes=8), st.integers(0, 2**32))
def test_every_route_that_is_ever_chosen_is_live(made: Made, seed: int) -> None:
    draw = random.Random(seed)
    found = live_routes(made.policy)
    assert found == live_routes(made.policy)
    routes = found or range(len(made.policy.routes))
    assert routes[-1] == len(made.policy.routes) - 1
    for _ in range(20):
        values = random_values(made.policy, draw)
        answers = interpreted(made.policy, values)
        if answers.rejecting < 0:
            assert answers.route in routes


def test_nothing_is_listed_where_every_route_is_live() -> None:
    assert live("route r priority 1 { when a to m }") == ()


def test_a_route_that_those_above_it_cover_is_not_live() -> None:
    assert live(
        "route r priority 9 { when tier == free and a to m }\n"
        "route s priority 8 { when not a to m }\n"
        "route t priority 7 { when tier == free to m }"
    ) == (0, 1, 3)


def test_a_route_whose_requests_a_guard_rejects_is_not_live() -> None:
    assert live(
        'guard g { when seats > 5 reject 403 "no" }\nroute r priority 9 { when seats > 10 to m }'
    ) == (1,)


def test_a_guard_that_only_annotates_keeps_no_request_away() -> None:
    assert live('guard g { when a tag "t" }\nroute r priority 9 { when a to m }') == ()


def test_what_no_text_or_label_allows_is_not_live() -> None:
    assert live("route r priority 9 { when more and not less to m }") == (1,)
    assert live("route r priority 9 { when topic == law and topic == code to m }") == (1,)


def test_scores_that_almost_add_up_to_one_leave_a_route_live() -> None:
    assert live("route r priority 9 { when topic.law > 0.5 and topic.code >= 0.5 to m }") == ()


def test_what_takes_too_long_to_decide_counts_as_live() -> None:
    policy = policy_of(
        HEAD + "route r priority 9 { when more and not less to m }\ndefault route rest { to n }"
    )
    assert live_routes(policy, Budget(query=0, total=0, last=0, refusals=0)) == ()


def test_a_large_policy_is_decided_alike_every_time() -> None:
    policy = policy_of(generate(150))
    assert live_routes(policy) == live_routes(policy_of(generate(150)))
