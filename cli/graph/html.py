"""A drawing as one page that needs nothing else: no network, no other file.

Whatever a policy says stands in the page as escaped text or as JSON that is read as text; the
page's own script and style are the only ones that its Content-Security-Policy lets run.
"""

from __future__ import annotations

import base64
import hashlib

from routec.cli.graph.cards import card_data
from routec.cli.graph.markup import escape
from routec.cli.graph.model import STAGES, Finding, Graph, Replay, Rule, Stage
from routec.cli.graph.picture import picture
from routec.cli.graph.svg import asset, body, style_sheet
from routec.cli.graph.vertices import pips
from routec.cli.graph.words import share_text

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath "
    "d='M3 3h10v3H9v3h4v4H9v-3H7v3H3V9h4V6H3z' fill='%237c3aed'/%3E%3C/svg%3E"
)
_COSTS: dict[Stage, str] = {
    "field": "a field of the request: free",
    "scan": "one pass over the text for all of them",
    "light": "a small recogniser",
    "embed": "an embedding of the text",
    "model": "a call of a classifier",
    "remote": "a call of a service",
}
_SHAPES = (
    ("test", "a test: solid line where it holds, dashed where it does not"),
    ("rule", "a rule of a list, asked if none above has decided"),
    ("route", "a route and its targets"),
    ("category", "terms of the cache"),
    ("act", "a guard that acts and lets the request go on"),
    ("reject", "a guard that rejects"),
    ("none", "nothing holds"),
)


def html(graph: Graph) -> str:
    """The whole page."""
    drawn = picture(graph)
    style = style_sheet() + asset("page.css")
    script = asset("page.js")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )
    replayed = " replayed" if graph.replay is not None else ""
    width, height = f"{drawn.size.width:.1f}", f"{drawn.size.height:.1f}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(graph.name)} · routec graph</title>\n"
        f'<link rel="icon" href="{_ICON}">\n'
        f"<style>{style}</style>\n</head>\n"
        f'<body class="routec{replayed}">\n'
        f"{_bar(graph)}"
        '<main>\n<section id="stage" aria-label="drawing">\n'
        f'<svg id="drawing" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'data-width="{width}" data-height="{height}" role="group" tabindex="0" '
        f'aria-label="{escape(_summary(graph))}">\n'
        f'<g id="view">\n{body(graph, drawn, titles=False)}</g></svg>\n'
        '<div id="card" role="status" hidden></div>\n'
        f"{_zoom()}</section>\n{_side(graph)}</main>\n"
        f'<script type="application/json" id="data">{card_data(graph)}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _digest(text: str) -> str:
    """The source expression that allows exactly this inline text."""
    value = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"sha256-{value}"


# --- the bar ------------------------------------------------------------------------


def _bar(graph: Graph) -> str:
    text = f'<span class="about">{escape(graph.text)}</span>' if graph.text else ""
    return (
        '<header>\n<h1><span class="brand">routec</span> '
        f"{escape(graph.name)}</h1>{text}\n"
        '<form id="search" role="search"><label for="query">Find a rule or signal</label>'
        '<input id="query" type="search" placeholder="Find a rule or signal  ( / )" '
        'autocomplete="off" spellcheck="false"><output id="found" for="query"></output></form>\n'
        '<button id="toggle" type="button" aria-expanded="true" aria-controls="side">'
        "Panel</button>\n</header>\n"
    )


def _zoom() -> str:
    buttons = (
        ("out", "Zoom out (−)", "−"),
        ("in", "Zoom in (+)", "+"),
        ("fit", "Fit everything (0)", "Fit"),
    )
    shown = "".join(
        f'<button type="button" id="zoom-{name}" title="{title}" aria-label="{title}">'
        f"{sign}</button>"
        for name, title, sign in buttons
    )
    return (
        f'<div id="zoom" role="toolbar" aria-label="zoom">{shown}<output id="scale"></output></div>'
    )


def _summary(graph: Graph) -> str:
    counts = [f"{cluster.title}: {len(cluster.vertices)} vertices" for cluster in graph.clusters]
    return f"Decisions of policy {graph.name}. " + ", ".join(counts)


# --- the side -----------------------------------------------------------------------


def _side(graph: Graph) -> str:
    parts = ['<aside id="side" aria-label="about this drawing">\n']
    if graph.replay is not None:
        parts.append(_section("request", "Request", _replay(graph.replay)))
    if graph.findings:
        found = "".join(_finding(at, finding) for at, finding in enumerate(graph.findings))
        title = f"Findings <small>{len(graph.findings)}</small>"
        parts.append(_section("findings", title, f"<ol>{found}</ol>"))
    parts.append(_section("rules", f"Rules <small>{len(graph.rules)}</small>", _rules(graph)))
    parts.append(_section("legend", "Legend", _legend(graph)))
    shares = (
        f"Shares: {escape(graph.sample)}." if graph.sample is not None else "No shares are known."
    )
    parts.append(f'<footer>{shares}<br><span class="hash">{escape(graph.hash)}</span></footer>\n')
    parts.append("</aside>\n")
    return "".join(parts)


def _section(name: str, title: str, content: str) -> str:
    return (
        f'<details id="{name}" open><summary>{title}</summary>\n'
        f'<div class="inside">{content}</div></details>\n'
    )


def _replay(replay: Replay) -> str:
    facts = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in replay.facts)
    values = "".join(
        f'<tr><th scope="row">{escape(value.name)}</th><td>{escape(value.value)}</td>'
        f"<td>{escape(value.source)}</td></tr>"
        for value in replay.values
    )
    parts = [
        f"<blockquote>{escape(replay.text) or 'no text'}</blockquote>"
        f'<p class="outcome">{escape(replay.outcome)}</p><dl>{facts}</dl>'
    ]
    if values:
        parts.append(
            "<table><caption>What was read</caption><thead><tr><th>name</th><th>value</th>"
            f"<th>from</th></tr></thead><tbody>{values}</tbody></table>"
        )
    if replay.skipped:
        parts.append(f'<p class="soft">Never computed: {escape(", ".join(replay.skipped))}</p>')
    if replay.unfinished:
        parts.append(
            '<p class="soft">Not followed to the end, for want of a value: '
            f"{', '.join(replay.unfinished)}</p>"
        )
    return "".join(parts)


def _finding(at: int, finding: Finding) -> str:
    target = f' data-vertex="{finding.vertices[0]}"' if finding.vertices else ""
    sure = "" if finding.verdict == "proved" else f" ({finding.verdict})"
    advice = f'<p class="soft">{escape(finding.help)}</p>' if finding.help else ""
    show = f'<button type="button" class="show"{target}>show</button>' if target else ""
    return (
        f'<li id="finding-{at}" class="finding {finding.severity}" tabindex="-1">'
        f'<span class="code">{escape(finding.code)}</span> {escape(finding.name)}{sure}{show}'
        f"<p>{escape(finding.message)}</p>{advice}"
        f'<p class="place">{escape(finding.file)}:{finding.line}</p></li>'
    )


def _rules(graph: Graph) -> str:
    parts = []
    for kind, title in (("guard", "Guards"), ("category", "Categories"), ("route", "Routes")):
        rules = [rule for rule in graph.rules if rule.kind == kind]
        if rules:
            rows = "".join(_rule(graph, rule) for rule in rules)
            parts.append(f"<section><h3>{title}</h3><ol>{rows}</ol></section>")
    return "".join(parts)


def _rule(graph: Graph, rule: Rule) -> str:
    worst = {graph.findings[at].severity for at in rule.findings}
    level = " error" if "error" in worst else " warning" if "warning" in worst else ""
    share = ""
    if rule.share is not None:
        share = (
            f'<span class="share">{share_text(rule.share)}</span>'
            f'<svg class="bar" width="64" height="6" aria-hidden="true">'
            f'<rect class="rest" width="64" height="6" rx="3"/>'
            f'<rect class="part" width="{rule.share * 64:.1f}" height="6" rx="3"/></svg>'
        )
    where = f' data-vertex="{rule.vertex}"' if rule.vertex else ' aria-disabled="true"'
    lost = "" if rule.vertex else ' <span class="lost">not drawn</span>'
    words = f"{rule.kind} {rule.name} {rule.condition}".lower()
    return (
        f'<li><button type="button" class="rule r-{rule.kind}{level}"{where} '
        f'data-words="{escape(words)}"><span class="title">{escape(rule.name)}</span>{lost}'
        f'{share}<span class="does">{escape(rule.does)}</span></button></li>'
    )


def _legend(graph: Graph) -> str:
    used = {read.stage for c in graph.clusters for v in c.vertices for read in v.reads}
    kinds = {vertex.kind for c in graph.clusters for vertex in c.vertices}
    kinds |= {"test"} if kinds & {"switch", "bisect"} else set()
    stages = "".join(
        f'<li><svg width="42" height="12" aria-hidden="true">{pips(stage, 0.0, 6.0)}</svg>'
        f'<span><b class="t-{stage}">{stage}</b> {_COSTS[stage]}</span></li>'
        for stage in STAGES
        if stage in used
    )
    shapes = "".join(
        f'<li><svg width="42" height="22" class="k-{kind}" aria-hidden="true">{_sample(kind)}</svg>'
        f"<span>{words}</span></li>"
        for kind, words in _SHAPES
        if kind in kinds
    )
    keys = (
        "<p><kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd> zoom and fit · drag to move · arrows go from "
        "box to box · <kbd>Enter</kbd> keeps a card open · "
        "<kbd>/</kbd> find · <kbd>Esc</kbd> back</p>"
    )
    return (
        f"<h3>What a condition may cost</h3><ul>{stages}</ul><h3>Boxes</h3><ul>{shapes}</ul>{keys}"
    )


def _sample(kind: str) -> str:
    if kind == "reject":
        return '<path class="shape" d="M7 2H33L39 8V14L33 20H7L1 14V8Z"/>'
    radius = {"route": 9, "none": 9, "category": 2}.get(kind, 4)
    shape = f'<rect class="shape" x="1" y="2" width="38" height="18" rx="{radius}"/>'
    if kind == "category":
        shape += '<path class="shape" d="M5 2V20M35 2V20"/>'
    return shape
