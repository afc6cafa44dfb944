"""Models found so far, kept side by side as bits, to answer questions without the solver.

Most questions of an analysis are answered "yes, for example here" by a request that an
earlier question already found. Bit `i` of a condition's mask says whether it holds in
the `i`-th model, so that a conjunction is one bitwise operation for all models at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from routec.compiler.expr import And, Const, Expr, Not, Or, bottom_up
from routec.compiler.theory.encoding import Encoding

if TYPE_CHECKING:
    from routec.compiler.theory.solver import Model

MOST = 4096
"""Models that are kept; later ones are not."""

_STEP = 8
"""Fewest new models for which it pays to work the masks out again."""


class Samples:
    """Models and the masks of conditions over them."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._models: list[Model] = []
        self._masks: dict[Expr, int] = {}
        self._atoms: dict[int, tuple[int, int]] = {}
        self._width = 0

    def __len__(self) -> int:
        return len(self._models)

    def add(self, model: Model) -> None:
        """Keep a model; masks show it once some more have come."""
        if len(self._models) < MOST:
            self._models.append(model)
            if len(self._models) >= self._width + max(_STEP, self._width // 4):
                self._width = len(self._models)
                self._masks.clear()

    def model(self, mask: int) -> Model | None:
        """The first model of a mask; ``None`` if there is none."""
        return self._models[(mask & -mask).bit_length() - 1] if mask else None

    @property
    def every(self) -> int:
        """The mask of all models that masks show."""
        return (1 << self._width) - 1

    def mask(self, expr: Expr) -> int:
        """In which models a condition holds."""
        masks = self._masks
        for part in bottom_up(expr, masks):
            masks[part] = self._of(part)
        return masks[expr]

    def _of(self, expr: Expr) -> int:
        match expr:
            case Const(value=value):
                return self.every if value else 0
            case Not(operand=operand):
                return self.every & ~self._masks[operand]
            case And(operands=operands):
                mask = self.every
                for operand in operands:
                    mask &= self._masks[operand]
                return mask
            case Or(operands=operands):
                mask = 0
                for operand in operands:
                    mask |= self._masks[operand]
                return mask
            case _:
                literal = self._encoding.literal(expr)
                mask = self._bits(abs(literal))
                return mask if literal > 0 else self.every & ~mask

    def _bits(self, variable: int) -> int:
        """Where a propositional variable is true, brought up to date."""
        done, mask = self._atoms.get(variable, (0, 0))
        for at in range(done, self._width):
            if self._models[at].holds(variable):
                mask |= 1 << at
        self._atoms[variable] = (self._width, mask)
        return mask
