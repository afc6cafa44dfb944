"""An error in one block gives one report and hides nothing in the others."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.dsl import MAX_DEPTH, Parsed, Source, ast, parse

from .reading import HELPDESK, error, marked, names, read
from .strategies import bare, declarations, unparse

QUICK = settings(max_examples=100, deadline=None, database=None)
SLOW = settings(max_examples=40, deadline=None, database=None)

GOOD = "let before = a\n"
AFTER = "\nsignal after = tokens()\n"

# What was written wrong, where it shows, and what is said.
MISTAKES = [
    (
        "route r {\n  when\n  to m\n}",
        "to",
        "expected a condition after `when`, found the keyword `to`",
    ),
    ("route r { when }", "}", "expected a condition after `when`, found `}`"),
    ("route r { to }", "}", "expected a name after `to`, found `}`"),
    ("route r { to [] }", "]", "expected a name after `[`, found `]`"),
    ("route { to m }", "{", "expected a name after `route`, found `{`"),
    ("route r priority { to m }", "{", "expected a number after `priority`, found `{`"),
    ("rout r { to m }", "rout", "expected a declaration, found `rout`"),
    ("let x =", None, "expected a condition after `=`, found the keyword `signal`"),
    ("let x = a = 1", "= 1"[:1], "found `=`"),
    ("let x = 0.1 < a < 0.2", "<", "`and` or `or` after `a`, found `<`"),
    ("let x = a && b", "&", "found `&`"),
    ("let x = (a or b", None, "expected `)` after `b`, found the keyword `signal`"),
    ("let x = a ==", None, "expected a value after `==`, found the keyword `signal`"),
    ("let x = a in 3", None, "expected `..` after `3`, found the keyword `signal`"),
    ("let X = a", "X", "`X` is not a name"),
    ('signal x = keyword("a, "b")', "b", 'expected `,` or `)` after `"a, "`, found `b`'),
    ("signal x = { a: b }", "{", "expected a kind of signal after `=`, found `{`"),
    ("signal x = score { 0.5 * }", "}", "expected a name or `(` after `*`, found `}`"),
    ("signal x = score { }", "}", "expected a term after `{`, found `}`"),
    ("model m { a: }", "}", "expected a value after `:`, found `}`"),
    ("model m { a: [1, }", "}", "expected a value or `]` after `,`, found `}`"),
    ("request { a: }", "}", "expected a type after `:`, found `}`"),
    ('guard g { when a reject "x" }', '"x"', 'expected a number after `reject`, found `"x"`'),
    (
        "guard g { to m }",
        "to",
        "expected an action, `when` or `}` after `{`, found the keyword `to`",
    ),
    ("pool p = [a b]", "b", "expected `,` or `]` after `a`, found `b`"),
    ('test "t" { expect }', "}", "`reject`, `route` or `tag` after `expect`, found `}`"),
    ('assert "t" { a }', "a", "expected `always` or `never` after `{`, found `a`"),
    ("// a comment", "//", "found `//`"),
    ("category c { when a, 12: b }", "12", "expected a name, `when` or `}` after `,`, found `12`"),
]


@pytest.mark.parametrize(("text", "place", "message"), MISTAKES)
def test_a_mistake_is_one_report_in_the_words_of_the_author(
    text: str, place: str | None, message: str
) -> None:
    policy = GOOD + text + AFTER
    parsed = read(policy)
    (found,) = parsed.diagnostics
    assert message in found.message
    assert marked(policy, found) == (place or "signal")
    assert names(parsed) == ["before", "after"]


def test_the_end_of_the_file_can_be_what_was_found() -> None:
    policy = "route r {\n  when a\n"
    found = error(policy)
    assert found.message.endswith("found the end of the file")
    assert (found.span.start, found.span.end) == (len(policy), len(policy))
    assert marked(policy, found) == ""
    assert found.related[0].span.column == 9


@pytest.mark.parametrize("inner", ["{ when a\n  to m", "{ to [m 90%"])
def test_an_unclosed_bracket_is_named_where_it_opens(inner: str) -> None:
    policy = f"route r {inner}\n\nroute s {{ to m }}\n"
    parsed = read(policy)
    (found,) = parsed.diagnostics
    (related,) = found.related
    opening = policy.rindex("[") if "[" in inner else policy.index("{")
    assert related.span.start == opening
    assert related.message == f"this `{policy[opening]}` is not closed"
    assert names(parsed) == ["s"]


def test_an_unclosed_inner_block_is_named_too() -> None:
    policy = 'test "t" {\n  request { text: "a"\n  expect route r\n}\nlet x = y\n'
    parsed = read(policy)
    (found,) = parsed.diagnostics
    assert policy[found.related[0].span.start :].startswith('{ text: "a"')
    assert names(parsed) == ["x"]


def test_a_stray_brace_harms_no_declaration() -> None:
    parsed = read("let x = a }\nroute r { to m } }\nlet y = b")
    assert names(parsed) == ["x", "r", "y"]
    assert [d.message for d in parsed.diagnostics] == ["expected a declaration, found `}`"] * 2


def test_a_misspelt_keyword_does_not_harm_what_stands_before_it() -> None:
    parsed = read("let x = a\nruote r { to m }\nlet y = b")
    assert names(parsed) == ["x", "y"]
    assert parsed.diagnostics[0].help == "did you mean `route`?"


def test_blocks_inside_a_broken_test_are_not_taken_for_declarations() -> None:
    parsed = read('test "t" {\nexpect\nrequest { text: "a" }\nwith { a: b }\n}\nlet x = y')
    assert len(parsed.diagnostics) == 1
    assert names(parsed) == ["x"]


def test_an_open_triple_quote_hides_nothing() -> None:
    parsed = read('test """t {\n  expect redact\n}\nlet x = y\nroute r { to m }')
    assert len(parsed.diagnostics) == 1
    assert names(parsed) == ["x", "r"]


def test_what_was_left_out_is_named() -> None:
    parsed = read('let x = )\nroute r { when }\ndefault route d { to }\nmodel m { a: "\\q" }')
    assert [ident.name for ident in parsed.broken] == ["x", "r", "d", "m"]
    assert [d.subjects for d in parsed.diagnostics[:3]] == [("x",), ("r",), ("d",)]


def test_comments_in_broken_blocks_are_kept() -> None:
    parsed = read("route r { # one\n  when # two\n}\n# three")
    assert [c.text for c in parsed.module.comments] == [" one", " two", " three"]


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("let x = a = 1", "two values are compared with `==`"),
        ("let x = 0.1 < a < 0.2", "a comparison has two sides; join two of them with `and`"),
        ("let x = a || b", "conditions are joined with `or`"),
        ("let x = !a", "a condition is negated with `not`"),
        ("let x = 'a'", "strings stand in double quotes"),
        ("let x = a implies b", "`implies` stands in an `assert` only"),
        ("let x = topic == default", "a keyword is no name"),
        ("// hello", "a comment starts with `#`"),
        ("let x = y }", "remove it"),
        ("let Tenant = y", "write `tenant`"),
    ],
)
def test_common_slips_get_help(text: str, help: str) -> None:
    assert help in (error(text).help or "")


def test_reports_stand_in_the_order_of_the_file() -> None:
    parsed = read('model m { a: "\\q" }\nlet x = )\n# \x00\nmodel n { a: "\\q" }\nlet y = )')
    assert [d.span.line for d in parsed.diagnostics] == [1, 2, 3, 4, 5]


# --- properties -------------------------------------------------------------

TOKENS = st.sampled_from(
    [
        "route",
        "r",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "when",
        "to",
        "m",
        ",",
        ":",
        "=",
        "==",
        "in",
        "..",
        ".",
        '"',
        '"""',
        "/",
        "#",
        "\n",
        "not",
        "and",
        "or",
        "implies",
        "0.5",
        "->",
        "-",
        "$1",
        "12x",
        "let",
        "signal",
        "test",
        "request",
        "default",
        "é",
        "\\",
        "\x00",
        "score",
        "assert",
        "never",
        "enum",
        "set",
        "file",
        "by",
        '"a"',
        "/b/",
    ]
)


@QUICK
@given(st.text(max_size=60) | st.lists(TOKENS, max_size=40).map(" ".join))
def test_no_text_is_too_strange(text: str) -> None:
    check_places(text, read(text))


@QUICK
@given(st.integers(0, len(HELPDESK)))
def test_a_policy_may_be_cut_anywhere(end: int) -> None:
    text = HELPDESK[:end]
    parsed = read(text)
    check_places(text, parsed)
    whole = read(HELPDESK).module.declarations
    cut = parsed.module.declarations
    # Only the last declaration can be hurt by a missing rest.
    complete = [d for d in whole if d.span.end < end]
    assert [bare(d) for d in cut[: len(complete)]] == [bare(d) for d in complete]
    assert len(parsed.diagnostics) <= 1


@QUICK
@given(st.data())
def test_a_policy_may_be_damaged_anywhere(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(HELPDESK)))
    end = data.draw(st.integers(start, min(len(HELPDESK), start + 20)))
    text = HELPDESK[:start] + data.draw(TOKENS | st.text(max_size=5)) + HELPDESK[end:]
    check_places(text, read(text))


@QUICK
@given(
    st.integers(0, 26),
    st.floats(0, 1),
    st.sampled_from([")", "]", "12x", "Q", "&", ";", "..", "->", "'", "$"]),
)
def test_a_planted_error_hides_nothing_in_other_blocks(which: int, where: float, junk: str) -> None:
    whole = read(HELPDESK).module.declarations
    victim = whole[which].span
    # Between two words of the declaration, so that no string or comment swallows it.
    gaps = [
        gap
        for gap in range(victim.start + 1, victim.end)
        if HELPDESK[gap] in " \n" and in_code(HELPDESK[victim.start : gap])
    ]
    gap = gaps[int(where * (len(gaps) - 1))]
    parsed = read(f"{HELPDESK[:gap]} {junk} {HELPDESK[gap:]}")
    assert len(parsed.diagnostics) == 1
    others = [bare(d) for d in whole if d.span != victim]
    assert [bare(d) for d in parsed.module.declarations] == others


def in_code(text: str) -> bool:
    line = text.rpartition("\n")[2]
    return line.count('"') % 2 == 0 and "#" not in line


@SLOW
@given(
    st.lists(declarations(), max_size=1),
    st.sampled_from([text for text, _, _ in MISTAKES]),
    st.lists(declarations(), max_size=1),
)
def test_a_broken_block_hides_nothing_before_or_after(
    before: list[ast.Declaration], broken: str, after: list[ast.Declaration]
) -> None:
    text = "\n".join([*map(unparse, before), broken, *map(unparse, after), ""])
    parsed = read(text)
    assert len(parsed.diagnostics) == 1
    assert [bare(d) for d in parsed.module.declarations] == [bare(d) for d in [*before, *after]]


def check_places(text: str, parsed: Parsed) -> None:
    last = 0
    for found in parsed.diagnostics:
        assert last <= found.span.start <= found.span.end <= len(text)
        assert found.span == Source("p.route", text).span(found.span.start, found.span.end)
        assert found.message
        assert "\n" not in found.message
        last = found.span.start
    ends = [0]
    for declaration in parsed.module.declarations:
        assert ends[-1] <= declaration.span.start < declaration.span.end <= len(text)
        ends.append(declaration.span.end)


# --- hostile sizes ----------------------------------------------------------


@pytest.mark.parametrize(
    ("opening", "closing"), [("(", ")"), ("not ", ""), ("not (", ")"), ("a or (b and ", ")")]
)
def test_conditions_nest_to_a_limit(opening: str, closing: str) -> None:
    per_round = opening.count("(") + opening.count("not")
    rounds = MAX_DEPTH // per_round
    text = f"let x = {opening * rounds}a{closing * rounds}\n"
    assert read(text).diagnostics == ()
    for more in (1, 20_000):
        deep = f"let x = {opening * (rounds + more)}a{closing * (rounds + more)}\nlet y = z"
        (found,) = read(deep).diagnostics
        assert found.message == "nested more than 100 levels deep"
        assert names(read(deep)) == ["y"]


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{ a: ", "}")])
def test_values_nest_to_a_limit(opening: str, closing: str) -> None:
    rounds = MAX_DEPTH - 1
    assert not read(f"model m {{ a: {opening * rounds} 1 {closing * rounds} }}").diagnostics
    rounds += 1
    found = error(f"model m {{ a: {opening * rounds} 1 {closing * rounds} }}")
    assert found.message == "nested more than 100 levels deep"


def test_promises_nest_to_a_limit() -> None:
    assert "nested" in error(f'assert "t" {{ never a{" implies a" * 20_000} }}').message


def test_the_limit_counts_levels_and_not_uses() -> None:
    assert read("".join(f"let x_{i} = not (not (a))\n" for i in range(200))).diagnostics == ()
    assert read(f"let x = {' or '.join(['not (a)'] * 500)}").diagnostics == ()


def test_the_number_of_reports_is_bounded() -> None:
    parsed = read("let x = )\n" * 5000)
    assert len(parsed.diagnostics) == 1001
    assert "the rest of the file was not read" in parsed.diagnostics[-1].message


@pytest.mark.parametrize("piece", ['"""\\', '"', "/", "\\", '\\"""', "{", "}", "$", "a ", ".", "#"])
def test_long_hostile_lines_are_read_in_one_pass(piece: str) -> None:
    # A quadratic scan of this many characters would take many minutes.
    parse(Source("p.route", piece * 50_000))
