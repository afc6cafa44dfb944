"""Write the vectors of a policy's example texts beside it, for `check` to reason with.

Similarity and contrast signals compare vectors that only an embedding model makes. The lock file
holds them, so that `check` proves what follows from them without a model, offline, everywhere the
same. Commit it with the policy. With --check nothing is written: the exit status is 1 where the
file is missing, was made by another embedder, or lacks an example or has one too many.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from routec.cli import exits
from routec.cli.errors import CommandError, RefusedPolicy, unreadable
from routec.cli.programs import read_config
from routec.cli.reading import STDIN, check_file
from routec.cli.render.styled import line, write
from routec.compiler.lock import (
    MAX_SIZE,
    Lock,
    LockError,
    dump,
    key_of,
    lock_path,
    make,
    parse,
    wanted,
)
from routec.compiler.theory.text.normal import normalise
from routec.dsl.diagnostic import Severity

EXAMPLES = """\
  routec lock policies/helpdesk.route
  routec lock policies/*.route --check
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec lock``."""
    parser.add_argument("policies", nargs="+", metavar="POLICY", help="a policy's file")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 where a lock is not up to date"
    )
    parser.add_argument(
        "--config", metavar="PATH", help="configuration (default: routec.toml beside the policy)"
    )


def run(options: argparse.Namespace) -> int:
    """Write, or check, the lock of each policy."""
    stale = False
    for file in options.policies:
        stale = not _one(file, options.check, options.config) or stale
    return exits.FOUND if stale else exits.FINE


def _one(file: str, only_check: bool, config: str | None) -> bool:
    if file == STDIN:
        raise CommandError("a lock stands beside a file", "name the policy's file")
    checked = check_file(file)
    if checked.policy is None:
        errors = tuple(f for f in checked.findings if f.severity is Severity.ERROR)
        raise RefusedPolicy(errors, checked.sources)
    path, texts = lock_path(file), wanted(checked.policy)
    if not texts:
        _say(f"{file} has no examples: it needs no lock", True)
        return True
    quantised = read_config(file, config).embedder.quantised
    from routec.safety.models.minilm import embedding_digest

    digest = embedding_digest("int8" if quantised else "fp32")
    known = _read(path)
    if only_check:
        wrong = _wrong(known, digest, texts)
        _say(f"{path}: {wrong or 'up to date'}", wrong is None)
        return wrong is None
    reusable = known if isinstance(known, Lock) and known.embedder == digest else None
    missing = texts if reusable is None else reusable.lacks(texts)
    if missing or reusable is None:
        made = _embed(missing, digest, quantised)
        vectors = {**(reusable.vectors if reusable else {}), **made.vectors}
        dimension = made.dimension
    else:
        vectors, dimension = dict(reusable.vectors), reusable.dimension
    keys = {key_of(text) for text in texts}
    lock = Lock(digest, dimension, {k: v for k, v in vectors.items() if k in keys})
    _write(path, dump(lock))
    _say(f"{path}: {len(lock.vectors)} examples, {len(missing)} of them new", True)
    return True


def _read(path: Path) -> Lock | str:
    """The lock there is, or why there is none."""
    try:
        with path.open("rb") as file:
            return parse(file.read(MAX_SIZE + 1))
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        raise unreadable(str(path), error) from error
    except LockError as error:
        return error.message


def _wrong(known: Lock | str, digest: str, texts: tuple[str, ...]) -> str | None:
    if isinstance(known, str):
        return known
    if known.embedder != digest:
        return "made by another embedder than the one configured"
    lacking = known.lacks(texts)
    if lacking:
        return f"lacks {len(lacking)} of {len(texts)} examples"
    extra = len(known.vectors) - len({key_of(text) for text in texts})
    return f"has {extra} examples that the policy has not" if extra else None


def _embed(texts: tuple[str, ...], digest: str, quantised: bool) -> Lock:
    from routec.safety.embed.minilm import MiniLM
    from routec.safety.models import ModelError
    from routec.safety.models.store import require_minilm

    try:
        embedder = MiniLM(require_minilm(), quantised=quantised, remember=0)
    except ModelError as error:
        raise CommandError(error.message, error.help) from error
    if embedder.digest != digest:
        raise CommandError(
            "the installed embedder is of another version",
            "run `routec models install minilm`",
        )
    rows = embedder.embed([normalise(text) for text in texts])
    return make(digest, texts, (row.tolist() for row in rows))


def _write(path: Path, data: bytes) -> None:
    """Replace the file at once: whoever reads it meanwhile sees the old one or the new one."""
    if len(data) > MAX_SIZE:
        raise CommandError(
            f"the vectors would take more than {MAX_SIZE >> 20} MiB", "use fewer examples"
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        reason = (error.strerror or "unknown reason").lower()
        raise CommandError(f"cannot write `{path}`: {reason}", "choose another folder") from error


def _say(text: str, good: bool) -> None:
    write([line(text, "good" if good else "warning")])
