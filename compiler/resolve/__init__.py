"""From syntax trees to a resolved policy, with every finding of the first class."""

from __future__ import annotations

from routec.compiler.resolve.resolver import Resolution, resolve

__all__ = ["Resolution", "resolve"]
