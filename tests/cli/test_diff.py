"""`routec diff`: what it prints, its exit status, and what recorded requests say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .support import CLEAN, LIGHT, Run


def edited(path: Path, before: str, after: str, source: str = CLEAN) -> Path:
    """The policy with a replacement, beside it."""
    assert before in source
    found = path.parent / "new.route"
    found.write_text(source.replace(before, after, 1))
    return found


def events(path: Path, *lines: dict[str, Any] | str) -> Path:
    file = path.parent / "events.jsonl"
    file.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines))
    return file


def event(text: str, signals: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 100}
    found = {"attributes": {"tenant": "acme", **attributes}, "body": body}
    return found if signals is None else {**found, "signals": signals}


def test_equivalent_policies_exit_0(routec: Run, clean: Path) -> None:
    new = edited(clean, "route refunds priority 20", "# first\nroute money_back priority 30")
    result = routec("diff", clean, new)
    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines()[0] == f"{clean} -> {new}: equivalent"
    found = routec("diff", clean, new, "--format", "json").json
    assert found["relation"] == "equivalent"
    assert {o["relation"] for o in found["outcomes"]} == {"equivalent"}
    assert found["changes"] == []


def test_differences_exit_1_and_are_shown(routec: Run, clean: Path) -> None:
    new = edited(clean, "size > 1k", "size > 2k")
    result = routec("diff", clean, new)
    assert (result.status, result.err) == (1, "")
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert "route refunds, hard narrowed fewer requests get it, none more" in lines
    assert "route refunds, hard -> route general" in lines
    assert any(line.startswith("the request { tenant: ") and "size 1001" in line for line in lines)


def test_the_json_is_that_of_the_contract(routec: Run, clean: Path) -> None:
    new = edited(clean, '"right now"', '"right now", "pronto"')
    found = routec("diff", clean, new, "--format", "json").json
    assert found["version"] == 1
    assert found["relation"] == "changed"
    assert {"outcome": "guard shouting", "relation": "widened"} in found["outcomes"]
    assert found["redefined"][0] == {"kind": "signal", "name": "urgent", "how": "phrases: 1 added"}
    change = next(c for c in found["changes"] if c["to"] == "guard shouting")
    assert set(change) == {"from", "to", "witness", "matters"}
    assert set(change["witness"]) >= {"attributes", "text", "signals", "outcome"}
    assert "pronto" in change["witness"]["text"]
    assert change["witness"]["outcome"]["name"] == "shouting"
    assert "events" not in found


def test_a_policy_may_come_from_standard_input(routec: Run, clean: Path) -> None:
    assert routec("diff", "-", clean, stdin=CLEAN.encode()).status == 0
    result = routec("diff", "-", "-", stdin=CLEAN.encode())
    assert result.status == 2
    assert "standard input can be read once only, and `OLD` and `NEW` are both `-`" in result.err


def test_a_policy_with_errors_is_refused_with_its_findings(routec: Run, clean: Path) -> None:
    result = routec("diff", clean, edited(clean, "to mini", "to nobody"))
    assert result.status == 1
    assert "RC101" in result.err
    assert result.out == ""


def test_what_cannot_be_read_exits_2(routec: Run, clean: Path, tmp_path: Path) -> None:
    result = routec("diff", clean, tmp_path / "none.route")
    assert result.status == 2
    assert "cannot read" in result.err
    result = routec("diff", clean, clean, "--events", tmp_path / "none.jsonl")
    assert result.status == 2
    assert "cannot read" in result.err


def test_unknown_outcomes_are_said_with_the_option_that_decides_them(
    routec: Run, tmp_path: Path
) -> None:
    """Seeing text decoded is more than any request that can be built shows."""
    old = tmp_path / "old.route"
    old.write_text(
        LIGHT.replace("guard shouting { when urgent  reject", "guard eu { when region == eu reject")
    )
    text = old.read_text().replace(
        "route private", "route quick priority 20 { when urgent to local }\nroute private"
    )
    old.write_text(text)
    new = tmp_path / "new.route"
    new.write_text(text.replace("guard eu", 'guard loud { when urgent tag "loud" }\nguard eu'))
    found = routec("diff", old, new, "--format", "json").json
    unknown = [o for o in found["outcomes"] if o["relation"] == "unknown"]
    assert unknown
    assert all(o["reason"] for o in unknown)
    assert "`--budget`" in routec("diff", old, new).out


# --- recorded requests ------------------------------------------------------------------------


def test_recorded_requests_are_decided_by_both(routec: Run, clean: Path) -> None:
    new = edited(clean, "refund >= 0.8 to opus", "refund >= 0.9 to opus")
    recorded = events(
        clean,
        event("money back", {"refund": 0.95, "topic": "other"}),
        event("money back", {"refund": 0.55, "topic": "other"}),
        event("money back, asap", {"refund": 0.85, "topic": "code"}, tier="pro"),
        event("my mail is a@example.com", {"refund": 0.1, "topic.code": 0.7}),
    )
    found = routec("diff", clean, new, "--events", recorded, "--format", "json").json["events"]
    # What refunds lets go is taken by the hard route, to the same model and without the cache.
    assert found == {
        "total": 4,
        "changed": 1,
        "share": 0.25,
        "cost_delta": 0.0,
        "undecided": 0,
        "unread": 0,
        "priced": 4,
        "moves": [],
    }


def test_the_cost_is_that_of_the_models_chosen(routec: Run, clean: Path) -> None:
    new = edited(clean, "default route general { to mini }", "default route general { to opus }")
    recorded = events(clean, event("abc", {"refund": 0.1, "topic": "other"}))
    found = routec("diff", clean, new, "--events", recorded, "--format", "json").json["events"]
    arguments = ("diff", clean, new, "--events", "-", "--format", "json")
    assert routec(*arguments, stdin=recorded.read_bytes()).json["events"] == found
    assert found["changed"] == 1
    # One token in (by the declared estimate of so short a text) and 100 out, per million.
    from routec.safety.tokens import estimate_tokens

    size = estimate_tokens("abc")
    assert found["cost_delta"] == pytest.approx((size * (5 - 0.25) + 100 * (25 - 2)) / 1e6)
    assert (
        found["moves"]
        == [{"from": "route general (old)", "to": "route refunds, general", "count": 1}]
        or found["moves"][0]["count"] == 1
    )
    assert "cost $" in routec("diff", clean, new, "--events", recorded).out


def test_what_is_not_recorded_is_undecided_and_counted(routec: Run, clean: Path) -> None:
    new = edited(clean, "refund >= 0.8", "refund >= 0.9")
    recorded = events(
        clean,
        event("hello"),
        event("asap"),  # a guard rejects it before anything costly is needed
        event("hello", {"refund": 0.1, "topic": "other"}),
        "nonsense",
        {"body": {"messages": []}},
        event("hello", {"refund": "much"}),
    )
    result = routec("diff", clean, new, "--events", recorded, "--format", "json")
    found = result.json["events"]
    assert (found["total"], found["undecided"], found["unread"]) == (3, 1, 3)
    assert (found["changed"], found["share"]) == (0, 0.0)
    out = routec("diff", clean, new, "--events", recorded).out
    assert "3 lines are no requests; line 4:" in out
    assert "1 need signals that are not recorded" in out


def test_a_value_recorded_of_another_definition_is_no_value(routec: Run, clean: Path) -> None:
    new = edited(clean, '"I want my money back"', '"please pay me back"')
    recorded = events(clean, event("hello", {"refund": 0.1, "topic": "other"}))
    found = routec("diff", clean, new, "--events", recorded, "--format", "json").json["events"]
    assert (found["total"], found["undecided"], found["share"]) == (1, 1, None)


def test_a_renamed_signal_keeps_its_recorded_values(routec: Run, clean: Path) -> None:
    new = clean.parent / "new.route"
    new.write_text(
        CLEAN.replace("signal refund", "signal wish")
        .replace("refund >", "wish >")
        .replace("* refund", "* wish")
    )
    recorded = events(clean, event("hello", {"refund": 0.9, "topic": "other"}))
    result = routec("diff", clean, new, "--events", recorded, "--format", "json")
    assert result.status == 0
    assert (result.json["events"]["undecided"], result.json["events"]["changed"]) == (0, 0)


def test_requests_that_one_policy_refuses_change(routec: Run, light: Path) -> None:
    new = edited(light, "region: enum(eu, us)", "region: enum(eu, us, uk)", LIGHT)
    recorded = events(light, event("hello", region="uk"), event("hello", region="us"))
    result = routec("diff", light, new, "--events", recorded, "--format", "json")
    assert result.status == 1
    found = result.json
    assert found["changes"][0]["from"] == "`region` is enum(eu, us)"
    assert found["changes"][0]["witness"] is None
    assert (found["events"]["total"], found["events"]["changed"]) == (2, 1)
    assert found["events"]["moves"] == [
        {"from": "no valid request", "to": "route general", "count": 1}
    ]


def test_help_says_what_the_exit_status_means(routec: Run) -> None:
    result = routec("diff", "--help")
    assert result.status == 0
    assert (
        "The exit status is 0 where the policies are equivalent, 1 where they differ" in result.out
    )
