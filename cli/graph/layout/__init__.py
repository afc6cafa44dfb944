"""Where things stand in a drawing: boxes and links between them, as plain geometry."""

from routec.cli.graph.layout.geometry import Layout as Layout
from routec.cli.graph.layout.geometry import Link as Link
from routec.cli.graph.layout.geometry import Point as Point
from routec.cli.graph.layout.geometry import Size as Size
from routec.cli.graph.layout.ladder import Rung as Rung
from routec.cli.graph.layout.ladder import ladder as ladder
from routec.cli.graph.layout.layered import layered as layered
