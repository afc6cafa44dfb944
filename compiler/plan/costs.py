"""What signals and lookups cost, in microseconds a request.

The defaults are rough means of one core over messages of some hundred characters; a profile
replaces them by what was measured. Only their proportions matter to a plan, and those between
the stages are so large that rough ones do.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from routec.compiler.plan.profile import Profile
from routec.compiler.program import Program, Signal

STAGES = ("scan", "light", "embed", "model")
"""Stages of signals that are computed, in the order in which they are asked."""

COSTLY = frozenset({"embed", "model"})
"""Stages whose signals take a model."""

SCAN = 50.0
"""One scan of a text for all keywords and regexes of its scope, decoded views included."""

STRUCTURE = 1.0
"""Turns, tools, images and clocks: fields of the request as it came."""

TOKENS = 20.0
"""Counting the tokens of a conversation."""

LANGUAGE = 100.0
"""Identifying the language of a message."""

ENTITIES = 300.0
"""Recognising entities of all kinds in a conversation, without a model."""

EMBEDDING = 4_000.0
"""Embedding one text on a CPU."""

NEAR = 20.0
"""Comparing an embedding with a signal's examples, or classifying it."""

EARLIER_TURNS = 0.5
"""Earlier user turns of a conversation, on average: `repeated` embeds those too."""

CLASSIFIER = 8_000.0
"""One call of a classifier that reads the text itself."""

EXACT = 10.0
"""Asking the cache for the very same request."""

LOOKUP = 300.0
"""Searching the cache for similar requests, without the embedding."""

_KINDS = {
    "keyword": 0.0,
    "regex": 0.0,
    "tokens": TOKENS,
    "language": LANGUAGE,
    "entities": ENTITIES,
    "similarity": NEAR,
    "contrast": NEAR,
}


@dataclass(frozen=True, slots=True)
class Costs:
    """What calls cost, microseconds each.

    Attributes:
        signals: one call for each signal of the program, without what it shares with others;
            0 for derived ones.
        embeds: whether each signal reads the embedding of the last user text, which all of
            them share.
        scan: one scan of a text, which all keywords and regexes of its scope share.
        embedding: embedding the last user text.
        exact: asking the cache's exact tier.
        lookup: searching the cache, without the embedding.
    """

    signals: tuple[float, ...]
    embeds: tuple[bool, ...]
    scan: float
    embedding: float
    exact: float
    lookup: float


def costs_of(
    program: Program, profile: Profile | None = None, on_vectors: Collection[str] = ()
) -> Costs:
    """The costs of a program's signals.

    Args:
        program: the program.
        profile: measured durations, which replace the defaults.
        on_vectors: names of the classifiers that are bound to something that reads embeddings.
    """
    seconds = (profile or Profile()).seconds
    embedding = _us(seconds.embedding, EMBEDDING)
    measured = seconds.signals
    return Costs(
        signals=tuple(
            _us(measured.get(s.name), _default(s, embedding, on_vectors))
            if s.stage != "derived" and s.kind not in ("keyword", "regex")
            else 0.0
            for s in program.signals
        ),
        embeds=tuple(_embeds(s, on_vectors) for s in program.signals),
        scan=_us(seconds.scan, SCAN),
        embedding=embedding,
        exact=EXACT,
        lookup=_us(seconds.lookup, LOOKUP),
    )


def _embeds(signal: Signal, on_vectors: Collection[str]) -> bool:
    if signal.kind == "classifier":
        return signal.backend in on_vectors
    return signal.stage == "embed"


def _default(signal: Signal, embedding: float, on_vectors: Collection[str]) -> float:
    if signal.kind == "repeated":
        return EARLIER_TURNS * embedding
    if signal.kind == "classifier":
        return NEAR if signal.backend in on_vectors else CLASSIFIER
    return _KINDS.get(signal.kind, STRUCTURE)


def _us(seconds: float | None, default: float) -> float:
    return default if seconds is None else seconds * 1e6
