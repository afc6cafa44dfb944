"""A drawing for Mermaid, as Markdown of many sites shows it."""

from __future__ import annotations

from collections.abc import Iterator

from routec.cli.graph.boxes import label_text, wrapped
from routec.cli.graph.dot import COLUMNS, LINES
from routec.cli.graph.model import Cluster, Edge, Graph, Vertex
from routec.cli.graph.words import share_text
from routec.cli.text import visible

_SHAPES = {
    "route": ("([", "])"),
    "category": ("[(", ")]"),
    "act": ("[/", "/]"),
    "reject": ("{{", "}}"),
    "none": ("([", "])"),
    "more": ("[", "]"),
    "rule": ("[", "]"),
    "test": ("(", ")"),
    "switch": ("{", "}"),
    "bisect": ("{", "}"),
}
# Letters that are plain text in a quoted label; any other is written as its number, so that no
# text can end the label, begin a comment or directive, be read as HTML, or close a code fence.
_PLAIN = frozenset(" _-.,:=()+*/'→≤≥≠·…")
_STYLES = (
    "  classDef scan stroke:#0a6fb0,stroke-width:2px",
    "  classDef light stroke:#00805c,stroke-width:2px",
    "  classDef embed stroke:#955900,stroke-width:2px",
    "  classDef model stroke:#a8457f,stroke-width:2px",
    "  classDef remote stroke:#5a4bb0,stroke-width:2px",
    "  classDef field stroke:#6b7686,stroke-width:2px",
    "  classDef dead stroke:#c4341a,stroke-width:2px,stroke-dasharray:6 4",
    "  classDef taken stroke:#6d28d9,stroke-width:4px",
)


def mermaid(graph: Graph) -> str:
    """A flowchart with a subgraph for each question."""
    lines = ["flowchart TB"]
    for cluster in graph.clusters:
        lines += _cluster(graph, cluster)
    for a, b in zip(graph.clusters, graph.clusters[1:], strict=False):
        lines.append(f"  {a.question}_ ==> {b.question}_")
    classes: dict[str, list[str]] = {}
    for cluster in graph.clusters:
        for vertex in cluster.vertices:
            for name in _classes(graph, vertex):
                classes.setdefault(name, []).append(_name(vertex.id))
    lines += [style for style in _STYLES if style.split()[1] in classes]
    lines += [f"  class {','.join(ids)} {name}" for name, ids in sorted(classes.items())]
    return "\n".join(lines) + "\n"


def _cluster(graph: Graph, cluster: Cluster) -> Iterator[str]:
    yield f'  subgraph {cluster.question}_["{_text(cluster.title)}"]'
    for vertex in cluster.vertices:
        before, after = _SHAPES[vertex.kind]
        yield f'    {_name(vertex.id)}{before}"{_label(graph, vertex)}"{after}'
    for edge in cluster.edges:
        yield f"    {_edge(edge)}"
    yield "  end"


def _label(graph: Graph, vertex: Vertex) -> str:
    texts = (vertex.title, vertex.text, vertex.value or "")
    lines = [line for text in texts for line in wrapped(text, COLUMNS, LINES)]
    facts = [vertex.stage or "", "" if vertex.share is None else share_text(vertex.share)]
    facts += [graph.findings[at].code for at in vertex.findings]
    facts += ["never taken"] if vertex.dead else []
    lines.append(" · ".join(fact for fact in facts if fact))
    return "<br/>".join(_text(line) for line in lines if line)


def _edge(edge: Edge) -> str:
    arrow = "==>" if edge.taken else "-.->" if edge.answer == "no" else "-->"
    label = f'|"{_text(label_text(edge))}"|' if edge.label else ""
    return f"{_name(edge.source)} {arrow}{label} {_name(edge.target)}"


def _classes(graph: Graph, vertex: Vertex) -> Iterator[str]:
    if vertex.stage is not None:
        yield vertex.stage
    if vertex.dead or any(graph.findings[at].severity == "error" for at in vertex.findings):
        yield "dead"
    if vertex.taken:
        yield "taken"


def _name(id: str) -> str:
    return id.replace("-", "_")


def _text(text: str) -> str:
    return "".join(c if c.isalnum() or c in _PLAIN else f"#{ord(c)};" for c in visible(text))
