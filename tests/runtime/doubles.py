"""Policies from text, and services that compute simply and count what is asked of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routec.compiler import check_bytes
from routec.compiler.lower import lower
from routec.compiler.program import Program
from routec.runtime.engine import Engine, terms_of
from routec.runtime.events import Message, Request
from routec.runtime.signals import Services
from routec.safety.entities import find_in_original
from routec.safety.text import NORMALISER_VERSION
from routec.semcache.cache import SemanticCache

DIMENSION = 64


def program(text: str) -> Program:
    """The program of a policy; `policy made` need not be written."""
    if not text.lstrip().startswith("policy"):
        text = "policy made\n" + text
    checked = check_bytes("test.route", text.encode())
    assert checked.policy is not None, [finding.message for finding in checked.findings]
    return lower(checked.policy, normaliser=NORMALISER_VERSION)


class Embedder:
    """A test double: the vector of a text is the sum of random vectors of its words."""

    dimension = DIMENSION
    digest = "sha256:words"

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.fails = False

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls.append(list(texts))
        if self.fails:
            raise RuntimeError("out of memory")
        return np.stack([self._row(text) for text in texts])

    def _row(self, text: str) -> NDArray[np.float32]:
        row = np.zeros(DIMENSION)
        for word in re.findall(r"\w+", text.lower()):
            seed = int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big")
            row += np.random.default_rng(seed).standard_normal(DIMENSION)
        length = float(np.linalg.norm(row))
        return (row / length if length else row).astype(np.float32)


class Backend:
    """A test double: the first label whose word is in the text gets 0.9, else the last label."""

    revision = "sha256:none"
    exclusive = True

    def __init__(self, *labels: str, name: str = "double") -> None:
        self.name = name
        self.labels = labels
        self.calls: list[list[str]] = []
        self.error: BaseException | None = None
        self.answer: Any = None

    async def classify(self, texts: Sequence[str], within: float) -> Any:
        self.calls.append(list(texts))
        if self.error is not None:
            raise self.error
        if self.answer is not None:
            return self.answer
        return np.array([self._scores(text) for text in texts])

    async def close(self) -> None:
        """Nothing is held."""

    def _scores(self, text: str) -> list[float]:
        words = text.lower()
        label = next((label for label in self.labels if label in words), self.labels[-1])
        rest = 0.1 / (len(self.labels) - 1)
        return [0.9 if name == label else rest for name in self.labels]


def words(text: str) -> int:
    """A simple token counter."""
    return len(text.split())


def _most_words(characters: int, ascii: bool) -> int:
    return (characters + 1) // 2


def services(**changed: Any) -> Services:
    """Services with a real recogniser, and doubles where given."""
    base = Services(
        tokens=words, most_tokens=_most_words, entities=find_in_original, language=_language
    )
    return replace(base, **changed)


def _language(text: str) -> tuple[str, float]:
    return ("de", 0.9) if " der " in f" {text} " else ("en", 0.8)


def cache_of(made: Program, embedder: Embedder | None = None, now: float = 0.0) -> SemanticCache:
    """A real cache on the terms of a program, its clock standing still."""
    return SemanticCache(
        [terms_of(category) for category in made.categories],
        capacity=100,
        dimension=1 if embedder is None else embedder.dimension,
        clock=lambda: now,
        background=False,
    )


def engine(text: str, **changed: Any) -> Engine:
    """The engine of a policy."""
    return Engine(program(text), services(**changed))


def ask(
    text: str = "", id: str = "r-1", messages: Sequence[tuple[str, str]] = (), **given: Any
) -> Request:
    """A request of one user message, or of the messages given."""
    attributes: Mapping[str, Any] = given.pop("attributes", {})
    said = tuple(Message(role, content) for role, content in (messages or [("user", text)]))
    body = given.pop("body", None)
    if body is None:
        body = {"messages": [{"role": m.role, "content": m.text} for m in said]}
    return Request(id, attributes, said, body=body, **given)
