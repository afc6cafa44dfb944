"""`routec explain`: the path, why not otherwise, and changes that really flip the decision."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routec.cli.describe import condition_text
from routec.cli.flips import find_flips, outcome
from routec.cli.offline import Offline
from routec.cli.programs import Compiled, compile_file
from routec.cli.why import Reasons
from routec.runtime.events.request import Message, Request

from .support import CLEAN, Run

TEXT = ("--text", "hello", "--attr", "tenant=acme")
PINS = ("--with", "refund=0.1", "--with", "topic=code")


def test_it_says_what_why_why_not_and_what_would_change_it(routec: Run, clean: Path) -> None:
    result = routec("explain", clean, *TEXT, *PINS, "--format", "json")
    assert (result.status, result.err) == (0, "")
    document: dict[str, Any] = result.json
    assert list(document) == ["decision", "path", "why_not", "flip"]
    decision = document["decision"]
    assert (decision["outcome"], decision["route"]) == ("route", "general")
    assert decision["policy"]["hash"] == compile_file(str(clean)).hash
    assert decision["category"] == "code"
    assert document["why_not"] == [
        {
            "route": "refunds",
            "because": "`refund >= 0.8` is false: `refund` is 0.1, 0.7 away",
        },
        {
            "route": "hard",
            "because": "`band == high` is false: `band` is low; "
            "`size > 1000` is false: `size` is 1, 999 away",
        },
    ]
    tests = {step["test"]: step for step in document["path"]}
    assert tests["urgent"] | {"node": 0} == {
        "rule": "guard shouting",
        "node": 0,
        "test": "urgent",
        "value": False,
        "holds": False,
        "source": "computed",
    }
    assert tests["refund >= 0.8"]["source"] == "pinned"
    assert (tests["topic == code"]["value"], tests["topic == code"]["holds"]) == ("code", True)
    flips = {flip["outcome"]: flip["change"] for flip in document["flip"]}
    assert flips == {
        "route refunds": "refund from 0.1 to 0.8",
        "route hard": "refund from 0.1 to 0.6",
        "reject shouting": "urgent from false to true",
    }
    assert document["flip"][0]["outcome"] == "route hard"


def test_for_a_person_it_says_the_same(routec: Run, clean: Path) -> None:
    text = routec("explain", clean, *TEXT, *PINS).out
    assert text.startswith("route general to mini (openai mini)\n")
    assert "  category: code\n" in text
    assert "  guard shouting\n    no  urgent  is false\n" in text
    assert "    no  refund >= 0.8  is 0.1 (pinned)\n" in text
    assert "  route refunds: `refund >= 0.8` is false: `refund` is 0.1, 0.7 away\n" in text
    assert "  refund from 0.1 to 0.6: route hard\n" in text


def test_a_rejection_explains_every_route(routec: Run, clean: Path) -> None:
    asked = ("--text", "asap", "--attr", "tenant=acme", "--format", "json")
    document = routec("explain", clean, *asked).json
    assert document["decision"]["reject"] == {
        "guard": "shouting",
        "status": 429,
        "reason": "later",
    }
    assert {one["because"] for one in document["why_not"]} == {"guard `shouting` rejects first"}
    # Whatever else would be decided needs a model, so nothing can be promised.
    assert document["flip"] == []
    pinned = routec("explain", clean, *asked, *PINS).json
    assert {flip["change"] for flip in pinned["flip"]} >= {"urgent from true to false"}


def test_an_event_is_read_from_a_file_or_standard_input(
    routec: Run, clean: Path, tmp_path: Path
) -> None:
    event = {
        "request_id": "r-7",
        "time": "2026-11-22T09:00:00Z",
        "attributes": {"tenant": "acme", "tier": "pro"},
        "body": {"messages": [{"role": "user", "content": "asap please"}]},
    }
    path = tmp_path / "event.json"
    path.write_text(json.dumps(event))
    read = routec("explain", clean, "--event", path, *PINS, "--format", "json").json["decision"]
    assert (read["request_id"], read["route"]) == ("r-7", "hard")
    given = routec(
        *("explain", clean, "--event", "-", "--attr", "tier=free", "--format", "json"),
        stdin=path.read_bytes(),
    ).json["decision"]
    assert given["reject"]["guard"] == "shouting"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--text", "hi"), "`attributes.tenant` is missing"),
        ((*TEXT, "--attr", "tier=gold"), "attribute `tier` must be one of `free`, `pro`"),
        ((*TEXT, "--attr", "teir=pro"), "there is no field `teir`"),
        ((*TEXT, "--attr", "tier"), "`--attr tier` has no value"),
        ((*TEXT, "--with", "refnd=1"), "there is no signal `refnd`"),
        ((*TEXT, "--with", "refund=nan"), "`refund=nan` is no float"),
        ((*TEXT, "--with", "urgent=yes"), "write `true` or `false`"),
        ((*TEXT, "--with", "topic=legal"), "there is no label of `topic` `legal`"),
        ((*TEXT, "--with", "topic.code=1.5"), "`topic.code=1.5` is no score"),
        ((*TEXT, "--with", "topic=code", "--with", "topic.code=1"), "give one of them"),
        ((*TEXT, "--with", "refund.x=1"), "`refund` has no scores to fix"),
        (("--event", "/gone.json"), "cannot read `/gone.json`"),
        (("--event", "-"), "the record has no value"),
    ],
)
def test_what_cannot_be_asked_is_status_2(
    routec: Run, clean: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = routec("explain", clean, *arguments)
    assert (result.status, result.out) == (2, "")
    assert says in result.err


def test_without_a_model_it_names_the_signal_and_the_command(
    routec: Run, clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTEC_CACHE", str(tmp_path / "nothing"))
    result = routec("explain", clean, *TEXT)
    assert (result.status, result.out) == (2, "")
    assert "the decision needs signal `refund`" in result.err
    assert "`--with refund=…`" in result.err
    assert "routec models install minilm" in result.err


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    path = tmp_path_factory.mktemp("explain") / "clean.route"
    path.write_text(CLEAN)
    return compile_file(str(path))


VALUES = st.fixed_dictionaries(
    {
        "urgent": st.booleans(),
        "refund": st.floats(-1, 1).map(lambda x: round(x, 6)),
        "size": st.integers(0, 3000),
        "topic": st.sampled_from(["billing", "code", "other"]),
        "pii": st.frozensets(st.sampled_from(["email", "iban"])),
    }
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pins=VALUES, tier=st.sampled_from(["free", "pro"]))
def test_reasons_agree_with_the_engine_and_flips_really_flip(
    compiled: Compiled, pins: dict[str, Any], tier: str
) -> None:
    program = compiled.program
    request = Request("r", {"tenant": "acme", "tier": tier}, (Message("user", "hi"),))

    async def work() -> None:
        offline = Offline(compiled)
        [answer] = await offline.decide([request], [pins])
        decision = answer.decision
        reasons = Reasons(program, request, decision, pins)
        for name, because in reasons.why_not():
            route = next(r for r in program.routes if r.name == name)
            assert decision.reject is not None or reasons.holds(route.when) is False
            assert because
        assert [s.holds for s in reasons.path() if s.value is not None].count(None) == 0
        flips = await find_flips(offline, compiled.policy, program, request, pins, answer)
        assert outcome(decision) not in {flip.outcome for flip in flips}
        assert [flip.distance for flip in flips] == sorted(flip.distance for flip in flips)
        for flip in flips:
            name, _, rest = flip.change.partition(" from ")
            new = rest.rpartition(" to ")[2]
            changed, attributes = dict(pins), dict(request.attributes)
            if name == "tier":
                attributes["tier"] = new
            elif name == "pii":
                changed["pii"] = frozenset(filter(None, new.strip("{}").split(", ")))
            else:
                changed[name] = new if name == "topic" else json.loads(new)
            again = Request("r", attributes, request.messages)
            [other] = await offline.decide([again], [changed])
            assert outcome(other.decision) == flip.outcome

    asyncio.run(work())


def test_conditions_read_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "p.route"
    path.write_text(
        CLEAN.replace(
            "when band == high or size > 1k",
            'when not (urgent and pii.any(iban)) and tenant == "a b" and size in 1k..8k '
            "and topic.billing >= 0.25 and not pii.empty",
        )
    )
    program = compile_file(str(path)).program
    hard = next(route for route in program.routes if route.name == "hard")
    assert condition_text(program, hard.when) == (
        'not (urgent and pii.any(iban)) and tenant == "a b" and '
        "(size >= 1000 and size <= 8000) and topic.billing >= 0.25 and not pii.empty"
    )
