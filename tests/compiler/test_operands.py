"""Dropping operands of ``and`` and ``or`` in policies as people lay them out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.compiler.fixes import apply_edits
from routec.compiler.operands import remove_operands
from routec.dsl import Source, ast, parse


def junctions(text: str) -> tuple[Source, list[ast.And | ast.Or]]:
    """The ``and``s and ``or``s of the first declaration, outermost first."""
    source = Source("p.route", text)
    parsed = parse(source)
    assert parsed.diagnostics == ()
    found: list[ast.And | ast.Or] = []

    def walk(expr: ast.Expr) -> None:
        if isinstance(expr, ast.And | ast.Or):
            found.append(expr)
            for operand in expr.operands:
                walk(operand)
        elif isinstance(expr, ast.Not):
            walk(expr.operand)

    declaration = parsed.module.declarations[0]
    expr = declaration.expr if isinstance(declaration, ast.Let) else None
    expr = declaration.when if isinstance(declaration, ast.Route) else expr
    assert expr is not None
    walk(expr)
    return source, found


def shape(expr: ast.Expr) -> object:
    """The expression without its places."""
    match expr:
        case ast.Ref(name=name):
            return name
        case ast.Not(operand=operand):
            return ("not", shape(operand))
        case ast.And(operands=operands) | ast.Or(operands=operands):
            return (type(expr).__name__, *(shape(operand) for operand in operands))
        case ast.Compare(left=ast.Ref(name=name), op=op):
            return (name, op)
        case _:
            raise AssertionError(expr)


@pytest.mark.parametrize(
    ("before", "dropped", "after"),
    [
        pytest.param("a and b and c", [0], "b and c", id="first"),
        pytest.param("a and b and c", [1], "a and c", id="middle"),
        pytest.param("a and b and c", [2], "a and b", id="last"),
        pytest.param("a or b or c", [0, 2], "b", id="several"),
        pytest.param("a and b  # both", [1], "a  # both", id="comment of the line stays"),
        pytest.param("(x == 1)and(y == 1)and z", [1], "(x == 1)and z", id="without spaces"),
        pytest.param("x and(y)and z", [1], "x and z", id="words stay apart"),
        pytest.param("(a or b) and c", [0], "c", id="parentheses of the operand go"),
        pytest.param("c and ((a or b))", [1], "c", id="all of them"),
        pytest.param(
            "a\n  and b  # about b\n  and c  # about c\n",
            [1],
            "a\n  and c  # about c\n",
            id="own line goes with its comment",
        ),
        pytest.param(
            "a  # about a\n  and b\n  and c\n", [1, 2], "a  # about a\n", id="own lines at the end"
        ),
        pytest.param(
            "a and\n  b and  # about b\n  c\n", [1], "a and\n  c\n", id="operators end the lines"
        ),
        pytest.param(
            "a and  # about a\n  b and  # about b\n  c\n",
            [1],
            "a and  # about a\n  c\n",
            id="operators end lines that have comments",
        ),
        pytest.param(
            "a and  # about a\n  b  # about b\n", [1], "a  # about a\n", id="the last operator goes"
        ),
        pytest.param("a  # about a\n  and b\n", [0], "b\n", id="first goes with its comment"),
        pytest.param(
            "a\n  # legal asked for this\n  and b\n",
            [1],
            "a\n  # legal asked for this\n",
            id="a line of comment stays",
        ),
        pytest.param(
            "a\n  # about b\n  and b\n", [0], "\n  # about b\n  b\n", id="also behind the first"
        ),
    ],
)
def test_an_operand_goes_with_its_operator(before: str, dropped: list[int], after: str) -> None:
    text = f"let x = {before}"
    source, found = junctions(text)
    result = apply_edits(text, remove_operands(source, found[0], dropped))
    assert result == f"let x = {after}".replace("= \n", "=\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("(a and b) or c", "a or c"),
        ("not (a and b)", "not a"),
        ("not(a and b)or c", "not a or c"),
        ("((a and b)) or c", "a or c"),
        ("( a and b ) or c", "a or c"),
        ("(a == 1 and b) or c", "(a == 1) or c"),
    ],
)
def test_parentheses_around_a_name_that_is_left_go(before: str, after: str) -> None:
    text = f"let x = {before}"
    source, found = junctions(text)
    inner = next(j for j in found if isinstance(j, ast.And))
    assert apply_edits(text, remove_operands(source, inner, [1])) == f"let x = {after}"


@pytest.mark.parametrize("dropped", [[], [0, 1], [7]])
def test_some_operands_must_go_and_some_be_left(dropped: list[int]) -> None:
    source, found = junctions("let x = a and b")
    with pytest.raises(ValueError, match="some operands must go, and some be left"):
        remove_operands(source, found[0], dropped)


_OPERANDS = st.sampled_from(
    ["{}", "({})", "not {}", "{} == 1", "(({} == 1))", "(\n {} )", "not ({})"]
)
_GAPS = st.sampled_from([" ", "\n  ", "  # own {}\n  ", "\n    # line {}\n  ", "\r\n"])


@st.composite
def laid_out(draw: st.DrawFn) -> tuple[str, list[bool]]:
    """A condition over several lines, and which of its operands to drop."""
    drop = draw(
        st.lists(st.booleans(), min_size=2, max_size=6).filter(lambda d: 0 < sum(d) < len(d))
    )
    word = draw(st.sampled_from(["and", "or"]))
    text = ""
    for index in range(len(drop)):
        if index:
            text += draw(_GAPS).format(f"a{index}") + word + draw(_GAPS).format(f"b{index}")
        text += draw(_OPERANDS).format(f"n{index}")
    text = draw(st.sampled_from(["{}", "({})", "not ({})", "({}\n)  or z"])).format(text)
    end = draw(st.sampled_from([" ", "  # end", "\n"]))
    return f"route r {{\n  when {text}{end}\n  to m\n}}\n", drop


@given(laid_out())
def test_what_is_left_means_what_it_did_and_keeps_its_comments(
    case: tuple[str, list[bool]],
) -> None:
    text, drop = case
    source, found = junctions(text)
    junction = found[-1]
    kept = [operand for operand, gone in zip(junction.operands, drop, strict=True) if not gone]
    dropped = [index for index, gone in enumerate(drop) if gone]
    result = apply_edits(text, remove_operands(source, junction, dropped))

    outer = found[0] if len(found) > 1 else None
    expected: object = shape(kept[0])
    if len(kept) > 1:
        expected = (type(junction).__name__, *(shape(operand) for operand in kept))
    after = parse(Source("p.route", result))
    assert after.diagnostics == ()
    (route,) = after.module.declarations
    assert isinstance(route, ast.Route)
    assert route.when is not None
    assert _contains(shape(route.when), expected)
    if outer is not None:
        assert _contains(shape(route.when), "z")
    for comment in (c.text for c in parse(source).module.comments):
        if "line" in comment or ("end" in comment and not drop[-1]):
            assert comment in result


def _contains(tree: object, part: object) -> bool:
    if tree == part:
        return True
    return isinstance(tree, tuple) and any(_contains(branch, part) for branch in tree)
