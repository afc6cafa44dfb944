"""The engine: a program run over batches of requests."""

from routec.runtime.engine.caching import terms_of
from routec.runtime.engine.engine import Engine
from routec.runtime.engine.open import ServiceError, open_services
from routec.runtime.engine.start import Pins

__all__ = ["Engine", "Pins", "ServiceError", "open_services", "terms_of"]
