"""Which language a text is in.

The model is py3langid's (140 languages, naive Bayes over byte n-grams, a few megabytes
that come with the package). It is loaded on the first text: about a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from routec.safety.shared import Shared

UNDETERMINED = "und"
"""The answer for a text that is too short, or too little like any language."""

LANGUAGES = (
    "und",
    "ace", "af", "am", "an", "ar", "ary", "arz", "as", "az", "ba", "bcl", "be", "bg", "bn", "br",
    "bs", "ca", "crh", "cs", "cy", "da", "de", "dz", "el", "en", "eo", "es", "et", "eu", "ext",
    "fa", "fi", "fo", "fr", "fuv", "fy", "ga", "gcf", "gcr", "gd", "gl", "gom", "grc", "gu",
    "gug", "guw", "ha", "hbo", "he", "hi", "hr", "ht", "hu", "hy", "id", "ig", "is", "it", "ja",
    "jv", "ka", "kab", "ki", "kk", "km", "kn", "ko", "ku", "ky", "la", "lb", "lg", "lij", "ln",
    "lo", "lt", "ltg", "lv", "mg", "mk", "ml", "mn", "mr", "ms", "mt", "my", "ne", "nl", "nn",
    "no", "nso", "oc", "om", "or", "pa", "pcm", "pl", "ps", "pt", "qu", "ro", "ru", "rw", "sa",
    "sdh", "se", "si", "sk", "sl", "sn", "so", "sq", "sr", "st", "sv", "sw", "ta", "te", "tg",
    "th", "tk", "tl", "tr", "tt", "ug", "uk", "ur", "uz", "uzs", "vec", "vi", "vo", "wa", "wuu",
    "xh", "yo", "yue", "zh", "zu", "zxx",
)  # fmt: skip
"""The BCP 47 codes that may be answered; ``zxx`` is text that is in no language."""

MIN_LETTERS = 2
"""Fewest letters of a text that is looked at: two are a greeting in Chinese."""

MIN_CONFIDENCE = 0.1
"""Below it the guess is wrong more often than not (measured: 4 of 5), so `UNDETERMINED`."""

MAX_CHARACTERS = 2_000
"""Code points that are looked at, from the start: more change the answer no more."""

# The model's own labels where BCP 47 has a shorter code for the language.
_SHORTER = {"kik": "ki"}


class _Model:
    """The model, for others to refer to: its own class does not let them know when it is freed."""

    __slots__ = ("__weakref__", "identifier")

    def __init__(self, file: str) -> None:
        from py3langid.langid import LanguageIdentifier

        self.identifier: Any = LanguageIdentifier.from_model_file(file, norm_probs=True)


_MODELS: Final[Shared[str, _Model]] = Shared()


class Languages:
    """The language identifier; its model is loaded once for all, and freed with the last.

    Safe to share between threads once the model is loaded (`load`).
    """

    __slots__ = ("_identifier", "_model")

    def __init__(self) -> None:
        self._identifier: Any = None
        self._model: _Model | None = None

    def load(self) -> None:
        """Load the model now instead of on the first text."""
        if self._identifier is None:
            from py3langid.langid import MODEL_FILE

            self._model = _MODELS.get(MODEL_FILE, lambda: _Model(MODEL_FILE))
            self._identifier = self._model.identifier

    def identify(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """Return the language of each text and how sure that is.

        Args:
            texts: normalised texts; only the first `MAX_CHARACTERS` of each are read.

        Returns:
            For each text a code out of `LANGUAGES` and a confidence 0..1, which the
            model spreads over all its languages. A text with fewer than
            `MIN_LETTERS` letters, or whose best guess is below `MIN_CONFIDENCE`, is
            ``("und", 0.0)``.
        """
        return [self._identify(text[:MAX_CHARACTERS]) for text in texts]

    def _identify(self, text: str) -> tuple[str, float]:
        letters = 0
        for character in text:
            letters += character.isalpha()
            if letters >= MIN_LETTERS:
                break
        else:
            return UNDETERMINED, 0.0
        self.load()
        label, confidence = self._identifier.classify(text)
        if confidence < MIN_CONFIDENCE:
            return UNDETERMINED, 0.0
        return _SHORTER.get(label, label), min(float(confidence), 1.0)
