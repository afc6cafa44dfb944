"""A worker in a process of its own, for the tests that kill it: CONFIG PAUSE."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from routec.runtime.config import load_config
from routec.runtime.stream import StreamError, Worker, run_until_signalled

sys.path.insert(0, str(Path(__file__).parent))

from traffic import EchoDecider


async def _main(path: Path, pause: float) -> int:
    worker = Worker(load_config(path, os.environ), EchoDecider(pause))
    try:
        await run_until_signalled(worker)
    except StreamError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        return 2
    counts = worker.counts
    print(f"taken {counts.taken} decided {counts.decided} dead {counts.dead}")
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(_main(Path(sys.argv[1]), float(sys.argv[2]))))
