"""JUnit XML: well-formed whatever is in a finding, and counted as build servers count."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from routec.cli.render.junit import junit
from routec.cli.render.styled import plain
from routec.cli.selection import fails
from routec.cli.text import visible
from routec.dsl.diagnostic import Diagnostic
from routec.dsl.source import Source
from tests.cli.render.findings import ERROR, NOTE, SOURCE_SETS, SOURCES, WARNING, findings


def document(
    found: list[Diagnostic], sources: dict[str, Source], *, strict: bool = False
) -> ElementTree.Element:
    printed = plain(junit(found, sources, strict=strict))
    assert printed.isascii()
    return ElementTree.fromstring(printed.encode())


def shown(text: str) -> str:
    bad = "\ufffe\uffff"
    return "".join(c if c in "\t\n\r" else "\ufffd" if c in bad else visible(c) for c in text)


def test_each_file_is_a_suite_and_each_finding_a_case() -> None:
    printed = plain(junit([ERROR, WARNING], SOURCES))
    assert printed == (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<testsuites name="routec check" tests="3" failures="1" errors="0" skipped="0">\n'
        '  <testsuite name="policies/p 1.route" tests="2" failures="1" errors="0" skipped="0">\n'
        '    <testcase name="RC202 unreachable-route at 2:7" classname="policies/p 1.route"'
        ' file="policies/p 1.route" line="2">\n'
        '      <failure type="RC202" message="`n&#228;h` can never be chosen: `fast` covers it">'
        "policies/p 1.route:2:7: `n&#228;h` can never be chosen: `fast` covers it&#10;"
        "policies/p 1.route:1:7: covers it&#10;"
        "for example: the request { tier: &quot;pro&quot; } &#8594; route `fast`&#10;"
        "help: raise its priority, or remove it</failure>\n"
        "    </testcase>\n"
        '    <testcase name="RC212 dead-subcondition at 3:24" classname="policies/p 1.route"'
        ' file="policies/p 1.route" line="3">\n'
        "      <system-out>warning: policies/p 1.route:3:24: `urgent` never matters in `{a}`"
        "</system-out>\n"
        "    </testcase>\n"
        "  </testsuite>\n"
        '  <testsuite name="clean.route" tests="1" failures="0" errors="0" skipped="0">\n'
        '    <testcase name="check" classname="clean.route" file="clean.route"></testcase>\n'
        "  </testsuite>\n"
        "</testsuites>\n"
    )


def test_a_case_fails_where_its_finding_makes_the_check_fail() -> None:
    def failing(*, strict: bool) -> list[str]:
        cases = document([ERROR, WARNING, NOTE], SOURCES, strict=strict).iter("testcase")
        return [str(c.get("name"))[:5] for c in cases if c.find("failure") is not None]

    assert failing(strict=False) == ["RC202"]
    assert failing(strict=True) == ["RC202", "RC212"]


@settings(max_examples=40)
@given(st.lists(findings(), max_size=3), SOURCE_SETS, st.booleans())
def test_whatever_is_found_reads_back_as_it_was(
    found: list[Diagnostic], sources: dict[str, Source], strict: bool
) -> None:
    root = document(found, sources, strict=strict)
    suites = root.findall("testsuite")
    files = list(dict.fromkeys([*sources, *(f.span.file for f in found)]))
    assert [s.get("name") for s in suites] == [shown(file) for file in files]
    for file, suite in zip(files, suites, strict=True):
        here = [f for f in found if f.span.file == file]
        cases = suite.findall("testcase")
        assert suite.get("tests") == str(len(cases)) == str(max(1, len(here)))
        failures = suite.findall("testcase/failure")
        assert suite.get("failures") == str(len(failures))
        failing = [f for f in here if fails(f, strict=strict)]
        assert [f.get("message") for f in failures] == [shown(f.message) for f in failing]
        for case, finding in zip(cases, here, strict=False):
            (output,) = case
            assert output.text is not None
            assert shown(finding.message) in output.text
            assert finding.help is None or output.text.endswith(f"help: {shown(finding.help)}")
    for count in ("tests", "failures"):
        assert root.get(count) == str(sum(int(s.get(count, "")) for s in suites))
