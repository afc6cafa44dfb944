"""A drawing as SVG."""

from __future__ import annotations

import itertools
from importlib.resources import files

from routec.cli.graph.boxes import PIPS, label_size, label_text
from routec.cli.graph.layout import Point
from routec.cli.graph.markup import escape
from routec.cli.graph.markup import number_text as _n
from routec.cli.graph.markup import point_text as _p
from routec.cli.graph.model import STAGES, Edge, Graph
from routec.cli.graph.picture import HEAD, NOTE, PAD, Panel, Picture, picture
from routec.cli.graph.vertices import pips, vertex_svg

_MARGIN = 24.0
_ARROW = 8.0
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
    parts += [_panel(graph, panel, at + 1, titles=titles) for at, panel in enumerate(drawn.panels)]
    return "".join(parts)


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
    parts += [_edge(cluster.edges[at], panel.lines[at], panel.labels[at]) for at in edges]
    parts.append('</g>\n<g class="vertices">\n')
    for vertex in cluster.vertices:
        box, centre = panel.boxes[vertex.id], panel.centres[vertex.id]
        parts.append(vertex_svg(graph, vertex, box, centre, titles=titles))
    parts.append("</g>\n</g>\n")
    return "".join(parts)


def _between(a: Point, b: Point) -> str:
    across = a.y == b.y
    tip = Point(b.x - 3.0, b.y) if across else Point(b.x, b.y - 3.0)
    back = Point(tip.x - _ARROW, tip.y) if across else Point(tip.x, tip.y - _ARROW)
    start = Point(a.x + 8.0, a.y) if across else Point(a.x, a.y + 8.0)
    return f'<g class="between"><path d="M{_p(start)}L{_p(back)}"/>{_head(back, tip, across)}</g>\n'


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
    wide = 1.5 if edge.share is None else 1.0 + 3.5 * edge.share
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
        f'<path class="run" stroke-width="{_n(wide)}" d="{_run(run)}"/>'
        f"{_head(back, end, across)}{text}</g>\n"
    )


def _run(points: list[Point]) -> str:
    parts = [f"M{_p(points[0])}"]
    for a, b in itertools.pairwise(points):
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
