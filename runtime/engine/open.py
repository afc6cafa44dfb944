"""The real services of a program, opened as the configuration says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from routec.compiler.program import Category, Program
from routec.runtime.config import Classifier as Binding
from routec.runtime.config import Config
from routec.runtime.engine.caching import terms_of
from routec.runtime.signals.services import EntityFinder, LanguageFinder, Services
from routec.runtime.signals.vectors import KINDS
from routec.safety.classify.base import Backend, Classifier
from routec.safety.classify.errors import ClassifierError
from routec.safety.embed.base import Embedder
from routec.safety.models.errors import ModelError
from routec.semcache.cache import SemanticCache
from routec.semcache.errors import CacheError


class ServiceError(Exception):
    """Something that a program needs cannot be opened.

    Attributes:
        code: stable reason, such as ``not-installed`` or ``unbound-classifier``.
        message: one sentence for a person.
        help: what to do about it.
    """

    def __init__(self, code: str, message: str, help: str) -> None:
        super().__init__(f"{message}; {help}")
        self.code = code
        self.message = message
        self.help = help


def open_services(program: Program, config: Config, clock: Callable[[], float]) -> Services:
    """Open what a program needs, and nothing else.

    Args:
        program: the program.
        config: says what its names are bound to.
        clock: event time in seconds, for the cache.

    Raises:
        ServiceError: a model is not installed, a classifier is not bound or does not fit, or
            the cache cannot keep the categories' terms.
    """
    from routec.safety.tokens import estimate_tokens, most_tokens

    kinds = {signal.kind for signal in program.signals}
    embedder: Embedder | None = None
    if kinds & KINDS or "classifier" in kinds or needs_vectors(program.categories):
        embedder = _embedder(program, config)
    try:
        return Services(
            tokens=estimate_tokens,
            most_tokens=most_tokens,
            entities=_entities() if "entities" in kinds else None,
            language=_language() if "language" in kinds else None,
            embedder=embedder,
            classifiers=_classifiers(program, config, embedder),
            deadlines={name: bound.deadline for name, bound in config.classifiers.items()},
            cache=_cache(program.categories, config, embedder, clock),
        )
    except (ClassifierError, CacheError) as error:
        raise ServiceError(error.code, error.message, error.help) from error


def needs_vectors(categories: Sequence[Category]) -> bool:
    """Whether some category answers similar requests, or attaches their answers as examples."""
    return any(
        category.examples is not None
        or (category.similarity is not None and category.max_error is None)
        for category in categories
    )


def _embedder(program: Program, config: Config) -> Embedder:
    from routec.safety.embed.minilm import MiniLM
    from routec.safety.models.store import require_minilm

    try:
        embedder = MiniLM(require_minilm(), config.embedder.threads, config.embedder.quantised)
    except ModelError as error:
        raise ServiceError(error.code, error.message, error.help) from error
    if program.embedder is not None and program.embedder != embedder.digest:
        raise ServiceError(
            "other-embedder",
            f"the program's thresholds are meant for the embedder `{program.embedder}`, "
            f"configured is `{embedder.digest}`",
            "set `embedder.quantised` as it was when compiling, or compile the policy again",
        )
    return embedder


def _entities() -> EntityFinder:
    from routec.safety.entities import find_in_original

    return find_in_original


def _language() -> LanguageFinder:
    from routec.safety.language import Languages

    languages = Languages()
    # Now, rather than a second's wait for the first request.
    languages.load()

    def identify(text: str) -> tuple[str, float]:
        return languages.identify([text])[0]

    return identify


def _classifiers(
    program: Program, config: Config, embedder: Embedder | None
) -> dict[str, Classifier | Backend]:
    opened: dict[str, Classifier | Backend] = {}
    for signal in program.signals:
        if signal.kind != "classifier":
            continue
        bound = config.classifiers.get(signal.backend)
        if bound is None:
            raise ServiceError(
                "unbound-classifier",
                f"the policy's signal `{signal.name}` needs the classifier `{signal.backend}`, "
                "which is not bound",
                f"add `[classifiers.{signal.backend}]` with `backend` and `path` to routec.toml",
            )
        if signal.backend not in opened:
            assert embedder is not None
            opened[signal.backend] = _classifier(signal.backend, bound, embedder)
        classifier = opened[signal.backend]
        if set(classifier.labels) != set(signal.labels) or classifier.exclusive != signal.exclusive:
            raise ServiceError(
                "other-labels",
                f"the classifier `{signal.backend}` has the labels "
                f"{', '.join(classifier.labels)} "
                f"({'' if classifier.exclusive else 'not '}exclusive), "
                f"the policy's signal `{signal.name}` has {', '.join(signal.labels)} "
                f"({'' if signal.exclusive else 'not '}exclusive)",
                "bind another classifier, or declare the labels it has",
            )
    return opened


def _classifier(name: str, bound: Binding, embedder: Embedder) -> Classifier:
    if bound.device != "cpu":
        raise ServiceError(
            "no-such-device",
            f"the classifier `{name}` of backend `{bound.backend}` runs on the CPU, not on "
            f"`{bound.device}`",
            f'set `classifiers.{name}.device` to "cpu"',
        )
    if bound.backend == "linear":
        from routec.safety.classify.linear import load_linear

        return load_linear(name, bound.path, embedder.digest)
    from routec.safety.classify.exemplars import load_exemplars

    return load_exemplars(name, bound.path, embedder)


def _cache(
    categories: Sequence[Category],
    config: Config,
    embedder: Embedder | None,
    clock: Callable[[], float],
) -> SemanticCache | None:
    if not categories:
        return None
    return SemanticCache(
        [terms_of(category) for category in categories],
        capacity=config.cache.capacity,
        dimension=1 if embedder is None else embedder.dimension,
        clock=clock,
        max_response_bytes=config.cache.max_response_bytes,
    )
