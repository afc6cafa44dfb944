"""What `routec dlq` does with the letters of a cluster."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Any

from routec.cli import exits
from routec.cli.errors import CommandError
from routec.cli.interrupts import until_signalled
from routec.cli.progress import passing
from routec.cli.render.dlq import (
    Counted,
    letter_document,
    letter_lines,
    list_document,
    list_lines,
    replay_document,
    replay_lines,
)
from routec.cli.render.json import write_json
from routec.cli.render.styled import Line, write
from routec.runtime.config import Config
from routec.runtime.dlq import (
    Letter,
    Place,
    Replay,
    Selection,
    letter_at,
    letters_of,
    opened,
    read_letter,
    read_register,
)
from routec.runtime.stream import StreamError


async def listed(config: Config, selection: Selection, newest: int, format: str) -> int:
    """Count letters, and name the newest.

    Args:
        config: where they are.
        selection: which.
        newest: how many to name.
        format: ``full`` or ``json``.

    Raises:
        StreamError: they cannot be read.
    """
    counted = Counted(newest)
    async with opened(config) as consumer:
        register = await read_register(consumer, config)
        with passing(config.topics.dlq, "reading") as told:
            async for letter in letters_of(consumer, config, told):
                if letter is None:
                    counted.foreign += 1
                elif selection.wants(letter):
                    counted.add(letter, replayed=register.holds(letter))
    _print(format, list_document(config.topics.dlq, counted), list_lines(counted, config))
    return exits.FINE


async def show(config: Config, place: Place, format: str, *, raw: bool) -> int:
    """Print one letter, or only the bytes of its value.

    Raises:
        StreamError: it cannot be read.
        CommandError: there is none.
    """
    topic, name = config.topics.dlq, f"{place[0]}/{place[1]}"
    async with opened(config) as consumer:
        record = await letter_at(consumer, config, place)
        if record is None:
            raise CommandError(
                f"there is no letter `{name}` in `{topic}`", "`routec dlq list` names those there"
            )
        letter = read_letter(record)
        if letter is None:
            raise CommandError(
                f"`{name}` of `{topic}` is no dead letter of routec: it has no reason with it",
                "another program wrote it; read it with a tool of Kafka",
            )
        replayed = (await read_register(consumer, config)).holds(letter)
    if raw:
        sys.stdout.flush()
        sys.stdout.buffer.write(letter.value or b"")
    else:
        _print(format, letter_document(letter, replayed), letter_lines(letter, replayed))
    return exits.FINE


async def replay(
    config: Config,
    selection: Selection,
    format: str,
    *,
    again: bool,
    limit: int | None,
    dry_run: bool,
) -> int:
    """Bring letters back; the first Ctrl-C finishes the transaction under way.

    Args:
        config: where they are.
        selection: which.
        format: ``full`` or ``json``.
        again: also those that were brought back before.
        limit: the most to bring back.
        dry_run: only say what would be done.

    Raises:
        StreamError: it cannot be done; what was done so far is said.
    """
    stop = asyncio.Event()
    with passing(config.topics.dlq, "replaying") as told, until_signalled(stop):
        async with (
            opened(config) as consumer,
            opened(config) as register,
            aclosing(letters_of(consumer, config, told)) as found,
            aclosing(_wanted(found, selection)) as letters,
        ):
            work = Replay(config, register, again=again, limit=limit, topics=selection.topics)
            if dry_run:
                await work.rehearse(letters, stop)
            else:
                await _replay(work, letters, stop)
    result = work.result
    _print(
        format,
        replay_document(result, dry_run=dry_run),
        replay_lines(result, config.topics.dlq, dry_run=dry_run),
    )
    if result.stopped:
        return exits.INTERRUPTED
    return exits.FOUND if result.refused else exits.FINE


async def _replay(work: Replay, letters: AsyncIterable[Letter], stop: asyncio.Event) -> None:
    try:
        async with work:
            await work.run(letters, stop)
    except StreamError as error:
        done = work.result.done.total()
        if not done:
            raise
        raise StreamError(
            error.code, f"{error.message}; {done:,} letters were brought back before", error.help
        ) from error


async def _wanted(
    letters: AsyncIterable[Letter | None], selection: Selection
) -> AsyncGenerator[Letter, None]:
    async for letter in letters:
        if letter is not None and selection.wants(letter):
            yield letter


def _print(format: str, document: dict[str, Any], lines: list[Line]) -> None:
    if format == "json":
        write_json(document)
    else:
        write(lines)
