"""The example policies read well, and together they show the whole language of this slice."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from routec.cli.cases import run_cases
from routec.cli.programs import compile_file
from routec.dsl import Source, ast, parse

POLICIES = Path(__file__).parents[2] / "examples" / "policies"
FILES = sorted(POLICIES.glob("*.route"))
COMMON = sorted(POLICIES.glob("common/*.route"))
NOT_YET = {"budget", "linucb", "thompson", "knn", "cascade", "affinity", "least_loaded", "external"}


def parsed(path: Path) -> ast.Module:
    result = parse(Source(str(path), path.read_text("utf-8")))
    assert not result.diagnostics
    return result.module


def nodes(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for item in value:
            yield from nodes(item)
    elif dataclasses.is_dataclass(value):
        yield value
        for field in dataclasses.fields(value):
            yield from nodes(getattr(value, field.name))


@pytest.fixture(scope="module")
def everything() -> list[Any]:
    return [node for path in (*FILES, *COMMON) for node in nodes(parsed(path).declarations)]


def test_there_are_eight() -> None:
    assert len(FILES) >= 8


@pytest.mark.parametrize("path", [*FILES, *COMMON], ids=lambda p: p.stem)
def test_they_parse(path: Path) -> None:
    assert parsed(path).declarations


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_each_has_its_name_tests_and_promises(path: Path) -> None:
    found = list(parsed(path).declarations)
    policies = [d for d in found if isinstance(d, ast.Policy)]
    assert [p.name.name for p in policies] == [path.stem]
    tests = [d for d in found if isinstance(d, ast.Test)]
    assert len(tests) >= 6
    assert len({t.text.value for t in tests}) == len(tests)
    assert all(t.expects for t in tests)
    assert any(isinstance(d, ast.Assert) for d in found)
    assert len(parsed(path).comments) >= 3


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
async def test_their_tests_pass_without_a_model(path: Path) -> None:
    """A costly signal that a decision needs is pinned; one that it does not need, need not be."""
    ran = await run_cases(compile_file(str(path)))
    assert len(ran) >= 6
    assert [result.failures for result in ran if not result.passed] == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_each_classifier_matters_to_some_and_is_spared_others(path: Path) -> None:
    """What a policy classifies by is pinned in one of its tests, and missing in another."""
    module = parsed(path)
    classifiers = {
        d.name.name
        for d in module.declarations
        if isinstance(d, ast.Signal) and d.kind.name == "classifier"
    }
    pinned = [
        {pin.target.name for pin in test.pins}
        for test in module.declarations
        if isinstance(test, ast.Test)
    ]
    for name in classifiers:
        assert any(name in pins for pins in pinned), name
        assert any(name not in pins for pins in pinned), name


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_lists_and_imports_exist(path: Path) -> None:
    for file in (path, *COMMON):
        for node in nodes(parsed(file).declarations):
            if isinstance(node, ast.Import | ast.File):
                assert (file.parent / node.path.value).is_file()


def test_every_kind_of_signal_is_used(everything: list[Any]) -> None:
    used = {n.kind.name for n in everything if isinstance(n, ast.Signal)}
    assert used == {
        "keyword", "regex", "tokens", "language", "entities", "turns", "has_tools", "has_image",
        "hour", "weekday", "repeated", "similarity", "contrast", "classifier", "score", "bands",
    }  # fmt: skip


def test_every_kind_of_node_is_used_but_budgets(everything: list[Any]) -> None:
    kinds = {
        c
        for c in vars(ast).values()
        if isinstance(c, type) and dataclasses.is_dataclass(c) and c.__module__ == ast.__name__
    }
    unused = {c.__name__ for c in kinds} - {type(n).__name__ for n in everything}
    assert unused == {"Module", "Comment", "Budget"}


def test_options_actions_selectors_and_expectations_are_all_used(everything: list[Any]) -> None:
    keys = {n.key.name for n in everything if isinstance(n, ast.Entry)}
    assert keys >= {
        "match", "case", "scope", "examples", "reduce", "high", "low", "labels", "on_error",
        "timeout", "exclusive", "similarity", "max_error", "ttl", "quota", "relax_to", "p99",
        "survive", "provider", "name", "endpoint", "input", "output", "context", "quality",
        "region", "latency", "tags",
    }  # fmt: skip
    actions = {type(a).__name__ for n in everything if isinstance(n, ast.Guard) for a in n.actions}
    assert actions == {"Reject", "Redact", "Tag", "SetHeader"}
    selectors = {n.name.name for n in everything if isinstance(n, ast.Selector)}
    assert selectors == {"cost", "quality", "latency", "balanced"}
    expected = {n.kind for n in everything if isinstance(n, ast.Expect)}
    assert expected == {"route", "reject", "model", "category", "redact", "tag"}
    assert {n.mode for n in everything if isinstance(n, ast.Assert)} == {"never", "always"}
    types = {n.name for n in everything if isinstance(n, ast.TypeExpr)}
    assert types == {"bool", "int", "float", "string", "enum", "set"}


def test_nothing_is_used_that_this_version_cannot_run(everything: list[Any]) -> None:
    named = {n.kind.name for n in everything if isinstance(n, ast.Signal)}
    named |= {n.name.name for n in everything if isinstance(n, ast.Selector)}
    assert not named & NOT_YET
    assert not [n for n in everything if isinstance(n, ast.Budget)]
