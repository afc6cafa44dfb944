"""How many costly calls a request takes without a plan.

Two ways to decide are counted, on the real values of the signals:

- *everything*: all signals that some rule reads are computed, then the rules are looked at;
- *priority order*: guards, routes and then categories are looked at in order of meaning, their
  conditions from left to right as they are written; what a conjunction or a disjunction need not
  read is not computed.

Both ask the cache last. They are counted twice: sharing what can be shared, as ours does (a text is
embedded once, whatever reads its embedding), and as routers do in which every signal stands by
itself: each similarity and each classification takes its own pass of a model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from routec.compiler import policy as p
from routec.compiler.dependencies import inputs, reads
from routec.compiler.expr import And, Const, Expr, Not, Or, Variable, variables
from routec.compiler.interpreter import evaluate
from routec.compiler.types import Value


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a request that may be embedded.

    Attributes:
        last: the last user text.
        earlier: those before it.
        asked: the text that the semantic cache was asked with; ``None`` where it was not asked.
    """

    last: str
    earlier: tuple[str, ...]
    asked: str | None


@dataclass(frozen=True, slots=True)
class Calls:
    """Costly calls.

    Attributes:
        embeddings: texts embedded.
        classifiers: classifications.
        searches: searches of the semantic cache.
    """

    embeddings: int = 0
    classifiers: int = 0
    searches: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.embeddings + self.classifiers + self.searches

    def __add__(self, other: Calls) -> Calls:
        return Calls(
            self.embeddings + other.embeddings,
            self.classifiers + other.classifiers,
            self.searches + other.searches,
        )


NONE = Calls()


class WithoutPlan:
    """Counts what one policy's requests take.

    Args:
        policy: the policy.
        on_vectors: names of the classifiers that read an embedding rather than the text.
    """

    def __init__(self, policy: p.Policy, on_vectors: Collection[str]) -> None:
        self._policy = policy
        self._on_vectors = frozenset(on_vectors)
        rules: list[Expr] = [g.when.expr for g in policy.guards]
        rules += [c.when.expr for c in policy.categories]
        rules += [r.when.expr for r in policy.routes]
        self._used = {name for rule in rules for name in reads(policy.signals, rule)}

    def everything(self, texts: Texts) -> Calls:
        """The calls of computing all that is used, sharing embeddings."""
        return self._calls(self._used, texts)

    def everything_alone(self, texts: Texts) -> Calls:
        """The same with a pass for each signal."""
        return self._passes(self._used, texts)

    def priority_order(self, values: Mapping[str, Value], texts: Texts) -> Calls:
        """The calls of looking at the rules one after another, sharing embeddings.

        Args:
            values: of every field and signal, derived ones included.
            texts: of the request.
        """
        return self._calls(self._asked(values), texts)

    def priority_order_alone(self, values: Mapping[str, Value], texts: Texts) -> Calls:
        """The same with a pass for each signal."""
        return self._passes(self._asked(values), texts)

    def _asked(self, values: Mapping[str, Value]) -> set[str]:
        asked: set[str] = set()
        for guard in self._policy.guards:
            if self._holds(guard.when.expr, values, asked) and guard.reject is not None:
                return asked
        route = next(r for r in self._policy.routes if self._holds(r.when.expr, values, asked))
        if route.cache is None:
            for category in self._policy.categories:
                if self._holds(category.when.expr, values, asked):
                    break
        return asked

    def _holds(self, expr: Expr, values: Mapping[str, Value], asked: set[str]) -> bool:
        match expr:
            case Const(value=value):
                return value
            case Not(operand=operand):
                return not self._holds(operand, values, asked)
            case And(operands=operands):
                return all(self._holds(operand, values, asked) for operand in operands)
            case Or(operands=operands):
                return any(self._holds(operand, values, asked) for operand in operands)
        for variable in variables(expr):
            self._read(variable, values, asked)
        return evaluate(expr, values)

    def _read(self, variable: Variable, values: Mapping[str, Value], asked: set[str]) -> None:
        if variable.source != "signal" or variable.name in asked:
            return
        asked.add(variable.name)
        signal = self._policy.signals[variable.name]
        if isinstance(signal.definition, p.Score):
            for summand in signal.definition.summands:
                if summand.variable is not None:
                    self._read(summand.variable, values, asked)
                elif summand.condition is not None:
                    self._holds(summand.condition, values, asked)
            return
        for inner in inputs(signal):
            self._read(inner, values, asked)

    def _calls(self, names: Iterable[str], texts: Texts) -> Calls:
        embedded: set[str] = set()
        classifiers: set[str] = set()
        for name in names:
            signal = self._policy.signals.get(name)
            match signal.definition if signal is not None else None:
                case p.Similarity() | p.Contrast():
                    embedded.add(texts.last)
                case p.Repeated() if texts.earlier:
                    embedded.update((texts.last, *texts.earlier))
                case p.Classifier(backend=backend):
                    classifiers.add(backend)
                    if backend in self._on_vectors:
                        embedded.add(texts.last)
        if texts.asked is not None:
            embedded.add(texts.asked)
        return Calls(len(embedded), len(classifiers), int(texts.asked is not None))

    def _passes(self, names: Iterable[str], texts: Texts) -> Calls:
        """Passes where no signal shares any; one that reads a vector takes an embedding."""
        embeddings = classifiers = 0
        for name in names:
            signal = self._policy.signals.get(name)
            match signal.definition if signal is not None else None:
                case p.Similarity() | p.Contrast():
                    embeddings += 1
                case p.Repeated() if texts.earlier:
                    embeddings += 1 + len(texts.earlier)
                case p.Classifier(backend=backend):
                    near = backend in self._on_vectors
                    embeddings += near
                    classifiers += not near
        asked = texts.asked is not None
        return Calls(embeddings + asked, classifiers, int(asked))
