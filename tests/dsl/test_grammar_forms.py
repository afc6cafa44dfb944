"""Every form of the language reads as the tree it stands for."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings

from routec.dsl import ast

from .reading import HELPDESK, condition, error, only, read, value
from .strategies import bare, conditions, modules, unparse

SLOW = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@SLOW
@given(modules())
def test_what_is_written_is_what_is_read(module: ast.Module) -> None:
    text = unparse(module)
    parsed = read(text)
    assert [d.message for d in parsed.diagnostics] == []
    assert bare(parsed.module) == bare(module)


def test_the_whole_policy_of_the_contract() -> None:
    parsed = read(HELPDESK)
    assert parsed.diagnostics == ()
    kinds = [type(d).__name__ for d in parsed.module.declarations]
    assert kinds == [
        *["Policy", "Request"],
        *["Signal"] * 10,
        "Let",
        *["Model"] * 3,
        "Pool",
        *["Category"] * 2,
        *["Guard"] * 2,
        *["Route"] * 4,
        *["Assert", "Test"],
    ]
    (comment,) = parsed.module.comments
    assert comment.text == " any model the decision names, fallbacks too"


# --- conditions -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a or b and c", "a or (b and c)"),
        ("not a and b", "(not a) and b"),
        ("not a == b", "not (a == b)"),
        ("(a)", "a"),
        ("((a or b))", "a or b"),
    ],
)
def test_precedence(text: str, same: str) -> None:
    assert bare(condition(text)) == bare(condition(same))


def test_a_chain_is_one_node_and_a_group_stays_a_group() -> None:
    assert len(condition("a and b and c").operands) == 3
    group, last = condition("(a and b) and c").operands
    assert len(group.operands) == 2
    assert last.name == "c"


@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">="])
def test_comparisons_take_any_operand_on_either_side(operator: str) -> None:
    for left, right in [("a", "1k"), ("0.3", "a.b"), ('"x"', "a"), ("a", "true"), ("-1", "$2")]:
        node = condition(f"{left} {operator} {right}")
        assert isinstance(node, ast.Compare)
        assert node.op == operator


def test_membership() -> None:
    assert isinstance(condition("x in [a, b,]"), ast.InList)
    assert condition("x in []").items == ()
    between = condition("x in 1k..8k")
    assert (between.low.value, between.high.value) == (1000, 8000)
    assert condition("x in -1..-.5").high.value == Decimal("-0.5")
    assert condition("x in .1...5").high.value == Decimal("0.5")
    inside = condition('"admin" in roles')
    assert (inside.item.value, inside.container.name) == ("admin", "roles")


def test_sets_and_scores() -> None:
    call = condition('roles.any(a, "b c")')
    assert (call.target.name, call.method.name, len(call.args)) == ("roles", "any", 2)
    assert condition("roles.all()").args == ()
    assert condition("roles.empty").member == "empty"
    score = condition('topic["computer science"] >= 0.3').left
    assert (score.name, score.member) == ("topic", "computer science")


def test_an_assert_may_imply_and_name_the_decision() -> None:
    node = only('assert "x" { always a implies b implies not (cached and model.provider == vllm) }')
    assert isinstance(node.expr, ast.Implies)
    assert isinstance(node.expr.right, ast.Implies)
    for word in ["model", "route", "category", "reject", "redact", "cached", "fallback"]:
        node = only(f'assert "x" {{ never ({word} == a or {word}.part) }}')
        assert node.expr.operands[0].left.name == word


@pytest.mark.parametrize("text", ["a implies b", "model == mini", "not cached"])
def test_other_conditions_may_not(text: str) -> None:
    assert error(f"let x = {text}").span.line == 1


# --- declarations -----------------------------------------------------------


def test_commas_between_entries_are_optional() -> None:
    spaced = "model m { a: b c: [1, 2] d: e.f }"
    assert bare(read(spaced).module) == bare(read("model m { a: b, c: [1, 2], d: e.f, }").module)
    route = 'route r { when a to m cache off tag "x" }'
    assert bare(read(route).module) == bare(
        read('route r { when a, to m, cache off, tag "x", }').module
    )


def test_policies() -> None:
    assert only("policy p").entries == ()
    node = only('policy p "words" { p99: 10ms, survive: one_provider }')
    assert node.text.value == "words"
    assert [entry.key.name for entry in node.entries] == ["p99", "survive"]


def test_request_fields() -> None:
    node = only(
        """
        request {
          a: bool, b: int = -1
          c: enum(free, "very pro") from "user.tier" = free
          d: set(string) = [a, "b"]
          e: set(enum(x, y)) = []
        }
        """
    )
    a, b, c, d, e = node.fields
    assert (a.type.name, a.path, a.default) == ("bool", None, None)
    assert b.default.value == -1
    assert (c.path.value, c.default.name) == ("user.tier", "free")
    assert c.type.members[1].value == "very pro"
    assert (d.type.element.name, len(d.default.items)) == ("string", 2)
    assert [m.name for m in e.type.element.members] == ["x", "y"]


@pytest.mark.parametrize(
    "text",
    [
        'keyword("urgent", "asap") { match: word, case: sensitive }',
        'keyword(file("words.txt"))',
        r"regex(/\bTKT-[0-9]{6}\b/ims) { scope: all }",
        "tokens()",
        "turns",
        'hour("Europe/Berlin")',
        "entities(email, phone)",
        "repeated { similarity: 0.8 }",
        'similarity { examples: ["a", "b"], reduce: max }',
        'similarity { examples: file("x.txt") }',
        'contrast { high: ["a"], low: ["b"] }',
        'classifier("topic") { labels: [a, "zh-Hant"], on_error: a, exclusive: true }',
        'external("risk") { type: enum(low, high), on_error: low, timeout: 2s }',
        'external("risk") { type: set(enum(low, high)) on_error: [] }',
        'external("risk") { type: float on_error: 0 }',
    ],
)
def test_signals(text: str) -> None:
    node = only(f"signal x = {text}")
    assert node.kind.name == text.split("(")[0].split(" ")[0]
    assert node.terms == node.bands == ()


def test_scores() -> None:
    node = only("signal s = score { - 0.5 * a + b * .25 - c - -2 * (d > 2k) + 1 + -0.5 }")
    found = [(term.coefficient, term.operand is None) for term in node.terms]
    assert found == [
        (Decimal("-0.5"), False),
        (Decimal("0.25"), False),
        (-1, False),
        (2, False),
        (1, True),
        (Decimal("-0.5"), True),
    ]


def test_bands() -> None:
    node = only("signal b = bands(need) { low: < 0.3, mid: <= -0.7 high }")
    assert [(b.name.name, b.op, b.bound and b.bound.value) for b in node.bands] == [
        ("low", "<", Decimal("0.3")),
        ("mid", "<=", Decimal("-0.7")),
        ("high", None, None),
    ]


def test_categories() -> None:
    node = only(
        """
        category c {
          when topic == code, similarity: 0.93
          relax_to: 0.88 when_load > 0.8
          max_error: 1%  ttl: 7d, quota: 30%, scope: tenant, examples: 0.75
        }
        """
    )
    assert isinstance(node.when, ast.Compare)
    relax = node.entries[1].value
    assert (relax.similarity.value, relax.load.value) == (Decimal("0.88"), Decimal("0.8"))
    assert node.entries[2].value.value == Decimal("0.01")
    assert only("category c { ttl: 7d }").when is None


def test_guards_may_do_several_things() -> None:
    node = only('guard g priority 5 { when a reject 403 "why" redact pii tag "t" set "h" = "v" }')
    assert [type(action).__name__ for action in node.actions] == [
        "Reject",
        "Redact",
        "Tag",
        "SetHeader",
    ]


def test_routes() -> None:
    node = only(
        """
        route r priority -3 {
          when a
          to [m 90%, n 10%, o] by balanced(quality: .6, cost: .4)
          fallback m -> n -> o
          cache code
          with { reasoning: high, max_tokens: 800 }
          sticky by tenant
          shadow to n 5%
          tag "x"  set "x-header" = "value"
        }
        """
    )
    to, fallback, cache, with_, sticky, shadow, tag, header = node.body
    assert [share.share and share.share.value for share in to.target] == [
        Decimal("0.90"),
        Decimal("0.10"),
        None,
    ]
    assert [arg.key.name for arg in to.selector.args] == ["quality", "cost"]
    assert [model.name for model in fallback.models] == ["m", "n", "o"]
    assert cache.category.name == "code"
    assert len(with_.entries) == 2
    assert sticky.field.name == "tenant"
    assert shadow.share.value == Decimal("0.05")
    assert (tag.value.value, header.value.value) == ("x", "value")
    assert (node.priority.value, node.default) == (-3, False)


def test_the_other_ways_to_a_target() -> None:
    assert only("route r { when a to pool_x by cost }").body[0].selector.name.name == "cost"
    affinity = only("route r { when a to p by affinity(slo: 400ms) }").body[0].selector
    assert affinity.args[0].value.value == Decimal("0.4")
    default = only("default route d { to m, cache off }")
    assert default.default
    assert default.body[1].category is None


def test_budgets() -> None:
    node = only("budget b { per: tenant, limit: $50, window: 1d, then: cheap }")
    assert [entry.value.unit for entry in node.entries if isinstance(entry.value, ast.Number)] == [
        "money",
        "duration",
    ]


def test_tests() -> None:
    node = only(
        """
        test "t" {
          request { text: "…", messages: [{role: user, content: "hi"}], tier: pro }
          with { attack.jailbreak: 0.97, topic: legal, topic["computer science"]: 0.5
                 pii: [email], urgent: true }
          expect reject g  expect route r, expect model m
          expect category none  expect redact  expect tag "x"
        }
        """
    )
    assert len(node.request) == 3
    assert isinstance(node.request[1].value.items[0], ast.Map)
    assert [pin.target.member for pin in node.pins] == [
        "jailbreak",
        None,
        "computer science",
        None,
        None,
    ]
    assert [expect.kind for expect in node.expects] == [
        "reject",
        "route",
        "model",
        "category",
        "redact",
        "tag",
    ]


def test_imports_and_pools() -> None:
    assert only('import "common/signals.route"').path.value == "common/signals.route"
    assert [m.name for m in only("pool p = [a, b,]").members] == ["a", "b"]


# --- words ------------------------------------------------------------------


def test_words_of_one_place_are_names_elsewhere() -> None:
    for word in ["score", "bands", "off", "when_load", "per", "none", "any", "file", "enum"]:
        assert condition(f"{word} or {word}.{word}").operands[0].name == word
    assert only("signal score = score { score }").name.name == "score"
    assert value("file").name == "file"


@pytest.mark.parametrize("word", ["route", "when", "in", "true", "priority", "cached", "default"])
def test_keywords_are_reserved(word: str) -> None:
    assert f"found the keyword `{word}`" in error(f"signal {word} = tokens()").message


def test_keywords_end_at_the_end_of_the_word() -> None:
    assert condition("order or android and nothing").operands[0].name == "order"
    assert [f.name.name for f in only("request { inside: int, tot: int }").fields] == [
        "inside",
        "tot",
    ]


def test_file_takes_one_string() -> None:
    assert error("model m { a: file(x) }").message == "`file` takes one path"


@pytest.mark.parametrize("body", ["when a when b", "when a, to m, when b"])
def test_a_block_has_one_condition(body: str) -> None:
    found = error(f"route r {{ {body} }}")
    assert found.message == "a second `when` in one block"
    assert found.related[0].span.start < found.span.start


@SLOW
@given(conditions())
def test_groups_do_not_change_a_condition(node: ast.Expr) -> None:
    assert bare(condition(f"(({unparse(node)}))")) == bare(node)
