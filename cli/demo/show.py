"""The demo's table and summary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from routec.cli.demo.tally import OUTCOMES, Tally
from routec.cli.render.styled import Line, Style, line

if TYPE_CHECKING:
    from rich.console import RenderableType

_BAR = 24


@contextmanager
def live_table(tally: Tally, policy: str, count: int) -> Iterator[None]:
    """Keep a table of the tally on the terminal for as long as the context lasts."""
    from rich.live import Live

    def table() -> RenderableType:
        return _table(tally, policy, count)

    with Live(get_renderable=table, refresh_per_second=4):
        yield


def _table(tally: Tally, policy: str, count: int) -> RenderableType:
    from rich.table import Table

    table = Table(title=f"routec demo · {policy}", title_justify="left", min_width=64)
    table.add_column("decisions", min_width=22)
    table.add_column("events", justify="right", min_width=8)
    table.add_column("", min_width=_BAR)
    whole = max(tally.decisions, 1)
    for route, number in tally.routes.most_common():
        table.add_row(f"route {route}", f"{number:,}", _bar(number / whole, "cyan"))
    for guard, number in tally.rejects.most_common():
        table.add_row(f"reject {guard}", f"{number:,}", _bar(number / whole, "red"))
    table.add_section()
    table.add_row("from the cache", f"{tally.outcomes['cached']:,}", "")
    table.add_row("dead letters", f"{tally.dead_letters.total():,}", "")
    table.add_row("sent", f"{tally.sent:,}", f"of {count:,}, {tally.pending:,} under way")
    latency = tally.latency_ms()
    if latency["p50"] is not None and latency["p99"] is not None:
        table.add_section()
        rate = (tally.decisions + tally.dead_letters.total()) / max(tally.seconds, 1e-9)
        table.add_row("events a second", f"{rate:,.0f}", "")
        table.add_row("latency", f"{latency['p50']:,.1f} ms", f"p99 {latency['p99']:,.1f} ms")
    return table


def _bar(share: float, colour: str) -> RenderableType:
    from rich.text import Text

    filled = round(share * _BAR)
    return Text("█" * filled, style=colour) + Text("░" * (_BAR - filled), style="dim")


def summary_lines(tally: Tally, policy: str) -> list[Line]:
    """The summary for a person."""
    latency = tally.latency_ms()
    lines: list[Line] = [
        ((f"{tally.sent:,} events", "strong"), (f" to {policy} in {tally.seconds:.1f} s", ""))
    ]
    outcomes = ", ".join(f"{tally.outcomes[o]:,} {o}" for o in OUTCOMES)
    lines.append(line(f"  {tally.decisions:,} decisions: {outcomes}"))
    for what, counts in (("routes", tally.routes), ("rejects", tally.rejects)):
        if counts:
            listed = ", ".join(f"{name} {number:,}" for name, number in counts.most_common())
            lines.append(line(f"    {what}: {listed}"))
    dead = tally.dead_letters
    codes = ", ".join(f"{code} {number}" for code, number in dead.most_common())
    lines.append(line(f"  {dead.total():,} dead letters" + (f": {codes}" if codes else "")))
    if latency["p50"] is not None and latency["p99"] is not None:
        text = f"  latency p50 {latency['p50']:,.1f} ms, p99 {latency['p99']:,.1f} ms"
        lines.append(line(f"{text}, from sending an event to seeing its decision"))
    style: Style = "good" if tally.adds_up else "error"
    total = f"{tally.decisions:,} + {tally.dead_letters.total():,}"
    if tally.adds_up:
        lines.append(line(f"  the counts add up: {total} = {tally.sent:,}", style))
    else:
        lines.append(
            line(
                f"  the counts do not add up: {total} of {tally.sent:,} events "
                f"({tally.malformed:,} malformed; {len(tally.waiting):,} undecided, "
                f"{tally.strange:,} unknown)",
                style,
            )
        )
    return lines
