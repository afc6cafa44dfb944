"""Closed lists of the language: signal kinds, entity kinds, languages, selection algorithms."""

from __future__ import annotations

from routec.compiler.policy import Stage

STAGES: dict[str, Stage] = {
    "keyword": Stage.SCAN,
    "regex": Stage.SCAN,
    "tokens": Stage.SCAN,
    "turns": Stage.SCAN,
    "has_tools": Stage.SCAN,
    "has_image": Stage.SCAN,
    "hour": Stage.SCAN,
    "weekday": Stage.SCAN,
    "language": Stage.LIGHT,
    "entities": Stage.LIGHT,
    "repeated": Stage.EMBED,
    "similarity": Stage.EMBED,
    "contrast": Stage.EMBED,
    "classifier": Stage.MODEL,
    "external": Stage.REMOTE,
    "score": Stage.DERIVED,
    "bands": Stage.DERIVED,
}
"""Cost class of each signal kind."""

ENTITY_KINDS = ("email", "phone", "credit_card", "iban", "us_ssn", "ip_address", "api_key")
"""What `entities(…)` can look for."""

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""Values of a `weekday` signal, Monday first."""

LANGUAGES: tuple[str, ...] = (
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
"""BCP-47 codes that a `language` signal can take; ``und`` is an undetermined language."""

SCOPES = ("last_user", "all_user", "system", "all")
"""Texts that keyword and regex signals can read."""

SELECTORS: dict[str, tuple[str, ...]] = {
    "weighted": (),
    "cost": (),
    "quality": (),
    "latency": (),
    "round_robin": (),
    "least_loaded": (),
    "balanced": ("quality", "cost", "latency"),
    "linucb": ("alpha",),
    "thompson": (),
    "knn": ("k",),
    "cascade": ("confidence",),
    "affinity": ("slo",),
}
"""Selection algorithms and the arguments each takes."""
