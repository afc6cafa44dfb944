"""Texts to vectors."""

from routec.safety.embed.base import Embedder
from routec.safety.embed.minilm import EmbedCounts, MiniLM

__all__ = ["EmbedCounts", "Embedder", "MiniLM"]
