"""A drawing for Graphviz."""

from __future__ import annotations

from collections.abc import Iterator

from routec.cli.graph.boxes import label_text, wrapped
from routec.cli.graph.model import Cluster, Edge, Graph, Stage, Vertex
from routec.cli.graph.words import share_text
from routec.cli.text import visible

_SHAPES = {
    "route": 'shape=box, style="rounded,filled", fillcolor="#e6f1fb", color="#2f7fc1"',
    "category": 'shape=cylinder, style=filled, fillcolor="#e7f6f0", color="#1d8a66"',
    "act": 'shape=note, style=filled, fillcolor="#fdf3dc", color="#b07d12"',
    "reject": 'shape=octagon, style=filled, fillcolor="#fdebe6", color="#c4431a"',
    "none": 'shape=box, style="rounded,dashed"',
    "more": "shape=box, style=dashed",
    "rule": "shape=box",
    "test": "shape=ellipse",
    "switch": "shape=diamond",
    "bisect": "shape=hexagon",
}
_COLOURS: dict[Stage, str] = {
    "field": "#6b7686",
    "scan": "#0a6fb0",
    "light": "#00805c",
    "embed": "#955900",
    "model": "#a8457f",
    "remote": "#5a4bb0",
}
COLUMNS, LINES = 44, 5
"""The most that a label shows of one text."""
_ERROR = "#c4341a"
_PATH = "#6d28d9"


def dot(graph: Graph) -> str:
    """A digraph with a cluster for each question."""
    lines = [
        f"digraph {_quoted(graph.name)} {{",
        '  graph [rankdir=TB, fontname="Helvetica", labeljust=l, compound=true];',
        '  node [fontname="Helvetica", fontsize=11, margin="0.14,0.08"];',
        '  edge [fontname="Helvetica", fontsize=10, color="#8b95a5"];',
    ]
    for cluster in graph.clusters:
        lines += _cluster(graph, cluster)
    for a, b in zip(graph.clusters, graph.clusters[1:], strict=False):
        ends = f"ltail={_quoted(_name(a))}, lhead={_quoted(_name(b))}"
        lines.append(
            f"  {_quoted(a.vertices[0].id)} -> {_quoted(b.vertices[0].id)} "
            f"[{ends}, style=bold, constraint=false];"
        )
    lines.append("}")
    return "\n".join(lines) + "\n"


def _cluster(graph: Graph, cluster: Cluster) -> Iterator[str]:
    yield f"  subgraph {_quoted(_name(cluster))} {{"
    yield f"    label={_quoted(cluster.title)}; color={_quoted('#b9c1cd')};"
    for vertex in cluster.vertices:
        yield f"    {_quoted(vertex.id)} [{_vertex(graph, vertex)}];"
    for edge in cluster.edges:
        yield f"    {_quoted(edge.source)} -> {_quoted(edge.target)} [{_edge(edge)}];"
    for row in cluster.rows:
        if len(row) > 1:
            yield f"    {{ rank=same; {'; '.join(_quoted(name) for name in row)}; }}"
    yield "  }"


def _vertex(graph: Graph, vertex: Vertex) -> str:
    lines = wrapped(vertex.title, COLUMNS, LINES)
    lines += wrapped(vertex.text, COLUMNS, LINES) if vertex.text else []
    facts = [vertex.stage or "", "" if vertex.share is None else share_text(vertex.share)]
    facts += [graph.findings[at].code for at in vertex.findings]
    facts += ["never taken"] if vertex.dead else []
    lines += [" · ".join(fact for fact in facts if fact)] if any(facts) else []
    lines += wrapped(vertex.value, COLUMNS, LINES) if vertex.value else []
    parts = [f"label={_quoted(*lines)}", _SHAPES[vertex.kind]]
    if vertex.stage is not None:
        parts.append(f"color={_quoted(_COLOURS[vertex.stage])}")
    if vertex.dead or any(graph.findings[at].severity == "error" for at in vertex.findings):
        parts.append(f"color={_quoted(_ERROR)}, penwidth=2")
    if vertex.taken:
        parts.append(f"color={_quoted(_PATH)}, penwidth=3")
    tooltip = wrapped(vertex.condition, 100, 40) if vertex.condition else []
    tooltip += [f"{place.rule} ({place.file}:{place.line})" for place in vertex.places]
    if tooltip:
        parts.append(f"tooltip={_quoted(*tooltip)}")
    return ", ".join(parts)


def _edge(edge: Edge) -> str:
    parts = [f"label={_quoted(label_text(edge))}"]
    if edge.answer == "no":
        parts.append("style=dashed")
    if edge.taken:
        parts.append(f"color={_quoted(_PATH)}, penwidth=2.5")
    if edge.share is not None:
        parts.append(f"tooltip={_quoted(share_text(edge.share))}")
    return ", ".join(parts)


def _name(cluster: Cluster) -> str:
    return f"cluster_{cluster.question}"


def _quoted(*lines: str) -> str:
    r"""Lines as a quoted string; Graphviz reads backslashes and HTML entities in labels."""
    shown = [
        visible(line).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
        for line in lines
    ]
    return '"' + "\\n".join(shown) + '"'
