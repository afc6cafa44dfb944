"""Every form of the language's tables checks clean and lowers to a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from routec.compiler import check, check_bytes
from routec.compiler.catalogue import ENTITY_KINDS, LANGUAGES
from routec.compiler.lower import lower
from routec.compiler.program import dump, load

EXAMPLES = Path(__file__).parents[2] / "examples" / "policies"

HEAD = """policy forms "every form" { p99: 10ms, survive: one_provider }
request {
  flag: bool from "user.flag" = false,
  n: int = -3
  x: float = 30%
  tenant: string from "tenant"
  tier: enum(free, pro, "big corp") = "big corp"
  roles: set(enum(admin, dev)) = [admin]
  groups: set(string) = ["a b"]
  tags: set(string)
}
signal kw = keyword("urgent", "right now")
model mini { provider: openai, name: "gpt-5-mini", endpoint: "https://x", input: $0.25, output: $2.00,
             context: 128k, quality: 62%, region: eu, latency: 300ms, tags: [fast, "cheap one"], team: support }
model opus { provider: anthropic, quality: 0.93 }
pool both = [mini, opus]
category money { when kw, similarity: 0.9, ttl: 10m }
default route rest { to mini }
"""

SIGNALS = [
    'keyword("a") { match: word, case: sensitive, scope: last_user }',
    'keyword("a", "b c") { match: substring case: insensitive scope: all_user }',
    'keyword("a") { scope: system }',
    'keyword("a") { scope: all }',
    r"regex(/\bTKT-[0-9]{6}\b/)",
    r"regex(/a\/b/ims) { scope: all }",
    "tokens()",
    "turns()",
    "has_tools()",
    "has_image()",
    'hour("Europe/Berlin")',
    'weekday("Europe/Berlin")',
    "language()",
    f"entities({', '.join(ENTITY_KINDS)})",
    "repeated { similarity: 0.8 }",
    "repeated { similarity: 0.8, on_error: true }",
    'similarity { examples: ["a", "b"], reduce: mean }',
    'similarity { examples: ["a"], reduce: max, on_error: 0.5 }',
    'contrast { high: ["a"], low: ["b"] }',
    'contrast { high: ["a"], low: ["b"], on_error: -1 }',
    'classifier("t") { labels: [a, "b c"], on_error: "b c", timeout: 50ms, exclusive: true }',
    'classifier("t") { labels: [a, b], on_error: a, exclusive: false }',
    "score { 0.5 * kw + 0.3 * x - 0.2 * (n > 2k) + flag + 1 }",
    "score { 0.5 * (roles.empty) + 0.5 * (not groups.empty) }",
    "bands(x) { low: < 0.3, mid: <= 0.7, high }",
]

CONDITIONS = [
    "flag", "not flag", "flag == true", "flag != false", "true", "kw and (flag or not kw)",
    "n == 3", "n != 3", "n < 3", "n <= 3", "n > 3k", "n >= -3", "3 < n", "x >= 30%", "x < 0.5",
    "n in 1..8", "n in 1k..8k", "n in [1, 2]", "x in 0.1..0.2",
    'tenant == "acme"', 'tenant != "acme"', 'tenant in ["a", "b"]',
    "tier == free", "free == tier", 'tier == "big corp"', 'tier in [free, "big corp"]',
    "roles.any(admin, dev)", "roles.all(admin)", "roles.empty", '"admin" in roles', "admin in roles",
    '"a b" in groups', 'groups.any("a b")', "not groups.empty",
]  # fmt: skip

STATEMENTS = [
    "to mini",
    "to both by cost",
    "to both by weighted",
    "to both by quality",
    "to both by latency",
    "to both by balanced(quality: .6, cost: .4)",
    "to both by round_robin",
    "to [mini 90%, opus 10%]",
    "to [mini, opus] by cost",
    "to mini fallback opus -> mini",
    "to mini cache off",
    "to mini cache money",
    "to mini with { reasoning: high, max_tokens: 800, temperature: 0.2, stop: [a, b], stream: true }",
    "to both by cost sticky by tenant",
    "to mini shadow to opus 5%",
    'to mini tag "x" tag "y" set "x-header" = "value"',
]

GUARDS = [
    'guard g { when kw reject 403 "prompt_injection" }',
    'guard g priority 5 { when kw tag "x" set "x-a" = "b" }',
    'signal pii = entities(email)\nguard g { when pii.any(email) redact pii tag "pii" }',
]

CATEGORIES = [
    "category c { when kw, similarity: 0.93, ttl: 7d, quota: 30%, scope: tenant }",
    "category c { when kw, max_error: 1%, ttl: 10m, quota: 500, scope: global }",
    "category c { when kw, similarity: 93%, ttl: 2s, relax_to: 0.88 when_load > 0.8, examples: 0.75 }",
]

ASSERTS = [
    "never flag and model.provider != openai",
    "always flag implies model.region == eu",
    "never route == rest and category == money",
    "never reject or redact or cached",
    'signal pii = entities(email)\nassert "x" { never redact == pii',
    'guard g { when kw reject 403 "x" }\nassert "x" { never reject == g',
    "never fallback == opus",
    "never fallback.provider == anthropic",
    "never category == none and cached",
    "always model.quality >= 0.5 or model.context > 1k",
    'never model.team == support and "fast" in model.tags',
]

TESTS = [
    'request { text: "hi", tenant: "acme" } expect route rest',
    'request { tenant: "a", messages: [{ role: system, content: "s" }, { role: user, content: "u" }] } expect model mini',
    'request { tenant: "a" } with { kw: true } expect category money',
    'request { tenant: "a", roles: [], groups: ["x"], n: 3, x: 0.5, flag: true, tier: pro } with { kw: false } expect category none',
]


def runs(text: str) -> None:
    checked = check_bytes("p.route", text.encode())
    assert checked.policy is not None, [f.message for f in checked.findings]
    program = lower(checked.policy, normaliser="n-1")
    assert load(dump(program)) == program


@pytest.mark.parametrize("signal", SIGNALS)
def test_signal(signal: str) -> None:
    runs(HEAD + f"signal s = {signal}\n")


@pytest.mark.parametrize("condition", CONDITIONS)
def test_condition(condition: str) -> None:
    runs(HEAD + f"let c = {condition}\nroute r priority 1 {{ when c and {condition} to mini }}\n")


@pytest.mark.parametrize("statement", STATEMENTS)
def test_route_body(statement: str) -> None:
    runs(HEAD + f"route r priority 1 {{ when kw {statement} }}\n")


@pytest.mark.parametrize("declaration", GUARDS + CATEGORIES)
def test_guard_and_category(declaration: str) -> None:
    runs(HEAD + declaration)


@pytest.mark.parametrize("promise", ASSERTS)
def test_assert(promise: str) -> None:
    runs(HEAD + (promise if "assert" in promise else f'assert "x" {{ {promise}') + " }\n")


@pytest.mark.parametrize("body", TESTS)
def test_test(body: str) -> None:
    runs(HEAD + f'test "t" {{ {body} }}\n')


def test_imports_and_lists_of_files_are_read_beside_the_file_that_names_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "words.txt").write_text("urgent\n\n  right now \nurgent\n")
    (tmp_path / "common" / "signals.route").write_text(
        'signal kw = keyword(file("words.txt"))\nsignal near = similarity { examples: file("words.txt") }\n'
    )
    (tmp_path / "a.route").write_text(
        'import "common/signals.route"\nimport "b.route"\nlet a = kw\n'
    )
    (tmp_path / "b.route").write_text('import "common/signals.route"\nlet b = kw\n')
    main = tmp_path / "main.route"
    main.write_text(
        'policy p\nimport "a.route"\nmodel m { }\nroute r priority 1 { when a or b to m }\ndefault route d { to m }\n'
    )
    checked = check(main)
    assert checked.policy is not None, [f.message for f in checked.findings]
    assert checked.policy.signals["kw"].definition.phrases == ("urgent", "right now")
    assert len(checked.sources) == 4


def test_imports_that_form_a_cycle_are_an_error_at_the_place_that_closes_it(tmp_path: Path) -> None:
    (tmp_path / "a.route").write_text('import "b.route"\n')
    (tmp_path / "b.route").write_text('import "a.route"\n')
    (finding,) = check(tmp_path / "a.route").findings
    assert finding.code == "RC106"
    assert Path(finding.span.file).name == "b.route"
    assert "imports itself" in finding.message


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.route")), ids=lambda p: p.name)
def test_the_example_policies_check_clean_and_lower(path: Path) -> None:
    checked = check(path)
    assert [f.message for f in checked.findings] == []
    assert checked.policy is not None
    assert checked.policy.cases
    lower(checked.policy, normaliser="n-1")


def test_closed_lists_are_those_of_the_rooms_that_answer_them() -> None:
    from routec.safety.entities import KINDS
    from routec.safety.language import LANGUAGES as ANSWERED

    assert set(ENTITY_KINDS) == set(KINDS)
    assert set(LANGUAGES) == set(ANSWERED)
