"""Planned programs: sound, the same on every run, and explained."""

from __future__ import annotations

import os
import subprocess
import sys

from hypothesis import given, settings

from routec.compiler import check_bytes
from routec.compiler.lower import lower
from routec.compiler.plan import LIMIT, Optimised, Profile, optimise
from routec.compiler.plan.profile import Answer, Lookups, Seconds
from routec.compiler.program import dump, load
from tests.compiler.policies import Made, policies

from .support import program_of

HEAD = """\
policy p
request { tenant: string, tier: enum(free, pro) = free }
signal word   = keyword("asap")
signal attack = classifier("attack") { labels: [ok, bad], on_error: bad }
signal topic  = classifier("topic") { labels: [law, code], on_error: code }
model m { provider: openai }
"""
GUARD = 'guard g { when attack.bad >= 0.9 reject 403 "no" }\n'
ROUTES = """\
route a priority 2 { when topic == law and word to m }
default route rest { to m }
"""


def plan(text: str, profile: Profile | None = None, limit: int = LIMIT) -> Optimised:
    checked = check_bytes("p.route", text.encode())
    assert checked.policy is not None, [f.message for f in checked.findings]
    return optimise(checked.policy, lower(checked.policy, normaliser="1"), profile, limit=limit)


def answer(label: str, **scores: float) -> Answer:
    return Answer(label, scores)


@settings(max_examples=25, deadline=None)
@given(policies())
def test_a_planned_program_is_sound_and_the_same_every_time(made: Made) -> None:
    planned = optimise(made.policy, program_of(made))
    data = dump(planned.program)
    assert load(data) == planned.program
    assert dump(optimise(made.policy, program_of(made)).program) == data


def test_the_bytes_depend_on_no_hash_seed() -> None:
    script = (
        "import sys; from routec.compiler import check_bytes; from routec.compiler.lower import lower;"
        "from routec.compiler.plan import optimise; from routec.compiler.program import dump;"
        "policy = check_bytes('p.route', sys.stdin.buffer.read()).policy;"
        "sys.stdout.buffer.write(dump(optimise(policy, lower(policy, normaliser='1')).program))"
    )
    text = HEAD + "category c { when topic == code, ttl: 1d, scope: tenant }\n" + GUARD + ROUTES
    written = {
        subprocess.run(
            [sys.executable, "-c", script],
            input=text.encode(),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert written == {dump(plan(text).program)}


def test_what_every_request_needs_is_explained() -> None:
    planned = plan(HEAD + GUARD + ROUTES)
    assert planned.why == {"attack": "guard `g` reads it, and nothing cheaper settles that guard"}
    assert planned.expected.calls["attack"] == 1000


def test_nothing_is_always_needed_where_something_cheaper_settles_it() -> None:
    planned = plan(HEAD + GUARD.replace("when", "when tier == free and") + ROUTES)
    assert planned.why == {}
    assert 0 < planned.expected.calls["attack"] < 1000


def test_a_diagram_too_large_is_reported() -> None:
    planned = plan(HEAD + GUARD + ROUTES, limit=1)
    assert "route" in planned.fallback
    assert planned.program.plan.route is None
    assert plan(HEAD + GUARD + ROUTES).fallback == ()


def test_the_profile_decides_which_classifier_is_asked_first() -> None:
    text = (
        HEAD
        + "route both priority 1 { when topic == law and attack == bad to m }\n"
        + ("default route rest { to m }\n")
    )
    law, code = answer("law", law=1.0, code=0.0), answer("code", law=0.0, code=1.0)
    bad, fine = answer("bad", bad=1.0, ok=0.0), answer("ok", bad=0.0, ok=1.0)
    rarely_law = Profile(
        rows=({"topic": code, "attack": bad},) * 9 + ({"topic": law, "attack": fine},)
    )
    rarely_bad = Profile(
        rows=({"topic": law, "attack": fine},) * 9 + ({"topic": code, "attack": bad},)
    )
    first = plan(text, rarely_law)
    assert first.measured
    assert first.expected.calls["topic"] == 1000
    assert first.expected.calls["attack"] == 100
    second = plan(text, rarely_bad)
    assert second.expected.calls["attack"] == 1000
    assert second.expected.calls["topic"] == 100
    # The cost of a call counts as well as what it settles.
    dear = Seconds(signals={"attack": 1.0, "topic": 0.001})
    assert plan(text, Profile(seconds=dear, rows=rarely_bad.rows)).expected.calls["topic"] == 1000


def test_a_cache_that_answers_spares_what_only_the_route_needs() -> None:
    text = HEAD + "category c { when tier == free, ttl: 1d, scope: tenant }\n" + ROUTES
    rows = ({"tier": "free", "word": True},)
    cold = plan(text, Profile(rows=rows))
    warm = plan(text, Profile(rows=rows, cache={"c": Lookups(asked=4, exact=3)}))
    assert cold.expected.calls["topic"] == 1000
    assert warm.expected.calls["topic"] == 250
    assert warm.priority_order.calls["topic"] == 1000, "it asks the cache last"
    assert warm.expected.calls["word"] == 1000, "a scan is cheaper than waiting for the cache"


def test_the_baselines_are_what_others_do() -> None:
    text = HEAD + GUARD + ROUTES
    rows = (
        {"attack": answer("bad", ok=0.0, bad=1.0), "word": True},
        {"attack": answer("ok", ok=1.0, bad=0.0), "word": False},
    )
    planned = plan(text, Profile(rows=rows))
    assert dict(planned.evaluate_all.calls) == {"word": 1000, "attack": 1000, "topic": 1000}
    # From left to right: the topic is asked before the word is looked for.
    assert dict(planned.priority_order.calls)["attack"] == 1000
    assert dict(planned.priority_order.calls)["topic"] == 500
    # The plan looks for the word first, and needs no topic where it is missing.
    assert dict(planned.expected.calls) == {"word": 500, "attack": 1000, "topic": 0}


def test_a_policy_that_asks_nothing_costs_nothing() -> None:
    planned = plan(HEAD + "default route rest { to m }\n")
    assert planned.expected.cost_us == 0
    assert planned.why == {}
