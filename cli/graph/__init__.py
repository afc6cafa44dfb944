"""Pictures of what a policy decides and how: its plan as SVG, HTML, DOT and Mermaid."""

from routec.cli.graph.build import build as build
from routec.cli.graph.dot import dot as dot
from routec.cli.graph.html import html as html
from routec.cli.graph.mermaid import mermaid as mermaid
from routec.cli.graph.model import Graph as Graph
from routec.cli.graph.svg import svg as svg
