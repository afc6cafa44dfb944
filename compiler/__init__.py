"""Names and types, the reference interpreter, and the program that the engine runs."""

from __future__ import annotations

from routec.compiler.check import Checked, analyse, check, check_bytes

__all__ = ["Checked", "analyse", "check", "check_bytes"]
