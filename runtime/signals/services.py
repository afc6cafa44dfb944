"""What computing signals needs from outside, injected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from routec.runtime.signals.load import Load
from routec.safety.classify.base import Backend, Classifier
from routec.safety.embed.base import Embedder
from routec.safety.entities.entity import Entity
from routec.semcache.cache import SemanticCache

EntityFinder = Callable[[str, frozenset[str]], Sequence[Entity]]
"""Finds entities of the kinds given in a text as it came, in order of start."""

LanguageFinder = Callable[[str], tuple[str, float]]
"""BCP-47 code of a normalised text's language, and the confidence in it, 0 to 1."""

TokenCounter = Callable[[str], int]
"""Number of tokens of a normalised text."""

TokenBound = Callable[[int, bool], int]
"""Most tokens of a text of so many code points, given whether it is ASCII."""


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one engine; those its program does not need may be ``None``.

    Attributes:
        tokens: counts tokens.
        most_tokens: bounds what `tokens` counts; ``None`` where that is not known.
        entities: finds entities.
        language: identifies languages.
        embedder: texts to vectors.
        classifiers: bound classifiers by the name the policy gives them: of vectors, or backends.
        deadlines: seconds each backend has where the policy states no timeout.
        cache: the semantic cache.
        load: how busy embedder and classifiers are, for a category's ``relax_to``; whoever
            calls them tells it.
    """

    tokens: TokenCounter
    entities: EntityFinder | None = None
    language: LanguageFinder | None = None
    embedder: Embedder | None = None
    classifiers: Mapping[str, Classifier | Backend] = field(default_factory=dict)
    deadlines: Mapping[str, float] = field(default_factory=dict)
    cache: SemanticCache | None = None
    load: Load = field(default_factory=Load)
    most_tokens: TokenBound | None = None
