"""Every node's place is exactly the text that it was read from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routec.dsl import Source, Span, ast

from .reading import HELPDESK, condition, only, read, value
from .strategies import bare, modules, unparse

SLOW = settings(
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def nodes(node: Any) -> Iterator[Any]:
    """A node and all below it."""
    if isinstance(node, tuple):
        for item in node:
            yield from nodes(item)
    elif dataclasses.is_dataclass(node) and not isinstance(node, Span):
        yield node
        for field in dataclasses.fields(node):
            yield from nodes(getattr(node, field.name))


def reread(node: Any, text: str) -> Any:
    """The node that a stretch of text stands for by itself."""
    match node:
        case ast.Let() | ast.Signal() | ast.Route() | ast.Test() | ast.Assert():
            return only(text)
        case ast.Term():
            (term,) = only(f"signal s = score {{ {text} }}").terms
            return term
        case ast.Entry():
            return only(f"model m {{ {text} }}").entries[0]
        case ast.Field():
            return only(f"request {{ {text} }}").fields[0]
        case ast.Pin():
            return only(f'test "" {{ with {{ {text} }} }}').pins[0]
        case ast.Expect():
            return only(f'test "" {{ {text} }}').expects[0]
        case ast.To() | ast.Fallback() | ast.Cache() | ast.With() | ast.Sticky() | ast.Shadow():
            return only(f"route r {{ {text} }}").body[0]
        case ast.Reject() | ast.Redact() | ast.Tag() | ast.SetHeader():
            return only(f"guard g {{ {text} }}").actions[0]
        case ast.Share():
            return only(f"route r {{ to [{text}] }}").body[0].target[0]
        case ast.Band():
            return only(f"signal b = bands() {{ {text} }}").bands[0]
        case ast.TypeExpr():
            return only(f"request {{ a: {text} }}").fields[0].type
        case ast.Selector():
            return only(f"route r {{ to m by {text} }}").body[0].selector
        case ast.Ref() if node.name in ("model", "route", "category", "reject", "redact"):
            return only(f'assert "" {{ never {text} }}').expr
        case ast.Ref() if node.name in ("cached", "fallback"):
            return only(f'assert "" {{ never {text} }}').expr
        case _ if isinstance(node, get_args(ast.Expr)):
            return only(f'assert "" {{ never {text} }}').expr
        case _ if isinstance(node, get_args(ast.Value)):
            return value(text)
        case ast.Ident():
            return ast.Ident(node.span, text)
        case _:
            return only(text)


def check(text: str) -> None:
    source = Source("p.route", text)
    parsed = read(text)
    assert [d.message for d in parsed.diagnostics] == []
    for declaration in parsed.module.declarations:
        for node in nodes(declaration):
            span = node.span
            assert span == source.span(span.start, span.end)
            assert bare(reread(node, text[span.start : span.end])) == bare(node)
            if isinstance(node, ast.Ref) and node.member_span is not None:
                member = text[node.member_span.start : node.member_span.end]
                assert member == node.member or member.startswith('"')


def test_the_places_of_the_whole_policy() -> None:
    check(HELPDESK)


@SLOW
@given(modules(max_size=2), st.sampled_from([" ", "\n", " # c\n\t"]))
def test_the_places_of_any_policy(module: ast.Module, space: str) -> None:
    check(space + unparse(module).replace(", ", f",{space}"))


def test_a_node_lies_inside_its_parent() -> None:
    for declaration in read(HELPDESK).module.declarations:
        for parent in nodes(declaration):
            for child in nodes(parent):
                assert parent.span.start <= child.span.start
                assert child.span.end <= parent.span.end


def test_parentheses_belong_to_the_node_around_them() -> None:
    text = "let it = (a or b) and (c)"
    node = condition("(a or b) and (c)")
    assert text[node.span.start : node.span.end] == "(a or b) and (c)"
    group, last = node.operands
    assert text[group.span.start : group.span.end] == "a or b"
    assert text[last.span.start : last.span.end] == "c"


def test_columns_count_code_points() -> None:
    node = only('\n  assert "😀é" { never x }')
    assert (node.span.line, node.span.column) == (2, 3)
    assert (node.expr.span.line, node.expr.span.column) == (2, 23)


def test_the_file_spans_all_of_its_text() -> None:
    module = read("# only this\n").module
    assert (module.span.start, module.span.end, module.span.end_line) == (0, 12, 2)
    (comment,) = module.comments
    assert (comment.span.start, comment.span.end) == (0, 11)
