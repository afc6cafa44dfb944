"""Vertices as SVG."""

from __future__ import annotations

from routec.cli.graph.boxes import PIPS, Box, Text
from routec.cli.graph.layout import Point
from routec.cli.graph.markup import escape
from routec.cli.graph.markup import number_text as _n
from routec.cli.graph.model import Graph, Stage, Vertex
from routec.cli.graph.words import share_text

_PIPS: tuple[Stage, ...] = ("scan", "light", "embed", "model")


def vertex_svg(graph: Graph, vertex: Vertex, box: Box, centre: Point, *, titles: bool) -> str:
    """A vertex's box with all that stands in it, as one group.

    Args:
        graph: what is drawn.
        vertex: the vertex.
        box: what stands in it.
        centre: where it stands.
        titles: whether it carries a title, which viewers of SVG show on hovering.
    """
    left, top = centre.x - box.size.width / 2, centre.y - box.size.height / 2
    classes = ["vertex", f"k-{vertex.kind}"]
    classes += [f"s-{vertex.stage}"] if vertex.stage is not None else []
    worst = [graph.findings[at].severity for at in vertex.findings]
    classes += ["has-error"] if "error" in worst else []
    classes += ["dead"] if vertex.dead else []
    classes += ["taken"] if vertex.taken else []
    parts = [
        f'<g class="{" ".join(classes)}" id="{vertex.id}" '
        f'transform="translate({_n(left)} {_n(top)})" aria-label="{escape(described(vertex))}">'
    ]
    if titles:
        parts.append(f"<title>{_title(graph, vertex)}</title>")
    parts.append(_shape(vertex, box))
    dotted = vertex.stage is not None and not vertex.dead
    parts += [_text(text, vertex, dotted=dotted) for text in box.texts]
    if vertex.findings:
        parts.append(_badge(graph, vertex, box))
    parts.append("</g>\n")
    return "".join(parts)


def _shape(vertex: Vertex, box: Box) -> str:
    w, h = box.size.width, box.size.height
    if vertex.kind == "reject":
        c = 12.0
        return (
            f'<path class="shape" d="M{_n(c)} 0H{_n(w - c)}L{_n(w)} {_n(c)}V{_n(h - c)}'
            f'L{_n(w - c)} {_n(h)}H{_n(c)}L0 {_n(h - c)}V{_n(c)}Z"/>'
        )
    radius = {"route": 20.0, "none": 18.0, "more": 4.0, "category": 3.0}.get(vertex.kind, 9.0)
    shape = f'<rect class="shape" width="{_n(w)}" height="{_n(h)}" rx="{_n(min(radius, h / 2))}"/>'
    if vertex.kind == "category":
        shape += f'<path class="shape" d="M6 0V{_n(h)}M{_n(w - 6)} 0V{_n(h)}"/>'
    if vertex.stage is not None:
        shape += f'<rect class="stripe" x="0" y="10" width="4" height="{_n(h - 20)}" rx="2"/>'
    return shape


def _text(text: Text, vertex: Vertex, *, dotted: bool) -> str:
    y = _n(text.y)
    if text.style == "chip":
        if text.read is None:
            return f'<g class="chip"><text x="{_n(text.x)}" y="{y}">{escape(text.text)}</text></g>'
        return (
            f'<g class="chip s-{text.read.stage}"><rect x="{_n(text.x)}" y="{_n(text.y - 9)}" '
            f'width="{_n(text.width)}" height="18" rx="9"/>'
            f'<circle cx="{_n(text.x + 9)}" cy="{y}" r="3.5"/>'
            f'<text x="{_n(text.x + 16)}" y="{y}">{escape(text.text)}</text></g>'
        )
    x, before = text.x, ""
    classes: str = text.style
    if text.style == "head" and text.anchor == "start" and dotted:
        before, x, classes = pips(vertex.stage, x, text.y), x + PIPS, "head stage"
    anchor = ' text-anchor="end"' if text.anchor == "end" else ""
    return f'{before}<text class="{classes}" x="{_n(x)}" y="{y}"{anchor}>{escape(text.text)}</text>'


def pips(stage: Stage | None, x: float, y: float) -> str:
    """Four dots, more of them filled the dearer a stage is: the colour is not needed."""
    if stage is None:
        return ""
    filled = _PIPS.index(stage) + 1 if stage in _PIPS else 0 if stage == "field" else 4
    dots = "".join(
        f'<circle class="pip{" on" if at < filled else ""}" cx="{_n(x + 4 + at * 10)}" '
        f'cy="{_n(y)}" r="3.2"/>'
        for at in range(4)
    )
    return f'<g class="s-{stage}">{dots}</g>'


def _badge(graph: Graph, vertex: Vertex, box: Box) -> str:
    order = ("error", "warning", "note")
    first = min(vertex.findings, key=lambda at: (order.index(graph.findings[at].severity), at))
    finding = graph.findings[first]
    more = len(vertex.findings) - 1
    text = finding.code + (f" +{more}" if more else "")
    width = 7.2 * len(text) + 10.0
    x = box.size.width - width - 12.0
    return (
        f'<a class="badge {finding.severity}" href="#finding-{first}" tabindex="-1">'
        f'<rect x="{_n(x)}" y="-9" width="{_n(width)}" height="17" rx="4"/>'
        f'<text x="{_n(x + width / 2)}" y="0">{escape(text)}</text></a>'
    )


def _title(graph: Graph, vertex: Vertex) -> str:
    lines = [vertex.condition or vertex.title]
    if vertex.condition and vertex.text and vertex.text != vertex.condition:
        lines.append(f"{vertex.title}: {vertex.text}")
    lines += [f"{place.rule} ({place.file}:{place.line})" for place in vertex.places]
    if vertex.unplaced:
        lines.append(f"and {vertex.unplaced} more rules")
    if vertex.share is not None:
        lines.append(share_words(vertex))
    if vertex.value:
        lines.append(vertex.value)
    for at in vertex.findings:
        lines.append(f"{graph.findings[at].code}: {graph.findings[at].message}")
    return "\n".join(escape(line) for line in lines)


def described(vertex: Vertex) -> str:
    """A vertex in words, for those who do not see it."""
    parts = [f"{_KIND_WORDS[vertex.kind]} {vertex.title}"]
    if vertex.text:
        parts.append(vertex.text)
    if vertex.stage is not None:
        parts.append(f"stage {vertex.stage}")
    if vertex.share is not None:
        parts.append(share_words(vertex))
    if vertex.dead:
        parts.append("never decides" if vertex.kind == "rule" else "never taken")
    if vertex.value:
        parts.append(vertex.value)
    if vertex.taken:
        parts.append("on the request's path")
    return ", ".join(parts)


def share_words(vertex: Vertex) -> str:
    """Which share of requests comes to a vertex; empty where that is not known."""
    if vertex.share is None:
        return ""
    asks = vertex.kind in ("rule", "test", "switch", "bisect")
    return f"{'asked of ' if asks else ''}{share_text(vertex.share)} of requests"


_KIND_WORDS = {
    "test": "test",
    "switch": "switch on",
    "bisect": "division of",
    "rule": "rule",
    "act": "guard",
    "reject": "rejecting guard",
    "category": "category",
    "route": "route",
    "none": "end:",
    "more": "not drawn:",
}
