"""The command on a terminal of its own."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time


def watched(arguments: list[str], wanted: bytes, number: signal.Signals) -> tuple[int, str]:
    """Run ``routec`` on a terminal until it shows something, then send it a signal.

    Args:
        arguments: of the command line.
        wanted: what it shows.
        number: the signal.

    Returns:
        Its exit status, and all that it wrote.
    """
    master, slave = pty.openpty()
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from routec.cli.main import main; sys.exit(main())"
    )
    environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "50"}
    environ.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environ,
    )
    os.close(slave)
    told, seen = False, b""
    deadline = time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 0.5)[0]:
                continue
            try:
                part = os.read(master, 65536)
            except OSError:
                break
            if not part:
                break
            seen += part
            if not told and wanted in seen:
                told = True
                process.send_signal(number)
        return process.wait(10), seen.decode(errors="replace")
    finally:
        process.kill()
        process.wait()
        os.close(master)
