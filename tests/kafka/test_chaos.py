"""The first seeds of the chaos suite; `make chaos` runs as many as you like."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_kafka import ApacheKafka

from tests.kafka.chaos.campaign import run_campaign
from tests.kafka.chaos.seed import Result

pytestmark = pytest.mark.kafka

SEEDS = range(10)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    # What the clients say of a broker that is killed on purpose.
    log = logging.getLogger("aiokafka")
    before = log.level
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(before)


async def test_the_first_seeds_lose_double_and_reorder_nothing(
    apache_kafka: ApacheKafka, tmp_path: Path
) -> None:
    results: list[Result] = []
    await run_campaign(SEEDS, apache_kafka, tmp_path, 5, results.append)
    assert {one["seed"]: one["said"] for one in results if one["problems"]} == {}
    assert sorted(one["seed"] for one in results) == list(SEEDS)
    fired = [fault for one in results for fault in one["fired"]]
    assert {"broker-kill", "broker-stop"} & {fault["kind"] for fault in fired}
    # Something was under way when it was hurt, or it would prove nothing.
    assert sum(fault["open"] for fault in fired) > 0
    assert sum(one["records"]["decisions"] for one in results) > 1000
    # All that ships took part: every kind of policy, the compiled path, the cache, the notices.
    assert {one["scenario"]["policy"] for one in results} == {"classifier", "plain", "mixed"}
    for what in ("compiled", "cached", "by_canary", "by_swapped", "differences", "statuses"):
        assert sum(one["records"].get(what, 0) for one in results) > 0, what
