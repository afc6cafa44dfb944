"""All recognisers together: which piece of a text is which kind of entity."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial

from routec.safety.entities import (
    api_key,
    credit_card,
    email,
    iban,
    ip_address,
    phone,
    us_ssn,
)
from routec.safety.entities.characters import ascii_shape
from routec.safety.entities.entity import Entity
from routec.safety.text import align

KINDS = ("api_key", "email", "iban", "credit_card", "ip_address", "us_ssn", "phone")
"""The kinds, the one that wins a contested piece of text first."""

_Finder = Callable[[str], Iterator[tuple[int, int]]]


def find(
    text: str, kinds: Collection[str] = KINDS, *, region: str | None = None
) -> tuple[Entity, ...]:
    """Return the entities of some kinds in a text.

    A piece of text is of one kind, the first of `KINDS` that claims it, whichever
    kinds are asked for: a card number is never also a phone number. So for any kinds
    the answer is that for all kinds, less the others. Time is linear in the text.

    Args:
        text: best a normalised text, since characters hidden inside a number would
            break it up; digits, spaces and dashes of any script are understood.
        kinds: out of `KINDS`.
        region: two-letter country code whose national phone numbers count (``US``);
            without it they count only where words announce them.

    Returns:
        Entities by their place in the text; none overlap.

    Raises:
        ValueError: an unknown kind or region.
    """
    wanted = frozenset(kinds)
    if unknown := sorted(wanted.difference(KINDS)):
        raise ValueError(f"unknown entity kind `{unknown[0]}`: the kinds are {', '.join(KINDS)}")
    if region is not None and not _is_region(region):
        raise ValueError(f"unknown phone region `{region}`: give a country code such as `US`")
    if not wanted:
        return ()
    shape = ascii_shape(text)
    finders: dict[str, _Finder] = {
        "api_key": api_key.find,
        "email": email.find,
        "iban": iban.find,
        "credit_card": credit_card.find,
        "ip_address": ip_address.find,
        "us_ssn": us_ssn.find,
        "phone": partial(phone.find, region=region),
    }
    claimed: list[Entity] = []
    lowest = max(KINDS.index(kind) for kind in wanted)
    for kind in KINDS[: lowest + 1]:
        for start, end in finders[kind](shape):
            _claim(claimed, Entity(kind, start, end))
    return tuple(entity for entity in claimed if entity.kind in wanted)


def _claim(claimed: list[Entity], entity: Entity) -> None:
    """Add an entity unless one before it has a part of its text."""
    at = bisect_left(claimed, entity.start, key=_start)
    if at and claimed[at - 1].end > entity.start:
        return
    if at < len(claimed) and claimed[at].start < entity.end:
        return
    claimed.insert(at, entity)


def _start(entity: Entity) -> int:
    return entity.start


def _is_region(region: str) -> bool:
    import phonenumbers

    return region in phonenumbers.SUPPORTED_REGIONS


def find_in_original(
    text: str, kinds: Collection[str] = KINDS, *, region: str | None = None
) -> tuple[Entity, ...]:
    """Return the entities of a text as it came, found in its normal form.

    Finds what `find` finds in the normalised text, with offsets into `text`: hidden
    characters inside a number are part of its span. This is what is to be masked.

    Args:
        text: the text as it came.
        kinds: out of `KINDS`.
        region: as for `find`.

    Raises:
        ValueError: an unknown kind or region.
    """
    aligned = align(text)
    return tuple(
        Entity(entity.kind, *aligned.original_span(entity.start, entity.end))
        for entity in find(aligned.text, kinds, region=region)
    )


def mask(text: str, entities: Iterable[Entity], placeholder: str = "[{kind}]") -> str:
    """Return a text with each entity replaced by a placeholder.

    Args:
        text: the text that the offsets of the entities belong to.
        entities: in any order. Where some overlap, all of their text is replaced, by
            the placeholder of the first.
        placeholder: what to write; ``{kind}`` in it stands for the entity's kind, so
            that a card number becomes ``[credit_card]`` unless said otherwise.

    Raises:
        ValueError: an entity does not lie in the text.
    """
    pieces: list[str] = []
    position = 0
    for entity in sorted(entities, key=_start):
        if not 0 <= entity.start <= entity.end <= len(text):
            raise ValueError(
                f"entity {entity.start}..{entity.end} is not in a text of {len(text)} characters"
            )
        if entity.start >= position:
            pieces += [text[position : entity.start], placeholder.replace("{kind}", entity.kind)]
        position = max(position, entity.end)
    pieces.append(text[position:])
    return "".join(pieces)
