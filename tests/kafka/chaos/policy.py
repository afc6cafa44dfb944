"""The policy that workers under fire decide by, and its classifier, which can be ill."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from routec.compiler import check_bytes
from routec.compiler.lower import lower
from routec.compiler.program import Program
from routec.runtime.config import Config
from routec.runtime.engine.caching import terms_of
from routec.runtime.engine.engine import Engine
from routec.runtime.events.decode import Limits
from routec.runtime.policies.activation import Activation
from routec.runtime.policies.follower import PolicyFollower
from routec.runtime.policies.live import LivePolicy
from routec.runtime.service import EventClock, Memory, PolicyService
from routec.runtime.signals.services import Services
from routec.safety.classify.errors import ClassifierError
from routec.safety.text import NORMALISER_VERSION
from routec.safety.tokens import estimate_tokens, most_tokens
from routec.semcache.cache import SemanticCache
from tests.kafka.chaos.board import CLASSIFIER_MOODS, Board

TEXT = """
policy under_fire
request { tenant: string }
signal feeling = classifier("feeling") { labels: [calm, angry], on_error: calm, timeout: 250ms }
signal size    = tokens()
category questions { when size <= 50, ttl: 1h, scope: tenant }
model small { latency: 1s, tags: [VERSION] }
model large { latency: 2s }
route known priority 50 { when tenant in ["t-0", "t-1", "t-2", "t-3"] and size <= 50 to small }
route complaints { when feeling == angry to large }
route essays { when size > 50 to large }
default route usual { to small }
"""
ANGRY = "angry"
KNOWN, SHORT = 4, 50
"""Tenants whose texts of at most so many words need no classifier: compiled code decides those."""


@cache
def compile_policy(version: int = 0) -> Program:
    """The program of a version; all decide alike, and each has a hash of its own."""
    text = TEXT.replace("VERSION", f"v{version}")
    checked = check_bytes("under_fire.route", text.encode())
    assert checked.policy is not None, [finding.message for finding in checked.findings]
    return lower(checked.policy, normaliser=NORMALISER_VERSION)


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


def service(
    program: Program, config: Config, board: Board, memory: Memory | None = None
) -> PolicyService:
    """What decides by a version of the policy, and goes on with what another has learnt."""
    clock = EventClock() if memory is None else memory.clock
    cache = None if memory is None else memory.cache
    if cache is None:
        terms = [terms_of(category) for category in program.categories]
        cache = SemanticCache(terms, capacity=1000, dimension=1, clock=clock)
    services = Services(
        tokens=estimate_tokens,
        most_tokens=most_tokens,
        classifiers={"feeling": Feeling(board)},
        cache=cache,
    )
    if memory is None:
        memory = Memory(clock, cache, categories=program.categories, models=program.models)
    limits = Limits(bytes=config.runtime.max_event_bytes)
    return PolicyService(Engine(program, services), limits=limits, memory=memory)


def follow(program: Program, config: Config, board: Board) -> tuple[LivePolicy, PolicyFollower]:
    """What decides by the newest version that the control topic has, and what finds that."""
    first = service(program, config, board)
    live = LivePolicy(first)

    def open_here(
        newer: Program, hash: str, memory: Memory | None, silent: bool = False
    ) -> PolicyService:
        return service(newer, config, board, memory)

    activation = Activation(program, first.policy_hash, live, open_here)
    return live, PolicyFollower(config, live, activation)
