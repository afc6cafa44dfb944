"""What is known of one request while it is being decided."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn, cast

from routec.runtime.events.decision import Failure, Span
from routec.runtime.events.request import Request


class NotKnown(Exception):
    """A value was used before it is known."""


class Unknown:
    """Stands for a value that is not known yet; whatever is done with it raises `NotKnown`.

    So conditions can be evaluated as if everything were known, at no cost while it is.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"

    def _refuse(self, *_: object) -> NoReturn:
        raise NotKnown

    def __hash__(self) -> int:
        self._refuse()

    __bool__ = __contains__ = __len__ = __getattr__ = _refuse
    __mul__ = __rmul__ = __add__ = __radd__ = _refuse


class _Anything(Unknown):
    __slots__ = ()

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = Unknown._refuse

    def __hash__(self) -> int:
        self._refuse()


UNKNOWN = _Anything()


class AtMost(Unknown):
    """Stands for a number from 0 to a bound that is not known yet.

    A comparison that the bound settles is answered, every other raises `NotKnown`.

    Args:
        most: the bound.
    """

    __slots__ = ("most",)

    def __init__(self, most: float) -> None:
        self.most = most

    def __lt__(self, other: float) -> bool:
        return True if self.most < other else self._refuse()

    def __le__(self, other: float) -> bool:
        return True if self.most <= other else self._refuse()

    def __gt__(self, other: float) -> bool:
        return False if self.most <= other else self._refuse()

    def __ge__(self, other: float) -> bool:
        return False if self.most < other else self._refuse()

    def __eq__(self, other: Any) -> bool:
        return False if self.most < other else self._refuse()

    def __ne__(self, other: Any) -> bool:
        return True if self.most < other else self._refuse()

    def __hash__(self) -> int:
        self._refuse()


NONE: frozenset[int] = frozenset()

FIRST_VERSION = 2
"""Version of a request of which nothing was learnt; 0 and 1 would be taken for truth values."""


class Work:
    """The values of one request so far.

    Attributes:
        request: the request.
        attributes: its fields by name.
        values: a value for each signal of the program, or an `Unknown`; after them there may be
            room for what the engine keeps.
        pins: indices of the signals that were fixed by the caller.
        version: `FIRST_VERSION` and the number of signals whose values were learnt.
        memo: of shared conditions: their value, or the version at which they were unknown.
        spans: what each entity signal found, by the signal's index.
        failures: signals that took their failure value.
        most_tokens: a bound of its tokens, once it was worked out.
        timing_us: microseconds spent in the calls that served this request, by stage.
    """

    # Most requests keep what stands here: what they do not set costs them nothing.
    version = FIRST_VERSION
    memo: Mapping[int, bool | int] = MappingProxyType({})
    spans: Mapping[int, tuple[Span, ...]] = MappingProxyType({})
    failures: tuple[Failure, ...] = ()
    most_tokens: float | None = None
    timing_us: Mapping[str, int] = MappingProxyType({})

    def __init__(self, request: Request, values: list[Any], pins: frozenset[int] = NONE) -> None:
        self.request = request
        self.attributes: Mapping[str, Any] = request.attributes
        self.values = values
        self.pins = pins

    def learn(self, signal: int, value: Any) -> None:
        """Set a signal's value."""
        self.values[signal] = value
        self.version += 1

    def remember(self, condition: int, value: bool | None) -> None:
        """Note the value of a shared condition, or that it is not known yet."""
        if not self.memo:
            self.memo = {}
        memo = cast(dict[int, bool | int], self.memo)
        memo[condition] = self.version if value is None else value

    def spent(self, stage: str, us: int) -> None:
        """Add microseconds to those of a stage."""
        self.timing_us = {**self.timing_us, stage: self.timing_us.get(stage, 0) + us}
