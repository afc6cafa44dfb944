"""The labelled sentences beside the example policies: valid, balanced, and no copies of the traffic."""

from __future__ import annotations

import json
import math
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routec.cli.demo.traffic import TOPICS, generate
from routec.cli.demo.traffic.phrasebook import Intent, fill, intents, slot_values, slots_of

POLICIES = Path(__file__).parents[2] / "examples" / "policies"
FILES = sorted((POLICIES / "exemplars").glob("*.jsonl"))
LABELS = {
    "claims": {"damage", "injury", "other"},
    "clinical": {"emergency", "symptoms", "medication", "admin"},
    "code_task": {"write", "debug", "explain", "other"},
    "finance_desk": {"invoice", "expense", "other"},
    "hr_desk": {"pay", "absence", "other"},
    "it_desk": {"access", "outage", "other"},
    "jailbreak": {"benign", "jailbreak"},
    "moderation_de": {"abuse", "fine"},
    "moderation_en": {"abuse", "fine"},
    "moderation_es": {"abuse", "fine"},
    "moderation_fr": {"abuse", "fine"},
    "mood": {"calm", "frustrated", "leaving"},
    "orders": {"delivery", "returns", "other"},
    "rights": {"access", "erasure", "other"},
    "sales_desk": {"quote", "renewal", "other"},
    "sensitivity": {"health", "finance", "identity", "neutral"},
    "topic": {"billing", "code", "legal", "other"},
}
INDEPENDENT = {"sensitivity"}
NEAR = 0.8


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def labels(row: dict[str, Any]) -> list[str]:
    """One label, or several where the classifier's labels do not exclude each other."""
    return row["labels"] if "labels" in row else [row["label"]]


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared) if a or b else 1.0


def renderings(intent: Intent) -> Iterator[str]:
    """Each phrase with every value of each slot in turn, the others at their first value."""
    table = slot_values()
    for phrase in intent.phrases:
        slots = [slot for slot in slots_of(phrase) if slot in table]
        if len(slots) != len(slots_of(phrase)):
            continue
        first = {slot: table[slot][0] for slot in slots}
        yield fill(phrase, first)
        for slot in slots:
            for value in table[slot][1:]:
                yield fill(phrase, {**first, slot: value})


@pytest.fixture(scope="module")
def traffic() -> dict[int, list[frozenset[str]]]:
    """The words of each text of the traffic, by how many they are."""
    texts = [t for name in (*TOPICS, "attacks") for i in intents(name) for t in renderings(i)]
    texts += [s.text for s in islice(generate(11), 1_000) if s.truth.length == "short"]
    by_size: dict[int, list[frozenset[str]]] = {}
    for found in {words(text) for text in texts}:
        by_size.setdefault(len(found), []).append(found)
    return by_size


def test_every_classifier_of_the_folder_has_its_file() -> None:
    assert {path.stem for path in FILES} == set(LABELS)


def test_the_configuration_binds_them() -> None:
    bound = tomllib.loads((POLICIES / "routec.toml").read_text("utf-8"))["classifiers"]
    assert set(bound) == set(LABELS)
    for name, binding in bound.items():
        assert binding["backend"] == ("linear" if name in INDEPENDENT else "exemplars")
        assert (POLICIES / binding["path"]).is_file()


def test_the_trained_weights_have_the_declared_labels() -> None:
    with np.load(POLICIES / "weights" / "sensitivity.npz", allow_pickle=False) as archive:
        assert set(archive["labels"].tolist()) == LABELS["sensitivity"]
        assert archive["activation"].item() == "sigmoid"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_rows_are_labelled_sentences(path: Path) -> None:
    found = rows(path)
    key = "labels" if path.stem in INDEPENDENT else "label"
    assert all(set(row) == {"text", key} for row in found)
    assert all(row["text"] == row["text"].strip() != "" for row in found)
    assert len({words(row["text"]) for row in found}) == len(found)
    counts = Counter(label for row in found for label in labels(row))
    assert set(counts) == LABELS[path.stem]
    assert min(counts.values()) >= 40


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_no_sentence_is_a_copy_of_the_traffic(
    path: Path, traffic: dict[int, list[frozenset[str]]]
) -> None:
    for row in rows(path):
        mine = words(row["text"])
        size = len(mine)  # sets whose sizes differ more cannot be near
        for other in range(math.ceil(NEAR * size), math.floor(size / NEAR) + 1):
            near = [t for t in traffic.get(other, ()) if jaccard(mine, t) >= NEAR]
            assert not near, (row["text"], near[0])


def test_harmless_lookalikes_are_among_the_benign() -> None:
    benign = [
        r["text"].casefold()
        for r in rows(POLICIES / "exemplars" / "jailbreak.jsonl")
        if r["label"] == "benign"
    ]
    for word in ("ignore", "forget", "disregard", "act as", "pretend", "override", "bypass"):
        assert any(word in text for text in benign), word
