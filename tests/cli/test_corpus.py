"""`routec check --corpus`: how often findings happen in recorded requests."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from math import comb
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.cli import checking
from routec.cli.corpus import Corpus, Known
from routec.cli.frequency import Frequency, in_traffic, wilson
from routec.cli.regions import Regions, Truths
from routec.compiler import policy as p
from routec.compiler.analysis.analysis import open_analysis
from routec.compiler.analysis.run import Options
from routec.compiler.check import Checked, analyse, check, check_bytes
from routec.compiler.expr import And, Const, Expr, Not, Or
from routec.compiler.interpreter import evaluate
from routec.compiler.types import Scores, Value
from routec.dsl.diagnostic import Verdict

from .support import Run

ROOT = Path(__file__).resolve().parents[2]

POLICY = """\
policy desk
request { tier: enum(free, pro) = free }
signal urgent = keyword("asap")
signal topic  = classifier("topic") { labels: [code, other], on_error: other }
signal attack = classifier("jailbreak") { labels: [benign, jailbreak], on_error: benign }
signal need   = score { 0.5 * urgent + 0.5 * topic.code }
signal band   = bands(need) { low: < 0.6, high }
model mini { provider: openai, context: 128k }
model opus { provider: anthropic, context: 200k }
guard no_attacks { when attack.jailbreak >= 0.9  reject 403 "injection" }
route code priority 20 { when topic == code            to opus }
route paid priority 20 { when tier == pro              to mini }
route hard priority 10 { when band == high or urgent   to opus  tag "hard" }
route dead priority 5  { when urgent and tier == pro   to opus }
default route rest { to mini }
assert "the paid go to opus" { always tier == pro implies model == opus }
"""


def event(text: str = "hello", tier: str = "free", **signals: Any) -> dict[str, Any]:
    return {
        "attributes": {"tier": tier},
        "body": {"messages": [{"role": "user", "content": text}]},
        "signals": signals,
    }


def calm(**signals: Any) -> dict[str, Any]:
    return {"attack": "benign", **signals}


EVENTS = [
    event(**calm(topic="other")),
    event(tier="pro", **calm(topic="code", **{"topic.code": 0.9})),
    event(tier="pro", **calm(topic="other")),
    event("fix it asap", tier="pro", **calm(topic="other")),
    event(tier="pro", **{"topic": "code", "attack": "jailbreak", "attack.jailbreak": 0.95}),
    event(tier="pro", **calm()),
    event(tier="pro"),
]


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "p.route"
    path.write_text(POLICY)
    return path


def record(folder: Path, events: list[Any]) -> Path:
    path = folder / "events.jsonl"
    path.write_text("".join(f"{e if isinstance(e, str) else json.dumps(e)}\n" for e in events))
    return path


def frequencies(routec: Run, corpus: Path) -> dict[str, dict[str, Any]]:
    said = routec("check", "p.route", "--corpus", corpus, "--format", "json").json
    return {f["code"]: f.get("frequency") for f in said["findings"]}


def test_each_finding_is_counted_where_it_happens(routec: Run, policy: Path) -> None:
    found = frequencies(routec, record(policy.parent, EVENTS))
    counts = {
        code: (f["hits"], f["events"], f["undecided"]) for code, f in found.items() if f is not None
    }
    assert counts == {
        # Both routes are eligible; not past the guard; the last two lack a signal.
        "RC201": (1, 5, 2),
        # Its own condition needs no costly signal, so it is known of every event.
        "RC202": (1, 7, 0),
        # The code goes to opus, the paid to mini: of two it is not known.
        "RC209": (2, 5, 2),
        # No request gets past `code` and `paid` to the route whose condition has the part.
        "RC212": (0, 7, 0),
        # Rejected, and let past if the classifier failed; of one the score is not known.
        "RC301": (1, 6, 1),
    }


def test_the_interval_is_in_every_format_with_room_for_it(routec: Run, policy: Path) -> None:
    corpus = record(policy.parent, EVENTS)
    full = routec("check", "p.route", "--corpus", corpus).out
    assert "= traffic: 1 of 7 recorded requests, 14.3 % (95 % interval 2.57 % to 51.3 %)\n" in full
    assert "; 2 more lack a signal that it takes " in " ".join(full.split())
    log = routec("check", "p.route", "--corpus", corpus, "--format", "sarif").json
    shown = {r["ruleId"]: r["properties"].get("frequency") for r in log["runs"][0]["results"]}
    assert shown == frequencies(routec, corpus)


def test_events_that_cannot_be_used_are_left_out_and_said(routec: Run, policy: Path) -> None:
    events = [*EVENTS, "{", "[]", {"attributes": {"tier": "gold"}, "body": {}}]
    events += [event(topic="cod"), event(topic=0.5), event(**{"topic.code": True})]
    events += [{**event(), "signals": [1]}, "", "  "]
    corpus = record(policy.parent, events)
    result = routec("check", "p.route", "--corpus", corpus, "--format", "json")
    assert result.status == 1
    assert result.err.startswith("warning: 7 of the recorded requests cannot be used; line 8: ")
    clean = record(policy.parent, EVENTS)
    assert result.json == routec("check", "p.route", "--corpus", clean, "--format", "json").json


def test_no_events_say_nothing(routec: Run, policy: Path) -> None:
    found = frequencies(routec, record(policy.parent, []))
    assert found["RC201"] == {
        "hits": 0, "events": 0, "undecided": 0, "share": None, "low": 0.0, "high": 1.0
    }  # fmt: skip
    out = routec("check", "p.route", "--corpus", "events.jsonl").out
    assert "= traffic: there are no recorded requests\n" in out


def test_a_corpus_may_be_standard_input_for_several_policies(routec: Run, policy: Path) -> None:
    (policy.parent / "q.route").write_text(POLICY)
    corpus = record(policy.parent, EVENTS)
    arguments = ("check", "p.route", "q.route", "--format", "json", "--corpus")
    of_a_file = routec(*arguments, corpus)
    assert of_a_file.out.count('"frequency": {') >= 2
    assert routec(*arguments, "-", stdin=corpus.read_bytes()).out == of_a_file.out
    refused = routec("check", "-", "--corpus", "-", stdin=POLICY.encode())
    assert refused.status == 2
    assert "`PATH` and `--corpus` are both `-`" in refused.err


def test_a_corpus_that_cannot_be_read_is_status_2(routec: Run, policy: Path) -> None:
    result = routec("check", "p.route", "--corpus", "gone.jsonl")
    assert (result.status, result.out) == (2, "")
    assert "cannot read `gone.jsonl`" in result.err


def test_what_was_not_decided_and_is_seen_is_estimated(
    routec: Run, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def undecided(checked: Checked, options: object = None) -> Checked:
        found = analyse(checked)
        doubted = (replace(f, verdict=Verdict.UNKNOWN) for f in found.findings if f.code == "RC201")
        return replace(found, findings=tuple(doubted))

    monkeypatch.setattr(checking, "analyse", undecided)
    corpus = record(policy.parent, EVENTS)
    seen = routec("check", "p.route", "--corpus", corpus, "--format", "json")
    assert [f["verdict"] for f in seen.json["findings"]] == ["estimated"]
    assert seen.status == 1
    corpus = record(policy.parent, EVENTS[:1])
    unseen = routec("check", "p.route", "--corpus", corpus, "--format", "json")
    assert [f["verdict"] for f in unseen.json["findings"]] == ["unknown"]
    assert unseen.status == 0


# --- what is known of a part ---------------------------------------------------------------


@given(st.data())
def test_what_is_not_known_is_decided_only_where_it_does_not_matter(data: st.DataObject) -> None:
    """Against trying every way in which the unknown values can be."""
    names = [f"f{i}" for i in range(5)]
    fields = " ".join(f"{n}: bool = false" for n in names)
    condition = data.draw(st.recursive(st.sampled_from(names), lambda part: st.one_of(
        part.map(lambda a: f"not ({a})"),
        st.lists(part, min_size=2, max_size=3).map(lambda p: "(" + " and ".join(p) + ")"),
        st.lists(part, min_size=2, max_size=3).map(lambda p: "(" + " or ".join(p) + ")"),
    ), max_leaves=8))  # fmt: skip
    text = (
        f"policy p\nrequest {{ {fields} }}\nmodel m {{ provider: x }}\nlet c = {condition}\n"
        "default route r { to m }\n"
    )
    policy = check_bytes("p.route", text.encode()).policy
    assert policy is not None
    expr = policy.lets["c"].expr
    known = data.draw(st.dictionaries(st.sampled_from(names), st.booleans()))
    open_ = [n for n in names if n not in known]
    worlds = [
        {**known, **{n: bool(bits >> i & 1) for i, n in enumerate(open_)}}
        for bits in range(2 ** len(open_))
    ]
    answer = Truths(known).of(expr)
    if answer is not None:
        assert all(evaluate(expr, world) is answer for world in worlds)
    if not open_:
        assert answer is evaluate(expr, known)
    # Kleene's logic is the strongest that looks at parts alone.
    assert answer is _by_parts(expr, known)


def _by_parts(expr: Expr, known: dict[str, bool]) -> bool | None:
    match expr:
        case Const(value=value):
            return value
        case Not(operand=operand):
            inner = _by_parts(operand, known)
            return None if inner is None else not inner
        case And(operands=operands) | Or(operands=operands):
            parts = [_by_parts(o, known) for o in operands]
            settles = isinstance(expr, Or)
            if settles in parts:
                return settles
            return None if None in parts else not settles
    return known.get(expr.variable.name)


# --- the interval ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hits", "events", "low", "high"),
    # As published for the Wilson interval without correction (Newcombe 1998, table I, method 3).
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_that_of_wilson(hits: int, events: int, low: float, high: float) -> None:
    assert wilson(hits, events) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_the_interval_holds_the_share(hits: int, events: int) -> None:
    hits = min(hits, events)
    low, high = wilson(hits, events)
    assert 0 <= low <= hits / events <= high <= 1


def test_the_interval_covers_the_truth_about_95_times_in_100() -> None:
    """The exact probability that it does, by summing over every outcome."""
    for events, true in ((50, 0.1), (200, 0.02), (400, 0.5)):
        covered = sum(
            comb(events, k) * true**k * (1 - true) ** (events - k)
            for k in range(events + 1)
            if wilson(k, events)[0] <= true <= wilson(k, events)[1]
        )
        assert 0.92 < covered < 0.98


def test_shares_are_said_with_digits_that_say_something() -> None:
    assert in_traffic(Frequency(12, 4000)) == (
        "12 of 4,000 recorded requests, 0.30 % (95 % interval 0.17 % to 0.52 %)"
    )
    assert "0 % (95 % interval 0 % to 0.0038 %)" in in_traffic(Frequency(0, 100_000))
    assert "100 % (95 % interval 96.3 % to 100 %)" in in_traffic(Frequency(100, 100))
    assert in_traffic(Frequency(0, 0, 3)) == "not known: 3 more lack a signal that it takes"


def test_the_order_of_events_does_not_matter(routec: Run, policy: Path) -> None:
    shuffled = EVENTS[:]
    random.Random(4).shuffle(shuffled)
    assert frequencies(routec, record(policy.parent, shuffled)) == frequencies(
        routec, record(policy.parent, EVENTS)
    )


# --- regions ---------------------------------------------------------------------------------

RULES = ROOT / "tests" / "fixtures" / "rules"
REGIONAL = (
    *("RC201", "RC202", "RC205", "RC206", "RC208", "RC209", "RC212", "RC213"),
    *("RC301", "RC302", "RC303", "RC306", "RC402"),
)


@pytest.mark.parametrize("code", REGIONAL)
def test_the_request_that_shows_a_finding_is_one_of_those_it_speaks_of(code: str) -> None:
    """A request of which nothing is known is not."""
    checked = check(RULES / f"{code}.route")
    options = Options(wanted=frozenset({code}))
    [finding] = [f for f in analyse(checked, options).findings if f.code == code]
    assert checked.policy is not None
    assert finding.witness is not None
    corpus = Corpus(checked.policy)
    region = Regions(open_analysis(checked.policy, checked.sources), corpus).of(finding)
    assert region is not None
    known = _known(checked.policy, corpus, finding.witness)
    assert region(known, Truths(known.values)) is True
    assert region(Known({}, 0), Truths({})) is not True


def _known(policy: p.Policy, corpus: Corpus, witness: Mapping[str, Any]) -> Known:
    values: dict[str, Value] = {}
    values |= {n: f.default for n, f in policy.fields.items() if f.default is not None}
    values |= {n: _plain(v) for n, v in witness["attributes"].items()}
    for name, signal in policy.signals.items():
        if signal.stage is p.Stage.DERIVED:
            continue
        value = witness["signals"][name]
        if isinstance(signal.definition, p.Classifier):
            scores = {
                label: float(witness["signals"].get(f"{name}.{label}", 0.0))
                for label in signal.definition.labels
            }
            values[name] = Scores(value, scores)
        else:
            values[name] = _plain(value)
    tokens = witness.get("tokens", witness["signals"].get("size", 0))
    return Known(corpus.derive(values), tokens)


def _plain(value: Any) -> Any:
    return frozenset(value) if isinstance(value, list) else value
