"""Finding what must be masked in one request."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from routec.compiler.program import Program
from routec.runtime.engine.redaction import merged
from routec.runtime.events.decision import Failure, Span
from routec.runtime.signals.compute import Signals
from routec.runtime.signals.work import Work

log = logging.getLogger(__name__)


def find_masks(
    program: Program, signals: Signals, work: Work, redacting: Sequence[int]
) -> tuple[tuple[Span, ...], bool]:
    """The spans to mask, and whether they could all be found.

    Args:
        program: the program.
        signals: finds entities.
        work: the request.
        redacting: indices of the entity signals whose spans are masked.
    """
    found: list[Span] = []
    whole = True
    for at in redacting:
        if at in work.pins:
            # A fixed value says which kinds there are, not where.
            whole = False
            continue
        try:
            found.extend(signals.find_spans(work, at))
        except Exception as error:
            name = program.signals[at].name
            log.warning("redaction by %s failed: %s", name, type(error).__name__)
            failure = Failure(name, "error")
            if failure not in work.failures:
                work.failures += (failure,)
            whole = False
    return merged(found), whole
