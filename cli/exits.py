"""Exit statuses of every command."""

from __future__ import annotations

from typing import Final

FINE: Final = 0
FOUND: Final = 1
"""There are findings, or tests failed."""
UNABLE: Final = 2
"""Wrong usage, unreadable input or an internal error."""
INTERRUPTED: Final = 130
"""128 and the number of SIGINT, as shells have it."""
PIPE_CLOSED: Final = 141
"""128 and the number of SIGPIPE: the reader of the output went away."""
