"""Which steps of a question are drawn: all of a small one, the beginning of a large one."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from routec.cli.graph.flow import Flow, Key, Way


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is drawn of a question.

    Attributes:
        keys: the steps, and stand-ins ``("more", i)`` for those left out; the first is the start.
        ways: the ways between them, each with its source.
        rows: of a list, the steps side by side in each row.
        behind: for each stand-in how many steps (of a list: rules) it stands for.
        hidden: steps that are not drawn.
        stand_in: for each step left out of a list its stand-in.
    """

    keys: tuple[Key, ...]
    ways: tuple[tuple[Key, Way], ...]
    rows: tuple[tuple[Key, ...], ...]
    behind: Mapping[Key, int]
    hidden: int
    stand_in: Mapping[Key, Key] = field(default_factory=dict)


def drawn_diagram(flow: Flow, most: int, wanted: Sequence[Key]) -> Drawn:
    """The steps nearest to the start, those wanted always.

    A step whose ways on are not all drawn has one stand-in for what is left out behind it.
    """
    chosen: dict[Key, None] = dict.fromkeys(wanted)
    queue, seen = deque([flow.start]), {flow.start}
    while queue and len(chosen) < most:
        key = queue.popleft()
        chosen[key] = None
        for way in flow.ways[key]:
            if way.to not in seen:
                seen.add(way.to)
                queue.append(way.to)
    keys = [flow.start, *(key for key in chosen if key != flow.start)]
    ways: list[tuple[Key, Way]] = []
    behind: dict[Key, int] = {}
    for key in list(keys):
        cut = [way for way in flow.ways[key] if way.to not in chosen]
        ways += [(key, way) for way in flow.ways[key] if way.to in chosen]
        if cut:
            more: Key = ("more", key[1])
            keys.append(more)
            behind[more] = _reachable(flow, [way.to for way in cut], chosen)
            label = ", ".join(way.label for way in cut if way.label)
            answer = cut[0].answer if len(cut) == 1 else "next"
            ways.append((key, Way(more, answer, label)))
    return Drawn(tuple(keys), tuple(ways), (), behind, len(flow.ways) - len(chosen))


def drawn_list(flow: Flow, most: int, wanted: Sequence[Key], marked: Sequence[int]) -> Drawn:
    """The first rows and the last, those wanted or marked always; gaps become a row each."""
    rows = _rows(flow)
    room = max(4, most // 2)
    chosen = {at for at, row in enumerate(rows) if row[-1] in wanted}
    chosen |= {len(rows) - 1}
    chosen |= set(marked[: room // 2])
    first = room - len(chosen)
    chosen |= set(range(len(rows))) if len(rows) <= room else set(range(max(first, 1)))
    keys: list[Key] = []
    shown: list[tuple[Key, ...]] = []
    behind: dict[Key, int] = {}
    ways: list[tuple[Key, Way]] = []
    stand_in: dict[Key, Key] = {}
    hidden, gap = 0, None
    for at, row in enumerate(rows):
        if at in chosen:
            keys += row
            shown.append(row)
            gap = None
            continue
        if gap is None:
            gap = ("more", at)
            keys.append(gap)
            shown.append((gap,))
            behind[gap] = 0
        behind[gap] += 1
        hidden += len(row)
        stand_in.update(dict.fromkeys(row, gap))
    for row in rows:
        for key in row:
            source = stand_in.get(key, key)
            for way in flow.ways[key]:
                target = stand_in.get(way.to, way.to)
                if target == source:
                    continue
                if source[0] == "more":
                    way = Way(way.to, "next")
                ways.append((source, Way(target, way.answer, way.label)))
    return Drawn(tuple(keys), tuple(dict.fromkeys(ways)), tuple(shown), behind, hidden, stand_in)


def _rows(flow: Flow) -> list[tuple[Key, ...]]:
    rows: list[tuple[Key, ...]] = []
    for at in range(len(flow.rows) + 1):
        row: list[Key] = [("rule", at), ("does", at), ("none", at)]
        row = [key for key in row if key in flow.ways]
        if row:
            rows.append(tuple(row))
    return rows


def _reachable(flow: Flow, start: Sequence[Key], drawn: Collection[Key]) -> int:
    seen = set(start)
    waiting = list(start)
    while waiting:
        for way in flow.ways[waiting.pop()]:
            if way.to not in drawn and way.to not in seen:
                seen.add(way.to)
                waiting.append(way.to)
    return len(seen)
