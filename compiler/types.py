"""The types of the language and the values that have them.

A value is a `bool`, an `int`, a `float`, a `str` (of a string, enum or label)
or a `frozenset` of `str`. A classifier's value is `Scores`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Kind(StrEnum):
    """What sort of values a type has."""

    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    STRING = "string"
    ENUM = "enum"
    SET = "set"


@dataclass(frozen=True, slots=True)
class Type:
    """A type of the language.

    Attributes:
        kind: the sort of its values.
        members: the values of an enum, or the possible elements of a set of enum;
            empty for anything else (and for a set of strings).
        low: least number, inclusive; ``None`` for unbounded.
        high: greatest number, inclusive; ``None`` for unbounded.
    """

    kind: Kind
    members: tuple[str, ...] = ()
    low: Decimal | None = None
    high: Decimal | None = None

    @property
    def numeric(self) -> bool:
        """Whether values are numbers."""
        return self.kind in (Kind.INT, Kind.FLOAT)

    def __str__(self) -> str:
        listed = ", ".join(self.members[:6]) + (", …" if len(self.members) > 6 else "")
        if self.kind is Kind.ENUM:
            return f"enum({listed})"
        if self.kind is Kind.SET:
            return f"set(enum({listed}))" if self.members else "set(string)"
        return str(self.kind)


BOOL = Type(Kind.BOOL)
INT = Type(Kind.INT)
COUNT = Type(Kind.INT, low=Decimal(0))
FLOAT = Type(Kind.FLOAT)
STRING = Type(Kind.STRING)
SHARE = Type(Kind.FLOAT, low=Decimal(0), high=Decimal(1))
COSINE = Type(Kind.FLOAT, low=Decimal(-1), high=Decimal(1))


def enum_of(members: tuple[str, ...]) -> Type:
    """The enum with these members."""
    return Type(Kind.ENUM, members=members)


def set_of(members: tuple[str, ...]) -> Type:
    """The set of an enum's members, or of any strings where there are none."""
    return Type(Kind.SET, members=members)


@dataclass(frozen=True, slots=True)
class Scores:
    """A classifier's answer.

    Attributes:
        label: the most likely label; of equals, the one declared first.
        scores: every label's score, 0 to 1; those of an exclusive classifier add up to 1.
    """

    label: str
    scores: Mapping[str, float]


Plain = bool | int | float | str | frozenset[str]
Value = Plain | Scores
