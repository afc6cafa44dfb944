"""`routec replay`: recorded requests decided again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from routec.cli import exits
from routec.cli.main import COMMANDS
from routec.compiler.plan import load_profile

from .support import CLEAN, LIGHT, Run

# What CLEAN asks on the way: `topic` for the category, `refund` for the routes.
SIGNALS = {"topic": "other", "topic.code": 0.1, "refund": 0.2}


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "replay", COMMANDS.get("replay", ""))


def event(
    name: str, text: str, signals: dict[str, Any] | None = None, **attributes: Any
) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 100}
    found = {
        "request_id": name,
        "time": "2026-11-22T09:00:00Z",
        "attributes": {"tenant": "acme", **attributes},
        "body": body,
    }
    return found if signals is None else {**found, "signals": signals}


def lines(path: Path, items: Iterable[dict[str, Any] | str], name: str = "events.jsonl") -> Path:
    file = path.parent / name
    file.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in items))
    return file


def read(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


# --- decisions ----------------------------------------------------------------------


def test_one_decision_a_line_in_the_order_of_the_input(routec: Run, light: Path) -> None:
    names = [f"r-{at}" for at in (3, 1, 2, 9, 4)]
    texts = ("hello", "asap please", "hi", "DE89370400440532013000", "right now")
    file = lines(light, map(event, names, texts))
    result = routec("replay", light, "--events", file)
    assert (result.status, result.err) == (exits.FINE, "")
    decisions = read(result.out)
    assert [d["request_id"] for d in decisions] == names
    assert [d["outcome"] for d in decisions] == ["route", "reject", "route", "route", "reject"]
    assert decisions[3]["route"] == "private"
    assert decisions[1]["reject"] == {"guard": "shouting", "status": 429, "reason": "later"}
    assert all(d["time"] == "2026-11-22T09:00:00Z" for d in decisions)
    assert len({d["decision_id"] for d in decisions}) == len(names)


def test_the_same_events_give_the_same_bytes(routec: Run, light: Path) -> None:
    file = lines(light, (event(f"r{at}", f"asap {at}" if at % 3 else "hi") for at in range(600)))
    first = routec("replay", light, "--events", file).out
    assert first.count("\n") == 600
    assert routec("replay", light, "--events", file).out == first


def test_recorded_values_spare_the_models(routec: Run, clean: Path) -> None:
    file = lines(
        clean,
        [
            event("a", "hello", {**SIGNALS, "refund": 0.9}),
            event("b", "hello", SIGNALS),
            event("c", "hello", {**SIGNALS, "topic": "code", "topic.code": 0.9}),
        ],
    )
    result = routec("replay", clean, "--events", file)
    assert result.status == exits.FINE
    decisions = read(result.out)
    assert [d["route"] for d in decisions] == ["refunds", "general", "general"]
    assert decisions[0]["signals"]["refund"] == 0.9
    assert decisions[2]["category"] == "code"


def test_decisions_tell_what_signals_were(routec: Run, clean: Path) -> None:
    file = lines(clean, [event("a", "hello"), event("b", "hello")])
    decided = lines(
        clean,
        [
            {"request_id": "b", "decision_id": "of-b", "signals": {**SIGNALS, "refund": 0.95}},
            {"request_id": "a", "decision_id": "of-a", "signals": SIGNALS},
        ],
        "decisions.jsonl",
    )
    result = routec("replay", clean, "--events", file, "--decisions", decided)
    assert result.status == exits.FINE
    assert [(d["decision_id"], d["route"]) for d in read(result.out)] == [
        ("of-a", "general"),
        ("of-b", "refunds"),
    ]


def test_a_replay_of_a_replay_is_the_same(routec: Run, clean: Path) -> None:
    """What the first one recorded is all that the second one asks."""
    asked = [
        event("a", "hello", {**SIGNALS, "refund": 0.9}),
        event("b", "asap, john@example.com", SIGNALS, tier="pro"),
        event("c", "asap", {}),
        event("d", "long " * 1200, {**SIGNALS, "topic": "code", "topic.code": 0.7, "refund": 0.5}),
        "{nonsense",
    ]
    first = routec("replay", clean, "--events", lines(clean, asked))
    assert first.status == exits.FOUND
    plain = [{**e, "signals": {}} if isinstance(e, dict) else e for e in asked]
    again = routec(
        "replay",
        clean,
        "--events",
        lines(clean, plain, "plain.jsonl"),
        "--decisions",
        lines(clean, first.out.splitlines(), "decisions.jsonl"),
    )
    assert again.out == first.out
    assert [d.get("outcome") for d in read(again.out)] == [
        "route",
        "route",
        "reject",
        "route",
        None,
    ]


def test_of_decisions_about_one_request_the_first_belongs_to_the_first(
    routec: Run, clean: Path
) -> None:
    file = lines(clean, [event("a", "hello"), event("a", "hello")])
    decided = [
        {"request_id": "a", "decision_id": f"{at}", "signals": {**SIGNALS, "refund": refund}}
        for at, refund in enumerate((0.1, 0.9))
    ]
    result = routec(
        "replay", clean, "--events", file, "--decisions", lines(clean, decided, "d.jsonl")
    )
    assert [(d["decision_id"], d["route"]) for d in read(result.out)] == [
        ("0", "general"),
        ("1", "refunds"),
    ]


def test_a_request_without_a_time_has_that_of_its_decision(routec: Run, light: Path) -> None:
    asked = event("a", "hello")
    del asked["time"]
    decided = lines(
        light, [{"request_id": "a", "time": "2025-03-04T05:06:07.250Z", "signals": {}}], "d.jsonl"
    )
    result = routec("replay", light, "--events", lines(light, [asked]), "--decisions", decided)
    assert read(result.out)[0]["time"] == "2025-03-04T05:06:07.250Z"


def test_a_failure_is_replayed_as_one(routec: Run, clean: Path) -> None:
    decided = {
        "request_id": "a",
        "signals": {**SIGNALS, "refund": 0.0},
        "failures": [{"signal": "refund", "reason": "timeout"}],
    }
    file = lines(clean, [event("a", "hello")])
    result = routec("replay", clean, "--events", file, "--decisions", lines(clean, [decided], "d"))
    [decision] = read(result.out)
    assert decision["failures"] == [{"signal": "refund", "reason": "timeout"}]
    assert decision["route"] == "general"


# --- what cannot be decided ---------------------------------------------------------


def test_a_value_that_is_not_recorded_is_an_entry(routec: Run, clean: Path) -> None:
    file = lines(clean, [event("a", "hello", {"topic": "other", "topic.code": 0.1})])
    result = routec("replay", clean, "--events", file)
    assert result.status == exits.FOUND
    assert read(result.out) == [
        {
            "line": 1,
            "request_id": "a",
            "error": {
                "code": "unrecorded-signal",
                "message": "the decision needs `refund`, which the record does not have",
                "signals": ["refund"],
            },
        }
    ]


def test_scores_are_not_supposed(routec: Run, tmp_path: Path) -> None:
    """A recorded label says nothing of the score that another policy reads."""
    policy = tmp_path / "p.route"
    policy.write_text(CLEAN.replace("when topic == code,", "when topic.code >= 0.5,"))
    label = event("a", "hello", {"topic": "code", "refund": 0.1})
    score = event("b", "hello", {"topic.code": 0.4, "refund": 0.1})
    result = routec("replay", policy, "--events", lines(policy, [label, score]))
    first, second = read(result.out)
    assert first["error"]["signals"] == ["topic.code"]
    assert second["category"] is None
    assert second["signals"]["topic.code"] == 0.4


def test_a_value_that_nothing_needs_may_be_missing(routec: Run, clean: Path) -> None:
    file = lines(clean, [event("a", "asap", {})])  # rejected by a keyword
    result = routec("replay", clean, "--events", file)
    assert result.status == exits.FINE
    assert read(result.out)[0]["reject"]["guard"] == "shouting"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{", "invalid-json"),
        ("[1]", "not-an-object"),
        ('{"body": {"messages": [{"role": "user", "content": "hi"}]}}', "missing-attribute"),
        (json.dumps(event("x", "hi") | {"signals": 7}), "invalid-signals"),
        (json.dumps(event("x", "hi") | {"signals": {"refund": "high"}}), "invalid-signals"),
        (json.dumps(event("x", "hi") | {"signals": {"topic.code": 1e400}}), "invalid-json"),
        ('{"body": ' + "[" * 300 + "]" * 300 + "}", "nested-too-deep"),
    ],
)
def test_a_bad_line_stops_nothing(routec: Run, clean: Path, line: str, code: str) -> None:
    file = lines(clean, [event("a", "asap"), line, event("b", "asap")])
    result = routec("replay", clean, "--events", file)
    assert (result.status, result.err) == (exits.FOUND, "")
    first, bad, last = read(result.out)
    assert (first["request_id"], last["request_id"]) == ("a", "b")
    assert (bad["line"], bad["error"]["code"]) == (2, code)


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"request_id": 7}'])
def test_a_line_that_is_no_decision_is_named(routec: Run, light: Path, line: str) -> None:
    file = lines(light, [event("a", "hi")])
    result = routec("replay", light, "--events", file, "--decisions", lines(light, [line], "d"))
    assert result.status == exits.UNABLE
    assert "line 1 of" in result.err
    assert "is no decision event" in result.err


@pytest.mark.parametrize("missing", ["--events", "--decisions"])
def test_a_file_that_cannot_be_read_is_named(routec: Run, light: Path, missing: str) -> None:
    file = lines(light, [event("a", "hi")])
    options = {"--events": file, "--decisions": file} | {missing: light.parent / "absent"}
    result = routec("replay", light, *(x for pair in options.items() for x in pair))
    assert result.status == exits.UNABLE
    assert "cannot read" in result.err
    assert "absent" in result.err


def test_events_or_their_decisions_may_be_standard_input(routec: Run, clean: Path) -> None:
    events = lines(clean, [event("a", "hello", SIGNALS), event("b", "asap", SIGNALS)])
    bare = lines(clean, [event("a", "hello"), event("b", "asap")], "bare.jsonl")
    of_a_file = routec("replay", clean, "--events", events)
    assert (of_a_file.status, of_a_file.out.count("\n")) == (exits.FINE, 2)
    piped = routec("replay", clean, "--events", "-", stdin=events.read_bytes())
    assert (piped.status, piped.out) == (exits.FINE, of_a_file.out)
    recorded = of_a_file.out.encode()
    again = routec("replay", clean, "--events", bare, "--decisions", "-", stdin=recorded)
    assert (again.status, again.out) == (exits.FINE, of_a_file.out)
    bad = routec("replay", clean, "--events", bare, "--decisions", "-", stdin=b"[]\n")
    assert bad.err.startswith("error: line 1 of `<stdin>` is no decision event\n")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["-", "--events", "-"], "`POLICY` and `--events`"),
        (["light.route", "--events", "-", "--decisions", "-"], "`--events` and `--decisions`"),
        (["light.route", "--events", "-", "--against", "-"], "`--against` and `--events`"),
    ],
)
def test_standard_input_is_read_for_one_purpose(
    routec: Run, light: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], names: str
) -> None:
    monkeypatch.chdir(light.parent)
    result = routec("replay", *arguments)
    assert (result.status, result.out) == (exits.UNABLE, "")
    assert result.err.startswith(
        f"error: standard input can be read once only, and {names} are both `-`\n"
    )


def test_events_must_be_named(routec: Run, light: Path) -> None:
    result = routec("replay", light)
    assert result.status == exits.UNABLE
    assert "--events" in result.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--events", "e", "--from", "2h"), "not allowed with"),
        (("--events", "e", "--to", "2h"), "`--to` is of a topic"),
        (("--events", "e", "--partition", "0"), "`--partition` is of a topic"),
        (("--events", "e", "--bootstrap", "h:1"), "`--bootstrap` is of a topic"),
        (("--from", "2h", "--decisions", "d"), "`--decisions` is of a file"),
        (("--from", "yesterday"), "`yesterday` is no place in a topic"),
        (("--from", "2h", "--to", "0/1,0/2"), "names partition 0 twice"),
        (("--from", "latest", "--to", "earliest"), "`--to earliest` is before `--from latest`"),
        (("--from", "1h", "--to", "2h"), "the range ends before it begins: `--to 2h` is before"),
        (("--from", "2999-01-01"), "the end of now is before `--from 2999-01-01`"),
        (("--from", "20", "--to", "19"), "`--to 19` is before `--from 20`"),
        (("--from", "0/1,1/5", "--to", "0/9,1/4"), "`--to 0/9,1/4` is before `--from 0/1,1/5`"),
        (("--from", "2h", "--bootstrap", "nowhere"), "`nowhere` is no address of a broker"),
        (("--from", "2h", "--partition", "-1"), "is no whole number"),
    ],
)
def test_what_does_not_go_together_is_said(
    routec: Run, light: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = routec("replay", light, *arguments)
    assert (result.status, result.out) == (exits.UNABLE, "")
    assert says in result.err


# --- against what was recorded ------------------------------------------------------


def decided(routec: Run, policy: Path, file: Path, name: str = "decided.jsonl") -> Path:
    out = routec("replay", policy, "--events", file).out
    path = policy.parent / name
    path.write_text(out)
    return path


def test_without_another_policy_the_recorded_decisions_are_compared_with(
    routec: Run, clean: Path
) -> None:
    file = lines(
        clean,
        [
            event("stays", "hello", SIGNALS),
            event("passes", "asap", {**SIGNALS, "refund": -0.2}),
            event("loses", "write to john@example.com", SIGNALS),
            event("new", "hello", SIGNALS),
        ],
    )
    before = decided(routec, clean, file)
    rows = before.read_text().splitlines()
    before.write_text("\n".join(rows[:3]) + "\n")
    new = clean.parent / "new.route"
    new.write_text(
        CLEAN.replace("reject 429", 'tag "loud" reject 429')
        .replace("urgent and tier == free", "urgent and tier == pro")
        .replace('redact pii  tag "mail"', "redact pii")
        .replace("to mini }\n", "to opus }\n")
    )
    asked = ("replay", new, "--events", file, "--decisions", before)
    found = routec(*asked, "--summary", "--format", "json").json["against"]
    assert found["baseline"] == "recorded"
    assert [one["name"] for one in found["policies"]] == ["clean"]
    assert (found["both"], found["only_new"], found["changed"]) == (3, 1, 1)
    assert found["safety"]["now_past"] == {"shouting": {"count": 1, "examples": ["passes"]}}
    assert found["safety"]["tags_lost"] == {"mail": {"count": 1, "examples": ["loses"]}}
    assert found["other_model"] == 2
    # The rejected one cost nothing, and two went to a model of which the price is still known.
    assert found["cost"]["priced"] == 3
    assert found["cost"]["delta"] == pytest.approx(3 * 100 * 25e-6 - 2 * 100 * 2e-6, rel=0.1)
    entries = {one["request_id"]: one for one in read(routec(*asked).out)}
    assert entries["passes"]["against"]["reject"] == "shouting"
    assert entries["stays"]["against"]["model"] == "mini"
    assert "against" not in entries["new"]
    result = routec(*asked, "--summary")
    assert result.err.startswith("3 decisions were made by other policies")
    words = result.out
    assert "3 were decided by clean sha256:" in words
    assert "1 are decided now and have no recorded decision" in words


def test_what_did_not_change_is_printed_as_it_was_recorded(routec: Run, clean: Path) -> None:
    """Times and all, whatever the order of its members; what is another decision is not."""
    file = lines(clean, [event("a", "asap", SIGNALS), event("b", "hello", SIGNALS)])
    rows = read(decided(routec, clean, file).read_text())
    rows[0] = {"timing_us": {"total": 77}, **{k: v for k, v in rows[0].items() if k != "timing_us"}}
    rows[1]["route"] = "refunds"
    before = lines(clean, rows, "before.jsonl")
    out = routec("replay", clean, "--events", file, "--decisions", before).out.splitlines()
    assert out[0] == before.read_text().splitlines()[0]
    assert json.loads(out[1])["against"]["route"] == "refunds"
    assert json.loads(out[1])["timing_us"] == {}


def test_no_events_are_no_decisions(routec: Run, light: Path) -> None:
    result = routec("replay", light, "--events", lines(light, []))
    assert (result.status, result.out) == (exits.FINE, "")


def test_a_policy_with_errors_is_refused(routec: Run, tmp_path: Path) -> None:
    policy = tmp_path / "p.route"
    policy.write_text("policy p\nroute r priority 1 { when nothing to nobody }\n")
    assert routec("replay", policy, "--events", lines(policy, [])).status == exits.FOUND


# --- summaries ----------------------------------------------------------------------


def test_the_summary_counts_what_demo_counts(routec: Run, clean: Path) -> None:
    file = lines(
        clean,
        [
            event("a", "hello", {**SIGNALS, "refund": 0.9}),
            event("b", "asap"),
            event("c", "hello"),
            "{",
        ],
    )
    result = routec("replay", clean, "--events", file, "--summary", "--format", "json")
    assert result.status == exits.FOUND
    found = result.json
    assert found["policy"]["name"] == "clean"
    assert {k: found[k] for k in ("events", "decisions", "dead_letters", "undecided")} == {
        "events": 4,
        "decisions": 2,
        "dead_letters": 1,
        "undecided": 1,
    }
    assert found["outcomes"] == {"route": 1, "cached": 0, "reject": 1}
    assert found["routes"] == {"refunds": 1}
    assert found["rejects"] == {"shouting": 1}
    assert "against" not in found
    words = routec("replay", clean, "--events", file, "--summary").out
    assert "4 events by clean" in words
    assert "2 not decided: " in words
    assert (
        "line 3: the decision needs `topic`" in words
        or "line 3: the decision needs `refund`" in words
    )


def test_against_an_old_policy_flips_costs_and_safety(routec: Run, clean: Path) -> None:
    new = clean.parent / "new.route"
    new.write_text(
        CLEAN.replace("refund >= 0.8 to opus", "refund >= 0.5 to opus")
        .replace("urgent and tier == free", "urgent and tier == pro")
        .replace("redact pii  tag", "tag")
    )
    file = lines(
        clean,
        [
            event("stays", "hello", SIGNALS),
            event("moves", "hello", {**SIGNALS, "refund": 0.55}),
            event("passes", "asap", {**SIGNALS, "refund": -0.2}),
            event("stops", "asap", {**SIGNALS, "refund": -0.2}, tier="pro"),
            event("unmasked", "write to john@example.com", SIGNALS),
            event("unknown", "hello"),
        ],
    )
    asked = ("replay", new, "--against", clean, "--events", file)
    found = routec(*asked, "--summary", "--format", "json").json["against"]
    assert (found["both"], found["changed"], found["share"]) == (5, 3, 3 / 5)
    assert [
        (m["from"], m["to"], m["count"], m["share"], m["examples"]) for m in found["moves"]
    ] == [
        ("reject shouting", "route general", 1, 0.2, ["passes"]),
        ("route general", "reject shouting", 1, 0.2, ["stops"]),
        ("route general", "route refunds", 1, 0.2, ["moves"]),
    ]
    assert [(m["from"], m["to"], m["examples"]) for m in found["outcomes"]] == [
        ("reject", "route", ["passes"]),
        ("route", "reject", ["stops"]),
    ]
    assert found["baseline"] == "policy"
    assert [(one["name"], one["count"]) for one in found["policies"]] == [("clean", 5)]
    assert found["safety"] == {
        "rejected_old": 1,
        "rejected_new": 1,
        "now_rejected": 1,
        "now_passed": 1,
        "now_rejected_by": {"shouting": {"count": 1, "examples": ["stops"]}},
        "now_past": {"shouting": {"count": 1, "examples": ["passes"]}},
        "perhaps_past": {},
        "masked_less": 1,
        "masked_more": 0,
        "redactions_lost": {"email": {"count": 1, "examples": ["unmasked"]}},
        "redactions_added": {},
        "tags_lost": {},
        "tags_added": {},
    }
    cost = found["cost"]
    assert cost["priced"] == 5
    assert cost["delta"] == pytest.approx(cost["new"] - cost["old"])
    # One answer of 100 tokens is opus's instead of mini's; one more is mini's, one less.
    assert cost["delta"] == pytest.approx(100 * (25.0 - 2.0) / 1e6, rel=0.1)
    words = routec(*asked, "--summary").out
    assert "3 of 5 change outcome (60.00%)" in words
    assert "rejected 1 -> 1: 1 more, 1 no longer" in words
    assert "0 are masked more, 1 less" in words
    assert "let past shouting 1  such as passes" in words
    assert "no longer masked: email 1  such as unmasked" in words
    decisions = {d["request_id"]: d for d in read(routec(*asked).out)}
    assert decisions["moves"]["against"] == {
        "outcome": "route",
        "route": "general",
        "model": "mini",
        "reject": None,
    }
    assert decisions["passes"]["against"]["reject"] == "shouting"
    assert "against" not in decisions["stays"]


def test_nothing_changes_against_itself(routec: Run, clean: Path) -> None:
    file = lines(clean, [event("a", "hello", SIGNALS), event("b", "asap")])
    asked = ("replay", clean, "--against", clean, "--events", file)
    found = routec(*asked, "--summary", "--format", "json").json["against"]
    assert (found["both"], found["changed"], found["cost"]["delta"]) == (2, 0, 0.0)
    assert routec(*asked).out == routec("replay", clean, "--events", file).out


def test_a_signal_defined_otherwise_has_no_recorded_value(routec: Run, clean: Path) -> None:
    new = clean.parent / "new.route"
    new.write_text(CLEAN.replace('examples: ["I want my money back"]', 'examples: ["refund"]'))
    file = lines(clean, [event("a", "hello", SIGNALS)])
    asked = ("replay", new, "--against", clean, "--events", file)
    [entry] = read(routec(*asked).out)
    assert entry["error"]["signals"] == ["refund"]
    found = routec(*asked, "--summary", "--format", "json").json["against"]
    assert (found["both"], found["only_old"], found["only_new"]) == (0, 1, 0)


def test_a_signal_that_is_called_otherwise_keeps_its_value(routec: Run, clean: Path) -> None:
    new = clean.parent / "new.route"
    new.write_text(CLEAN.replace("refund ", "back ").replace("refund;", "back;"))
    new.write_text(
        CLEAN.replace("signal refund", "signal back")
        .replace("* refund", "* back")
        .replace("when refund", "when back")
    )
    file = lines(clean, [event("a", "hello", {**SIGNALS, "refund": 0.9})])
    [entry] = read(routec("replay", new, "--against", clean, "--events", file).out)
    assert entry["route"] == "refunds"
    assert entry["signals"]["back"] == 0.9


# --- profiles -----------------------------------------------------------------------


def test_a_profile_has_the_values_that_can_be_had(routec: Run, clean: Path) -> None:
    whole = {"topic": "code", "topic.billing": 0.1, "topic.code": 0.7, "topic.other": 0.2}
    file = lines(
        clean,
        [
            event("a", "asap", {**whole, "refund": 0.9}, tier="pro"),
            event("b", "write to john@example.com", SIGNALS),
            event("c", "hello"),  # cannot be decided, and is a request all the same
            "{",
        ],
    )
    out = clean.parent / "profile.json"
    result = routec("replay", clean, "--events", file, "--summary", "--profile-out", out)
    assert result.status == exits.FOUND
    profile = load_profile(out.read_bytes())
    assert (profile.policy, profile.requests, len(profile.rows)) == ("clean", 3, 3)
    first, second, third = profile.rows
    assert (first["urgent"], first["tier"], first["refund"]) == (True, "pro", 0.9)
    assert first["topic"].label == "code"  # type: ignore[union-attr]
    assert first["topic"].scores["code"] == 0.7  # type: ignore[union-attr]
    assert second["pii"] == ("email",)
    assert second["refund"] == 0.2
    assert "topic" not in second  # only one of its scores is known
    assert "refund" not in third
    assert first["tenant"] is None  # the policy names none, so it is not kept
    assert "need" not in first  # derived
    assert profile.seconds.scan is not None
    assert profile.seconds.scan > 0
    assert profile.seconds.signals["pii"] > 0
    assert profile.seconds.embedding is None  # nothing was embedded


def test_a_profile_knows_how_often_the_cache_answered(routec: Run, light: Path) -> None:
    answers = [("hit", "exact"), ("hit", "semantic"), ("miss", None), ("skipped", None)]
    file = lines(light, [event(f"r{at}", "hi") for at in range(len(answers))])
    decided = [
        {
            "request_id": f"r{at}",
            "signals": {},
            "category": "short",
            "cache": {"status": status, "tier": tier},
        }
        for at, (status, tier) in enumerate(answers)
    ]
    out = light.parent / "profile.json"
    result = routec(
        *("replay", light, "--events", file, "--decisions", lines(light, decided, "d")),
        *("--profile-out", out),
    )
    assert result.status == exits.FINE
    lookups = load_profile(out.read_bytes()).cache["short"]
    assert (lookups.asked, lookups.exact, lookups.similar) == (3, 1, 1)


def test_a_profile_that_cannot_be_written_is_said(routec: Run, light: Path) -> None:
    file = lines(light, [event("a", "hi")])
    out = light.parent / "absent" / "profile.json"
    result = routec("replay", light, "--events", file, "--profile-out", out)
    assert result.status == exits.UNABLE
    assert f"cannot write `{out}`" in result.err


def test_live_needs_what_the_policy_needs(routec: Run, clean: Path) -> None:
    """The classifier of this policy is bound to nothing."""
    file = lines(clean, [event("a", "hi")])
    result = routec("replay", clean, "--events", file, "--live")
    assert result.status == exits.UNABLE
    assert result.err.startswith("error: ")
    assert "= help: " in result.err


def test_live_of_a_policy_that_needs_no_model(routec: Run, light: Path) -> None:
    assert "keyword" in LIGHT
    file = lines(light, [event("a", "hi"), event("b", "asap")])
    live = routec("replay", light, "--events", file, "--live")
    assert live.status == exits.FINE
    assert live.out == routec("replay", light, "--events", file).out
