"""Which model of a route answers a request.

The rules are those of `docs/semantics.md`, "Target". Everything is a function
of its arguments, so a replay picks the same models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b

import msgspec
import orjson

from routec.compiler.program import Model, Route

ALGORITHMS = frozenset(
    {"only", "weighted", "cost", "quality", "latency", "balanced", "round_robin"}
)
"""The algorithms that a `Selector` knows."""

DEFAULT_OUTPUT = 500
"""Tokens of an answer that ranking by cost assumes where the request sets no limit."""
STICKY_INPUT = 1000
"""Tokens of a request that ranking assumes where equal keys must meet equal choices."""


class Size(msgspec.Struct, frozen=True, gc=False):
    """How large a request is.

    Attributes:
        tokens: tokens of its text.
        max_tokens: the limit of its answer in force; ``None`` without one.
    """

    tokens: int
    max_tokens: int | None = None

    def fits(self, model: Model) -> bool:
        """Whether the model's context holds request and answer; one that states none holds all."""
        return model.context is None or self.tokens + (self.max_tokens or 0) <= model.context


class Choice(msgspec.Struct, frozen=True, gc=False):
    """A chosen model.

    Attributes:
        model: its name.
        by: the algorithm; ``fallback`` where no candidate could hold the request.
        candidates: the candidates that could hold it, in the order written.
        propensity: probability with which the model was drawn, above 0 to 1; 1 without a draw.
        fallbacks: models to try next, in order; they hold the request as well.
    """

    model: str
    by: str
    candidates: tuple[str, ...]
    propensity: float
    fallbacks: tuple[str, ...]


def draw(salt: str, key: str) -> float:
    """A number from 0 to 1, the same for the same salt and key, uniform over keys.

    It is the first 8 bytes of BLAKE2b over salt, a zero byte and key, as a big-endian
    integer, divided by 2^64.
    """
    digest = blake2b(f"{salt}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


class Selector:
    """Picks a route's model, request by request.

    Args:
        route: the route.
        models: the policy's models by name.

    Raises:
        ValueError: the route's algorithm is not one of `ALGORITHMS`.

    Attributes:
        least: the smallest context of its models, in tokens; infinite where none states one.
            Requests within it can have any of them.
        salt: what draws depend on beside the key.
        all: places of its candidates.
    """

    def __init__(self, route: Route, models: Mapping[str, Model]) -> None:
        if route.by not in ALGORITHMS:
            raise ValueError(f"unknown selection algorithm `{route.by}`")
        self._route = route
        self._models = models
        self.salt = f"select:{route.name}"
        self.all = tuple(range(len(route.candidates)))
        contexts = [models[name].context for name in route.candidates + route.fallbacks]
        self.least = min((c for c in contexts if c is not None), default=math.inf)
        self._rest = {
            name: tuple(dict.fromkeys(n for n in route.fallbacks if n != name))
            for name in route.candidates
        }

    def depends_on_tokens(self, most: float, max_tokens: int | None) -> bool:
        """Whether the choice depends on how many tokens the request has.

        Args:
            most: a bound of them.
            max_tokens: as in `Size`.
        """
        return self._route.by in ("cost", "balanced") or most + (max_tokens or 0) > self.least

    def choose(
        self, size: Size, key: str, *, turn: int = 0, latencies: Mapping[str, float] | None = None
    ) -> Choice | None:
        """Pick the model of one request.

        Args:
            size: size of the request.
            key: what draws depend on: the request id, or the value of the sticky field.
            turn: number of choices of this route before this one, for ``round_robin``.
            latencies: observed seconds by model, for ``latency`` and ``balanced``.

        Returns:
            The choice; ``None`` if no candidate and no fallback can hold the request.
        """
        route = self._route
        if size.tokens + (size.max_tokens or 0) <= self.least:
            return self.chosen(*self._pick(self.all, size, key, turn, latencies))
        models = self._models
        left = [index for index, name in enumerate(route.candidates) if size.fits(models[name])]
        fallbacks = [name for name in route.fallbacks if size.fits(models[name])]
        if not left and not fallbacks:
            return None
        if left:
            at, propensity = self._pick(left, size, key, turn, latencies)
            chosen, by = route.candidates[left[at]], route.by
        else:
            propensity, chosen, by = 1.0, fallbacks[0], "fallback"
        names = tuple([route.candidates[index] for index in left])
        rest = tuple(dict.fromkeys(name for name in fallbacks if name != chosen))
        return Choice(chosen, by, names, propensity, rest)

    def chosen(self, at: int, propensity: float) -> Choice:
        """The choice of a candidate, where all models can hold the request.

        Args:
            at: its place among the candidates.
            propensity: as in `Choice`.
        """
        route = self._route
        model = route.candidates[at]
        return Choice(model, route.by, route.candidates, propensity, self._rest[model])

    def weights(self, left: Sequence[int]) -> list[float] | None:
        """By which weights it draws among the candidates at some places; ``None`` if it does not.

        Where the sum of those written is not above 0, all weigh the same.
        """
        route = self._route
        if route.by == "round_robin" and route.sticky is not None:
            return [1.0] * len(left)
        if route.by != "weighted":
            return None
        weights = [route.weights[index] for index in left] if route.weights else []
        return weights if sum(weights) > 0.0 else [1.0] * len(left)

    def always(self) -> int | None:
        """The place of the candidate that it picks whatever the request, its key and those before
        it, where all models can hold it; ``None`` if that depends on them.
        """
        route = self._route
        if route.by == "only":
            return 0
        if route.by == "quality" or (route.by == "cost" and route.sticky is not None):
            return self._pick(self.all, Size(0), "", 0, None)[0]
        return None

    def prices(self) -> list[tuple[float, float]] | None:
        """Of each candidate what a million tokens of requests and of answers cost, infinite where
        it does not state both; ``None`` if it does not pick by the cost of each request.
        """
        route = self._route
        if route.by != "cost" or route.sticky is not None:
            return None
        models = [self._models[name] for name in route.candidates]
        return [
            (math.inf, math.inf)
            if model.input is None or model.output is None
            else (model.input, model.output)
            for model in models
        ]

    def _pick(
        self,
        left: Sequence[int],
        size: Size,
        key: str,
        turn: int,
        latencies: Mapping[str, float] | None,
    ) -> tuple[int, float]:
        """Place of the chosen one among the candidates that are left, and its propensity."""
        route = self._route
        weights = self.weights(left)
        if weights is not None:
            return pick(weights, draw(self.salt, key))
        if route.by == "round_robin":
            return turn % len(left), 1.0
        if route.by == "only":
            return 0, 1.0
        models = [self._models[route.candidates[index]] for index in left]
        return _best(route, models, size, latencies or {}), 1.0


def key_text(value: object) -> str:
    """A field's value as a key: as JSON writes it, strings without quotes, sets in order."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, frozenset):
        return orjson.dumps(sorted(value)).decode()
    return str(value)


def shadow(route: Route, request_id: str) -> str | None:
    """The model that gets a copy of the request, or ``None``."""
    if route.shadow is None:
        return None
    model, share = route.shadow
    return model if draw(f"shadow:{route.name}", request_id) < share else None


def pick(weights: Sequence[float], number: float) -> tuple[int, float]:
    """Walk shares in order until they pass a number.

    Args:
        weights: one or more, not all zero.
        number: from 0 to 1.

    Returns:
        Index of the share that the number falls into, and that share of the whole.
    """
    total = sum(weights)
    point = number * total
    for index, weight in enumerate(weights):
        if point < weight:
            return index, weight / total
        point -= weight
    # Rounding can carry the last point to the very end.
    last = max(index for index, weight in enumerate(weights) if weight > 0.0)
    return last, weights[last] / total


def _best(route: Route, models: Sequence[Model], size: Size, latencies: Mapping[str, float]) -> int:
    if route.sticky is not None:
        # Equal keys must meet equal choices.
        size, latencies = Size(STICKY_INPUT, DEFAULT_OUTPUT), {}
    delays = [latencies.get(model.name, model.latency) for model in models]
    if route.by == "cost":
        return _greatest([-_price(model, size) for model in models])
    if route.by == "quality":
        return _greatest([model.quality or 0.0 for model in models])
    if route.by == "latency":
        return _greatest([-math.inf if delay is None else -delay for delay in delays])
    args = dict(route.args) or {"quality": 0.5, "cost": 0.5}
    parts = (
        (args.get("quality", 0.0), _scaled([model.quality or 0.0 for model in models])),
        (-args.get("cost", 0.0), _scaled(_capped([_price(model, size) for model in models]))),
        (
            -args.get("latency", 0.0),
            _scaled(_capped([math.inf if d is None else d for d in delays])),
        ),
    )
    return _greatest(
        [
            round(sum(weight * values[at] for weight, values in parts), 12)
            for at in range(len(models))
        ]
    )


def _price(model: Model, size: Size) -> float:
    """Dollars times a million; infinite for a model without both prices."""
    if model.input is None or model.output is None:
        return math.inf
    output = DEFAULT_OUTPUT if size.max_tokens is None else size.max_tokens
    return model.input * size.tokens + model.output * output


def _greatest(values: Sequence[float]) -> int:
    """Index of the greatest; of equals the first."""
    return max(range(len(values)), key=values.__getitem__)


def _capped(values: Sequence[float]) -> list[float]:
    """Infinite ones replaced by the greatest finite one; by 0 where there is none."""
    stated = max((value for value in values if math.isfinite(value)), default=0.0)
    return [value if math.isfinite(value) else stated for value in values]


def _scaled(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 0.0 for value in values]
