"""A drawing as SVG."""

from __future__ import annotations

import re
from importlib.resources import files

from routec.cli.graph.boxes import PIPS, Box, Text, label_size, label_text
from routec.cli.graph.layout import Point
from routec.cli.graph.model import STAGES, Edge, Graph, Stage, Vertex
from routec.cli.graph.picture import HEAD, NOTE, PAD, Panel, Picture, picture
from routec.cli.graph.words import share_text
from routec.cli.text import visible

_MARGIN = 24.0
_ARROW = 8.0
_PIPS: tuple[Stage, ...] = ("scan", "light", "embed", "model")
# What XML cannot hold; `visible` has replaced most of it before.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FORMS = {True: "decision diagram", False: "list of rules"}


def svg(graph: Graph) -> str:
    """A whole SVG document that stands alone; hovering over a box tells more."""
    drawn = picture(graph)
    width, height = drawn.size.width + 2 * _MARGIN, drawn.size.height + 2 * _MARGIN + 34.0
    style = style_sheet()
    replayed = " replayed" if graph.replay is not None else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="routec{replayed}" role="img" '
        f'aria-label="{escape(_label(graph))}" viewBox="0 0 {_n(width)} {_n(height)}" '
        f'width="{_n(width)}" height="{_n(height)}">\n'
        f"<title>{escape(_label(graph))}</title>\n"
        f"<style>\n{style}</style>\n"
        f'<rect width="100%" height="100%" fill="var(--ground)"/>\n'
        f'<g transform="translate({_n(_MARGIN)} {_n(_MARGIN)})">\n'
        f"{body(graph, drawn, titles=True)}</g>\n"
        f'<g transform="translate({_n(_MARGIN)} {_n(height - _MARGIN - 4)})">{_key(graph)}</g>\n'
        "</svg>\n"
    )


def style_sheet() -> str:
    """The style of drawings."""
    return asset("drawing.css")


def asset(name: str) -> str:
    """A file that is kept beside this module."""
    return (files("routec.cli.graph") / "assets" / name).read_text("utf-8")


def body(graph: Graph, drawn: Picture, *, titles: bool) -> str:
    """The panels with all that is in them.

    Args:
        graph: what is drawn.
        drawn: where it stands.
        titles: whether boxes carry titles, which viewers of SVG show on hovering.
    """
    parts = [_between(a, b) for a, b in drawn.arrows]
    parts += [
        _panel(graph, panel, at + 1, titles=titles) for at, panel in enumerate(drawn.panels)
    ]
    return "".join(parts)


def escape(text: str) -> str:
    """A text for the content or a double-quoted attribute of an element."""
    shown = _FORBIDDEN.sub("�", visible(text))
    for plain, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        shown = shown.replace(plain, entity)
    return shown.replace("'", "&#39;")


def described(vertex: Vertex) -> str:
    """A vertex in words, for those who do not see it."""
    parts = [f"{_KIND_WORDS[vertex.kind]} {vertex.title}"]
    if vertex.text:
        parts.append(vertex.text)
    if vertex.stage is not None:
        parts.append(f"stage {vertex.stage}")
    if vertex.share is not None:
        parts.append(f"{share_text(vertex.share)} of requests")
    if vertex.dead:
        parts.append("never taken")
    if vertex.value:
        parts.append(vertex.value)
    if vertex.taken:
        parts.append("on the request's path")
    return ", ".join(parts)


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


def _label(graph: Graph) -> str:
    return f"decisions of policy {graph.name}" + (f": {graph.text}" if graph.text else "")


# --- panels -------------------------------------------------------------------------


def _panel(graph: Graph, panel: Panel, number: int, *, titles: bool) -> str:
    cluster = panel.cluster
    x, y = panel.corner.x, panel.corner.y
    middle = y + PAD + 8.0
    right = x + panel.size.width - PAD
    parts = [
        f'<g class="panel" data-question="{cluster.question}">\n'
        f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(panel.size.width)}" '
        f'height="{_n(panel.size.height)}" rx="14"/>\n'
        f'<g class="panel-number"><circle cx="{_n(x + PAD + 12)}" cy="{_n(middle)}" r="12"/>'
        f'<text x="{_n(x + PAD + 12)}" y="{_n(middle)}">{number}</text></g>'
        f'<text class="panel-title" x="{_n(x + PAD + 34)}" y="{_n(middle)}">'
        f"{escape(cluster.title)}</text>"
        f'<text class="panel-form" x="{_n(right)}" y="{_n(middle)}">'
        f"{_FORMS[cluster.planned]}</text>\n"
    ]
    for at, line in enumerate(panel.note):
        top = y + PAD + HEAD - 14.0 + at * NOTE
        parts.append(
            f'<text class="panel-note" x="{_n(x + PAD)}" y="{_n(top)}">{escape(line)}</text>\n'
        )
    if panel.apart is not None:
        parts.append(
            f'<text class="apart-title" x="{_n(panel.apart.x)}" y="{_n(panel.apart.y)}">'
            "No request comes to these</text>\n"
        )
    # What was taken is drawn last, above the rest.
    edges = sorted(range(len(cluster.edges)), key=lambda at: (cluster.edges[at].taken, at))
    parts.append('<g class="edges">\n')
    for at in edges:
        parts.append(_edge(cluster.edges[at], panel.lines[at], panel.labels[at]))
    parts.append('</g>\n<g class="vertices">\n')
    for vertex in cluster.vertices:
        box, centre = panel.boxes[vertex.id], panel.centres[vertex.id]
        parts.append(_vertex(graph, vertex, box, centre, titles=titles))
    parts.append("</g>\n</g>\n")
    return "".join(parts)


def _between(a: Point, b: Point) -> str:
    across = a.y == b.y
    tip = Point(b.x - 3.0, b.y) if across else Point(b.x, b.y - 3.0)
    back = Point(tip.x - _ARROW, tip.y) if across else Point(tip.x, tip.y - _ARROW)
    start = Point(a.x + 8.0, a.y) if across else Point(a.x, a.y + 8.0)
    return (
        f'<g class="between"><path d="M{_p(start)}L{_p(back)}"/>{_head(back, tip, across)}</g>\n'
    )


def _key(graph: Graph) -> str:
    """What colours, dots and lines mean, in one row."""
    used = {read.stage for c in graph.clusters for v in c.vertices for read in v.reads}
    parts: list[str] = []
    x = 0.0
    for stage in STAGES:
        if stage in used:
            parts.append(pips(stage, x, 0.0))
            parts.append(
                f'<text class="head stage s-{stage}" x="{_n(x + PIPS)}" y="0">{stage}</text>'
            )
            x += 60.0 + 7.0 * len(stage)
    words = "solid: true or yes · dashed: false or else"
    if graph.sample is not None:
        words += f" · shares: {graph.sample}"
    parts.append(f'<text class="head" x="{_n(x + 12)}" y="0">{escape(words)}</text>')
    return "".join(parts)


# --- edges --------------------------------------------------------------------------


def _edge(edge: Edge, line: tuple[Point, ...], label: Point | None) -> str:
    across = line[0].y == line[-1].y
    end = line[-1]
    back = Point(end.x - _ARROW, end.y) if across else Point(end.x, end.y - _ARROW)
    run = [*line[:-1], back]
    taken = " taken" if edge.taken else ""
    wide = 1.5 if edge.share is None else 1.0 + 5.0 * edge.share
    share = "" if edge.share is None else f' data-share="{edge.share:.4f}"'
    text = ""
    size = label_size(edge)
    if label is not None and size is not None:
        text = (
            f'<rect x="{_n(label.x - size.width / 2)}" y="{_n(label.y - size.height / 2)}" '
            f'width="{_n(size.width)}" height="{_n(size.height)}" rx="5"/>'
            f'<text x="{_n(label.x)}" y="{_n(label.y)}">{escape(label_text(edge))}</text>'
        )
    return (
        f'<g class="edge a-{edge.answer}{taken}" data-from="{edge.source}" '
        f'data-to="{edge.target}"{share}>'
        f'<path class="run" stroke-width="{_n(wide)}" d="{_run(run)}"/>{_head(back, end, across)}{text}</g>\n'
    )


def _run(points: list[Point]) -> str:
    parts = [f"M{_p(points[0])}"]
    for a, b in zip(points, points[1:], strict=False):
        if abs(a.x - b.x) < 0.05 or abs(a.y - b.y) < 0.05:
            parts.append(f"L{_p(b)}")
        else:
            middle = (a.y + b.y) / 2
            parts.append(f"C{_p(Point(a.x, middle))} {_p(Point(b.x, middle))} {_p(b)}")
    return "".join(parts)


def _head(back: Point, tip: Point, across: bool) -> str:
    half = _ARROW * 0.55
    if across:
        corners = f"{_n(back.x)} {_n(back.y - half)}L{_p(tip)}L{_n(back.x)} {_n(back.y + half)}"
    else:
        corners = f"{_n(back.x - half)} {_n(back.y)}L{_p(tip)}L{_n(back.x + half)} {_n(back.y)}"
    return f'<path class="arrow" d="M{corners}Z"/>'


# --- vertices -----------------------------------------------------------------------


def _vertex(graph: Graph, vertex: Vertex, box: Box, centre: Point, *, titles: bool) -> str:
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
    for text in box.texts:
        parts.append(_text(text, vertex, dotted=dotted))
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
    shape = (
        f'<rect class="shape" width="{_n(w)}" height="{_n(h)}" rx="{_n(min(radius, h / 2))}"/>'
    )
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
    x, classes, before = text.x, text.style, ""
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
        lines.append(f"{share_text(vertex.share)} of requests")
    if vertex.value:
        lines.append(vertex.value)
    for at in vertex.findings:
        lines.append(f"{graph.findings[at].code}: {graph.findings[at].message}")
    return "\n".join(escape(line) for line in lines)


def _n(number: float) -> str:
    """A coordinate with one decimal place, the same on every machine."""
    text = f"{number:.1f}"
    return text[:-2] if text.endswith(".0") else text


def _p(point: Point) -> str:
    return f"{_n(point.x)} {_n(point.y)}"
