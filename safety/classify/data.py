"""Labelled texts: one JSON object a line, ``{"text": …, "label": …}``."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from routec.safety.classify.errors import ClassifierError

_FILE_LIMIT: Final = 64 * 1024 * 1024
_ROWS_LIMIT: Final = 200_000


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text with what it is; several labels only where labels do not exclude each other."""

    text: str
    labels: tuple[str, ...]


def read_labelled(path: Path, exclusive: bool = True) -> tuple[Labelled, ...]:
    """The labelled texts of a file, in its order; the same row twice is kept once.

    With ``exclusive`` a row is ``{"text": str, "label": str}`` and the rows of one text must agree;
    without, it is ``{"text": str, "labels": [str, …]}``, and there may be no label. Other members
    of a row are ignored.

    Raises:
        ClassifierError: ``unreadable``, ``bad-row`` (with the line) or ``conflicting-labels``.
    """
    try:
        if path.stat().st_size > _FILE_LIMIT:
            raise ClassifierError(
                "unreadable", f"`{path}` is larger than 64 MiB", "give fewer examples"
            )
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ClassifierError(
            "unreadable", f"cannot read `{path}`: {reason}", "check the path"
        ) from None
    except UnicodeDecodeError:
        raise ClassifierError(
            "unreadable", f"`{path}` is not UTF-8", "save the file as UTF-8"
        ) from None
    seen: dict[str, Labelled] = {}
    for number, row in _rows(path, text, exclusive):
        before = seen.setdefault(row.text, row)
        if before.labels != row.labels:
            raise ClassifierError(
                "conflicting-labels",
                f"`{path}` line {number}: `{_short(row.text)}` is labelled "
                f"`{', '.join(row.labels)}` here and `{', '.join(before.labels)}` before",
                "keep one of the two rows",
            )
    return tuple(seen.values())


def label_names(rows: Sequence[Labelled], labels: Collection[str] | None) -> tuple[str, ...]:
    """``labels`` in their order, or those of ``rows`` in alphabetical order when None.

    Raises:
        ClassifierError: ``unknown-label`` or ``missing-label`` when the rows use other labels, and
            ``too-few-labels`` when there are fewer than two.
    """
    used = {label for row in rows for label in row.labels}
    names = tuple(labels) if labels is not None else tuple(sorted(used))
    if unknown := sorted(used - set(names)):
        raise ClassifierError(
            "unknown-label",
            f"the examples use the label `{unknown[0]}`, which the classifier does not have",
            f"declare it, or use one of {', '.join(f'`{name}`' for name in names)}",
        )
    if missing := [name for name in names if name not in used]:
        raise ClassifierError(
            "missing-label", f"there is no example of `{missing[0]}`", "add examples of it"
        )
    if len(set(names)) != len(names) or len(names) < 2:
        raise ClassifierError(
            "too-few-labels", "a classifier needs two different labels or more", "add a label"
        )
    return names


def _rows(path: Path, text: str, exclusive: bool) -> Iterator[tuple[int, Labelled]]:
    count = 0
    # Not splitlines(): it also breaks at characters that JSON allows inside a string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        count += 1
        if count > _ROWS_LIMIT:
            raise ClassifierError(
                "unreadable", f"`{path}` has more than 200,000 rows", "give fewer examples"
            )
        row = _row(line, exclusive)
        if row is None:
            form = '{"text": "…", "label": "…"}' if exclusive else '{"text": "…", "labels": ["…"]}'
            raise ClassifierError(
                "bad-row", f"`{path}` line {number} is not a labelled text", f"write it as `{form}`"
            )
        yield number, row


def _row(line: str, exclusive: bool) -> Labelled | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        return None
    labels = [value.get("label")] if exclusive else value.get("labels")
    if not isinstance(labels, list) or not all(isinstance(name, str) and name for name in labels):
        return None
    text = value["text"]
    return Labelled(text, tuple(sorted(set(labels)))) if text.strip() else None


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
