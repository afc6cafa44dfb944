"""Names and types, the reference interpreter, and the program that the engine runs."""

from __future__ import annotations

from routec.compiler.check import Checked, check, check_bytes

__all__ = ["Checked", "check", "check_bytes"]
