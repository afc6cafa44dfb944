"""The program: canonical, hashed, closed, and nothing but data."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from routec.compiler import check_bytes
from routec.compiler.lower import Unavailable, lower
from routec.compiler.program import Program, ProgramError, digest, dump, load
from tests.compiler.policies import Made, policies

SMALL = """policy small "text"
signal kw = keyword("a")
signal bad = classifier("bad") { labels: [ok, attack], on_error: attack }
signal need = score { 0.5 * bad.attack + 0.25 }
signal band = bands(need) { low: < 0.5, high }
model mini { provider: openai }
guard stop { when band == high reject 403 "x" }
route r priority 1 { when kw and not (kw and kw) to mini }
default route rest { to mini }
"""


def program(text: str = SMALL) -> Program:
    checked = check_bytes("p.route", text.encode())
    assert checked.policy is not None, [f.message for f in checked.findings]
    return lower(checked.policy, normaliser="n-1")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(policies())
def test_a_program_survives_its_file_and_equal_texts_give_equal_bytes(made: Made) -> None:
    first = lower(made.policy, normaliser="n-1")
    assert load(dump(first)) == first
    again = check_bytes("elsewhere.route", made.text.encode()).policy
    assert again is not None
    assert dump(lower(again, normaliser="n-1")) == dump(first)


def test_the_file_is_canonical_json_with_the_hash_of_its_content() -> None:
    data = dump(program())
    parsed = json.loads(data)
    assert parsed["hash"] == digest(program())
    body = json.dumps(parsed["program"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert data == f'{{"hash":"{parsed["hash"]}","program":{body}}}\n'.encode()


def test_the_hash_covers_the_normaliser_and_the_embedder() -> None:
    policy = check_bytes("p.route", SMALL.encode()).policy
    assert policy is not None
    hashes = {
        digest(lower(policy, normaliser=n, embedder=e))
        for n in ("n-1", "n-2")
        for e in (None, "sha256:ab")
    }
    assert len(hashes) == 4


def test_comments_and_layout_do_not_change_the_hash() -> None:
    assert digest(program()) == digest(program("# a comment\n" + SMALL.replace("\n", "\n\n  ")))


def test_nodes_are_shared_and_stand_before_what_uses_them() -> None:
    made = program()
    assert len({msgspec.json.encode(n) for n in made.nodes}) == len(made.nodes)
    assert all(part < at for at, node in enumerate(made.nodes) for part in node.of)


def test_signals_that_guards_depend_on_are_marked_through_derived_ones() -> None:
    guarded = {s.name for s in program().signals if s.guarded}
    assert guarded == {"band", "need", "bad"}


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{}",
        b"[1, 2]",
        b"\xff\xfe",
        b'{"hash": "sha256:00", "program": {"schema": 2}}',
        b"{" * 5000,
    ],
)
def test_what_is_no_program_is_refused(damage: bytes) -> None:
    with pytest.raises(ProgramError) as caught:
        load(damage)
    assert caught.value.code == "invalid-program"


def test_another_schema_is_refused() -> None:
    with pytest.raises(ProgramError) as caught:
        load(dump(program()).replace(b'"schema":2', b'"schema":99'))
    assert caught.value.code == "unsupported-schema"


def test_a_changed_program_is_refused() -> None:
    with pytest.raises(ProgramError) as caught:
        load(dump(program()).replace(b"prompt", b"x").replace(b'"status":403', b'"status":404'))
    assert caught.value.code == "hash-mismatch"


def test_indices_that_point_nowhere_are_refused() -> None:
    made = program()
    for broken in (
        msgspec.structs.replace(made, routes=()),
        msgspec.structs.replace(made, models=()),
        msgspec.structs.replace(made, nodes=made.nodes[:1]),
        msgspec.structs.replace(made, variables=()),
        msgspec.structs.replace(made, signals=()),
        msgspec.structs.replace(
            made, nodes=(*made.nodes, msgspec.structs.replace(made.nodes[0], op="not", of=(99,)))
        ),
    ):
        with pytest.raises(ProgramError) as caught:
            load(dump(broken))
        assert caught.value.code == "invalid-program"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("budget b { per: t, limit: $5, window: 1d, then: rest }", "budgets"),
        ('signal e = external("x") { type: bool, on_error: false }', "`external`"),
        *(
            (f"route r2 priority 2 {{ when kw to both by {by} }}", f"`by {by}`")
            for by in ("least_loaded", "linucb", "thompson", "knn", "cascade", "affinity")
        ),
    ],
)
def test_what_is_not_available_yet_checks_but_says_so_when_it_should_run(
    text: str, name: str
) -> None:
    whole = SMALL + 'request { t: string = "a" }\nmodel m2 { }\npool both = [mini, m2]\n' + text
    with pytest.raises(Unavailable) as caught:
        program(whole)
    (finding,) = caught.value.findings
    assert name in finding.message
    assert "not available yet" in finding.message
    assert finding.help
