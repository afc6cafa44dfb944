"""Graphs of policies given as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routec.cli.graph.build import build
from routec.cli.graph.findings import marked_findings, rule_places
from routec.cli.graph.flow import Flow, flows
from routec.cli.graph.known import Follower
from routec.cli.graph.model import Cluster, Graph, Vertex
from routec.cli.graph.shares import expected_shares
from routec.cli.programs import compile_file
from routec.cli.reading import runnable_policy
from routec.compiler.lower import lower
from routec.compiler.policy import Policy
from routec.compiler.program import Program
from routec.dsl.source import Source
from routec.safety.text import NORMALISER_VERSION

POLICY = """\
policy small "Two tiers"
request { tenant: string, tier: enum(free, pro) = free, seats: int = 1 }
signal urgent = keyword("asap", "right now")
signal pii    = entities(email, iban)
signal topic  = classifier("topic") { labels: [billing, code, other], on_error: other }
signal refund = similarity { examples: ["I want my money back"] }
model mini { provider: openai, input: $0.25, output: $2.00 }
model opus { provider: anthropic, input: $5.00, output: $25.00 }
category code { when topic == code, similarity: 0.93, scope: tenant }
guard shouting { when urgent and tier == free  reject 429 "later" }
guard letters  { when pii.any(email)  redact pii  tag "mail" }
route refunds priority 20 { when refund >= 0.8 or topic == billing to opus }
route large priority 10 { when seats > 100 to opus cache off }
default route general { to [mini 90%, opus 10%] }
"""

DEAD = """\
policy dead
request { tenant: string }
signal topic = classifier("topic") { labels: [code, other], on_error: other }
signal size = tokens()
model mini { provider: openai }
model opus { provider: anthropic }
route fast priority 30 { when topic == code to opus }
route slow priority 20 { when topic == code and size > 1k to mini }
default route general { to mini }
"""

HOSTILE = (
    "</script><script>window.pwned=1</script>",
    '"><img src=x onerror="window.pwned=1">',
    "<svg onload=window.pwned=1>",
    "'-window.pwned=1-'",
    "]]><!--",
    "``` %%{init: {}}%% ; end",
    "javascript:window.pwned=1",
    "\u202e\u2028 &lt;b&gt; \\\\N {{x}}",
)
"""Texts that would do harm in a page, a drawing or a diagram that did not escape them."""


def hostile_policy() -> str:
    """A policy with a hostile text wherever the language takes a text of the author's."""

    def quoted(text: str) -> str:
        plain = text.replace("\\", "\\\\").replace('"', '\\"')
        # Characters that nobody sees may only stand in a policy by their numbers.
        return '"' + "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in plain) + '"'

    a, b, c, d, e, f, g, h = map(quoted, HOSTILE)
    return f"""\
policy hostile {a}
request {{ tenant: string, plan: enum({b}, {c}, free) = free, roles: set(string) }}
signal word = keyword({a})
signal topic = classifier("topic") {{ labels: [{d}, {e}, other], on_error: other }}
model mini {{ provider: {f}, name: {g} }}
category kept {{ when topic == {d}, ttl: 10m }}
guard stop {{ when tenant == {a} or plan == {b}  reject 403 {a} }}
guard mark {{ when {c} in roles  tag {b} tag {g}  set "x-mark" = {e} }}
route one priority 9 {{ when topic == {e} and tenant != {h} to mini tag {c} }}
route two priority 5 {{ when plan == {c} or tenant == {f} or word to mini }}
default route rest {{ to mini }}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A compiled policy and what follows requests through it."""

    policy: Policy
    sources: Mapping[str, Source]
    program: Program
    flows: tuple[Flow, ...]
    follower: Follower

    def graph(self, *, check: bool = False, most: int = 260) -> Graph:
        findings = []
        if check:
            [name] = self.sources
            findings = marked_findings(name, self.sources[name].text.encode())
        return build(
            self.program,
            "sha256:0",
            rule_places(self.policy),
            findings,
            expected_shares(self.program, self.follower, self.flows),
            most=most,
        )

    def flow(self, question: str) -> Flow:
        return next(flow for flow in self.flows if flow.question == question)

    def outcome(
        self, question: str, attributes: Mapping[str, Any], signals: Mapping[str, Any]
    ) -> int:
        """Index of the rule that a request ends at in a question; -1 for none."""
        flow = self.flow(question)
        trail = self.follower.trail(flow, self.follower.values(attributes, signals))
        assert trail.ended
        return flow.outcomes.get(trail.ends[0], -1)


def case(path: Path, text: str, *, planned: bool = True) -> Case:
    """A policy as it is planned, or as lists of rules."""
    path.write_text(text)
    if planned:
        compiled = compile_file(str(path))
        policy, sources, program = compiled.policy, compiled.sources, compiled.program
    else:
        policy, sources = runnable_policy(str(path), "<stdin>")
        program = lower(policy, normaliser=NORMALISER_VERSION, embedder=None)
    return Case(policy, sources, program, flows(program), Follower(program))


def cluster(graph: Graph, question: str) -> Cluster:
    return next(each for each in graph.clusters if each.question == question)


def named(graph: Graph, question: str, kind: str, title: str) -> Vertex:
    [found] = [v for v in cluster(graph, question).vertices if (v.kind, v.title) == (kind, title)]
    return found
