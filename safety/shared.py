"""What takes long to load and much memory: loaded once, for all who use it at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

Key = TypeVar("Key", bound=Hashable)
Loaded = TypeVar("Loaded")


class Shared(Generic[Key, Loaded]):
    """Things by what they were loaded from, each for as long as somebody holds it.

    Nothing has to be given back: with the last reference from outside it is freed, and whoever
    asks for it later loads it anew. May be used from several threads.
    """

    __slots__ = ("_held", "_loading")

    def __init__(self) -> None:
        self._held: WeakValueDictionary[Key, Loaded] = WeakValueDictionary()
        self._loading = threading.Lock()

    def get(self, key: Key, load: Callable[[], Loaded]) -> Loaded:
        """The thing of a key; loaded if nobody holds it, while others who ask wait.

        Args:
            key: tells apart whatever differs in use, such as digests of files and settings.
            load: loads it; whatever it raises is passed on, and nothing is held then.
        """
        with self._loading:
            held = self._held.get(key)
            if held is None:
                held = self._held[key] = load()
            return held

    def __len__(self) -> int:
        """How many things are held."""
        return len(self._held)
