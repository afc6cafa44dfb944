"""A policy's files: the file itself, what it imports, and the lists it names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from routec.compiler.rules.import_error import import_error
from routec.dsl import Parsed, Source, ast, parse, read_source
from routec.dsl.diagnostic import Diagnostic, Related

_LIST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a policy's files say.

    Attributes:
        modules: parsed files, imported ones before those that import them; the policy's own last.
        sources: every file read, by name, for showing places in them.
        findings: what is wrong with reading and parsing them.
        broken: names of declarations that could not be read.
    """

    modules: tuple[ast.Module, ...]
    sources: dict[str, Source]
    findings: tuple[Diagnostic, ...]
    broken: frozenset[str]


def load(path: Path) -> Loaded:
    """Read and parse a policy file and all that it imports.

    Raises:
        OSError: if the file itself cannot be read.
    """
    return _load(str(path), path.read_bytes())


def load_bytes(name: str, data: bytes) -> Loaded:
    """The same of a text that is already read; imports resolve beside `name`."""
    return _load(name, data)


def _load(name: str, data: bytes) -> Loaded:
    modules: list[ast.Module] = []
    sources: dict[str, Source] = {}
    findings: list[Diagnostic] = []
    broken: set[str] = set()
    open_files: dict[Path, ast.Import | None] = {}
    done: set[Path] = set()

    def visit(name: str, data: bytes, via: ast.Import | None) -> None:
        path = Path(name).resolve()
        open_files[path] = via
        source = read_source(name, data)
        if isinstance(source, Diagnostic):
            findings.append(source)
        else:
            sources[name] = source
            parsed: Parsed = parse(source)
            findings.extend(parsed.diagnostics)
            broken.update(ident.name for ident in parsed.broken)
            for declaration in parsed.module.declarations:
                if isinstance(declaration, ast.Import):
                    follow(Path(name).parent, declaration)
            modules.append(parsed.module)
        del open_files[path]
        done.add(path)

    def follow(folder: Path, declaration: ast.Import) -> None:
        target = folder / declaration.path.value
        where = declaration.path.span
        try:
            resolved = target.resolve()
            if resolved in done:
                return
            if resolved in open_files:
                closing = open_files[resolved]
                related = () if closing is None else (Related("imported here", closing.span),)
                findings.append(
                    import_error(
                        f"`{declaration.path.value}` imports itself",
                        where,
                        "move what both need into a third file",
                        related,
                    )
                )
                return
            data = target.read_bytes()
        except (OSError, ValueError) as error:
            findings.append(_unreadable(declaration.path, error))
            return
        visit(str(target), data, declaration)

    visit(name, data, None)
    return Loaded(tuple(modules), sources, tuple(findings), frozenset(broken))


def read_lines(file: ast.File) -> tuple[str, ...] | Diagnostic:
    """The entries of a ``file("…")`` list, one a line, blank lines left out; or why not."""
    target = Path(file.span.file).parent / file.path.value
    try:
        with target.open("rb") as handle:
            data = handle.read(_LIST_BYTES + 1)
        if len(data) > _LIST_BYTES:
            return import_error(
                f"`{file.path.value}` is larger than {_LIST_BYTES >> 20} MiB",
                file.path.span,
                "split it, or list fewer entries",
            )
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return import_error(
            f"`{file.path.value}` is not UTF-8 text", file.path.span, "save it as UTF-8"
        )
    except (OSError, ValueError) as error:
        return _unreadable(file.path, error)
    lines = tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if not lines:
        return import_error(
            f"`{file.path.value}` has no entries", file.path.span, "write one entry a line"
        )
    return lines


def _unreadable(path: ast.String, error: Exception) -> Diagnostic:
    reason = getattr(error, "strerror", None) or "it is no path of a file"
    return import_error(
        f"`{path.value}` cannot be read: {reason.lower()}",
        path.span,
        "the path is taken beside the file that names it",
    )
