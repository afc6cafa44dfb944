"""What `routec replay` does: decide recorded requests again, print, compare and count."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from routec.cli import exits
from routec.cli.deltas import Comparing
from routec.cli.errors import CommandError
from routec.cli.event_file import EventFile
from routec.cli.flips import outcome
from routec.cli.interrupts import until_signalled
from routec.cli.profiling import Profiler
from routec.cli.programs import Compiled
from routec.cli.progress import passing
from routec.cli.render.json import write_json
from routec.cli.render.replay import Counted, document, notes, summary
from routec.cli.render.styled import write
from routec.cli.replaying import Answer, live_services, reader, replay_of, replayed
from routec.compiler.plan import Profile, ProfileError, dump_profile
from routec.runtime.config import Config
from routec.runtime.events.decode import Limits
from routec.runtime.replay import Recorded, Redecided, Source, Stream
from routec.runtime.replay.topic import TopicStream, open_topic
from routec.runtime.replay.whence import Whence


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for.

    Attributes:
        compiled: the policy.
        against: the policy to compare with; ``None`` compares with what was recorded.
        live: whether to compute costly signals that were not recorded.
        summary: whether to print counts instead of decisions.
        format: ``full`` or ``json``, of the summary.
        profile_out: file for a profile; ``None`` for none.
    """

    compiled: Compiled
    against: Compiled | None
    live: bool
    summary: bool
    format: str
    profile_out: str | None


async def replay_file(asked: Asked, events: str, decisions: str | None) -> int:
    """Replay a file; the exit status.

    Args:
        asked: what is asked for.
        events: file of request events.
        decisions: file of their decisions.

    Raises:
        CommandError: a file cannot be read or written, or the policy cannot run here.
    """
    return await _replay(asked, EventFile(events, decisions), None)


async def replay_topic(
    asked: Asked,
    config: Config,
    topic: str,
    partitions: Sequence[int],
    begin: Whence,
    end: Whence,
) -> int:
    """Replay a range of a topic; the exit status.

    Args:
        asked: what is asked for.
        config: the cluster, and the topic of the decisions.
        topic: topic of the requests.
        partitions: which of them; all if empty.
        begin: where to begin.
        end: where to end.

    Raises:
        StreamError: a topic cannot be read.
        CommandError: the policy cannot run here, or a file cannot be written.
    """
    with passing(topic, "replaying") as told:
        async with open_topic(config, topic, partitions, begin, end, told) as stream:
            limits = Limits(bytes=config.runtime.max_event_bytes)
            return await _replay(asked, stream, limits)


async def _replay(asked: Asked, events: Source | Stream, limits: Limits | None) -> int:
    work = _Work(asked, limits)
    stop = asyncio.Event()
    with until_signalled(stop):
        async with aclosing(replayed(events, work.replays)) as answers:
            async for answer, *other in answers:
                work.add(answer, other[0] if other else None)
                if stop.is_set():
                    break
    if asked.profile_out is not None and work.profiler is not None:
        _write_profile(await work.profiler.profile(), asked.profile_out)
    stream = events if isinstance(events, TopicStream) else None
    work.finish(stream, stopped=stop.is_set())
    if stop.is_set():
        return exits.INTERRUPTED
    return exits.FOUND if work.counted.refused else exits.FINE


class _Work:
    """Prints, compares and counts answers."""

    def __init__(self, asked: Asked, limits: Limits | None) -> None:
        compiled, against = asked.compiled, asked.against
        old = None if against is None else against.program
        self._asked = asked
        self._new = replay_of(compiled, live=asked.live, recorded=old, limits=limits)
        self.replays = [self._new]
        if against is not None:
            self.replays.append(replay_of(against, live=asked.live, limits=limits))
        self._comparing = Comparing(compiled.program, old, "" if against is None else against.hash)
        self._compares = against is not None
        self.counted = Counted()
        self.profiler: Profiler | None = None
        if asked.profile_out is not None:
            services = live_services(compiled) if asked.live else None
            self.profiler = Profiler(compiled.program, reader(compiled.program, old), services)

    def add(self, answer: Answer, other: Answer | None) -> None:
        """Take in an answer, and that of the policy to compare with."""
        self.counted.add(answer)
        recorded = answer.event.recorded
        before = recorded if self._asked.against is None else other
        self._compares = self._compares or before is not None
        self._comparing.add(before, answer)
        if self.profiler is not None and answer.request is not None:
            self.profiler.add(answer.event, answer.request)
        if not self._asked.summary:
            _write_line(self._line(answer, before))

    def _line(self, answer: Answer, before: Answer | Recorded | None) -> bytes:
        if not isinstance(answer, Redecided):
            return orjson.dumps(answer.document())
        told = _otherwise(before, answer)
        if not told:
            return self._new.encoded(answer)
        return orjson.dumps(self._new.document(answer) | told)

    def finish(self, stream: TopicStream | None, *, stopped: bool) -> None:
        """Print what is printed at the end."""
        asked = self._asked
        name, compared = asked.compiled.program.name, self._comparing.found
        if told := notes(stream, compared, asked.compiled.hash, stopped=stopped):
            write(told, sys.stderr)
        if not asked.summary:
            return
        found = compared if self._compares else None
        if asked.format == "json":
            write_json(document(name, asked.compiled.hash, self.counted, found, stream))
        else:
            write(summary(name, self.counted, found, stream))


def _otherwise(before: Answer | Recorded | None, now: Redecided) -> dict[str, Any]:
    """What was decided before, or by the other policy, where that is something else."""
    if not isinstance(before, Redecided | Recorded):
        return {}
    old, new = before.decision, now.decision
    if (outcome(old), old.model) == (outcome(new), new.model):
        return {}
    guard = None if old.reject is None else old.reject.guard or old.reject.reason
    told = {"outcome": old.outcome, "route": old.route, "model": old.model, "reject": guard}
    return {"against": told}


def _write_profile(profile: Profile, file: str) -> None:
    try:
        data = dump_profile(profile)
    except ProfileError as error:
        raise CommandError(error.message, error.help) from error
    try:
        Path(file).write_bytes(data)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no path of a file"
        raise CommandError(
            f"cannot write `{file}`: {reason.lower()}", "name another file with `--profile-out`"
        ) from error


def _write_line(data: bytes) -> None:
    """One line on standard output, in UTF-8 whatever the locale."""
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        sys.stdout.write(data.decode() + "\n")
    else:
        binary.write(data + b"\n")
