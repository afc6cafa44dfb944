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

# fmt: off
LANGUAGES: tuple[str, ...] = (
    "af", "am", "an", "ar", "as", "az", "be", "bg", "bn", "br", "bs", "ca", "cs", "cy", "da",
    "de", "dz", "el", "en", "eo", "es", "et", "eu", "fa", "fi", "fo", "fr", "ga", "gl", "gu",
    "he", "hi", "hr", "ht", "hu", "hy", "id", "is", "it", "ja", "jv", "ka", "kk", "km", "kn",
    "ko", "ku", "ky", "la", "lb", "lo", "lt", "lv", "mg", "mk", "ml", "mn", "mr", "ms", "mt",
    "nb", "ne", "nl", "nn", "no", "oc", "or", "pa", "pl", "ps", "pt", "qu", "ro", "ru", "rw",
    "se", "si", "sk", "sl", "sq", "sr", "sv", "sw", "ta", "te", "th", "tl", "tr", "ug", "uk",
    "ur", "vi", "vo", "wa", "xh", "zh", "zu", "und",
)
# fmt: on
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
