"""What a worker wrote is enough to decide again without models, cache or turns, byte for byte."""

from __future__ import annotations

import asyncio
from functools import lru_cache

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routec.compiler import check_bytes
from routec.compiler.lower import lower
from routec.compiler.plan import optimise
from routec.compiler.program import Program, digest
from routec.runtime.engine import Engine
from routec.runtime.records import Decided, Record
from routec.runtime.replay import (
    Event,
    Redecided,
    Refused,
    Replay,
    lookup_of,
    read_recorded,
)
from routec.runtime.service import PolicyService
from routec.safety.text import NORMALISER_VERSION
from tests.runtime.doubles import Backend, Embedder, cache_of, services

from .test_replay import COSTLY, SIGNALS, WORDS, reading

POLICY = f"""\
policy made
request {{ tier: enum(free, pro) = free }}
{SIGNALS}model mini {{ provider: openai, input: $1.00, output: $2.00, latency: 1s }}
model opus {{ provider: anthropic, input: $5.00, output: $25.00, latency: 2s }}
model local {{ provider: vllm, latency: 3s }}
category code {{ when topic == code and not again, ttl: 1h }}
category money {{ when refund >= 0.5 and tier == pro, similarity: 0.9, scope: tier }}
guard stop  {{ when attack.jailbreak >= 0.8 reject 403 "no" }}
guard cards {{ when not pii.empty redact pii tag "mail" }}
route hard priority 30 {{ when band == high and tier == pro to [opus, mini] by latency }}
route legal priority 20 {{ when topic.legal >= 0.5 or refund >= 0.7 to opus cache off }}
route twice priority 10 {{ when again and effort > 0 or topic == legal to mini cache code }}
route turns priority 5 {{ when urgent or topic == code to [mini, opus, local] by round_robin }}
default route rest {{ to mini fallback local }}
"""


@lru_cache
def compiled(*, planned: bool = True) -> Program:
    checked = check_bytes("p.route", POLICY.encode())
    assert checked.policy is not None, [str(one) for one in checked.findings]
    program = lower(checked.policy, normaliser=NORMALISER_VERSION)
    return optimise(checked.policy, program).program if planned else program


def worker(program: Program) -> PolicyService:
    embedder = Embedder()
    bound = {"attack": Backend("jailbreak", "benign"), "topic": Backend("code", "legal", "other")}
    opened = services(
        embedder=embedder, classifiers=bound, cache=cache_of(program, embedder, now=1e9)
    )
    return PolicyService(Engine(program, opened))


def offline(program: Program) -> Replay:
    return Replay(program, services(), reading(program), COSTLY, digest(program))


def request(offset: int, text: str, tier: str = "free") -> Record:
    body = {"messages": [{"role": "user", "content": text}]}
    value = {"request_id": f"r{offset}", "attributes": {"tier": tier}, "body": body}
    return Record("t", 3, offset, 1_000_000_000_123 + offset, None, orjson.dumps(value))


def answer(decided: Decided) -> Record:
    """What the serving side tells of a decision: an answer worth keeping, and how long it took."""
    decision = orjson.loads(decided.value)
    body = {"choices": [{"message": {"content": "1.0 \u00e9"}, "finish_reason": "stop"}], "n": 1e0}
    value = {
        "decision_id": decision["decision_id"],
        "model": decision["model"],
        "ok": True,
        "latency_ms": 1000 * (len(decision["request_id"]) + len(decision["path"])),
        "body": body,
    }
    return Record("responses", 0, 0, 0, None, orjson.dumps(value))


def event(number: int, record: Record, value: bytes | None) -> Event:
    recorded = read_recorded(value)
    if recorded is None:
        return Event(number, record, stored=True)
    return Event(
        number,
        record,
        recorded.signals,
        recorded.id,
        recorded.failures,
        lookup_of(recorded),
        recorded,
        stored=True,
    )


async def lived(program: Program, batches: list[list[Record]]) -> list[tuple[Record, bytes]]:
    """Batches as a worker decides them, its decisions being answered in between."""
    service = worker(program)
    written = []
    for batch in batches:
        outcomes = await service.decide(batch)
        good = [one for one in outcomes if isinstance(one, Decided)]
        written += [(r, o.value) for r, o in zip(batch, outcomes, strict=True) if o in good]
        service.learn([answer(one) for one in good])
    return written


texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)


@pytest.mark.parametrize("planned", [False, True], ids=["unplanned", "planned"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.lists(st.tuples(texts, st.sampled_from(("free", "pro"))), min_size=1, max_size=5),
        min_size=1,
        max_size=5,
    )
)
def test_the_decisions_of_a_worker_come_out_the_same(
    planned: bool, asked: list[list[tuple[str, str]]]
) -> None:
    program, at = compiled(planned=planned), iter(range(1000))
    batches = [[request(next(at), *one) for one in batch] for batch in asked]
    written = asyncio.run(lived(program, batches))
    events = [event(number, *one) for number, one in enumerate(written, 1)]
    replay = offline(program)
    # One slice of what was decided in several: what came together then is not known.
    answers = asyncio.run(replay.decide(events))
    assert [one.document() for one in answers if isinstance(one, Refused)] == []
    again = [replay.encoded(one) for one in answers if isinstance(one, Redecided)]
    assert again == [value for _, value in written]


def test_there_were_answers_from_the_cache_among_them() -> None:
    """The property above is only worth what its cases are."""
    program = compiled()
    twice = [[request(0, "code hello")], [request(1, "code hello")]]
    written = asyncio.run(lived(program, twice))
    assert orjson.loads(written[1][1])["outcome"] == "cached"
    replay = offline(program)
    [_, cached] = asyncio.run(replay.decide([event(1, *one) for one in written]))
    assert isinstance(cached, Redecided)
    assert replay.encoded(cached) == written[1][1]
    assert b"1.0 \xc3\xa9" in written[1][1]
