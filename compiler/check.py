"""What `routec check` says of a policy, and the policy it says it of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from routec.compiler.load import Loaded, load, load_bytes
from routec.compiler.policy import Policy
from routec.compiler.resolve import resolve
from routec.dsl import ast
from routec.dsl.diagnostic import Diagnostic, Severity
from routec.dsl.source import Source

if TYPE_CHECKING:
    from routec.compiler.analysis.run import Options


@dataclass(frozen=True, slots=True)
class Checked:
    """A checked policy.

    Attributes:
        policy: the resolved policy; ``None`` where there are errors.
        findings: all findings, in the order of the files and of the places in them.
        sources: every file read, by name.
        modules: what they say, imported files before those that import them.
    """

    policy: Policy | None
    findings: tuple[Diagnostic, ...]
    sources: dict[str, Source]
    modules: tuple[ast.Module, ...] = field(default=(), repr=False)

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(f.severity is Severity.ERROR for f in self.findings)


def check(path: Path) -> Checked:
    """Check a policy file and all that it imports.

    Names and types only: `analyse` proves the rest.

    Raises:
        OSError: if the file itself cannot be read.
    """
    return _check(load(path))


def check_bytes(name: str, data: bytes) -> Checked:
    """The same of a text that is already read; imports resolve beside `name`."""
    return _check(load_bytes(name, data))


def _check(loaded: Loaded) -> Checked:
    findings = list(loaded.findings)
    policy: Policy | None = None
    if loaded.modules:
        resolution = resolve(loaded.modules, loaded.broken, complete=not findings)
        findings += resolution.findings
        policy = resolution.policy
    if any(f.severity is Severity.ERROR for f in findings):
        policy = None
    return Checked(policy, _ordered(findings, loaded.sources), loaded.sources, loaded.modules)


def analyse(checked: Checked, options: Options | None = None) -> Checked:
    """The same with what can be proved of the policy; unchanged where names or types are wrong."""
    if checked.policy is None or not checked.policy.routes:
        return checked
    from routec.compiler.analysis import run  # the solver is loaded for those who ask
    from routec.compiler.lock import read_lock

    options = options or run.Options()
    lock = None
    if options.vectors:
        lock = read_lock(next(iter(checked.sources)), checked.policy, options.embedder)
    proved = run.analyse(checked.policy, checked.sources, options, lock)
    findings = _ordered([*checked.findings, *proved], checked.sources)
    return replace(checked, findings=findings)


def _ordered(findings: Iterable[Diagnostic], sources: Iterable[str]) -> tuple[Diagnostic, ...]:
    """In the order of the files and of the places in them."""
    order = {name: at for at, name in enumerate(sources)}
    return tuple(sorted(findings, key=lambda f: (order.get(f.span.file, -1), f.span.start, f.code)))
