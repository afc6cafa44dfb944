"""The four formats: what they look like, and that no text of a policy can break out of one."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from routec.cli.graph import Graph, dot, html, mermaid, svg
from routec.cli.graph.boxes import box_of, measure, wrapped
from routec.cli.graph.markup import escape
from routec.cli.graph.model import Cluster, Edge, Vertex
from routec.cli.text import width

from .support import DEAD, HOSTILE, POLICY, case, hostile_policy

Format = Callable[[Graph], str]
FORMATS: dict[str, Format] = {"svg": svg, "html": html, "dot": dot, "mermaid": mermaid}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def hostile(tmp_path: Path) -> Graph:
    return case(tmp_path / "<img src=x onerror=alert(1)>.route", hostile_policy()).graph()


@pytest.mark.parametrize("name", ["svg", "dot", "mermaid"])
@pytest.mark.parametrize("planned", [True, False], ids=["diagram", "list"])
def test_small_policies_look_like_this(
    name: str,
    planned: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    snapshot: SnapshotAssertion,
) -> None:
    monkeypatch.chdir(tmp_path)
    graph = case(Path("small.route"), POLICY, planned=planned).graph()
    drawn = FORMATS[name](graph)
    if name == "svg":
        drawn = re.sub(r"<style>.*?</style>", "<style/>", drawn, flags=re.S)
    assert drawn == snapshot


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_policy_is_drawn_the_same(name: str, tmp_path: Path) -> None:
    first = FORMATS[name](case(tmp_path / "p.route", POLICY).graph())
    assert FORMATS[name](case(tmp_path / "p.route", POLICY).graph()) == first


# --- svg -----------------------------------------------------------------------------


def texts(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def test_the_svg_is_well_formed_and_draws_every_vertex_and_edge_once(tmp_path: Path) -> None:
    for planned in (True, False):
        graph = case(tmp_path / "p.route", DEAD, planned=planned).graph(check=True)
        root = texts(svg(graph))
        ids = [
            e.get("id") for e in root.iter(f"{SVG}g") if "vertex" in (e.get("class") or "").split()
        ]
        assert ids == [v.id for c in graph.clusters for v in c.vertices]
        edges = [e for e in root.iter(f"{SVG}g") if "edge" in (e.get("class") or "").split()]
        assert len(edges) == sum(len(c.edges) for c in graph.clusters)
        every = [e.get("id") for e in root.iter() if e.get("id")]
        assert len(every) == len(set(every))


def test_a_finding_is_marked_on_its_rule_in_svg_and_told_on_hovering(tmp_path: Path) -> None:
    graph = case(tmp_path / "p.route", DEAD).graph(check=True)
    root = texts(svg(graph))
    [slow] = [e for e in root.iter(f"{SVG}g") if e.get("id") == "r-apart-1"]
    assert {"dead", "has-error"} <= set((slow.get("class") or "").split())
    title = slow.find(f"{SVG}title")
    assert title is not None
    assert "RC202: `slow` can never be chosen" in (title.text or "")
    [badge] = slow.iter(f"{SVG}a")
    assert "".join(badge.itertext()) == "RC202"


def test_hostile_texts_stay_texts_in_svg(hostile: Graph) -> None:
    root = texts(svg(hostile))
    allowed = {"svg", "title", "style", "g", "rect", "path", "circle", "text", "a"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= allowed
    for element in root.iter():
        assert not any(name.lower().startswith("on") for name in element.attrib)
        assert element.get("href", "#").startswith("#")
    titles = "\n".join("".join(t.itertext()) for t in root.iter(f"{SVG}title"))
    assert HOSTILE[0] in titles


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_any_text_is_one_text_of_xml(text: str) -> None:
    root = ElementTree.fromstring(f'<a b="{escape(text)}">{escape(text)}</a>')
    assert root.text == root.get("b") or (not text and root.text is None)
    assert len(root) == 0


# --- boxes ---------------------------------------------------------------------------


@given(st.text(max_size=300), st.integers(1, 60), st.integers(1, 6))
@settings(max_examples=300, deadline=None)
def test_wrapped_lines_fit_and_what_is_left_out_is_seen(text: str, columns: int, most: int) -> None:
    lines = wrapped(text, columns, most)
    assert 1 <= len(lines) <= most
    # A letter of double width needs two columns.
    assert all(width(line) <= max(columns, 2) for line in lines)
    if not lines[-1].endswith("…"):
        assert "".join("".join(lines).split()) == "".join(wrapped(text, 10_000, 1)[0].split())


@given(st.text(max_size=80), st.text(max_size=400))
@settings(max_examples=200, deadline=None)
def test_texts_stay_inside_their_box(title: str, text: str) -> None:
    for kind in ("rule", "test", "route"):
        box = box_of(Vertex("x", kind, title, text, stage="scan", share=0.5, value="a = b"))  # type: ignore[arg-type]
        for each in box.texts:
            left = each.x - (measure(each.text, each.style) if each.anchor == "end" else 0.0)
            assert left >= 0
            assert left + measure(each.text, each.style) <= box.size.width
            assert 0 < each.y < box.size.height


# --- html ----------------------------------------------------------------------------


class Page(HTMLParser):
    """The elements of a page, its scripts, and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: list[str] = []
        self.policy = ""
        self.style = ""
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        given = dict(attrs)
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""
        if tag == "script":
            self.scripts.append("")
        self._in = tag

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            self.scripts[-1] += data
        elif self._in == "style":
            self.style += data


def source(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def test_the_page_allows_its_own_script_and_style_and_nothing_else(hostile: Graph) -> None:
    page = Page(html(hostile))
    data, script = page.scripts
    rules = dict(rule.strip().split(" ", 1) for rule in page.policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "script-src": source(script),
        "style-src": source(page.style),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
    }
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)
    assert json.loads(data)["vertices"].keys() == {
        v.id for c in hostile.clusters for v in c.vertices
    }


def test_the_page_loads_nothing(hostile: Graph) -> None:
    text = html(hostile)
    page = Page(text)
    for name, value in page.attributes:
        assert name not in ("src", "srcset", "action", "style", "srcdoc")
        assert not name.startswith("on")
        if name == "href":
            assert (value or "").startswith(("#", "data:image/svg+xml,"))
    assert "url(" not in page.style
    assert "@import" not in page.style
    allowed_urls = {"http://www.w3.org/2000/svg"}
    assert set(re.findall(r"https?://[^\s\"'<>)]+", text)) <= allowed_urls


def test_hostile_texts_stay_texts_in_html(hostile: Graph) -> None:
    text = html(hostile)
    page = Page(text)
    assert page.tags.count("script") == 2
    assert "img" not in page.tags
    assert HOSTILE[0] not in text
    assert HOSTILE[1] not in text
    cards = json.loads(page.scripts[0])["vertices"]
    said = json.dumps(cards, ensure_ascii=False)
    assert json.dumps(HOSTILE[1])[1:-1] in said
    for letters in ("<", ">", "&", "\u2028"):
        assert letters not in page.scripts[0]


def test_hidden_directions_of_text_are_shown_as_such(hostile: Graph) -> None:
    for write in FORMATS.values():
        assert "\u202e" not in write(hostile)
        assert "\\u202e" not in write(hostile)


def test_the_page_lists_every_rule_finding_and_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "dead.route"
    graph = case(path, DEAD).graph(check=True)
    text = html(graph)
    for rule in graph.rules:
        assert f'<span class="title">{rule.name}</span>' in text
    at = next(i for i, f in enumerate(graph.findings) if f.code == "RC202")
    assert f'id="finding-{at}"' in text
    assert f'href="#finding-{at}"' in text
    assert (
        f"{path}:{DEAD.splitlines().index(next(x for x in DEAD.splitlines() if 'route slow' in x)) + 1}"
        in text
    )


# --- dot and mermaid -----------------------------------------------------------------


def with_text(text: str) -> Graph:
    vertices = (
        Vertex("r-a-0", "rule", text, text, text, stage="scan", value=text),
        Vertex("r-b-0", "route", text, text),
    )
    edge = Edge("r-a-0", "r-b-0", "yes", text)
    cluster = Cluster("route", text, False, vertices, (edge,), (("r-a-0", "r-b-0"),))
    return Graph(text, text, "", (cluster,), ())


@given(st.text(min_size=1) | st.sampled_from(HOSTILE))
@settings(max_examples=200, deadline=None)
def test_no_text_leaves_its_quotes_in_dot(text: str) -> None:
    # Without quoted strings what is left must be the same as for a harmless text.
    def bare(graph: Graph) -> str:
        return re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', dot(graph))

    assert bare(with_text(text)) == bare(with_text("harmless"))


@given(st.text(min_size=1) | st.sampled_from(HOSTILE))
@settings(max_examples=200, deadline=None)
def test_no_text_leaves_its_quotes_in_mermaid(text: str) -> None:
    def bare(graph: Graph) -> str:
        return re.sub(r'"[^"\n]*"', '""', mermaid(graph))

    drawn = mermaid(with_text(text))
    quoted = bare(with_text(text)).replace('|""|', "")
    assert quoted == bare(with_text("harmless")).replace('|""|', "")
    for forbidden in ("`", "%%", "<script", "<img", "&"):
        assert forbidden not in drawn
    assert set(re.findall(r"<[^>]*>", drawn)) <= {"<br/>"}
