"""What the cards of the page say of each vertex, as JSON inside a script element."""

from __future__ import annotations

import json
from typing import Any

from routec.cli.graph.model import Graph, Vertex
from routec.cli.graph.vertices import share_words
from routec.cli.text import visible


def card_data(graph: Graph) -> str:
    """The JSON text, free of anything that could end a script element."""
    vertices = {
        vertex.id: _card(graph, cluster.title, vertex)
        for cluster in graph.clusters
        for vertex in cluster.vertices
    }
    text = json.dumps({"vertices": vertices}, ensure_ascii=True, separators=(",", ":"))
    # Inside a script element only these could end it, or begin a comment.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _card(graph: Graph, cluster: str, vertex: Vertex) -> dict[str, Any]:
    card: dict[str, Any] = {
        "kind": _CARD_KINDS[vertex.kind],
        "in": cluster,
        "title": vertex.title,
        "text": vertex.text if vertex.text != vertex.condition else "",
        "condition": vertex.condition,
        "reads": [[read.name, read.stage] for read in vertex.reads],
        "places": [[place.rule, f"{place.file}:{place.line}"] for place in vertex.places],
        "more": vertex.unplaced,
        "share": share_words(vertex),
        "findings": [
            [at, graph.findings[at].code, graph.findings[at].message, graph.findings[at].severity]
            for at in vertex.findings
        ],
        "dead": vertex.dead
        and ("It never decides." if vertex.kind == "rule" else "No request comes here."),
        "value": vertex.value,
    }
    return {key: _visible(value) for key, value in card.items() if value not in (None, "", [], 0)}


_CARD_KINDS = {
    "test": "test",
    "switch": "switch on a value",
    "bisect": "division of a number",
    "rule": "rule",
    "act": "guard",
    "reject": "rejecting guard",
    "category": "category",
    "route": "route",
    "none": "end",
    "more": "not drawn",
}


def _visible(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [_visible(part) for part in value]
    return value
