"""What following the control topic needs, made before a worker decides."""

from __future__ import annotations

from contextlib import suppress

from routec.compiler.program import Program, dump, load
from routec.safety.models.errors import ModelError
from routec.safety.models.store import find_minilm


def prepare_to_follow(program: Program) -> None:
    """Do now what the first policy that comes would otherwise hold the worker up for.

    The reader of programs is made when it first reads one, and what the embedder needs besides its
    weights takes many milliseconds of Python's lock (:func:`routec.safety.embed.minilm.prepare`).

    Args:
        program: any that can run here.
    """
    load(dump(program))
    # One that is missing or damaged is for the policy to complain of that needs it.
    with suppress(ModelError):
        installed = find_minilm()
        if installed is not None:
            from routec.safety.embed.minilm import prepare

            prepare(installed)
