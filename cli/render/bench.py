"""The figures of the benchmarks, as one table and as JSON, and how far they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from routec.cli.bench.result import LeftOut, Outcome, Result
from routec.cli.render.styled import Line, Style, coloured, line

if TYPE_CHECKING:
    from rich.progress import TaskID

_HEAD = ("figure", "value", "unit", "baseline", "ratio", "target", "")


def document(outcomes: Sequence[Outcome], *, interrupted: bool = False) -> dict[str, Any]:
    """The object of `bench --format json`.

    Args:
        outcomes: what was measured, or left out.
        interrupted: whether there would have been more.
    """
    found: dict[str, Any] = {"results": [o.document() for o in outcomes if isinstance(o, Result)]}
    left_out = [{"name": o.name, "why": o.why} for o in outcomes if isinstance(o, LeftOut)]
    if left_out:
        found["left_out"] = left_out
    if interrupted:
        found["interrupted"] = True
    return found


def table(outcomes: Sequence[Outcome]) -> list[Line]:
    """The figures for a person; what each baseline is stands below."""
    remarks: dict[str, int] = {}
    rows = [_row(outcome, remarks) for outcome in outcomes if isinstance(outcome, Result)]
    widths = [max(len(row[at]) for row in [_HEAD, *(r for r, _ in rows)]) for at in range(6)]
    lines: list[Line] = [_aligned(_HEAD, widths, "strong")] if rows else []
    area = ""
    for row, style in rows:
        begins = row[0].partition("/")[0]
        if area and begins != area:
            lines.append(line())
        area = begins
        lines.append(_aligned(row, widths, style))
    if remarks:
        lines += [line(), line("ratio is figure / baseline; times are processor time", "frame")]
        lines += [line(f"[{number}] {text}", "frame") for text, number in remarks.items()]
    for outcome in outcomes:
        if isinstance(outcome, LeftOut):
            lines.append(line(f"left out: {outcome.name}: {outcome.why}", "warning"))
    if rows:
        lines += [line(), _verdict([o for o in outcomes if isinstance(o, Result)])]
    return lines


def _row(result: Result, remarks: dict[str, int]) -> tuple[tuple[str, ...], Style]:
    marks = ""
    for text in (result.against, result.note):
        if text is not None:
            marks += f"[{remarks.setdefault(text, len(remarks) + 1)}]"
    verdict, style = {
        None: ("", ""),
        True: ("met", "good"),
        False: ("NOT MET", "error"),
    }[result.met]
    cells = (
        result.name,
        number(result.value),
        result.unit,
        number(result.baseline),
        "" if result.ratio is None else f"{number(result.ratio)}x",
        result.target or "",
        f"{verdict:<8}{marks}",
    )
    return cells, style  # type: ignore[return-value]  # mypy widens the styles to str


def _aligned(row: Sequence[str], widths: Sequence[int], style: Style) -> Line:
    name, value, unit, baseline, ratio, target, rest = row
    text = (
        f"{name:<{widths[0]}}  {value:>{widths[1]}} {unit:<{widths[2]}}  "
        f"{baseline:>{widths[3]}}  {ratio:>{widths[4]}}  {target:<{widths[5]}}  "
    )
    if style == "strong":
        return ((text + rest, "strong"),)
    return ((text, ""), (rest, style))


def number(value: float | None) -> str:
    """A figure with three or four digits that say something; nothing for ``None``."""
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if value == round(value):
        return f"{value:.0f}"
    return f"{value:.4g}" if 1 <= abs(value) < 10 else f"{value:.3g}"


def _verdict(results: Sequence[Result]) -> Line:
    bound = [result for result in results if result.met is not None]
    missed = [result.name for result in bound if not result.met]
    if missed:
        return line(
            f"{len(bound) - len(missed)} of {len(bound)} targets met; not: {'; '.join(missed)}",
            "error",
        )
    return line(f"all {len(bound)} targets met" if bound else "no targets here", "good")


class Told(Protocol):
    """Is told what is measured next."""

    def __call__(self, area: str, done: int, total: int, last: str) -> None:
        """An area is being measured, after so many of all; its last figure was this."""
        ...


@contextmanager
def progress() -> Iterator[Told]:
    """Show on standard error, where that is a terminal, what is being measured."""
    if not coloured(sys.stderr):
        yield _nothing
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        console=Console(file=sys.stderr),
        transient=True,
        refresh_per_second=2,
    ) as bar:
        task: TaskID = bar.add_task("", total=None)

        def told(area: str, done: int, total: int, last: str) -> None:
            words = f"{area}: {last}" if last else area
            bar.update(task, description=words, completed=done, total=total)

        yield told


def _nothing(area: str, done: int, total: int, last: str) -> None:
    """Nobody watches."""
