"""How Python runs in a worker's process."""

from __future__ import annotations

import gc
import sys

YOUNG = 50_000
"""New objects from which on the collector of cycles looks at them; Python's own choice is some
hundred.

Consumed records are such objects, and thousands are in flight: looked at every few hundred, each
is traversed several times before it is gone, and hardly one is part of a cycle. What is may then
stay for as long as it takes to make so many.
"""

SWITCH = 0.0002
"""Seconds after which a thread that runs Python is asked to let another one run; a twenty-fifth of
Python's own choice. Whatever is loaded or built beside the stream holds it up for so long, again
and again; compiled code, which decides most of a batch, is not interrupted.
"""


def spare_the_stream() -> None:
    """Have collections and other threads hold up the event loop as little as they can.

    For a process that has opened all that it works with: what there is now lives as long as it
    does, and no collection looks at it again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
    sys.setswitchinterval(SWITCH)
