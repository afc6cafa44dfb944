"""Witnesses in words: what a reader needs to see, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.cli.render.witness import Matters, in_words, matters
from routec.compiler.check import analyse, check_bytes

ROUTE = {"kind": "route", "name": "e"}


@pytest.mark.parametrize(
    ("witness", "words"),
    [
        ({"outcome": ROUTE}, "a request → route `e`"),
        (
            {"attributes": {"tenant": "acme", "n": 6001}, "text": "very urgent", "outcome": ROUTE},
            'the request { tenant: "acme", n: 6001 } with text "very urgent" → route `e`',
        ),
        (
            {"text": 'say "a\\b"\nnow', "outcome": ROUTE},
            'a request with text "say \\"a\\\\b\\"\\nnow" → route `e`',
        ),
        (
            {
                "messages": [
                    {"role": "system", "content": "job"},
                    {"role": "user", "content": "go"},
                ],
                "text": "go",
                "outcome": ROUTE,
            },
            'a request with messages [system: "job", user: "go"] → route `e`',
        ),
        (
            {"signals": {"a": False, "b": 0, "c": "", "d": [], "e": 0.0}, "outcome": ROUTE},
            "a request → route `e`",
        ),
        (
            {"signals": {"a": True, "b": 2, "d": ["x"], "e": 0.25}, "outcome": ROUTE},
            'a request with a: true, b: 2, d: ["x"], e: 0.25 → route `e`',
        ),
        (
            {"tokens": 5, "outcome": {"kind": "reject", "name": "context_overflow"}},
            "a request with 5 tokens → rejected as `context_overflow`",
        ),
        (
            {
                "signals": {"attack": "jailbreak"},
                "outcome": {"kind": "reject", "name": "g"},
                "failed": {"signals": {"attack": "benign", "attack.benign": 1.0}, "outcome": ROUTE},
            },
            'a request with attack: "jailbreak" → rejected by `g`, but while it fails '
            '(attack: "benign") → route `e`',
        ),
    ],
)
def test_words(witness: dict[str, Any], words: str) -> None:
    assert in_words(witness) == words


def test_only_what_the_conditions_read_is_shown() -> None:
    text = """\
policy p
request { tier: enum(free, pro) = free, roles: set(string), name: string }
signal asap = keyword("asap")
signal size = tokens()
signal topic = classifier("topic") { labels: [code, law, other], on_error: other }
signal mood = classifier("mood") { labels: [calm, angry], on_error: calm }
signal need = score { 0.5 * mood.angry + 0.5 * asap }
model m { provider: x }
model n { provider: y }
route a priority 5 { when topic == law and need >= 0.9  to m }
route b priority 5 { when tier == pro and asap          to n }
route c priority 1 { when size > 9k and mood == calm    to n }
default route r { to m }
"""
    checked = analyse(check_bytes("p.route", text.encode()))
    policy = checked.policy
    assert policy is not None
    [clash] = [f for f in checked.findings if f.code == "RC201"]
    what = matters(policy, clash)
    assert what.keys == {"topic", "need", "mood.angry"}
    assert what.names >= {"tier", "topic", "mood"}
    assert "roles" not in what.names
    assert clash.witness is not None
    assert in_words(clash.witness, what) == (
        'the request { tier: pro, name: "other" } with text "asap" and topic: law, '
        "mood.angry: 1 → route `a`"
    )


def test_of_what_there_is_not_the_nearest_is_shown_with_what_is_false() -> None:
    near = Matters(frozenset({"size"}), nearly=True)
    assert in_words({"signals": {"size": 0, "x": 1}, "outcome": ROUTE}, near) == (
        "a request with size: 0"
    )


@given(st.text())
def test_any_text_is_one_line(text: str) -> None:
    words = in_words({"text": text, "attributes": {"a": text}})
    assert "\n" not in words
    assert "\r" not in words
