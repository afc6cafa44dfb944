"""Whether a signal is true of a conversation, worked out in the plainest way.

Every conversation that the theory hands out has been through here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import re2

from routec.compiler import policy as p
from routec.compiler.theory.text.normal import collapse, extends_word, fold, is_unspaced, normalise
from routec.compiler.theory.text.signals import TextSignal

Messages = Sequence[tuple[str, str]]
"""Role and content of each message, oldest first."""

_ROLES = {"all_user": ("user",), "system": ("system", "developer")}
_PATTERN_MEMORY = 8 << 20


def scope_text(messages: Messages, scope: str) -> str:
    """Return the original text of a scope; empty where it has no message.

    Args:
        messages: the conversation.
        scope: ``last_user all_user system all``.
    """
    if scope == "last_user":
        return next((text for role, text in reversed(messages) if role == "user"), "")
    roles = _ROLES.get(scope)
    return "\n".join(text for role, text in messages if roles is None or role in roles)


def matches(signal: TextSignal, messages: Messages) -> bool:
    """Whether a signal is true of a conversation; decoded views are not looked at."""
    return Reading(messages).matches(signal)


class Reading:
    """A conversation and the normal forms of its texts, each worked out once.

    Args:
        messages: the conversation.
    """

    __slots__ = ("_forms", "_messages")

    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self._forms: dict[tuple[str, str], str] = {}

    def matches(self, signal: TextSignal) -> bool:
        """Whether a signal is true of the conversation."""
        definition = signal.definition
        if isinstance(definition, p.Regex):
            data = self._form(definition.scope, "utf-8").encode()
            return search(definition).search(data) is not None
        form = "collapsed" if definition.case_sensitive else "folded"
        text = self._form(definition.scope, form)
        whole = definition.match == "word"
        return any(contains(text, needle, whole) for needle in needles(definition))

    def _form(self, scope: str, form: str) -> str:
        text = self._forms.get((scope, form))
        if text is None:
            if form == "utf-8":
                text = normalise(scope_text(self._messages, scope))
            elif form == "collapsed":
                text = collapse(self._form(scope, "utf-8"))
            else:
                text = collapse(fold(self._form(scope, "utf-8")))
            self._forms[scope, form] = text
        return text


def contains(text: str, needle: str, whole: bool) -> bool:
    """Whether a needle stands in a text of its own form, as a whole word if so asked."""
    start = text.find(needle)
    while start >= 0:
        end = start + len(needle)
        if not whole or (
            (start == 0 or is_unspaced(needle[0]) or not extends_word(text[start - 1]))
            and (end == len(text) or is_unspaced(needle[-1]) or not extends_word(text[end]))
        ):
            return True
        start = text.find(needle, start + 1)
    return False


@lru_cache(maxsize=4096)
def needles(definition: p.Keyword) -> tuple[str, ...]:
    """Return the phrases of a keyword in the form in which they are looked for."""
    found: list[str] = []
    for phrase in definition.phrases:
        text = normalise(phrase)
        text = collapse(text if definition.case_sensitive else fold(text))
        found.append(text.strip() if definition.match == "word" else text)
    return tuple(found)


def source(definition: p.Regex) -> str:
    """Return the pattern as RE2 reads it: in NFC, behind its flags."""
    letters = "".join(sorted(set(definition.flags)))
    pattern = unicodedata.normalize("NFC", definition.pattern)
    return f"(?{letters}){pattern}" if letters else pattern


@lru_cache(maxsize=4096)
def search(definition: p.Regex) -> Any:
    """Return the compiled pattern.

    Raises:
        re2.error: RE2 refuses it.
    """
    options = re2.Options()
    options.max_mem = _PATTERN_MEMORY
    options.log_errors = False
    options.never_capture = True
    return re2.compile(source(definition), options)
