"""SARIF 2.1.0: valid against its schema, and complete."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from routec.cli.render.sarif import sarif_document
from routec.compiler.rules import RULES
from routec.dsl.diagnostic import Diagnostic, Verdict
from routec.dsl.source import Source
from tests.cli.render import findings as given_findings
from tests.cli.render.findings import ERROR, NOTE, OTHER, POLICY, SOURCE, SOURCES, WARNING

SCHEMA = Path(__file__).parents[2] / "fixtures" / "sarif" / "sarif-schema-2.1.0.json"


@cache
def validator() -> Draft7Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema, format_checker=Draft7Validator.FORMAT_CHECKER)


def run_of(findings: Sequence[Diagnostic], sources: dict[str, Source]) -> dict[str, Any]:
    """The one run of the document, as a program that reads the file has it."""
    written = json.dumps(sarif_document(findings, sources), ensure_ascii=False, allow_nan=False)
    document = json.loads(written.encode("utf-8", "replace"))
    assert [e.message for e in validator().iter_errors(document)] == []
    (run,) = document["runs"]
    assert isinstance(run, dict)
    return run


def result_of(finding: Diagnostic) -> dict[str, Any]:
    (result,) = run_of([finding], SOURCES)["results"]
    assert isinstance(result, dict)
    return result


def test_the_schema_refuses_what_is_not_sarif() -> None:
    document = sarif_document([ERROR], SOURCES)
    del document["runs"][0]["results"][0]["message"]
    assert not validator().is_valid(document)


@settings(max_examples=30)
@given(st.lists(given_findings.findings(), max_size=3), given_findings.SOURCE_SETS)
def test_whatever_is_found_the_document_is_valid(
    findings: list[Diagnostic], sources: dict[str, Source]
) -> None:
    run = run_of(findings, sources)
    rules = run["tool"]["driver"]["rules"]
    assert [rules[r["ruleIndex"]]["id"] for r in run["results"]] == [f.code for f in findings]


def test_a_clean_policy_has_no_results_but_all_rules() -> None:
    run = run_of([], {OTHER.name: OTHER})
    assert run["results"] == []
    assert run["columnKind"] == "unicodeCodePoints"
    assert [a["location"]["uri"] for a in run["artifacts"]] == ["clean.route"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted(rule.code for rule in RULES)
    for rule, described in zip(sorted(RULES, key=lambda r: r.code), rules, strict=True):
        assert described["name"] == rule.name
        assert described["defaultConfiguration"]["level"] == rule.severity.value
        assert described["shortDescription"]["text"].replace("{{", "{") == rule.summary
        assert described["help"]["markdown"].replace("{{", "{").replace("}}", "}") == rule.page
        assert described["fullDescription"]["text"] not in ("", rule.summary)


def test_what_is_not_decided_is_open_and_no_failure() -> None:
    result = result_of(replace(ERROR, verdict=Verdict.UNKNOWN))
    assert (result["kind"], result["level"]) == ("open", "none")
    assert result["properties"]["verdict"] == "unknown"


def test_a_result_has_all_that_a_finding_has() -> None:
    result = result_of(ERROR)
    uri = "policies/p%201.route"
    assert result == {
        "ruleId": "RC202",
        "ruleIndex": result["ruleIndex"],
        "kind": "fail",
        "level": "error",
        "message": {
            "text": "`näh` can never be chosen: `fast` covers it\n[covers it: `fast`](1)\n"
            'for example: the request {{ tier: "pro" }} → route `fast`\n'
            "help: raise its priority, or remove it"
        },
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": uri},
                    "region": {"startLine": 2, "startColumn": 7, "endLine": 2, "endColumn": 10},
                }
            }
        ],
        "relatedLocations": [
            {
                "id": 1,
                "physicalLocation": {
                    "artifactLocation": {"uri": uri},
                    "region": {"startLine": 1, "startColumn": 7, "endLine": 1, "endColumn": 11},
                },
                "message": {"text": "covers it: `fast`"},
            }
        ],
        "partialFingerprints": {
            "primaryLocationLineHash": result["partialFingerprints"]["primaryLocationLineHash"],
            "primaryLocationStartColumnFingerprint": "7",
        },
        "properties": {
            "verdict": "proved",
            "subjects": ["näh"],
            "help": "raise its priority, or remove it",
            "witness": {
                "attributes": {"tier": "pro"},
                "outcome": {"kind": "route", "name": "fast"},
            },
        },
    }


def test_a_fix_is_a_change_of_the_file() -> None:
    result = result_of(WARNING)
    assert result["fixes"] == [
        {
            "description": {"text": "drop `urgent`"},
            "artifactChanges": [
                {
                    "artifactLocation": {"uri": "policies/p%201.route"},
                    "replacements": [
                        {
                            "deletedRegion": {
                                "startLine": 3,
                                "startColumn": 19,
                                "endLine": 3,
                                "endColumn": 30,
                            },
                            "insertedContent": {"text": ""},
                        }
                    ],
                }
            ],
            "properties": {"applicability": "safe"},
        }
    ]
    assert result["level"] == "warning"
    assert result["properties"]["verdict"] == "estimated"


def test_braces_are_no_placeholders() -> None:
    assert result_of(WARNING)["message"]["text"] == "`urgent` never matters in `{{a}}`"


def test_a_note_is_off_unless_asked_for() -> None:
    run = run_of([NOTE], SOURCES)
    (result,) = run["results"]
    assert result["level"] == "note"
    rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
    assert rule["defaultConfiguration"] == {"level": "note", "enabled": False}


def test_fingerprints_stay_when_lines_are_added_above_and_blanks_change() -> None:
    moved = Source(SOURCE.name, "# new\n\n" + POLICY.replace("  when", "\twhen"))
    finding = moved.span(moved.text.index("urgent"), moved.text.index("urgent") + 6)
    later = Diagnostic(WARNING.rule, WARNING.message, finding)
    (result,) = run_of([later], {moved.name: moved})["results"]
    assert result["partialFingerprints"] == result_of(WARNING)["partialFingerprints"]
    assert result["partialFingerprints"] != result_of(ERROR)["partialFingerprints"]


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("p.route", "p.route"),
        ("./a/../p.route", "a/../p.route"),
        ("a b/ü.route", "a%20b/%C3%BC.route"),
        ("a:b.route", "a%3Ab.route"),
        ("50%#?.route", "50%25%23%3F.route"),
        ("<stdin>", "%3Cstdin%3E"),
        ("/srv/p.route", "file:///srv/p.route"),
        ("bad\udcff.route", "bad%FF.route"),
        ("half\ud800.route", "half%3F.route"),
    ],
)
def test_a_file_is_named_by_a_uri_that_leads_back_to_it(name: str, uri: str) -> None:
    source = Source(name, "x")
    (artifact,) = run_of([], {name: source})["artifacts"]
    assert artifact["location"]["uri"] == uri
    path = unquote(urlsplit(uri).path, errors="surrogateescape")
    assert path == name.removeprefix("./").replace("\ud800", "?")
