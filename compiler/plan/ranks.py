"""When variables are known, by the order in which signals are asked."""

from __future__ import annotations

from routec.compiler.plan.atoms import atoms_of
from routec.compiler.plan.costs import COSTLY, STAGES
from routec.compiler.program import Program


def ranks_of(program: Program) -> tuple[list[int], list[bool]]:
    """When each variable is known, and whether it takes a costly signal.

    Fields are known first, then signals as the plan orders them; a derived signal is with the
    last of what it reads.

    Returns:
        For each variable its rank, -1 for a field; and whether it takes an embedding or a model.
    """
    places = {name: at for at, name in enumerate(_ordered(program))}
    ranks: dict[str, int] = {}
    costly: dict[str, bool] = {}

    def rank(variable: int) -> int:
        read = program.variables[variable]
        return -1 if read.source == "field" else ranks[read.name]

    def takes(variable: int) -> bool:
        read = program.variables[variable]
        return read.source == "signal" and costly[read.name]

    for signal in program.signals:
        if signal.stage != "derived":
            ranks[signal.name] = places[signal.name]
            costly[signal.name] = signal.stage in COSTLY
            continue
        read = [] if signal.source is None else [signal.source]
        read += [s.variable for s in signal.summands if s.variable is not None]
        for node in (s.node for s in signal.summands if s.node is not None):
            atoms = (program.nodes[at] for at in atoms_of(program, node))
            read += [atom.variable for atom in atoms if atom.variable is not None]
        ranks[signal.name] = max(map(rank, read), default=-1)
        costly[signal.name] = any(map(takes, read))
    every = range(len(program.variables))
    return [rank(at) for at in every], [takes(at) for at in every]


def _ordered(program: Program) -> list[str]:
    """Names of the signals that are computed, in the order in which they are asked."""
    if program.plan.order:
        return [program.signals[at].name for at in program.plan.order]
    return [s.name for stage in STAGES for s in program.signals if s.stage == stage]
