"""Decisions read back: what an encoder wrote comes back, and nothing stops at what is none."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.runtime.replay import read_recorded
from routec.runtime.replay.recorded import decision_id_of

WHOLE = {
    "decision_id": "d",
    "request_id": "r",
    "time": "2025-03-04T05:06:07.250Z",
    "policy": {"name": "p", "hash": "sha256:1"},
    "outcome": "cached",
    "category": "c",
    "cache": {"status": "hit", "similarity": 0.9, "entry": "e", "response": {}, "tier": "semantic"},
    "signals": {"a": True},
    "failures": [{"signal": "a", "reason": "timeout"}],
}


def test_the_answer_of_the_cache_keeps_its_bytes() -> None:
    answer = b'{"n": 1.0,  "text":"\\u00e9", "n": 2}'
    value = orjson.dumps(WHOLE).replace(b'"response":{}', b'"response":' + answer)
    recorded = read_recorded(value)
    assert recorded is not None
    assert recorded.decision.cache.response == answer
    assert recorded.time_ms == 1_741_064_767_250
    assert recorded.failures == {"a": "timeout"}
    assert recorded.value == value


@pytest.mark.parametrize(
    "changed",
    [
        {"outcome": "other"},
        {"outcome": "reject"},
        {"policy": None},
        {"decision_id": 7},
        {"cache": []},
        {"redacted": [{"message": "x"}]},
        {"headers": {"a": 1}},
        {"path": ["x"]},
    ],
)
def test_what_has_other_types_is_no_decision(changed: dict[str, object]) -> None:
    assert read_recorded(orjson.dumps(WHOLE)) is not None
    assert read_recorded(orjson.dumps({**WHOLE, **changed})) is None


@given(st.binary(max_size=60) | st.sampled_from((b"[" * 100_000, b'{"decision_id":' * 50_000)))
def test_no_bytes_do_worse_than_none(value: bytes) -> None:
    assert read_recorded(value) is None
    assert decision_id_of(value) is None


def test_a_tombstone_is_none() -> None:
    assert (read_recorded(None), decision_id_of(None)) == (None, None)
