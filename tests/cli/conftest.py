"""The command as a function."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from routec.cli.main import main

from .support import CLEAN, LIGHT, Result, Run


@pytest.fixture
def routec(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    def run(*arguments: str | Path, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield run
    # A worker's logs go to the standard error of its test only.
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """A policy without findings that uses every kind of stage."""
    path = tmp_path / "clean.route"
    path.write_text(CLEAN)
    return path


@pytest.fixture
def light(tmp_path: Path) -> Path:
    """A policy that needs no model."""
    path = tmp_path / "light.route"
    path.write_text(LIGHT)
    return path
