"""Edits made from places in a policy: what goes, and what stays as it was."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.compiler.edits import (
    add_conjunct,
    insert_entry,
    remove_comment,
    remove_declaration,
    remove_item,
    replace_number,
    set_priority,
)
from routec.compiler.fixes import apply_edits
from routec.dsl import Source, ast, parse
from routec.dsl.diagnostic import Edit


def read(text: str) -> tuple[Source, ast.Module]:
    source = Source("p.route", text)
    parsed = parse(source)
    assert parsed.diagnostics == ()
    return source, parsed.module


def edited(text: str, edits: Sequence[Edit]) -> str:
    result = apply_edits(text, edits)
    assert parse(Source("p.route", result)).diagnostics == ()
    return result


def without(text: str, name: str) -> str:
    """The text without the signal of this name."""
    source, module = read(text)
    signals = [d for d in module.declarations if isinstance(d, ast.Signal)]
    signal = next(s for s in signals if s.name.name == name)
    return edited(text, [remove_declaration(source, signal, module.comments)])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            "signal a = turns()\nsignal x = turns()\nsignal b = turns()\n",
            "signal a = turns()\nsignal b = turns()\n",
            id="line of its own",
        ),
        pytest.param(
            "signal a = turns()\n\n# why x\n# is here\nsignal x = tokens()  # x\n\nsignal b = turns()\n",
            "signal a = turns()\n\nsignal b = turns()\n",
            id="its comments and one blank line go with it",
        ),
        pytest.param(
            "# of the file\n\nsignal x = turns()\n\nsignal b = turns()  # b\n",
            "# of the file\n\nsignal b = turns()  # b\n",
            id="a comment apart from it stays",
        ),
        pytest.param(
            "signal a = turns()  # a\nsignal x = turns()\n\nsignal b = turns()\n",
            "signal a = turns()  # a\n\nsignal b = turns()\n",
            id="the blank line that parts two groups stays",
        ),
        pytest.param(
            "signal x = turns()\n\nsignal b = turns()\n", "signal b = turns()\n", id="first"
        ),
        pytest.param(
            "signal b = turns()\n\nsignal x = turns()\n", "signal b = turns()\n", id="last"
        ),
        pytest.param(
            "signal b = turns()\nsignal x = turns()", "signal b = turns()\n", id="no line end"
        ),
        pytest.param("signal x = turns()\n", "", id="only"),
        pytest.param(
            "signal a = turns() signal x = turns() signal b = turns() # three\n",
            "signal a = turns() signal b = turns() # three\n",
            id="between others on one line",
        ),
        pytest.param(
            "signal a = turns() signal x = turns() # both\n",
            "signal a = turns() # both\n",
            id="behind another, whose comment stays",
        ),
        pytest.param(
            "# x\nsignal x = turns() signal a = turns()\n",
            "signal a = turns()\n",
            id="before another",
        ),
        pytest.param(
            'signal x = similarity {\n  # ours\n  examples: [\n    "a",\n  ],\n}  # end\nsignal b = turns()\n',
            "signal b = turns()\n",
            id="a block over several lines",
        ),
        pytest.param(
            "signal a = turns()\r\n\r\n# x\r\nsignal x = turns()\r\n\r\nsignal b = turns()\r\n",
            "signal a = turns()\r\n\r\nsignal b = turns()\r\n",
            id="Windows line ends",
        ),
        pytest.param(
            'policy p """a\n# no comment"""\nsignal x = turns()\n',
            'policy p """a\n# no comment"""\n',
            id="the end of a string above that looks like a comment",
        ),
    ],
)
def test_a_declaration_goes_with_what_belongs_to_it(before: str, after: str) -> None:
    assert without(before, "x") == after


_LAYOUTS = st.lists(
    st.sampled_from(["\n", "\n\n", " ", "  # note\n", "\n# above\n", "\n\n# apart\n\n", "\r\n"]),
    min_size=1,
    max_size=8,
)


@given(_LAYOUTS, st.data())
def test_removing_a_declaration_leaves_all_others_as_they_were(
    layout: list[str], data: st.DataObject
) -> None:
    text = "".join(f"signal s{i} = turns(){gap}" for i, gap in enumerate(layout))
    _, module = read(text)
    gone = data.draw(st.integers(0, len(layout) - 1))
    result = without(text, f"s{gone}")
    _, after = read(result)
    names = [d.name.name for d in after.declarations if isinstance(d, ast.Signal)]
    assert names == [f"s{i}" for i in range(len(layout)) if i != gone]
    assert result.count("# apart") == text.count("# apart")
    lost = len(module.comments) - len(after.comments)
    assert 0 <= lost <= 2


@pytest.mark.parametrize(
    ("before", "item", "after"),
    [
        ("{ labels: [a, b, c], timeout: 5ms }", "timeout: 5ms", "{ labels: [a, b, c] }"),
        ("{ timeout: 5ms, labels: [a, b, c] }", "timeout: 5ms", "{ labels: [a, b, c] }"),
        ("{ labels: [a, b, c] timeout: 5ms }", "timeout: 5ms", "{ labels: [a, b, c] }"),
        ("{ timeout: 5ms }", "timeout: 5ms", "{ }"),
        ("{ labels: [a, b, c] }", "b", "{ labels: [a, c] }"),
        ("{ labels: [a, b, c] }", "c", "{ labels: [a, b] }"),
        ("{ labels: [a, b, c,] }", "c", "{ labels: [a, b,] }"),
        ("{ labels: [ a, b, c ] }", "a", "{ labels: [ b, c ] }"),
        (
            "{\n  labels: [a]  # l\n  timeout: 5ms  # t\n}",
            "timeout: 5ms",
            "{\n  labels: [a]  # l\n}",
        ),
        ("{\n  labels: [a],\n  timeout: 5ms,\n}", "timeout: 5ms", "{\n  labels: [a],\n}"),
        ("{\n  labels: [a],\n  timeout: 5ms }", "timeout: 5ms", "{\n  labels: [a],\n  }"),
        ("{\n  timeout: 5ms, labels: [a]\n}", "timeout: 5ms", "{\n  labels: [a]\n}"),
        (
            "{ labels: [a],  # one, two,\n  timeout: 5ms }",
            "timeout: 5ms",
            "{ labels: [a],  # one, two,\n  }",
        ),
    ],
)
def test_an_item_goes_with_its_comma(before: str, item: str, after: str) -> None:
    head = 'signal s = classifier("s") '
    text = head + before
    source, _ = read(text)
    found = re.compile(rf"(?<!\w){item}(?!\w)").search(text, len(head))
    assert found
    start = found.start()
    assert (
        edited(text, [remove_item(source, source.span(start, start + len(item)))]) == head + after
    )


@pytest.mark.parametrize(
    ("before", "part", "after"),
    [
        ("let a = b  # x\nlet c = d\n", "# x", "let a = b\nlet c = d\n"),
        ("# x\nlet a = b\n", "# x", "let a = b\n"),
        ("let a = b  # note  # x\n", "# x", "let a = b  # note\n"),
        ("let a = b  # x # y\n", "# x", "let a = b  # y\n"),
        ("let a = b\n  # x", "# x", "let a = b\n"),
        ("let a = b # x\r\n", "# x", "let a = b\n"),
    ],
)
def test_a_comment_goes_with_the_white_space_before_it(before: str, part: str, after: str) -> None:
    source, _ = read(before)
    start = before.index(part)
    result = edited(before, [remove_comment(source, source.span(start, start + len(part)))])
    assert result.replace("\r", "") == after


@pytest.mark.parametrize(
    ("literal", "value", "written"),
    [
        ("0.8", "0.65", "0.65"),
        ("30%", "0.35", "35%"),
        ("30%", "0.125", "12.5%"),
        ("32k", "64000", "64k"),
        ("32k", "500", "0.5k"),
        ("2M", "1", "0.000001M"),
        ("2M", "0.5", "0.5"),
        ("50ms", "2", "2000ms"),
        ("10m", "7", "7s"),
        ("10m", "90", "1.5m"),
        ("7d", "0.0004", "0.0004s"),
        ("$0.25", "5", "$5"),
        ("$50", "50000", "$50000"),
        ("-0.2", "0.1", "0.1"),
        ("0.2", "-0.1", "-0.1"),
        ("200", "1E+3", "1000"),
    ],
)
def test_a_number_keeps_its_unit(literal: str, value: str, written: str) -> None:
    text = f"budget b {{ x: {literal} }}"
    _, module = read(text)
    (budget,) = module.declarations
    assert isinstance(budget, ast.Budget)
    number = budget.entries[0].value
    assert isinstance(number, ast.Number)
    assert edited(text, [replace_number(number, Decimal(value))]) == f"budget b {{ x: {written} }}"


@given(
    st.sampled_from(["3", "0.5", "4k", "1.5M", "7%", "$2", "$3k", "5ms", "3s", "2m", "6h", "7d"]),
    st.decimals(-(10**9), 10**9, places=4),
)
def test_a_number_reads_back_as_the_value_that_was_meant(literal: str, value: Decimal) -> None:
    text = f"budget b {{ x: {literal} }}"
    _, module = read(text)
    number = module.declarations[0].entries[0].value  # type: ignore[union-attr]
    assert isinstance(number, ast.Number)
    _, after = read(edited(text, [replace_number(number, value)]))
    changed = after.declarations[0].entries[0].value  # type: ignore[union-attr]
    assert isinstance(changed, ast.Number)
    assert (changed.value, changed.unit) == (value, number.unit)


def test_a_priority_is_replaced_or_written_after_the_name() -> None:
    text = 'route a { when x to m }\nroute b priority 7 { when x to m }\nguard g { when x tag "t" }'
    _, module = read(text)
    edits = [
        set_priority(d, 20) for d in module.declarations if isinstance(d, ast.Route | ast.Guard)
    ]
    assert edited(text, edits) == (
        "route a priority 20 { when x to m }\nroute b priority 20 { when x to m }\n"
        'guard g priority 20 { when x tag "t" }'
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a", "a and not z"),
        ("a and b", "a and b and not z"),
        ("a or b", "(a or b) and not z"),
        ("(a or b)", "((a or b) and not z)"),
        ("not a", "not a and not z"),
        ("a  # why\n  or b  # end", "(a  # why\n  or b) and not z  # end"),
    ],
)
def test_a_conjunct_is_demanded_of_the_whole_condition(before: str, after: str) -> None:
    text = f"let x = {before}\n"
    _, module = read(text)
    (let,) = module.declarations
    assert isinstance(let, ast.Let)
    assert edited(text, add_conjunct(let.expr, "not z")) == f"let x = {after}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("signal s = turns()", "signal s = turns() { on_error: x }", id="no block"),
        pytest.param(
            "signal s = turns()  # n\n",
            "signal s = turns() { on_error: x }  # n\n",
            id="no block, comment",
        ),
        pytest.param("model s {}", "model s { on_error: x }", id="empty"),
        pytest.param("model s {\n}", "model s { on_error: x }", id="empty on two lines"),
        pytest.param("model s { a: 1 }", "model s { a: 1, on_error: x }", id="one line"),
        pytest.param("model s { a: 1, b: 2 }", "model s { a: 1, b: 2, on_error: x }", id="commas"),
        pytest.param("model s { a: 1, }", "model s { a: 1, on_error: x, }", id="comma at the end"),
        pytest.param(
            "model s {\n    a: 1  # one\n    b: [\n  2,\n  3]  # two\n}\n",
            "model s {\n    a: 1  # one\n    b: [\n  2,\n  3]  # two\n    on_error: x\n}\n",
            id="lines without commas",
        ),
        pytest.param(
            "model s {\n  a: 1,\n  b: 2  # two\n}\n",
            "model s {\n  a: 1,\n  b: 2,  # two\n  on_error: x\n}\n",
            id="lines with commas between",
        ),
        pytest.param(
            "model s {\n\ta: 1,\n\tb: 2,  # two\n\t# end\n}\n",
            "model s {\n\ta: 1,\n\tb: 2,  # two\n\ton_error: x,\n\t# end\n}\n",
            id="lines with commas at the end",
        ),
        pytest.param(
            "model s {\n  a: 1,\n  b: 2 }\n",
            "model s {\n  a: 1,\n  b: 2,\n  on_error: x }\n",
            id="closed on the last line",
        ),
        pytest.param(
            "model s { a: 1\n}\n",
            "model s { a: 1\n  on_error: x\n}\n",
            id="opened on the first line",
        ),
        pytest.param(
            "model s {\r\n  a: 1\r\n}\r\n",
            "model s {\r\n  a: 1\r\n  on_error: x\r\n}\r\n",
            id="Windows",
        ),
        pytest.param(
            "model s {\n  # nothing yet\n}\n",
            "model s {\n  on_error: x\n  # nothing yet\n}\n",
            id="only a comment",
        ),
    ],
)
def test_an_entry_is_written_as_the_others_are(before: str, after: str) -> None:
    source, module = read(before)
    assert edited(before, insert_entry(source, module.declarations[0], "on_error: x")) == after


def test_a_statement_of_a_rule_on_one_line_has_no_comma_before_it() -> None:
    text = "route r { when a to m }"
    source, module = read(text)
    edits = insert_entry(source, module.declarations[0], "cache off")
    assert edited(text, edits) == "route r { when a to m cache off }"
