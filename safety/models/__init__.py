"""Model files: obtained, verified and kept in a cache folder."""

from routec.safety.models.errors import ModelError
from routec.safety.models.store import (
    Installed,
    default_cache,
    find_minilm,
    install_minilm,
    require_minilm,
    verify,
)

__all__ = [
    "Installed",
    "ModelError",
    "default_cache",
    "find_minilm",
    "install_minilm",
    "require_minilm",
    "verify",
]
