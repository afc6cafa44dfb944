"""`routec models`: what is installed, and errors that name the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from .support import Run


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROUTEC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_nothing_is_installed_at_first(routec: Run) -> None:
    result = routec("models", "list")
    assert (result.status, result.err) == (0, "")
    assert result.out == "minilm  not installed  run `routec models install minilm`\n"
    [row] = routec("models", "list", "--format", "json").json["models"]
    assert (row["name"], row["state"], row["path"]) == ("minilm", "not installed", None)


def test_a_damaged_model_is_listed_as_such(routec: Run, empty_cache: Path) -> None:
    (empty_cache / "models" / "minilm-1").mkdir(parents=True)
    [row] = routec("models", "list", "--format", "json").json["models"]
    assert row["state"] == "damaged"
    assert "run `routec models install minilm`" in row["help"]


def test_installing_from_a_folder_without_the_files(routec: Run, tmp_path: Path) -> None:
    result = routec("models", "install", "minilm", "--from", tmp_path)
    assert (result.status, result.out) == (2, "")
    assert "model.safetensors" in result.err
    assert "  = help: " in result.err


def test_list_takes_no_model(routec: Run) -> None:
    assert routec("models", "list", "minilm").status == 2
