"""Running the command inside the test's process, and policies to run it on."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CLEAN = """\
policy clean
request { tenant: string, tier: enum(free, pro) = free }
signal urgent = keyword("asap", "right now")
signal size   = tokens()
signal pii    = entities(email, iban)
signal topic  = classifier("topic") { labels: [billing, code, other], on_error: other }
signal refund = similarity { examples: ["I want my money back"] }
signal need   = score { 0.5 * refund + 0.3 * urgent }
signal band   = bands(need) { low: < 0.3, high }
model mini { provider: openai, input: $0.25, output: $2.00 }
model opus { provider: anthropic, input: $5.00, output: $25.00 }
category code { when topic == code, similarity: 0.93, scope: tenant }
guard shouting { when urgent and tier == free  reject 429 "later" }
guard letters  { when pii.any(email)  redact pii  tag "mail" }
route refunds priority 20 { when refund >= 0.8 to opus }
route hard priority 10 { when band == high or size > 1k to opus cache off }
default route general { to mini }
"""

LIGHT = """\
policy light
request { tenant: string, region: enum(eu, us) = eu }
signal urgent = keyword("asap", "right now")
signal pii    = entities(email, iban)
model mini  { provider: openai }
model local { provider: vllm }
guard shouting { when urgent  reject 429 "later" }
category short { when region == eu, ttl: 10m, scope: tenant }
route private priority 10 { when pii.any(iban) to local cache off }
default route general { to mini }
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Result]
"""Runs ``routec`` with arguments; ``stdin`` is the bytes it reads."""


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start ``routec`` as a process of its own; reading line by line takes no more than the line."""
    # A shell's background jobs ignore Ctrl-C, and so would what they start.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from routec.cli.main import main; sys.exit(main())"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        # What a reader with a buffer has read ahead, `communicate` would not see.
        bufsize=0,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )
