"""The policy language: from text to a syntax tree with places, and findings as data."""

from routec.dsl import ast
from routec.dsl.diagnostic import (
    Applicability,
    Diagnostic,
    Edit,
    Fix,
    Related,
    Rule,
    Severity,
    Verdict,
)
from routec.dsl.parser import MAX_DEPTH, MAX_SIZE, Parsed, parse
from routec.dsl.reading import read_source
from routec.dsl.source import Source, Span
from routec.dsl.syntax_error import RULE as SYNTAX_ERROR

__all__ = [
    "parse",
    "Parsed",
    "read_source",
    "ast",
    "Source",
    "Span",
    "Diagnostic",
    "Rule",
    "Severity",
    "Verdict",
    "Related",
    "Fix",
    "Edit",
    "Applicability",
    "SYNTAX_ERROR",
    "MAX_DEPTH",
    "MAX_SIZE",
]
