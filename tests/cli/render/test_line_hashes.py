"""Hashes of lines agree with those that GitHub code scanning computes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.cli.render.line_hashes import line_hashes


def all_hashes(text: str) -> list[str]:
    count = text.count("\n") + 1
    return list(line_hashes(text, range(1, count + 1)).values())


# Published expectations of GitHub's own implementation.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["c129715d7a2bc9a3:1"]),
        (
            " a\nb\n  \t\tc\n d",
            ["271789c17abda88f:1", "54703d4cd895b18:1", "180aee12dab6264:1", "a23a3dc5e078b07b:1"],
        ),
        (
            " hello; \t\nworld!!!\n\n\n  \t\tGreetings\n End",
            [
                "8b7cf3e952e7aeb2:1",
                "b1ae1287ec4718d9:1",
                "bff680108adb0fcc:1",
                "c6805c5e1288b612:1",
                "b86d3392aea1be30:1",
                "e6ceba753e1a442:1",
            ],
        ),
        (
            " hello; \t\r\nworld!!!\r\n\r\n\r\n  \t\tGreetings\r\n End\r\n",
            [
                "e9496ae3ebfced30:1",
                "fb7c023a8b9ccb3f:1",
                "ce8ba1a563dcdaca:1",
                "e20e36e16fcb0cc8:1",
                "b3edc88f2938467e:1",
                "c8e28b0b4002a3a0:1",
                "c129715d7a2bc9a3:1",
            ],
        ),
    ],
)
def test_hashes_are_those_of_github(text: str, expected: list[str]) -> None:
    assert all_hashes(text) == expected


def rolled(text: str) -> list[str]:
    """The definition, letter by letter: a window of a hundred units rolls over the text."""
    units = text.replace("\r\n", "\n").replace(" ", "").replace("\t", "").encode("utf-16-be")
    numbers = [int.from_bytes(units[i : i + 2]) for i in range(0, len(units), 2)] + [0xFFFF]
    starts = [0] + [i + 1 for i, n in enumerate(numbers) if n == 10]
    found: list[str] = []
    for start in starts:
        value = 0
        for number in (numbers[start : start + 100] + [0] * 100)[:100]:
            value = (value * 37 + number) % 2**64
        found.append(f"{value:x}")
    return [f"{value}:{found[: i + 1].count(value)}" for i, value in enumerate(found)]


@given(st.text("ab\n\t \U0001f600é", max_size=400))
def test_hashes_are_those_of_the_definition(text: str) -> None:
    assert all_hashes(text) == rolled(text)


@given(st.text("ab\n", max_size=60), st.integers(1, 9))
def test_only_lines_that_are_asked_for_and_exist_are_hashed(text: str, line: int) -> None:
    hashes = line_hashes(text, [line])
    exists = line <= text.count("\n") + 1
    assert hashes == ({line: all_hashes(text)[line - 1]} if exists else {})
