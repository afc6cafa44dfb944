"""Signals that look at the same thing agree: in the theory, and in witnesses."""

from __future__ import annotations

import pytest

from routec.compiler import analyse, check_bytes

HEAD = """policy p
signal a = tokens()
signal b = tokens()
signal p1 = entities(email, iban)
signal p2 = entities(email, phone)
signal c1 = classifier("t") { labels: [x, y], on_error: y }
signal c2 = classifier("t") { labels: [x, y], on_error: y }
signal d1 = classifier("u") { labels: [x, y], on_error: y }
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
    ],
)
def test_what_only_looks_alike_is_free(condition: str) -> None:
    assert not impossible(condition)


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
