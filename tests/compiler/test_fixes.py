"""Applying fixes to texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.compiler.fixes import Because, apply_edits, diff, fix_all
from routec.dsl.diagnostic import Applicability, Diagnostic, Edit, Fix, Rule, Severity
from routec.dsl.source import Source

RULE = Rule("RC212", "dead-subcondition", Severity.WARNING, "A part of a condition never matters.")


def edit(source: Source, start: int, end: int, text: str) -> Edit:
    return Edit(source.span(start, end), text)


def finding(*edits: Edit, safe: bool = True, message: str = "it") -> Diagnostic:
    applicability = Applicability.SAFE if safe else Applicability.UNSAFE
    fix = Fix("mend it", applicability, edits) if edits else None
    return Diagnostic(RULE, message, Source("p", "").span(0, 0), fix=fix)


@st.composite
def rewritten(draw: st.DrawFn) -> tuple[Source, list[Edit], str]:
    """A text in stretches, some of them replaced; and the text that this must give."""
    stretches = draw(
        st.lists(st.tuples(st.text(max_size=8), st.none() | st.text(max_size=8)), max_size=12)
    )
    source = Source("p", "".join(old for old, _ in stretches))
    edits, at = [], 0
    for old, new in stretches:
        if new is not None:
            edits.append(edit(source, at, at + len(old), new))
        at += len(old)
    return source, edits, "".join(old if new is None else new for old, new in stretches)


@given(rewritten(), st.randoms(use_true_random=False))
def test_edits_change_their_places_and_nothing_else(
    case: tuple[Source, list[Edit], str], random: object
) -> None:
    source, edits, expected = case
    assert apply_edits(source.text, edits) == expected
    # The order given matters to insertions at one place only.
    replacing = [e for e in edits if e.span.start < e.span.end]
    shuffled = list(replacing)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert apply_edits(source.text, shuffled) == apply_edits(source.text, replacing)


def test_insertions_come_before_what_replaces_the_text_behind_them() -> None:
    source = Source("p", "abc")
    edits = [edit(source, 1, 2, "B"), edit(source, 1, 1, "("), edit(source, 2, 2, ")")]
    assert apply_edits("abc", edits) == "a(B)c"


@pytest.mark.parametrize("places", [[(0, 2), (1, 3)], [(0, 3), (1, 1)], [(1, 2), (1, 2)]])
def test_overlapping_edits_are_refused(places: list[tuple[int, int]]) -> None:
    source = Source("p", "abc")
    with pytest.raises(ValueError, match="overlaps"):
        apply_edits("abc", [edit(source, start, end, "") for start, end in places])


def test_an_edit_of_another_text_is_refused() -> None:
    with pytest.raises(ValueError, match="in a text of 3 code points"):
        apply_edits("abc", [edit(Source("p", "abcd"), 0, 4, "")])


def test_safe_fixes_are_applied_and_unsafe_ones_are_skipped() -> None:
    source = Source("p", "one two three")
    safe = finding(edit(source, 0, 3, "1"))
    unsafe = finding(edit(source, 4, 7, "2"), safe=False)
    none = finding()
    fixed = fix_all({"p": source}, [safe, unsafe, none], unsafe=False)
    assert fixed.texts == {"p": "1 two three"}
    assert fixed.applied == (safe,)
    assert [(s.finding, s.because) for s in fixed.skipped] == [(unsafe, Because.UNSAFE)]
    both = fix_all({"p": source}, [safe, unsafe, none], unsafe=True)
    assert both.texts == {"p": "1 2 three"}
    assert both.skipped == ()


def test_a_fix_is_applied_whole_or_not_at_all() -> None:
    sources = {"p": Source("p", "abcdef"), "q": Source("q", "xyz")}
    first = finding(edit(sources["p"], 0, 3, ""))
    second = finding(edit(sources["q"], 0, 1, ""), edit(sources["p"], 2, 4, ""))
    fixed = fix_all(sources, [first, second], unsafe=False)
    assert fixed.texts == {"p": "def"}
    assert [s.because for s in fixed.skipped] == [Because.OVERLAPS]


def test_two_insertions_at_one_place_wait_for_each_other() -> None:
    source = Source("p", "ab")
    fixes = [finding(edit(source, 1, 1, "x")), finding(edit(source, 1, 1, "y"))]
    fixed = fix_all({"p": source}, fixes, unsafe=False)
    assert fixed.texts == {"p": "axb"}
    assert [s.because for s in fixed.skipped] == [Because.OVERLAPS]


def test_the_same_fix_of_two_findings_settles_both() -> None:
    source = Source("p", "ab")
    same = [finding(edit(source, 0, 1, ""), message=m) for m in ("one", "two")]
    fixed = fix_all({"p": source}, same, unsafe=False)
    assert fixed.texts == {"p": "b"}
    assert fixed.applied == tuple(same)


def test_a_fix_of_a_file_that_is_not_at_hand_is_skipped() -> None:
    stray = finding(edit(Source("elsewhere", "abc"), 0, 1, ""))
    fixed = fix_all({"p": Source("p", "abc")}, [stray], unsafe=False)
    assert fixed.texts == {}
    assert [s.because for s in fixed.skipped] == [Because.UNREAD]


@st.composite
def colliding(draw: st.DrawFn) -> tuple[Source, list[Diagnostic]]:
    """A text and fixes at random places of it, which often collide."""
    text = draw(st.text("abc\n", min_size=1, max_size=20))
    source = Source("p", text)
    place = st.integers(0, len(text))
    one = st.builds(
        lambda a, b, t: edit(source, min(a, b), max(a, b), t),
        place,
        place,
        st.text("xyz", max_size=3),
    )
    return source, draw(st.lists(st.builds(finding, one), max_size=10))


@given(colliding())
def test_a_round_applies_all_that_does_not_collide_and_says_what_it_left(
    case: tuple[Source, list[Diagnostic]],
) -> None:
    source, findings = case
    fixed = fix_all({"p": source}, findings, unsafe=False)
    edits = list(dict.fromkeys(e for f in fixed.applied if f.fix for e in f.fix.edits))
    assert fixed.texts.get("p", source.text) == apply_edits(source.text, edits)
    assert len(fixed.applied) + len(fixed.skipped) == len(findings)
    assert bool(findings) <= bool(fixed.applied)  # each round makes headway


def patched(old: str, patch: str) -> str:
    """What ``patch`` makes of a text: an independent reading of the unified format."""
    lines, result, at = old.split("\n"), [], 0
    rows = patch.split("\n")
    assert rows.pop() == ""
    for index, row in enumerate(rows):
        no_end = index + 1 < len(rows) and rows[index + 1].startswith("\\")
        if row.startswith("@@"):
            numbers = row.split()[1].lstrip("-").split(",")
            begin = int(numbers[0]) - (0 if numbers[1:] == ["0"] else 1)
            result += [line + "\n" for line in lines[at:begin]]
            at = begin
        elif row.startswith((" ", "-")) and not row.startswith("---"):
            assert lines[at] == row[1:]
            at += 1
        if row.startswith((" ", "+")) and not row.startswith("+++"):
            result.append(row[1:] + ("" if no_end else "\n"))
    rest = "\n".join(lines[at:])
    return "".join(result) + rest


@given(
    st.lists(st.text("ab \r\x0b\u2028", max_size=3), max_size=12),
    st.lists(st.text("ab \r\x0b\u2028", max_size=3), max_size=12),
)
def test_a_diff_leads_from_the_old_text_to_the_new_one(old: list[str], new: list[str]) -> None:
    before, after = "\n".join(old), "\n".join(new)
    patch = diff({"p": Source("p", before)}, {"p": after})
    assert bool(patch) == (before != after)
    if patch:
        assert patch.startswith("--- p\n+++ p\n@@ ")
        assert patched(before, patch) == after
