"""Every finding of the first class: what it says, where, and how to mend it."""

from __future__ import annotations

import pytest

from routec.compiler import check_bytes

BASE = """policy base
request { tier: enum(free, pro) = free  seats: int = 1  load: float = 0.5  vip: bool = false
          tenant: string = "a"  roles: set(enum(admin, dev))  groups: set(string) }
signal kw = keyword("urgent")
signal topic = classifier("topic") { labels: [law, code, "computer science"], on_error: code }
signal pii = entities(email, iban)
signal lang = language()
signal near = similarity { examples: ["a"] }
model mini { provider: openai, input: $1, output: $2, quality: 0.5 }
model opus { provider: anthropic, input: $5, output: $25 }
pool both = [mini, opus]
category law { when kw, similarity: 0.9, ttl: 1h, scope: tenant }
default route rest { to mini }
"""


def findings(text: str) -> list[tuple[str, str, str, str | None]]:
    """Code, text of the place, message and help of every finding, in the order of the file."""
    checked = check_bytes("p.route", text.encode())
    source = checked.sources["p.route"]
    return [
        (f.code, source.text[f.span.start : f.span.end], f.message, f.help)
        for f in checked.findings
    ]


def test_the_base_policy_is_clean() -> None:
    assert findings(BASE) == []


CASES = [
    # RC101 unknown-name
    ("RC101", "let x = urgnt", "urgnt", "unknown signal or field `urgnt`", None),
    ("RC101", "let x = kwd", "kwd", "unknown signal or field `kwd`", "did you mean `kw`?"),
    (
        "RC101",
        "let x = tier == fre",
        "fre",
        "unknown value of `tier` `fre`",
        "did you mean `free`?",
    ),
    (
        "RC101",
        "let x = topic == lew",
        "lew",
        "unknown value of `topic` `lew`",
        "did you mean `law`?",
    ),
    (
        "RC101",
        "let x = topic.lw >= 0.5",
        "lw",
        "unknown member of `topic` `lw`",
        "did you mean `law`?",
    ),
    (
        "RC101",
        'let x = topic["computer"] >= 0.5',
        '"computer"',
        "unknown member",
        "computer science",
    ),
    ("RC101", "let x = pii.any(emial)", "emial", "unknown value of `pii` `emial`", "`email`"),
    ("RC101", "let x = roles.some(admin)", "some", "unknown set operation `some`", "`any`"),
    ("RC101", 'signal s = keywrd("x")', "keywrd", "unknown kind of signal", "`keyword`"),
    ("RC101", "signal s = entities(emial)", "emial", "unknown kind of entity", "`email`"),
    (
        "RC101",
        'signal s = keyword("x") { match: wrd }',
        "wrd",
        "unknown value of `match`",
        "`word`",
    ),
    ("RC101", "route r priority 1 { when kw to mni }", "mni", "unknown model or pool", "`mini`"),
    (
        "RC101",
        "route r priority 1 { when kw to [mni 50%, opus 50%] }",
        "mni",
        "unknown model",
        "`mini`",
    ),
    (
        "RC101",
        "route r priority 1 { when kw to mini fallback ops }",
        "ops",
        "unknown model",
        "`opus`",
    ),
    ("RC101", "route r priority 1 { when kw to mini cache lw }", "lw", "unknown category", "`law`"),
    (
        "RC101",
        "route r priority 1 { when kw to both by cots }",
        "cots",
        "unknown selection",
        "`cost`",
    ),
    (
        "RC101",
        "route r priority 1 { when kw to mini sticky by tenat }",
        "tenat",
        "unknown field",
        "`tenant`",
    ),
    (
        "RC101",
        "route r priority 1 { when kw to mini shadow to ops 5% }",
        "ops",
        "unknown model",
        "`opus`",
    ),
    ("RC101", "pool p2 = [mini, opos]", "opos", "unknown model `opos`", "`opus`"),
    ("RC101", "guard g { when kw redact pi }", "pi", "unknown signal `pi`", "`pii`"),
    (
        "RC101",
        "category c { when kw, ttl: 1h, scope: tenent }",
        "tenent",
        "unknown field",
        "`tenant`",
    ),
    ("RC101", 'assert "a" { never model == opis }', "opis", "unknown value of `model`", "`opus`"),
    ("RC101", 'assert "a" { never model.provider == opena }', "opena", "unknown value", "`openai`"),
    (
        "RC101",
        'assert "a" { never model.provder == openai }',
        "provder",
        "unknown key",
        "`provider`",
    ),
    ("RC101", 'test "t" { request { } expect route rst }', "rst", "unknown route `rst`", "`rest`"),
    (
        "RC101",
        'test "t" { request { } with { kwd: true } expect route rest }',
        "kwd",
        "unknown",
        "`kw`",
    ),
    (
        "RC101",
        "budget b { per: tenant, limit: $5, window: 1d, then: rst }",
        "rst",
        "unknown route",
        "`rest`",
    ),
    ("RC101", "let x = y\nlet y = x", "x", "let `x` depends on itself", "made from"),
    (
        "RC101",
        "signal a1 = score { 1 * b1 }\nsignal b1 = score { 1 * a1 }",
        "a1",
        "depends on itself",
        None,
    ),
    # RC102 duplicate-name
    ("RC102", 'signal kw = keyword("x")', "kw", "signal `kw` is declared twice", None),
    ("RC102", "let tier = kw", "tier", "let `tier` is declared twice", None),
    ("RC102", "pool mini = [opus]", "mini", "pool `mini` is declared twice", None),
    ("RC102", "policy other", "other", "policy `other` is declared twice", None),
    ("RC102", "request { text: string }", "text", "a name of the language's own", "another name"),
    (
        "RC102",
        "model m3 { input: $1, input: $2 }",
        "input",
        "option `input` is declared twice",
        None,
    ),
    ("RC102", "route r priority 1 { when kw to mini to opus }", "to opus", "statement `to`", None),
    ("RC102", "signal s = bands(near) { a: < 0.1, a }", "a", "band `a` is declared twice", None),
    ("RC102", "request { e: enum(x, x) = x }", "x", "enum member `x` is declared twice", None),
    (
        "RC102",
        'test "t" { request {} with { kw: true, kw: false } expect route rest }',
        "kw",
        "pin",
        None,
    ),
    # RC103 type-mismatch
    ("RC103", "let x = tier", "tier", "not a condition", "tier == free"),
    ("RC103", "let x = tier > 3", "tier > 3", "has no order", "tier == free"),
    ("RC103", 'let x = seats == "3"', '"3"', "of type int, compared with a string", None),
    ("RC103", "let x = tenant == acme", "acme", "of type string", '`"acme"`'),
    ("RC103", "let x = vip == 1", "1", "is a bool, compared with a number", "`vip` or `not vip`"),
    ("RC103", "let x = roles == admin", "admin", "is a set", "roles.any(admin)"),
    ("RC103", "let x = tier.any(free)", "tier", "not a set", None),
    ("RC103", "let x = seats > load", "seats > load", "another value of the request", "constant"),
    ("RC103", "let x = 1 < 2", "1", "no value of the request", None),
    ("RC103", "let x = load > 5ms", "5ms", "compared with a duration", None),
    ("RC001", "let x = kw implies vip", "implies", "found the keyword `implies`", "`assert` only"),
    ("RC103", "let x = kw.yes", "yes", "has no member `yes`", None),
    ("RC103", "let x = vip\nlet y = x == true", "x", "is a condition, not a value", None),
    ("RC103", "signal s = keyword(3)", "3", "a number, not a string", None),
    ("RC103", 'signal s = regex("x")', '"x"', "needs one regular expression", None),
    ("RC103", 'signal s = hour("Mars/Base")', '"Mars/Base"', "no time zone", None),
    ("RC103", "signal s = score { 2 * tier }", "tier", "not a number or a bool", None),
    ("RC103", "signal s = bands(tier) { a: < 1, b }", "tier", "not a number", None),
    ("RC103", "signal s = bands(near) { a: < 0.1, b: < 0.2 }", "b: < 0.2", "has a bound", None),
    ("RC103", "request { n: int = 1.5 }", "1.5", "the default of `n` is a number", "whole"),
    ("RC103", "request { n: set(int) }", "int", "a set of int is not supported", None),
    (
        "RC103",
        "route r priority 1 { when kw to both }",
        "both",
        "nothing says how to choose",
        "by cost",
    ),
    ("RC103", "route r priority 1 { when kw to mini by cost }", "cost", "one model", None),
    ("RC103", "route r priority 1 { when kw to [mini 50%, opus] }", "opus", "has no share", None),
    ("RC103", "guard g { when kw redact kw }", "kw", "no spans to redact", "entities"),
    ("RC103", "model m3 { input: 3 }", "3", "`input` is a number", "money"),
    ("RC103", "category c { when kw, ttl: 10 }", "10", "`ttl` is a number", "duration"),
    ("RC103", "category c { when kw, ttl: 1h, relax_to: 0.8 }", "0.8", "`relax_to`", "when_load"),
    (
        "RC103",
        'test "t" { request { seats: "x" } expect route rest }',
        '"x"',
        "`seats` is a string",
        None,
    ),
    (
        "RC103",
        'test "t" { request { } with { tier: free } expect route rest }',
        "tier",
        "a field",
        None,
    ),
    (
        "RC103",
        'test "t" { request { text: 3 } expect route rest }',
        "3",
        "`text` is a number",
        None,
    ),
    # RC104 unknown-option
    ("RC104", 'signal s = keyword("x") { mach: word }', "mach", "no option `mach`", "`match`"),
    ("RC104", "signal s = tokens() { size: 3 }", "size", "no option `size`", "takes none"),
    ("RC104", "category c { when kw, tll: 1h }", "tll", "a category has no option `tll`", "`ttl`"),
    (
        "RC104",
        "budget b { per: tenant, limit: $5, window: 1d, then: rest, each: 3 }",
        "each",
        "each",
        None,
    ),
    (
        "RC104",
        "route r priority 1 { when kw to both by balanced(costs: 1) }",
        "costs",
        "costs",
        "`cost`",
    ),
    (
        "RC104",
        'test "t" { request { tire: free } expect route rest }',
        "tire",
        "no option",
        "`tier`",
    ),
    # RC105 out-of-range
    ("RC105", "let x = topic.law >= 1.2", "1.2", "greater than 1", "from 0 to 1"),
    ("RC105", "let x = near >= 1.5", "1.5", "greater than 1", "from -1 to 1"),
    ("RC105", "let x = near > -1.5", "-1.5", "less than -1", None),
    ("RC105", 'signal h = hour("UTC")\nlet x = h > 24', "24", "greater than 23", None),
    ("RC105", "let x = seats in 5..2", "5..2", "is empty", "smaller end first"),
    ("RC105", "signal s = score { 0.5 * vip }\nlet x = s > 0.6", "0.6", "greater than 0.5", None),
    ("RC105", "model m3 { quality: 1.2 }", "1.2", "greater than 1", None),
    ("RC105", "model m3 { context: 0 }", "0", "less than 1", None),
    ("RC105", "category c { when kw, similarity: 1.1, ttl: 1h }", "1.1", "greater than 1", None),
    ("RC105", "category c { when kw, ttl: 0s }", "0s", "`ttl` is zero", None),
    ("RC105", "category c { when kw, ttl: 1h, quota: 130% }", "130%", "greater than 1", None),
    (
        "RC105",
        "category c { when kw, similarity: 0.8, relax_to: 0.9 when_load > 0.5 }",
        "0.9",
        "above",
        None,
    ),
    (
        "RC105",
        "route r priority 1 { when kw to [mini 90%, opus 20%] }",
        None,
        "add up to 110%",
        "100%",
    ),
    ("RC105", "route r priority 1.5 { when kw to mini }", "1.5", "no whole number", None),
    ("RC105", "route r priority 1 { when kw to mini shadow to opus 120% }", "120%", "120%", None),
    *(
        (
            "RC105",
            f"route r priority 1 {{ when kw to mini with {{ n: {n} }} }}",
            n,
            "64 bits",
            "2^63",
        )
        for n in ("9223372036854775808", "99999999999999999999.5")
    ),
    ("RC105", 'guard g { when kw reject 200 "ok" }', "200", "no HTTP error", "400 to 599"),
    ("RC105", 'guard g { when kw set "x y" = "z" }', None, "no HTTP header", None),
    ("RC105", 'guard g { when kw set "x" = "a\\nb" }', None, "no HTTP header", None),
    (
        "RC105",
        'signal s = classifier("t") { labels: [a], on_error: a }',
        "classifier",
        "fewer than two",
        None,
    ),
    ("RC105", "signal s = similarity { examples: [] }", "[]", "is empty", None),
    ("RC105", 'signal s = keyword("")', '""', "empty string", None),
    ("RC105", "signal s = similarity { }", "similarity", "has no `examples`", None),
    (
        "RC105",
        'test "t" { request {} with { topic.law: 0.7, topic.code: 0.7 } expect route rest }',
        None,
        "add up to 1.4",
        None,
    ),
    (
        "RC105",
        'test "t" { request {} with { topic.law: 1.7 } expect route rest }',
        "1.7",
        "greater than 1",
        None,
    ),
    # RC106 import-error
    ("RC106", 'import "nowhere.route"', '"nowhere.route"', "cannot be read", "beside the file"),
    ("RC106", 'signal s = keyword(file("nowhere.txt"))', '"nowhere.txt"', "cannot be read", None),
    # RC107 default-route
    ("RC107", "default route second { to mini }", "second", "second default route", "priority"),
    # RC108 bad-regex
    ("RC108", r"signal s = regex(/(a)\1/)", r"/(a)\1/", "not a linear-time", "back-references"),
    ("RC108", "signal s = regex(/(?=a)/)", "/(?=a)/", "not a linear-time", None),
    ("RC108", "signal s = regex(/(/)", "/(/", "not a linear-time", None),
    ("RC108", "signal s = regex(/((a{1000}){1000}){1000}/)", None, "not a linear-time", None),
    # RC109 missing-on-error
    (
        "RC109",
        'signal s = classifier("t") { labels: [a, b] }',
        "s",
        "does not say",
        "`on_error: b`",
    ),
    ("RC109", 'signal s = external("t") { type: bool }', "s", "does not say", "on_error"),
    # RC001 of declarations that parse but lack a part
    ("RC001", "route r priority 1 { to mini }", "r", "route `r` has no `when`", "default route"),
    ("RC001", "route r priority 1 { when kw }", "r", "route `r` has no `to`", None),
    ("RC001", 'guard g { reject 403 "x" }', "g", "guard `g` has no `when`", None),
    ("RC001", "guard g { when kw }", "g", "guard `g` has no `action`", None),
    ("RC001", "category c { ttl: 1h }", "c", "category `c` has no `when`", None),
    ("RC001", "budget b { per: tenant }", "b", "budget `b` has no `limit`", None),
    ("RC001", 'test "t" { request { } }', '"t"', "has no `expect`", None),
]


@pytest.mark.parametrize(
    ("code", "text", "place", "message", "help"), CASES, ids=[f"{c[0]}-{c[1][:50]}" for c in CASES]
)
def test_finding(code: str, text: str, place: str | None, message: str, help: str | None) -> None:
    found = findings(BASE + text + "\n")
    matching = [f for f in found if f[0] == code and message in f[2]]
    assert matching, found
    _, where, said, hint = matching[0]
    if place is not None:
        assert where == place
    if help is not None:
        assert hint is not None
        assert help in hint
    assert said[0].islower() or said[0] == "`"
    assert not said.endswith(".")
    assert not any(f[0] != code for f in found), found


def test_an_error_in_one_block_hides_nothing_in_the_others_and_casts_no_shadow() -> None:
    text = """policy p
signal broken = keyword("x"
signal fine = keyword("y") { mach: word }
model mini { provider: openai }
route r priority 1 { when broken or misspelt to mini }
route t { when fine
default route rest { to mini }
"""
    assert [(code, place) for code, place, *_ in findings(text)] == [
        ("RC001", "signal"),
        ("RC104", "mach"),
        ("RC101", "misspelt"),
        ("RC001", "default"),
    ]


def test_a_policy_needs_a_default_route() -> None:
    found = findings("policy p\nmodel mini { }\n")
    assert [(f[0], f[1]) for f in found] == [("RC107", "p")]


def test_shared_declarations_need_no_policy_and_no_default_route() -> None:
    assert findings('signal kw = keyword("x")\n') == []


def test_a_second_declaration_shows_the_first() -> None:
    checked = check_bytes("p.route", (BASE + 'signal kw = keyword("x")').encode())
    (finding,) = checked.findings
    (first,) = finding.related
    assert (finding.subjects, first.message) == (("kw",), "first declared here")
    assert first.span.line == 4


def test_a_wrong_let_is_reported_once_however_often_it_is_used() -> None:
    text = BASE + "let x = nope\nroute r priority 1 { when x or not x to mini }"
    assert [f[2] for f in findings(text)] == ["unknown signal or field `nope`"]


def test_a_hundred_thousand_letters_of_nonsense_are_a_finding_and_no_crash() -> None:
    for text in ("(" * 100_000, "x" * 100_000, "policy " * 20_000, "\x00" * 1000):
        checked = check_bytes("p.route", text.encode())
        assert checked.errors >= 1


def test_invalid_utf8_is_a_finding() -> None:
    checked = check_bytes("p.route", b"policy p \xff\xfe")
    assert [f.code for f in checked.findings] == ["RC001"]
