"""The engine: a program run over batches of requests."""

from routec.runtime.engine.caching import terms_of
from routec.runtime.engine.engine import Engine, Pins
from routec.runtime.engine.open import ServiceError, open_services

__all__ = ["Engine", "Pins", "ServiceError", "open_services", "terms_of"]
