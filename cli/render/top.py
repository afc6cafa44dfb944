"""The picture of `routec top`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from routec.cli.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

_MOST = 12
"""Rows of each table; the others are counted in its last one."""
_WIDTH = 100
_UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def show(picture: RenderableType, stream: TextIO, *, colour: bool) -> None:
    """Write a picture once.

    Args:
        picture: the picture.
        stream: where to.
        colour: whether the stream wants colours.
    """
    from rich.console import Console

    width = None if stream.isatty() else _WIDTH
    console = Console(
        file=stream, width=width, no_color=not colour, force_terminal=colour, highlight=False
    )
    console.print(picture)


def screen(
    seen: Mapping[str, Any], bases: Sequence[str], trouble: str | None = None
) -> RenderableType:
    """The picture.

    Args:
        seen: what `routec.runtime.observe.view` found.
        bases: addresses of the workers.
        trouble: why it is not up to date.
    """
    from rich.console import Group

    parts: list[RenderableType] = [_head(seen, bases)]
    if trouble is not None:
        parts.append(_text(f"not up to date: {trouble}", "bold red"))
    parts += [_flow(seen), _decided(seen)]
    parts += [table for table in (_cache(seen), _signals(seen), _dead(seen)) if table is not None]
    return Group(*parts)


def cluster_screen(
    seen: Mapping[str, Any], bases: Sequence[str], trouble: str | None = None
) -> RenderableType:
    """The picture of a cluster, and of its workers' metrics below.

    Args:
        seen: the object of `--format json`.
        bases: addresses of the workers whose metrics are in it.
        trouble: why it is not up to date.
    """
    from rich.console import Group

    letters = seen["dead_letters"]
    parts: list[RenderableType] = [_text(f"routec top · {seen['bootstrap']}", "bold")]
    if trouble is not None:
        parts.append(_text(f"not up to date: {trouble}", "bold red"))
    table = _table(seen["topic"], "a second", "")
    table.add_row("requests come", _per_second(seen["requests"]), "")
    if letters["kept"] is not None:
        table.add_row("dead letters", _per_second(letters), f"{letters['kept']:,} kept")
    parts.append(table)
    for group in seen["groups"]:
        parts += [_group(group), _workers(group, seen["unreachable"])]
    if seen["metrics"] is not None:
        parts.append(screen(seen["metrics"], bases))
    return Group(*parts)


def _group(group: Mapping[str, Any]) -> RenderableType:
    table = _table(f"group {visible(group['group'])}", "", "")
    lag, whole = group["lag"], len(group["lag"]["partitions"])
    table.add_row("decided", f"{_per_second(group['decided'])} a second", "")
    table.add_row("lag", _number(lag["events"]), _worst(lag["partitions"], "partition "))
    if group["partitions_begun"] < whole:
        table.add_row("begun", f"{group['partitions_begun']} of {whole} partitions", "")
    for one in group["policies"]:
        name = visible(f"{one['name']} {one['hash'][:15]}")
        table.add_row(name, f"{one['workers']} workers", "")
    return table


def _workers(group: Mapping[str, Any], unreachable: Mapping[str, str]) -> RenderableType:
    table = _table("workers", "policy", "state", "metrics")
    for one in group["workers"][:_MOST]:
        hash = one["policy"]["hash"].removeprefix("sha256:")[:8]
        tried = "" if one["candidate"] is None else " + candidate"
        lost = f"lost: silent for {_seconds(one['age'])}"
        state = _text(lost, "bold red") if one["lost"] else _text("running", "green")
        where = one["metrics"] or "not served"
        if where in unreachable:
            where += " (no answer)"
        table.add_row(visible(one["worker"]), visible(hash + tried), state, visible(where))
    _more(table, len(group["workers"]))
    if not group["workers"]:
        table.add_row("none has told its status", "", "", "")
    return table


def _head(seen: Mapping[str, Any], bases: Sequence[str]) -> RenderableType:
    from rich.console import Group

    names = ", ".join(f"{one['name']} {one['hash'][:15]}" for one in seen["policies"])
    lines = [_text(f"routec top · {names or 'no policy'}", "bold")]
    for base, worker in zip(bases, seen["workers"], strict=True):
        waiting = ", ".join(name for name, holds in worker["conditions"].items() if not holds)
        if worker["ready"]:
            lines.append(_text(f"{base} is ready", "green"))
        else:
            lines.append(_text(f"{base} waits for {waiting or 'its health'}", "yellow"))
    return Group(*lines)


def _flow(seen: Mapping[str, Any]) -> RenderableType:
    table = _table("stream", "", "")
    commits, batch, flight = seen["commits"], seen["batch"], seen["in_flight"]
    table.add_row("committed events", _number(commits["events"]["total"]), _rate(commits["events"]))
    table.add_row("lag", _number(seen["lag"]["events"]), _worst(seen["lag"]["partitions"]))
    table.add_row("oldest event", _seconds(seen["oldest_event_seconds"]), "")
    paused = int(seen["paused_partitions"])
    table.add_row(
        "in flight",
        _number(flight["events"]),
        _bytes(flight["bytes"]) + (f", {paused} partitions paused" if paused else ""),
    )
    size = "–" if batch["events"] is None else f"{batch['events']:,.0f} events"
    table.add_row("batch", size, _latency(batch["ms"]))
    table.add_row("commit", "", _latency(commits["ms"]))
    rebuilt = ", ".join(f"{reason} {count:,.0f}" for reason, count in seen["rebuilds"].items())
    if seen["fenced"] or rebuilt:
        table.add_row("fenced", _number(seen["fenced"]), visible(f"rebuilt: {rebuilt or 'none'}"))
    if seen["rebalances"]:
        table.add_row("rebalances", _number(seen["rebalances"]), "")
    return table


def _decided(seen: Mapping[str, Any]) -> RenderableType:
    table = _table("decisions", "events", "per second", "share")
    whole = seen["decisions"]["total"]

    def row(name: str, count: Mapping[str, Any]) -> None:
        share = f"{count['total'] / whole:.1%}" if whole else "–"
        table.add_row(name, _number(count["total"]), _per_second(count), share)

    routes = seen["routes"]
    for name in list(routes)[:_MOST]:
        row(f"route {visible(name)}", routes[name])
    _more(table, len(routes))
    row("from the cache", seen["outcomes"]["cached"])
    row("rejected", seen["outcomes"]["reject"])
    table.add_section()
    row("all", seen["decisions"])
    return table


def _cache(seen: Mapping[str, Any]) -> RenderableType | None:
    if not seen["cache"]:
        return None
    table = _table("cache", "look-ups", "hit rate", "entries")
    for category, found in list(seen["cache"].items())[:_MOST]:
        asked = found["hits"]["total"] + found["misses"]["total"]
        rate = "–" if found["hit_rate"] is None else f"{found['hit_rate']:.1%}"
        table.add_row(visible(category), _number(asked), rate, _number(found["entries"]))
    _more(table, len(seen["cache"]))
    return table


def _signals(seen: Mapping[str, Any]) -> RenderableType | None:
    if not seen["signals"]:
        return None
    table = _table("signals", "values", "per second", "a call", "failures")
    for name, found in list(seen["signals"].items())[:_MOST]:
        failures = ", ".join(f"{why} {count:,.0f}" for why, count in found["failures"].items())
        table.add_row(
            visible(name),
            _number(found["values"]["total"]),
            _per_second(found["values"]),
            _latency(found["ms"]),
            _text(failures, "red"),
        )
    _more(table, len(seen["signals"]))
    return table


def _dead(seen: Mapping[str, Any]) -> RenderableType | None:
    if not seen["dead_letters"]:
        return None
    table = _table("dead letters", "events", "per second")
    for code, count in list(seen["dead_letters"].items())[:_MOST]:
        table.add_row(visible(code), _number(count["total"]), _per_second(count))
    _more(table, len(seen["dead_letters"]))
    return table


def _table(first: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False)
    table.add_column(first, min_width=24, no_wrap=True, overflow="ellipsis")
    for name in columns:
        table.add_column(name, justify="right", min_width=10)
    return table


def _more(table: Table, rows: int) -> None:
    if rows > _MOST:
        table.add_row(f"and {rows - _MOST} more", *("" for _ in table.columns[1:]))


def _text(text: str, style: str) -> Text:
    from rich.text import Text

    return Text(visible(text), style=style)


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _per_second(count: Mapping[str, Any]) -> str:
    rate = count["per_second"]
    if rate is None:
        return "–"
    return f"{rate:,.1f}" if rate < 100 else f"{rate:,.0f}"


def _rate(count: Mapping[str, Any]) -> str:
    return f"{_per_second(count)} a second"


def _latency(found: Mapping[str, float | None]) -> str:
    if found["p50"] is None or found["p99"] is None:
        return "–"
    return f"{found['p50']:,.1f} ms, p99 {found['p99']:,.1f} ms"


def _seconds(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"


def _bytes(count: float) -> str:
    for size, unit in _UNITS:
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count:,.0f} B"


def _worst(partitions: Mapping[Any, float], of: str = "") -> str:
    behind: Iterable[tuple[Any, float]] = partitions.items()
    name, events = max(behind, key=lambda one: one[1], default=("", 0.0))
    return f"most: {events:,.0f} in {of}{visible(str(name))}" if events else ""
