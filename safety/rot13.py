"""Finding runs of words that read as English only after rot13.

Each letter scores the log-likelihood ratio of its rot13 image against itself under
the letter frequencies of English: e, t, a, o count strongly against, r, g, n, b for.
A run is suspicious when its best stretch of consecutive words sums to `MIN_EVIDENCE`
nats or more, over at least `MIN_WORDS` words. The best stretches come from Kadane's
maximum-subarray scan, so the time is linear and a disguised sentence is found in
the middle of an ordinary page.
"""

from __future__ import annotations

import codecs
import math
import re

import numpy as np

MIN_EVIDENCE = 9.0
"""Nats a run must score: its letters are e^9 times as likely after rot13.

On 25,003 short English requests (banking77, clinc150) none reached 10 and one
reached 8; of the same requests in rot13, 95 % reach 9.
"""

MIN_WORDS = 2

# Percent, from Mayzner's tables as recomputed by Norvig over the Google Books corpus.
_ENGLISH = {
    "e": 12.49, "t": 9.28, "a": 8.04, "o": 7.64, "i": 7.57, "n": 7.23, "s": 6.51,
    "r": 6.28, "h": 5.05, "l": 4.07, "d": 3.82, "c": 3.34, "u": 2.73, "m": 2.51,
    "f": 2.40, "p": 2.14, "g": 1.87, "w": 1.68, "y": 1.66, "b": 1.48, "v": 1.05,
    "k": 0.54, "x": 0.23, "j": 0.16, "q": 0.12, "z": 0.09,
}  # fmt: skip
_EVIDENCE = {
    letter: math.log(_ENGLISH[codecs.encode(letter, "rot13")] / share)
    for letter, share in _ENGLISH.items()
}
_BY_BYTE = np.zeros(256)
for _letter, _value in _EVIDENCE.items():
    _BY_BYTE[ord(_letter)] = _BY_BYTE[ord(_letter.upper())] = _value

EVIDENCE = _BY_BYTE[:128].tobytes()
"""What each ASCII character scores, as doubles."""

_WORD = re.compile(r"[A-Za-z]+")


def runs(text: str) -> list[tuple[int, int]]:
    """Return the spans of a text that look like rot13, in order, not overlapping.

    Args:
        text: any string; only ASCII letters are looked at.
    """
    letters = np.frombuffer(text.encode("latin-1", "replace"), dtype=np.uint8)
    total = np.cumsum(_BY_BYTE[letters])
    if not len(total) or float((total - np.minimum.accumulate(total)).max()) < MIN_EVIDENCE:
        return []
    # The sums ahead of each position make the evidence of a word two look-ups.
    sums = np.concatenate(([0.0], total))
    found: list[tuple[int, int]] = []
    score = best = 0.0
    start = best_end = words = best_words = 0
    for word in _WORD.finditer(text):
        evidence = float(sums[word.end()] - sums[word.start()])
        if score <= 0.0:
            if best >= MIN_EVIDENCE and best_words >= MIN_WORDS:
                found.append((start, best_end))
            score = best = 0.0
            start, words = word.start(), 0
        score += evidence
        words += 1
        if score > best:
            best, best_end, best_words = score, word.end(), words
    if best >= MIN_EVIDENCE and best_words >= MIN_WORDS:
        found.append((start, best_end))
    return found


def decode(text: str) -> str:
    """Return a text with each ASCII letter moved thirteen places."""
    return codecs.encode(text, "rot13")
