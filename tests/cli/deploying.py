"""A cluster to deploy to from the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from routec.compiler.program import digest, load
from routec.runtime.config import Config, Kafka
from routec.runtime.policies.topic import read_compacted
from routec.runtime.records import Record

from .support import LIGHT, Result, Run

TOPIC = "routec.policies"


class Cluster:
    """The embedded broker, and `routec deploy` on it."""

    def __init__(self, bootstrap: str, routec: Run, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.config = Config(kafka=Kafka(bootstrap=bootstrap, fetch_max_wait=0.01))
        self.folder = folder
        self._routec = routec

    def policy(self, reason: str) -> Path:
        path = self.folder / f"{reason}.route"
        path.write_text(LIGHT.replace('"later"', f'"{reason}"'))
        return path

    async def deploy(self, *arguments: str | Path) -> Result:
        return await asyncio.to_thread(
            self._routec, "deploy", *arguments, "--bootstrap", self.bootstrap
        )

    async def json(self, *arguments: str | Path) -> Any:
        result = await self.deploy(*arguments, "--format", "json")
        assert (result.status, result.err) == (0, "")
        return result.json

    async def held(self) -> dict[str, Record]:
        found = await read_compacted(self.config, TOPIC)
        return {key.decode(): record for key, record in found.items()}

    async def hashes(self) -> dict[str, str]:
        held = await self.held()
        return {key: digest(load(one.value or b"")) for key, one in held.items()}
