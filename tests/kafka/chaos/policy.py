"""The policies that workers under fire decide by, what they make of a request, and the classifier
that two of them have, which can be ill."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from routec.compiler import check_bytes
from routec.compiler.lower import lower
from routec.compiler.plan import optimise
from routec.compiler.program import Program, digest
from routec.runtime.engine import open as opening
from routec.safety.classify.errors import ClassifierError
from routec.safety.text import NORMALISER_VERSION
from tests.kafka.chaos.board import CLASSIFIER_MOODS, Board

Kind = Literal["classifier", "plain", "mixed"]
"""Of a policy.

- ``classifier``: every request needs the classifier.
- ``plain``: none does: attributes, turns, words, patterns, a score and the exact cache decide, so
  the compiled path.
- ``mixed``: some need it, unless the cache answers them; the compiled path decides the others.
"""
KINDS: tuple[Kind, ...] = get_args(Kind)
CACHED: frozenset[Kind] = frozenset({"plain", "mixed"})
"""Those with answers in the cache."""

CATEGORY = "answers"
SCOPES = ("tenant", "tenant", "region")
"""The field that keeps answers apart, by version modulo their number: a swap to another drops what
is cached, one between the same hands it over."""

CANARY, SHADOW = 1000, 1001
"""Versions that are tried beside the others; a shadow has another bound for long requests."""

ANGRY, RUDE, INVOICE = "angry", "wrath", "INV-4711"
LONG = 60
"""Words from which on a request is long to every version but a shadow, and `SHORT` up to which it
is not."""
SHORT = 20

_HEAD = """
policy under_fire
request { tenant: string, region: string, tier: enum(free, pro) = free }
model small { latency: 1s, tags: [VERSION] }
model large { latency: 2s }
signal size = tokens()
"""
_FEELING = """
signal feeling = classifier("feeling") { labels: [calm, angry], on_error: calm, timeout: 250ms }
"""
_TEXTS: dict[Kind, str] = {
    "classifier": _HEAD
    + _FEELING
    + """
route complaints priority 20 { when feeling == angry to large }
route essays     priority 10 { when size > BOUND to large }
default route usual { to small }
""",
    "plain": _HEAD
    + """
signal rude    = keyword("wrath", "fury")
signal invoice = regex(/\\bINV-[0-9]{4}\\b/)
signal length  = turns()
signal need    = score { 0.5 * rude + 0.3 * invoice + 0.2 * (length > 2) }
category answers { when tier == free, ttl: 6h, scope: SCOPE }
guard shut { when rude and invoice reject 403 "shut" }
route complaints priority 30 { when need >= 0.5 to large cache off }
route essays     priority 20 { when size > BOUND to large }
route bills      priority 10 { when invoice to small }
default route usual { to small }
""",
    "mixed": _HEAD
    + _FEELING
    + """
signal rude = keyword("wrath", "fury")
category answers { when tier == free and size <= BOUND, ttl: 6h, scope: SCOPE }
route vip        priority 40 { when tier == pro to large }
route essays     priority 30 { when size > BOUND to large }
route furious    priority 20 { when rude to large }
route complaints priority 10 { when feeling == angry to large }
default route usual { to small }
""",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What a policy looks at in a request.

    Attributes:
        pro: whether it is of the tier ``pro``.
        long: whether it is long.
        angry, rude, invoice: what its last text holds.
        turns: messages of its user.
    """

    pro: bool
    long: bool
    angry: bool
    rude: bool
    invoice: bool
    turns: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to become of a request.

    Attributes:
        route: its route; ``None`` where it is rejected.
        calm: its route where the classifier fails.
        reject: reason of its rejection.
        cached: whether it has a place in the cache.
    """

    route: str | None
    calm: str | None
    reject: str | None = None
    cached: bool = False


def wanted(kind: Kind, said: Said) -> Wanted:
    """What a kind of policy makes of a request, worked out without any of the code under test."""
    usual = "essays" if said.long else "usual"
    if kind == "classifier":
        return Wanted("complaints" if said.angry else usual, usual)
    if kind == "mixed":
        sure = "vip" if said.pro else "essays" if said.long else "furious" if said.rude else None
        route = sure or ("complaints" if said.angry else "usual")
        return Wanted(route, sure or "usual", cached=not said.pro and not said.long)
    if said.rude and said.invoice:
        return Wanted(None, None, "shut")
    if said.rude or (said.invoice and said.turns > 2):
        return Wanted("complaints", "complaints")
    if said.invoice and not said.long:
        usual = "bills"
    return Wanted(usual, usual, cached=not said.pro)


def needs_model(kind: Kind, said: Said) -> bool:
    """Whether the classifier has to be asked, where the cache has no answer."""
    if kind == "mixed":
        return not (said.pro or said.long or said.rude)
    return kind == "classifier"


@cache
def compile_policy(kind: Kind, version: int = 0) -> Program:
    """The program of a version, planned as the compiler does; all but a shadow decide alike."""
    text = _TEXTS[kind].replace("VERSION", f"v{version}").replace("SCOPE", scope_of(version))
    text = text.replace("BOUND", "4" if version == SHADOW else "50")
    checked = check_bytes("under_fire.route", text.encode())
    assert checked.policy is not None, [finding.message for finding in checked.findings]
    program = lower(
        checked.policy,
        normaliser=NORMALISER_VERSION,
        embedder=None if kind == "plain" else Counted.digest,
    )
    return optimise(checked.policy, program).program


@cache
def hash_of(kind: Kind, version: int) -> str:
    """The hash of a version."""
    return digest(compile_policy(kind, version))


def scope_of(version: int) -> str:
    """The field that keeps the answers of a version apart."""
    return SCOPES[version % len(SCOPES)]


class Counted:
    """An embedder that takes no time; the classifier is said to need one."""

    dimension, digest = 8, "sha256:counted"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[len(text) % self.dimension] = 1.0
        return rows


class Feeling:
    """A classifier behind a wire: it may be slow, hang, or answer what nobody asked."""

    name, labels, revision, exclusive = "feeling", ("calm", "angry"), "sha256:feeling", True

    def __init__(self, board: Board) -> None:
        self._board = board

    async def classify(self, texts: Sequence[str], within: float) -> Any:
        scores = np.array([[0.1, 0.9] if ANGRY in text else [0.9, 0.1] for text in texts])
        match self._mood():
            case "slow":
                await asyncio.sleep(self._board.slow)
            case "hanging":
                await asyncio.sleep(600)
            case "wrong-sized":
                return scores[1:] if len(texts) % 2 else np.concatenate([scores, scores])
            case "not-a-number":
                return scores * float("nan")
            case "failing":
                raise ClassifierError("overloaded", "made up", "none")
            case "raising":
                raise ConnectionResetError("made up")
        return scores

    async def close(self) -> None:
        return

    def _mood(self) -> str:
        board = self._board
        if not board.classifier_left:
            return "fine"
        board.classifier_left -= 1
        return CLASSIFIER_MOODS[board.classifier]


def bind_classifier(board: Board) -> None:
    """Have what opens a policy's services open this classifier, and this embedder, in this process.

    All else is opened as it is for anybody.
    """
    opening._classifier = lambda name, bound, embedder: Feeling(board)  # type: ignore[assignment]
    opening._embedder = lambda program, config: Counted()
