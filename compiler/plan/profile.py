"""A profile: what recorded traffic tells a planner.

A profile is one JSON object, closed and versioned::

    {"version": 1, "policy": "helpdesk", "requests": 25000,
     "seconds": {"scan": 4.1e-5, "embedding": 0.0038, "lookup": 0.0003,
                 "signals": {"pii": 0.00011, "attack": 0.0071}},
     "cache": {"code": {"asked": 4100, "exact": 320, "similar": 610}},
     "rows": [{"tier": "pro", "region": "eu", "tenant": null, "roles": ["admin", null],
               "urgent": false, "refund": 0.31,
               "topic": {"label": "code", "scores": {"billing": 0.1, "code": 0.8, "legal": 0.1}}}]}

A row is one request: the values of fields and of signals by name. A name that is missing was not
measured. ``null`` stands for a string that the policy never mentions: which one it was is not
recorded, because no plan depends on it and a profile is passed around.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from routec.compiler.program import Program

VERSION = 1
"""Version of a profile's layout."""

MAX_ROWS = 1_000
"""Most rows of a profile; more would not make a plan better, only slower to find."""

MAX_BYTES = 16 * 2**20
"""Longest file that is read."""

_Duration = Annotated[float, Meta(ge=0.0, le=3600.0)]
_Count = Annotated[int, Meta(ge=0, le=2**53)]


class ProfileError(Exception):
    """A profile cannot be read or written.

    Attributes:
        code: stable reason: ``invalid-profile``, ``unsupported-version`` or ``too-large``.
        message: one sentence for a person.
        help: what to do.
    """

    def __init__(self, code: str, message: str, help: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help


class Part(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of a profile's parts: frozen, closed, defaults left out of the JSON."""


class Answer(Part, frozen=True):
    """What a classifier said, or a language identifier.

    Attributes:
        label: the most likely label; ``None`` for one that the policy never mentions.
        scores: by label, 0 to 1; of a language its ``confidence``.
    """

    label: str | None = None
    scores: dict[str, Annotated[float, Meta(ge=0.0, le=1.0)]] = {}


RowValue = bool | int | float | str | None | tuple[str | None, ...] | Answer
"""A value: of a bool, a number, a string, enum or label, a set, a classifier or language."""

Row = dict[str, RowValue]
"""Values of one request by the names of fields and signals; derived signals have none."""


class Seconds(Part, frozen=True):
    """Measured durations, seconds a call; ``None`` where nothing was measured.

    Attributes:
        scan: one scan of a text for all keywords and regexes.
        embedding: embedding one text.
        lookup: one search of the semantic cache, without the embedding.
        signals: one call for a signal; of one that reads the embedding, what it takes beside it.
    """

    scan: _Duration | None = None
    embedding: _Duration | None = None
    lookup: _Duration | None = None
    signals: dict[str, _Duration] = {}


class Lookups(Part, frozen=True):
    """How often a category's cache was asked, and answered.

    Attributes:
        asked: requests.
        exact: of those, how many were answered by the exact tier.
        similar: of those, how many were answered by the semantic tier.
    """

    asked: _Count
    exact: _Count = 0
    similar: _Count = 0


class Profile(Part, frozen=True):
    """What recorded traffic tells.

    Attributes:
        version: of the layout.
        policy: name of the policy that was measured.
        requests: how many requests the figures were gathered from.
        seconds: what calls take.
        cache: lookups by category.
        rows: a sample of the requests, at most `MAX_ROWS`.
    """

    version: int = VERSION
    policy: str = ""
    requests: _Count = 0
    seconds: Seconds = Seconds()
    cache: dict[str, Lookups] = {}
    rows: Annotated[tuple[Row, ...], Meta(max_length=MAX_ROWS)] = ()


class _Version(msgspec.Struct, frozen=True):
    version: int


_ENCODER = msgspec.json.Encoder(order="sorted")


def dump_profile(profile: Profile) -> bytes:
    """A profile as a JSON object that ends in a line end; `load_profile` reads it.

    Raises:
        ProfileError: it is not valid: a number that is not finite or out of its range, more
            hits than lookups, too many rows.
    """
    for at, row in enumerate(profile.rows):
        for name, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise _invalid(f"`{name}` of row {at + 1} is not a finite number")
    body = _ENCODER.encode({"version": VERSION, **msgspec.to_builtins(profile)}) + b"\n"
    load_profile(body)
    return body


def load_profile(data: bytes) -> Profile:
    """Read a profile.

    Raises:
        ProfileError: it is too large, not JSON, of another version, or not of this layout.
    """
    if len(data) > MAX_BYTES:
        raise ProfileError(
            "too-large",
            f"the profile is longer than {MAX_BYTES // 2**20} MiB",
            f"keep at most {MAX_ROWS:,} rows",
        )
    try:
        version = msgspec.json.decode(data, type=_Version).version
        if version != VERSION:
            raise ProfileError(
                "unsupported-version",
                f"the profile has version {version}, this planner reads {VERSION}",
                "record it again with this version",
            )
        profile = msgspec.json.decode(data, type=Profile)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        text = str(error)
        raise _invalid(text if text.startswith("JSON") else text[:1].lower() + text[1:]) from None
    for category, lookups in profile.cache.items():
        if lookups.exact + lookups.similar > lookups.asked:
            raise _invalid(f"`cache.{category}` has more hits than lookups")
    return profile


def _invalid(reason: str) -> ProfileError:
    return ProfileError(
        "invalid-profile",
        f"this is not a profile: {reason}",
        "name a file that `routec replay --profile-out` wrote",
    )


def mentioned(program: Program) -> Mapping[str, frozenset[str]]:
    """The strings that a policy compares each of its fields and signals with, by name."""
    found: dict[str, set[str]] = {}
    for node in program.nodes:
        if node.variable is not None and isinstance(node.value, str):
            found.setdefault(program.variables[node.variable].name, set()).add(node.value)
    return {name: frozenset(values) for name, values in found.items()}


def row_of(program: Program, values: Mapping[str, Any]) -> Row:
    """One request's row, without strings that the policy never mentions.

    Args:
        program: the policy's program.
        values: of fields and signals by name: bools, finite numbers, strings, collections of
            strings, or objects with a ``label`` and ``scores``. Derived signals and names that
            the program does not have are left out.
    """
    strings = mentioned(program)
    declared = {field.name: field.members for field in program.fields}
    declared |= {s.name: s.labels or s.kinds for s in program.signals if s.stage != "derived"}

    def kept(name: str, text: str) -> str | None:
        return text if text in declared[name] or text in strings.get(name, ()) else None

    row: Row = {}
    for name, value in values.items():
        if name not in declared:
            continue
        if isinstance(value, str):
            row[name] = kept(name, value)
        elif isinstance(value, bool | int | float):
            row[name] = value
        elif hasattr(value, "label"):
            scores = {str(k): min(max(float(v), 0.0), 1.0) for k, v in value.scores.items()}
            row[name] = Answer(kept(name, value.label), scores)
        else:
            known = {kept(name, member) for member in value}
            members: list[str | None] = [*sorted(m for m in known if m is not None)]
            row[name] = (*members, None) if None in known else tuple(members)
    return row
