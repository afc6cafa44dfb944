"""What is learnt from a request's text: recognisers, embedders, classifiers.

The names below load their modules when they are first used: a scan for keywords needs neither numpy
nor onnxruntime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from routec.safety.classify import (
        Backend,
        Classifier,
        ClassifierError,
        Exemplars,
        Linear,
        LocalBackend,
        load_exemplars,
        load_linear,
    )
    from routec.safety.embed import Embedder, MiniLM
    from routec.safety.models import (
        Installed,
        ModelError,
        default_cache,
        find_minilm,
        install_minilm,
        require_minilm,
    )
    from routec.safety.similarity import Examples, contrast, repeated

__all__ = [
    "Backend",
    "Classifier",
    "ClassifierError",
    "Embedder",
    "Examples",
    "Exemplars",
    "Installed",
    "Linear",
    "LocalBackend",
    "MiniLM",
    "ModelError",
    "contrast",
    "default_cache",
    "find_minilm",
    "install_minilm",
    "load_exemplars",
    "load_linear",
    "repeated",
    "require_minilm",
]

_HOMES: Final = {
    "classify": (
        "Backend",
        "Classifier",
        "ClassifierError",
        "Exemplars",
        "Linear",
        "LocalBackend",
        "load_exemplars",
        "load_linear",
    ),
    "embed": ("Embedder", "MiniLM"),
    "models": (
        "Installed",
        "ModelError",
        "default_cache",
        "find_minilm",
        "install_minilm",
        "require_minilm",
    ),
    # The function `similarity` stays in the module of that name, which would hide it here.
    "similarity": ("Examples", "contrast", "repeated"),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
