"""Policies whose pages are looked at."""

from __future__ import annotations

import itertools
from pathlib import Path

from tests.cli.graph.support import DEAD as DEAD
from tests.cli.graph.support import HOSTILE as EVERY

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = EVERY[:4]
HELPDESK = (ROOT / "examples" / "policies" / "helpdesk.route").read_text()


def hostile() -> str:
    """A policy that tries to run a script wherever it may say something."""
    a, b, c, d = ('"' + text.replace('"', '\\"') + '"' for text in HOSTILE)
    return f"""\
policy hostile {a}
request {{ tenant: string, plan: enum({b}, {c}, free) = free, roles: set(string) }}
signal topic = classifier("topic") {{ labels: [{d}, {a}, other], on_error: other }}
model mini {{ provider: {b} }}
guard stop {{ when tenant == {a} or plan == {b}  reject 403 {a} }}
guard mark {{ when {c} in roles  tag {b} }}
route one priority 9 {{ when topic == {d} to mini }}
route two priority 5 {{ when plan == {c} or tenant == {d} to mini tag {a} }}
default route rest {{ to mini }}
"""


def many(routes: int) -> str:
    """A policy with so many routes that a diagram of them is too large."""
    fields = ", ".join(f"f{n}: bool = false" for n in range(40))
    flags = itertools.islice(itertools.combinations(range(40), 3), routes - 1)
    rules = "".join(
        f"route r{n} priority {routes - n} {{ when f{a} and f{b} and f{c} to {'ab'[n % 2]} }}\n"
        for n, (a, b, c) in enumerate(flags)
    )
    return (
        f"policy many\nrequest {{ {fields} }}\n"
        f"model a {{ provider: x }}\nmodel b {{ provider: y }}\n{rules}default route rest {{ to a }}\n"
    )
