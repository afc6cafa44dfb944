"""Where a replay begins and ends, as it is written."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.runtime.replay.whence import EARLIEST, LATEST, Whence, ends_before, parse_whence

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("earliest", EARLIEST),
        ("latest", LATEST),
        ("0", Whence("offset", offset=0)),
        ("20261122", Whence("offset", offset=20_261_122)),
        ("90s", Whence("time", 1_699_999_910_000)),
        ("2h", Whence("time", 1_699_992_800_000)),
        ("3d", Whence("time", 1_699_740_800_000)),
        ("2026-11-22T09:00:00Z", Whence("time", 1_795_338_000_000)),
        ("2026-11-22T10:00:00+01:00", Whence("time", 1_795_338_000_000)),
        ("2026-11-22T09:00:00", Whence("time", 1_795_338_000_000)),
        ("2026-11-22", Whence("time", 1_795_305_600_000)),
        ("3/41", Whence("offsets", offsets={3: 41})),
        ("0/1200,1/990", Whence("offsets", offsets={0: 1200, 1: 990})),
    ],
)
def test_every_form_is_read(text: str, meant: Whence) -> None:
    assert parse_whence(text, NOW) == meant


@pytest.mark.parametrize(
    "text", ["", "-1", "yesterday", "1/", "/1", "1/2,", "1/2,1/3", "9" * 20, "0/" + "9" * 19, "2w"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="`"):
        parse_whence(text, NOW)


@pytest.mark.parametrize(
    ("begin", "end", "reversed_"),
    [
        ("earliest", "earliest", False),
        ("earliest", "3d", False),
        ("latest", "latest", False),
        ("latest", "1s", True),
        ("latest", "2999-01-01", False),
        ("2h", "2h", False),
        ("2h", "1h", False),
        ("1h", "2h", True),
        ("2999-01-01", "latest", True),
        ("1h", "earliest", True),
        ("7", "7", False),
        ("7", "6", True),
        ("7", "0/7,1/8", False),
        ("7", "0/7,1/6", True),
        ("0/7,1/6", "6", True),
        ("0/7", "1/6", False),  # something else is wrong with it
        ("7", "earliest", False),  # only the topic knows
        ("7", "1h", False),
        ("1h", "7", False),
    ],
)
def test_what_ends_before_it_begins_is_known_without_the_topic(
    begin: str, end: str, reversed_: bool
) -> None:
    places = (parse_whence(one, NOW) for one in (begin, end))
    assert ends_before(*places, NOW) is reversed_


@given(st.text(max_size=30))
def test_no_text_does_worse_than_a_refusal(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(parse_whence(text, NOW), Whence)
