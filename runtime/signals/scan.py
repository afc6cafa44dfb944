"""Keywords and regexes: one scan of each text that the policy reads."""

from __future__ import annotations

from routec.compiler.program import Program, Signal
from routec.safety.scan import Keyword, Pattern, Scanner
from routec.safety.views import decoded_views

KINDS = frozenset({"keyword", "regex"})


class TextScan:
    """The keyword and regex signals of a program.

    Args:
        program: the program.

    Raises:
        ValueError: a phrase or pattern that the scanner refuses.
    """

    def __init__(self, program: Program) -> None:
        by_scope: dict[str, list[tuple[int, Signal]]] = {}
        for at, signal in enumerate(program.signals):
            if signal.kind in KINDS:
                by_scope.setdefault(signal.scope, []).append((at, signal))
        self._scopes = {
            scope: (
                tuple((at, signal.name) for at, signal in signals),
                _scanner([signal for _, signal in signals]),
                _scanner([signal for _, signal in signals if signal.guarded]),
            )
            for scope, signals in by_scope.items()
        }
        self._kept: dict[tuple[str, str], list[tuple[int, bool]]] = {}

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that signals of the program are looked for in."""
        return tuple(self._scopes)

    def signals(self, scope: str) -> tuple[int, ...]:
        """The indices of a scope's signals."""
        return tuple(at for at, _ in self._scopes[scope][0])

    def scan(self, scope: str, text: str) -> list[tuple[int, bool]]:
        """Index and value of every signal of a scope.

        Args:
            scope: one that a signal of the program reads.
            text: the normalised text of that scope.
        """
        kept = self._kept.get((scope, text))
        if kept is not None:
            return kept
        signals, scanner, guarded = self._scopes[scope]
        assert scanner is not None
        found = scanner.scan(text)
        if guarded is not None:
            for view in decoded_views(text):
                found |= guarded.scan(view)
        return [(at, name in found) for at, name in signals]

    def keep(self, scope: str, text: str) -> list[tuple[int, bool]]:
        """As `scan`, and the next scans of that text cost nothing, until `forget`."""
        found = self._kept[scope, text] = self.scan(scope, text)
        return found

    def forget(self) -> None:
        """Keep no text any longer."""
        self._kept.clear()


def _scanner(signals: list[Signal]) -> Scanner | None:
    if not signals:
        return None
    return Scanner(
        [
            Keyword(s.name, s.phrases, match=s.match, case_sensitive=s.case_sensitive)  # type: ignore[arg-type]
            for s in signals
            if s.kind == "keyword"
        ],
        [Pattern(s.name, s.pattern, s.flags) for s in signals if s.kind == "regex"],
    )
