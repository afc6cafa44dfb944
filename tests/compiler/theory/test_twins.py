"""Signals that look at the same thing agree: in the theory, and in witnesses."""

from __future__ import annotations

import pytest

from routec.compiler import analyse, check_bytes
from routec.dsl.diagnostic import Verdict

HEAD = """policy p
signal a = tokens()
signal b = tokens()
signal p1 = entities(email, iban)
signal p2 = entities(email, phone)
signal c1 = classifier("t") { labels: [x, y], on_error: y }
signal c2 = classifier("t") { labels: [x, y], on_error: y }
signal c3 = classifier("t") { labels: [x, y], on_error: x }
signal d1 = classifier("u") { labels: [x, y], on_error: y }
signal k1 = keyword("urgent")
signal k2 = keyword("urgent")
model m { provider: openai }
default route rest { to m }
"""


def impossible(condition: str) -> bool:
    text = HEAD + f'route r priority 1 {{ when {condition} to m tag "r" }}'
    found = analyse(check_bytes("p.route", text.encode())).findings
    return "RC203" in {f.code for f in found}


@pytest.mark.parametrize(
    "condition",
    [
        "a > 5k and b < 1k",
        "p1.empty and p2.any(email)",
        "p1.any(email) and not p2.any(email)",
        "c1.x > 0.7 and c2.x < 0.4",
        "c1 == x and c2 == y",
        "k1 and not k2",
        "k2 and not k1",
    ],
)
def test_twins_cannot_differ(condition: str) -> None:
    assert impossible(condition)


@pytest.mark.parametrize(
    "condition",
    [
        "a > 5k and b > 1k",
        "p1.empty and p2.any(phone)",
        "p1.any(iban) and p2.empty",
        "c1.x > 0.7 and d1.x < 0.4",
        "c1 == x and d1 == y",
        "c1 == y and c3 == x",
    ],
)
def test_what_only_looks_alike_is_free(condition: str) -> None:
    assert not impossible(condition)


def test_only_what_a_guard_depends_on_sees_decoded_text() -> None:
    text = (
        HEAD + 'guard g { when k2 tag "g" }\nroute r priority 1 { when k2 and not k1 to m tag "r" }'
    )
    found = analyse(check_bytes("p.route", text.encode())).findings
    assert not [f for f in found if f.code == "RC203" and f.verdict is Verdict.PROVED]


def test_witnesses_give_twins_one_value() -> None:
    text = (
        HEAD + "route r priority 1 { when a > 5k and b > 6k and p1.any(email) and c1.x > 0.6 to m }"
    )
    text += '\nroute s priority 1 { when p2.any(email, phone) and c2 == x to m tag "s" }'
    (finding,) = (
        f for f in analyse(check_bytes("p.route", text.encode())).findings if f.code == "RC201"
    )
    assert finding.witness is not None
    signals = finding.witness["signals"]
    assert signals["a"] == signals["b"] > 6000
    assert "email" in signals["p1"]
    assert "email" in signals["p2"]
    assert signals["c1"] == signals["c2"] == "x"
