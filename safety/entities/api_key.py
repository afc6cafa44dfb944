"""Secrets by their shape: keys and tokens whose issuers gave them a prefix, JSON Web
Tokens, private keys in PEM, and long random values that are called a key.

Shapes as documented by the issuers. A value with fewer than `MIN_DISTINCT` different
characters is a placeholder (``sk-xxxxxxxx…``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MIN_DISTINCT = 8
"""Fewest different characters of a key."""

_EDGE = r"(?<![A-Za-z0-9])"
_END = r"(?![A-Za-z0-9])"

# (a literal every match holds, the shape): the literal is looked for first, which is cheap.
_SHAPES = tuple(
    (literal, re.compile(_EDGE + shape + _END))
    for literal, shape in (
        ("sk-", r"sk-[A-Za-z0-9_-]{20,}+"),  # OpenAI, Anthropic and those after them
        ("AKIA", r"AKIA[0-9A-Z]{16}"),  # Amazon Web Services
        ("ASIA", r"ASIA[0-9A-Z]{16}"),
        ("AIza", r"AIza[0-9A-Za-z_-]{35}"),  # Google
        ("gh", r"gh[pousr]_[A-Za-z0-9]{36,255}+"),  # GitHub
        ("github_pat_", r"github_pat_[A-Za-z0-9_]{22,255}+"),
        ("glpat-", r"glpat-[A-Za-z0-9_.-]{20,255}+"),  # GitLab
        ("xox", r"xox[abeoprs]-[A-Za-z0-9-]{10,255}+"),  # Slack
        ("hooks.slack.com", r"hooks\.slack\.com/services/T\w{8,12}/B\w{8,12}/\w{20,32}+"),
        ("_live_", r"[sr]k_live_[0-9A-Za-z]{16,255}+"),  # Stripe
        ("_test_", r"[sr]k_test_[0-9A-Za-z]{16,255}+"),
        ("whsec_", r"whsec_[0-9A-Za-z]{24,255}+"),
        ("SG.", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),  # SendGrid
        ("npm_", r"npm_[A-Za-z0-9]{36}"),
        ("pypi-", r"pypi-AgE[A-Za-z0-9_-]{50,1000}+"),
        ("hf_", r"hf_[A-Za-z0-9]{30,64}+"),  # Hugging Face
        ("dop_v1_", r"dop_v1_[a-f0-9]{64}"),  # DigitalOcean
        ("shp", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),  # Shopify
        ("eyJ", r"eyJ[A-Za-z0-9_-]{10,8000}+\.eyJ[A-Za-z0-9_-]{10,8000}+\.[A-Za-z0-9_-]{16,8000}+"),
    )
)
_NAMED = re.compile(
    r"(?:(?:api|access|auth|secret|client)[ _-]?(?:key|token|secret)\b"
    r"[\"'`]?(?: is)?[ \t]{0,3}[:=]?"
    r"|\bbearer )[ \t]{0,3}[\"'`]?(?P<value>[A-Za-z0-9_/+=.-]{20,512}+)",
    re.IGNORECASE,
)
# In a value of twenty characters each digit has ten more before it or after it.
_IN_LONG_VALUE = re.compile(r"[0-9](?:(?=[A-Za-z0-9_/+=.-]{10})|(?<=[A-Za-z0-9_/+=.-]{10}[0-9]))")
_PEM_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_PEM_BODY = re.compile(r"[A-Za-z0-9+/=\s:,-]*+")


def find(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of the keys and tokens in a text.

    Args:
        text: a text as `ascii_shape` returns it.
    """
    for literal, shape in _SHAPES:
        if literal in text:
            for found in shape.finditer(text):
                if len(set(found.group())) >= MIN_DISTINCT:
                    yield found.span()
    if "PRIVATE KEY" in text:
        yield from _private_keys(text)
    if _IN_LONG_VALUE.search(text):
        for found in _NAMED.finditer(text):
            if _is_random(found["value"]):
                yield found.span("value")


def _private_keys(text: str) -> Iterator[tuple[int, int]]:
    position = 0
    while (begin := _PEM_BEGIN.search(text, position)) is not None:
        end = _PEM_END.search(text, begin.end())
        if end is not None:
            position = end.end()
        else:
            # Cut off: all that may still be of the key is taken to be.
            body = _PEM_BODY.match(text, begin.end())
            position = body.end() if body is not None else begin.end()
        yield begin.start(), position


def _is_random(value: str) -> bool:
    """Whether a value looks drawn at random: letters and digits mixed, few repeated."""
    value = value.rstrip(".=")
    digits = sum(c.isdigit() for c in value)
    letters = sum(c.isalpha() for c in value)
    return digits >= 3 and letters >= 3 and len(set(value)) >= 12 and not value.startswith(".")
