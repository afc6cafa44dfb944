"""How often Python's collector of cycles looks at a worker's objects."""

from __future__ import annotations

import gc

YOUNG = 50_000
"""New objects from which on the collector looks at them; Python's own choice is some hundred.

Consumed records are such objects, and thousands are in flight: looked at every few hundred, each
is traversed several times before it is gone, and hardly one is part of a cycle. What is may then
stay for as long as it takes to make so many.
"""


def spare_collections() -> None:
    """Have the collector look seldom, and never again at what there is now.

    For a process that has opened all that it works with. Whatever lives as long as it does need not
    be looked at.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
