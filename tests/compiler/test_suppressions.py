"""``# routec: ignore[CODE] reason``: what it suppresses, and what is said of it otherwise."""

from __future__ import annotations

import re
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.compiler.fixes import fix_all
from routec.compiler.rules import RULES, find_rule
from routec.compiler.suppressions import Suppressed, apply, unused_in_all
from routec.dsl import Source, parse
from routec.dsl.diagnostic import Diagnostic, Severity

WARNING, ERROR, NOTE = "dead-subcondition", "unreachable-route", "overlapping-routes"


def finding(source: Source, rule: str, start: int, end: int) -> Diagnostic:
    found = find_rule(rule)
    assert found is not None
    return Diagnostic(found, f"a finding of {rule}", source.span(start, end))


def suppressed(text: str, judged: Collection[str] | None = None) -> tuple[Source, Suppressed]:
    """The outcome on a text in which ``«rule:…»`` marks a finding."""
    places: list[tuple[str, int, int]] = []
    while marked := re.search(r"«([a-z-]+):([^«»]*)»", text):
        start = marked.start()
        places.append((marked[1], start, start + len(marked[2])))
        text = text[:start] + marked[2] + text[marked.end() :]
    source = Source("p.route", text)
    parsed = parse(source)
    findings = [finding(source, *place) for place in places]
    return source, apply(findings, [parsed.module], {"p.route": source}, judged)


def mended(source: Source, found: Suppressed, *, unsafe: bool = False) -> str:
    return fix_all({source.name: source}, found.own, unsafe).texts.get(source.name, source.text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            f"let x = a and «{WARNING}:b»  # routec: ignore[dead-subcondition]\n", id="name"
        ),
        pytest.param(f"let x = a and «{WARNING}:b»  # routec: ignore[RC212]\n", id="code"),
        pytest.param(
            f"let x = a and «{WARNING}:b»  #routec:ignore[ rc212 ]\n", id="loosely written"
        ),
        pytest.param(
            f"let x = a and «{WARNING}:b»  # ours  # routec: ignore[RC212] why\n", id="in a comment"
        ),
        pytest.param(
            f"let «{ERROR}:x» = a and «{WARNING}:b»  # routec: ignore[RC202, RC212] both\n",
            id="two rules",
        ),
        pytest.param(
            f"# routec: ignore[RC212]\nlet x =\n  a\n  and «{WARNING}:b»\n",
            id="above a declaration",
        ),
        pytest.param(
            f"# routec: ignore[RC212]\n# more of it\nlet x =\n  a and «{WARNING}:b»\n",
            id="above, with comments between",
        ),
        pytest.param(
            f"# routec: ignore[RC202] kept for the audit\n# routec: ignore[RC212]\n"
            f"route «{ERROR}:r» {{\n  when a and «{WARNING}:b»\n  to m\n}}\n",
            id="two comments above",
        ),
        pytest.param(
            f"route r {{\n  # routec: ignore[RC212]\n  when a\n   and «{WARNING}:b»\n  to m\n}}\n",
            id="inside a block, above a part of it",
        ),
        pytest.param(
            f"route «{ERROR}:r» {{  # routec: ignore[RC202] kept for the audit\n  when a\n  to m\n}}\n",
            id="behind the head of a block",
        ),
        pytest.param(
            f"route r {{\r\n  when a and «{WARNING}:b» # routec: ignore[RC212]\r\n  to m\r\n}}\r\n",
            id="Windows line ends",
        ),
    ],
)
def test_a_finding_at_the_place_of_a_suppression_is_suppressed(text: str) -> None:
    _, result = suppressed(text)
    assert result.kept == ()
    assert result.suppressed
    assert result.own == ()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            f"let x = a and\n  «{WARNING}:b»\nlet y = c  # routec: ignore[RC212]\n", id="other line"
        ),
        pytest.param(
            f"# routec: ignore[RC212]\n\nlet x = a and «{WARNING}:b»\n", id="a blank line between"
        ),
        pytest.param(
            f"# routec: ignore[RC212]\nlet x = a\nlet y = a and «{WARNING}:b»\n",
            id="next declaration",
        ),
        pytest.param(
            f"route r {{\n  # routec: ignore[RC212]\n  to m\n  when a and «{WARNING}:b»\n}}\n",
            id="another part of the block",
        ),
        pytest.param(f"let x = a and «{WARNING}:b»  # routec: ignore[RC205]\n", id="other rule"),
        pytest.param(f"let x = «{WARNING}:b»\n# routec: ignore[RC212]", id="above nothing"),
    ],
)
def test_a_finding_elsewhere_is_kept_and_the_suppression_is_unused(text: str) -> None:
    source, result = suppressed(text)
    assert [f.rule.name for f in result.kept] == [WARNING]
    assert result.suppressed == ()
    (own,) = result.own
    assert (own.code, own.severity) == ("RC900", Severity.WARNING)
    assert "is suppressed here" in own.message
    assert "routec" not in mended(source, result)


def test_a_string_that_looks_like_a_suppression_is_none() -> None:
    _, result = suppressed(f'let x = a == "# routec: ignore[RC212]" and «{WARNING}:b»\n')
    assert len(result.kept) == 1
    assert result.own == ()


@pytest.mark.parametrize(
    "comment",
    [
        "# routec: the router",
        "# see `# routec: ignore[RC212]` above",
        "# nothing",
        "# routec ignore",
    ],
)
def test_prose_is_no_suppression(comment: str) -> None:
    _, result = suppressed(f"let x = a and «{WARNING}:b»  {comment}\n")
    assert len(result.kept) == 1
    assert result.own == ()


def test_an_error_is_suppressed_only_with_a_reason() -> None:
    text = f"route «{ERROR}:r» {{ when a to m }}  # routec: ignore[unreachable-route]"
    for reason in ("", " -", " …"):
        _, result = suppressed(f"{text}{reason}\n")
        assert [f.rule.name for f in result.kept] == [ERROR]
        (own,) = result.own
        assert (
            own.message
            == "`unreachable-route` is an error here, and not suppressed without a reason"
        )
        assert own.help == "say why behind the `]`"
        assert own.fix is None
    _, result = suppressed(f"{text} kept for the audit\n")
    assert result.kept == result.own == ()


def test_a_warning_beside_an_error_without_reason_is_suppressed_all_the_same() -> None:
    _, result = suppressed(
        f"route «{ERROR}:r» {{ when a and «{WARNING}:b» to m }}  # routec: ignore[RC202, RC212]\n"
    )
    assert [f.rule.name for f in result.kept] == [ERROR]
    assert [f.rule.name for f in result.suppressed] == [WARNING]


@pytest.mark.parametrize("word", ["RC001", "syntax-error", "RC900", "unused-suppression"])
def test_some_rules_cannot_be_suppressed(word: str) -> None:
    source, result = suppressed(f"let x = «syntax-error:a»  # routec: ignore[{word}] because\n")
    assert [f.code for f in result.kept] == ["RC001"]
    (own,) = result.own
    assert own.message.endswith("cannot be suppressed")
    assert mended(source, result) == "let x = a\n"


def test_an_unknown_rule_is_named_with_the_nearest_one() -> None:
    source, result = suppressed("let x = a  # routec: ignore[overlaping-routes] both are wanted\n")
    (own,) = result.own
    assert own.message == "there is no rule `overlaping-routes`"
    assert own.help == "did you mean `overlapping-routes`?"
    assert source.text[own.span.start : own.span.end] == "overlaping-routes"
    assert mended(source, result) == source.text
    assert "ignore[overlapping-routes] both" in mended(source, result, unsafe=True)


def test_a_rule_like_no_other_is_unknown_too() -> None:
    source, result = suppressed("let x = a  # routec: ignore[zzzzzz]\n")
    (own,) = result.own
    assert own.help == "`routec rule` lists all rules"
    assert mended(source, result) == "let x = a\n"


def test_of_several_rules_the_unused_ones_go() -> None:
    source, result = suppressed(
        f"let x = a and «{WARNING}:b»  # routec: ignore[RC205, dead-subcondition,RC206] why\n"
    )
    (own,) = result.own
    assert own.message == "no finding of `RC205` and `RC206` is suppressed here"
    assert own.fix is not None
    assert own.fix.title == "remove `RC205`, `RC206`"
    assert mended(source, result) == "let x = a and b  # routec: ignore[dead-subcondition] why\n"


@pytest.mark.parametrize(
    "comment", ["# routec: ignore", "# routec: ignore[] why", "# routec: ignor[RC212] why"]
)
def test_a_suppression_of_nothing_says_how_to_write_one(comment: str) -> None:
    _, result = suppressed(f"let x = a and «{WARNING}:b»  {comment}\n")
    assert len(result.kept) == 1
    (own,) = result.own
    assert own.message == "this comment names no rule to ignore"
    assert own.help == "write `# routec: ignore[CODE] reason`, with the code or the name of a rule"


def test_what_was_not_looked_into_is_not_called_unused() -> None:
    text = "let x = a  # routec: ignore[RC206]\nlet y = a  # routec: ignore[RC212]\n"
    _, result = suppressed(text, judged={"RC212"})
    assert [own.message for own in result.own] == ["no finding of `RC212` is suppressed here"]


def test_nothing_is_called_unused_where_part_of_the_policy_was_not_read() -> None:
    _, result = suppressed("let x = a  # routec: ignore[RC212]\nlet y = «syntax-error:and»\n")
    assert result.own == ()


def test_a_suppression_in_a_shared_file_is_unused_only_if_no_policy_needs_it() -> None:
    shared = "let x = a and b  # routec: ignore[RC212]\n"
    _, without = suppressed(shared)
    _, with_it = suppressed(shared.replace("b ", f"«{WARNING}:b» "))
    elsewhere: tuple[set[str], tuple[Diagnostic, ...]] = ({"q.route"}, ())
    assert unused_in_all([({"p.route"}, without.own), elsewhere]) == list(without.own)
    both = ({"p.route", "q.route"}, with_it.own)
    assert unused_in_all([({"p.route"}, without.own), both]) == []


_RULES = st.sampled_from([WARNING, ERROR, NOTE, "redundant-rule"])
_WORDS = st.sampled_from(["RC212", ERROR, "rc206", "RC205", "nonsense", "RC001"])


@given(
    st.lists(
        st.tuples(_RULES, st.booleans(), st.booleans(), st.lists(_WORDS, max_size=3)), max_size=6
    )
)
def test_every_finding_is_either_kept_or_suppressed_and_fixing_the_comments_settles_them(
    lines: list[tuple[str, bool, bool, list[str]]],
) -> None:
    text = ""
    for index, (rule, found, reason, words) in enumerate(lines):
        name = f"«{rule}:v{index}»" if found else f"v{index}"
        text += f"let {name} = a  # routec: ignore[{', '.join(words)}]{' why' if reason else ''}\n"
    source, result = suppressed(text)
    total = sum(found for _, found, _, _ in lines)
    assert len(result.kept) + len(result.suppressed) == total
    for kept in result.kept:
        rule, _, reason, words = lines[kept.span.line - 1]
        named = any((r := find_rule(word)) and r.name == rule for word in words)
        assert not named or (kept.severity is Severity.ERROR and not reason)

    for _ in range(10):
        fixed = mended(source, result)
        if fixed == source.text:
            break
        source = Source("p.route", fixed)
        findings = [
            finding(source, rule, at, at + 2)
            for index, (rule, found, _, _) in enumerate(lines)
            if found and (at := fixed.index(f"v{index}")) >= 0
        ]
        before = result
        result = apply(findings, [parse(source).module], {"p.route": source})
        # Mending the comments brings no finding back.
        assert [f.message for f in result.kept] == [f.message for f in before.kept]
    complaints = [own.message for own in result.own]
    assert all("without a reason" in m or "no rule `nonsense`" in m for m in complaints)


def test_the_rule_is_registered() -> None:
    rule = find_rule("unused-suppression")
    assert rule in RULES
    assert rule is not None
    assert rule.code == "RC900"
    assert list(RULES) == sorted(RULES, key=lambda rule: rule.code)
