"""all-MiniLM-L6-v2 on onnxruntime."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from routec.safety.embed.turns import Turns
from routec.safety.models.errors import ModelError
from routec.safety.models.minilm import DIMENSION, MAX_TOKENS, TOKENIZER_FILE
from routec.safety.models.store import Installed, check_file, read_file
from routec.safety.shared import Shared

if TYPE_CHECKING:
    import onnxruntime
    import tokenizers

# Rows and tokens run at once: more gain nothing on a CPU, and long texts even lose
# (cli/bench/embed.py). It also bounds how long another call waits for its turn.
_BATCH: Final = 8
_BATCH_TOKENS: Final = 256
# Far beyond 256 tokens of prose; it bounds the tokenizer's time on a huge or hostile text.
_MAX_CHARACTERS: Final = 8192
_EMPTY_TOKENS: Final = 2  # the marks of begin and end that every text gets


@dataclass(frozen=True, slots=True)
class EmbedCounts:
    """How many texts were embedded by the model, and how many were known."""

    embedded: int
    known: int


class _Model:
    """A model that is loaded, and the turns that those who use it take."""

    __slots__ = ("__weakref__", "session", "tokenizer", "turns")

    def __init__(self, installed: Installed, model: Path, threads: int) -> None:
        self.session = _session(model, installed.checksums[model.name], threads)
        self.tokenizer = _tokenizer(installed)
        self.turns = Turns()


_TOKENIZERS: Final[dict[str, tokenizers.Tokenizer]] = {}
"""By checksum. Encoding changes nothing in one, so all models share it."""

_MODELS: Final[Shared[tuple[Path, str, Path, str, int], _Model]] = Shared()


class MiniLM:
    """The embedder that needs no network and no GPU.

    A text is read up to its first 256 tokens (about 200 English words) and its first 8,192
    characters; what follows does not count. A text without a token (empty, blank, control
    characters only) gets a row of zeros. The model is uncased and was trained on English.

    Texts are run in groups of equal token count, so without padding, and pooled one by one: a
    text's vector is the same alone and in any batch. Equal texts are embedded once, and the
    latest ``remember`` vectors are kept.

    Instances may be shared between threads. Calls take turns after every group, so that a short
    one does not wait for all of a long one. ``embed`` does not release the event loop: call it
    from a worker thread.

    Instances of the same files and ``threads`` share the loaded model (90 MB in fp32), which is
    freed with the last of them; each keeps vectors of its own.

    Args:
        installed: where the files are.
        threads: threads of onnxruntime for one call, at least 1.
        quantised: int8 matrix products: about twice the speed; cosine to the fp32 vector 0.997 on
            average and as low as 0.98 for very short texts. It has another digest, because
            thresholds and heads made on one do not fit the other.
        remember: how many vectors to keep (1.5 KiB each), 0 for none.

    Raises:
        ModelError: ``missing-library`` or ``damaged``.
    """

    dimension: Final = DIMENSION

    def __init__(
        self,
        installed: Installed,
        threads: int = 1,
        quantised: bool = False,
        remember: int = 4096,
    ) -> None:
        if threads < 1 or remember < 0:
            raise ValueError("threads must be at least 1 and remember at least 0")
        path = installed.int8_path if quantised else installed.path
        self.digest: Final = installed.int8_digest if quantised else installed.digest
        tokenizer = installed.tokenizer_path
        sums = installed.checksums[path.name], installed.checksums[TOKENIZER_FILE]
        self._model = _MODELS.get(
            (path, sums[0], tokenizer, sums[1], threads),
            lambda: _Model(installed, path, threads),
        )
        self._remember = remember
        self._recent: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self._memory = threading.Lock()
        self._embedded = 0
        self._known = 0

    @property
    def counts(self) -> EmbedCounts:
        """Texts embedded and texts known since the start; duplicates in a call count as known."""
        return EmbedCounts(self._embedded, self._known)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of ``texts``, float32 of shape (len(texts), 384); see :class:`Embedder`.

        Raises:
            TypeError: when ``texts`` is one string, or holds something else than strings.
        """
        if isinstance(texts, str):
            raise TypeError("embed takes a sequence of texts, not one text")
        read = [_readable(text) for text in texts]
        keys = [blake2b(text.encode(), digest_size=16).digest() for text in read]
        wanted = dict(zip(keys, read, strict=True))
        rows = self._remembered(wanted)
        missing = [key for key in wanted if key not in rows]
        fresh = self._computed({key: wanted[key] for key in missing})
        rows |= fresh
        with self._memory:
            self._embedded += len(missing)
            self._known += len(read) - len(missing)
            if self._remember:
                self._keep(fresh)
        result = np.zeros((len(read), DIMENSION), np.float32)
        for index, key in enumerate(keys):
            result[index] = rows[key]
        return result

    def _remembered(self, wanted: Iterable[bytes]) -> dict[bytes, NDArray[np.float32]]:
        rows = {}
        with self._memory:
            for key in wanted:
                if key in self._recent:
                    self._recent.move_to_end(key)
                    rows[key] = self._recent[key]
        return rows

    def _computed(self, texts: Mapping[bytes, str]) -> dict[bytes, NDArray[np.float32]]:
        rows = {}
        encoded = self._model.tokenizer.encode_batch_fast(list(texts.values()))
        tokens = {key: entry.ids for key, entry in zip(texts, encoded, strict=True)}
        for group in _groups(tokens):
            ids = np.array([tokens[key] for key in group], np.int64)
            if ids.shape[1] <= _EMPTY_TOKENS:
                rows.update(dict.fromkeys(group, np.zeros(DIMENSION, np.float32)))
                continue
            with self._model.turns:
                hidden: Any = self._model.session.run(["hidden"], {"input_ids": ids})[0]
            for key, states in zip(group, hidden, strict=True):
                rows[key] = _pooled(states)
        return rows

    def _keep(self, fresh: Mapping[bytes, NDArray[np.float32]]) -> None:
        for key, row in fresh.items():
            self._recent[key] = row
            if len(self._recent) > self._remember:
                self._recent.popitem(last=False)


def _readable(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"a text is a str, not {type(text).__name__}")
    head = text[:_MAX_CHARACTERS]
    try:
        head.encode()
    except UnicodeEncodeError:  # a lone surrogate, which no tokenizer accepts
        return head.encode("utf-8", "replace").decode()
    return head


def _groups(tokens: dict[bytes, list[int]]) -> Iterator[list[bytes]]:
    """Keys of equal token count, as many together as is worth it."""
    by_length: dict[int, list[bytes]] = {}
    for key, ids in tokens.items():
        by_length.setdefault(len(ids), []).append(key)
    for length, group in by_length.items():
        rows = max(1, min(_BATCH, _BATCH_TOKENS // length))
        for start in range(0, len(group), rows):
            yield group[start : start + rows]


def _pooled(states: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of (s, width) hidden states, scaled to unit length.

    One text at a time: a sum over a whole batch would be ordered by the batch's shape.
    Source: Reimers and Gurevych 2019, "Sentence-BERT".
    """
    mean = states.mean(axis=0, dtype=np.float64)
    unit: NDArray[np.float32] = (mean / np.sqrt((mean * mean).sum())).astype(np.float32)
    return unit


def _session(model: Path, checksum: str, threads: int) -> onnxruntime.InferenceSession:
    """A session of a file whose sha256 in hex is ``checksum``.

    Of bytes, it would be made with Python's lock held: 45 ms in which no other thread runs, while a
    worker decides. So the file is read twice, and must not change meanwhile.
    """
    onnxruntime = _import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    before = _stamp(model)
    check_file(model, checksum)
    try:
        session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
    except Exception:  # the library's own, of a file that may have changed beneath it
        if before == _stamp(model):
            raise
        session = None
    if before is None or before != _stamp(model):
        raise ModelError(
            "damaged", f"`{model}` changed while it was read", "try again, when it is installed"
        )
    return session


def _import_onnxruntime() -> ModuleType:
    try:
        import onnxruntime
    except ImportError:
        raise _missing("onnxruntime") from None
    return onnxruntime  # type: ignore[no-any-return]


def _stamp(file: Path) -> tuple[int, ...] | None:
    """What differs once a file is written or replaced; None if it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def prepare(installed: Installed) -> None:
    """Do now what would hold Python's lock for many milliseconds when the model is loaded.

    That is to import the libraries and to read the tokenizer, which is kept for good (some 10 MB);
    the weights are not loaded. For a process that may load the model while it has other work.

    Raises:
        ModelError: ``missing-library`` or ``damaged``.
    """
    _import_onnxruntime()
    _tokenizer(installed)


def _tokenizer(installed: Installed) -> tokenizers.Tokenizer:
    checksum = installed.checksums[TOKENIZER_FILE]
    data = read_file(installed.tokenizer_path, checksum)
    if checksum not in _TOKENIZERS:
        try:
            import tokenizers
        except ImportError:
            raise _missing("tokenizers") from None
        tokenizer: tokenizers.Tokenizer = tokenizers.Tokenizer.from_buffer(data)
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        _TOKENIZERS[checksum] = tokenizer
    return _TOKENIZERS[checksum]


def _missing(library: str) -> ModelError:
    return ModelError(
        "missing-library",
        f"the embedder needs `{library}`, which is not installed",
        "run `pip install 'routec[local]'`",
    )
