"""Candidates as processes, and a reader of what they decide."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from routec.runtime.config import Config

HERE = Path(__file__).resolve().parents[1]
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_END = 60.0


class Process:
    """A candidate that runs until its work is done or it is told to end.

    Args:
        python: the interpreter.
        arguments: what it runs.
    """

    def __init__(self, python: str, *arguments: str) -> None:
        self._command = (python, *arguments)
        self._process: asyncio.subprocess.Process | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended

    async def __aenter__(self) -> Process:
        paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._errors,
            env=environment,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._errors.close()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process is not None and self._process.returncode is None

    def cpu_seconds(self) -> float:
        """User and system time of all its threads, to a hundredth of a second."""
        fields = self._read("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def rss(self) -> int:
        """Resident memory in bytes."""
        return int(self._read("statm").split()[1]) * _PAGE

    def _read(self, what: str) -> str:
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}/{what}").read_text()

    def end(self) -> None:
        """Ask it to end in order."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    async def report(self, seconds: float = _END) -> str:
        """What it printed, once it has ended."""
        assert self._process is not None
        async with asyncio.timeout(seconds):
            output, _ = await self._process.communicate()
        if self._process.returncode != 0:
            raise RuntimeError(f"{self._command[:4]} ended with an error:\n{self.errors()}")
        return output.decode()

    def errors(self) -> str:
        """The end of what it wrote to standard error."""
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace")[-3000:]


def candidate(spec: dict[str, object]) -> Process:
    """A worker or pass-through as a process."""
    return Process(sys.executable, "-m", "streaming.candidate", json.dumps(spec))


async def tally(process: Process, seconds: float = 600.0) -> dict[str, Any]:
    """A candidate's tally, once it has ended."""
    found: dict[str, Any] = json.loads((await process.report(seconds)).splitlines()[-1])
    return found


async def reader(config: Config, partitions: int) -> AIOKafkaConsumer:
    """A reader of committed decisions, from now on."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=config.kafka.bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        fetch_max_wait_ms=100,
    )
    await consumer.start()
    topic = config.topics.decisions
    consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
    await consumer.seek_to_end()
    return consumer
