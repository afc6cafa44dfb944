"""Two policies over one set of requests: their fields and signals, identified where they are equal.

A signal stands for what it measures, not for its name: equal definitions are one signal in the
comparison, and two definitions under one name are two. A field that both policies read in the
same place is one, and has the values that both accept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from routec.compiler import policy as p
from routec.compiler.analysis.supposing import roomy, runnable
from routec.compiler.analysis.witness import Witness
from routec.compiler.dependencies import guarded_signals, inputs
from routec.compiler.diff.identity import Identity, of_definition
from routec.compiler.expr import (
    And,
    Atom,
    Compare,
    Const,
    Contains,
    Empty,
    Equals,
    Expr,
    Not,
    Or,
    Table,
    Truth,
    Variable,
    variables,
)
from routec.compiler.interpreter import Decision, Request, decide, evaluate
from routec.compiler.types import BOOL, COUNT, Kind, Plain, Scores, Type, Value, enum_of, set_of
from routec.dsl.source import Span

OLD, NEW = " (old)", " (new)"
"""What follows a name where it means two things."""

NO_SIGNAL = "(tokens)"
"""Signal of the size of requests, where neither policy has one."""

NOWHERE = Span("", 0, 0, 1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Binding:
    """What a field or signal of one policy is in the comparison.

    Attributes:
        name: its name there.
        type: its type there.
        flag: field of the comparison that is true where the attribute is absent, or the signal
            fails; ``None`` where that makes no difference.
        otherwise: the value it has then, in its own policy.
        kinds: entity kinds that this view of all entities shows.
        bands: a `bands` signal, which is written out as comparisons.
    """

    name: str
    type: Type
    flag: Variable | None = None
    otherwise: Value | None = None
    kinds: tuple[str, ...] = ()
    bands: p.Bands | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What the reference interpreter makes of a request.

    Attributes:
        decision: its decision, if every model could hold the request.
        overflow: whether in fact none of the route's can; false where that was not asked.
        entities: kinds of the entities that the policy sees in the request.
    """

    decision: Decision
    overflow: bool
    entities: frozenset[str]


@dataclass(slots=True)
class Side:
    """One of the two policies, read in the terms of the comparison."""

    policy: p.Policy
    suffix: str
    table: Table
    bindings: dict[str, Binding] = field(default_factory=dict)
    size: str | None = None
    _known: dict[Expr, Expr] = field(default_factory=dict)
    _runnable: p.Policy = field(init=False)
    _roomy: p.Policy = field(init=False)

    def __post_init__(self) -> None:
        self._runnable = runnable(self.policy)
        self._roomy = roomy(self.policy)

    # --- conditions ---------------------------------------------------------------

    def variable(self, variable: Variable) -> Variable:
        """What one of its variables is in the comparison."""
        binding = self.bindings[variable.name]
        type_ = variable.type if variable.member is not None else binding.type
        return replace(variable, name=binding.name, type=type_)

    def condition(self, expr: Expr) -> Expr:
        """The same condition over the variables of the comparison."""
        found = self._known.get(expr)
        if found is None:
            found = self._known[expr] = self._condition(expr)
        return found

    def _condition(self, expr: Expr) -> Expr:
        match expr:
            case Const(value=value):
                return self.table.const(value)
            case Not(operand=operand):
                return self.no(self.condition(operand))
            case And(operands=operands):
                return self.all(*(self.condition(o) for o in operands))
            case Or(operands=operands):
                return self.any(*(self.condition(o) for o in operands))
            case _:
                return self._atom(expr)

    def _atom(self, atom: Atom) -> Expr:
        binding = self.bindings[atom.variable.name]
        plain = self._plain(atom, binding)
        if binding.flag is None or binding.otherwise is None:
            return plain
        held = evaluate(atom, {atom.variable.name: binding.otherwise})
        flag = self.table.truth(binding.flag)
        return self.any(flag, plain) if held else self.all(self.no(flag), plain)

    def _plain(self, atom: Atom, binding: Binding) -> Expr:
        table = self.table
        if binding.bands is not None:
            assert isinstance(atom, Equals)
            return self._band(binding.bands, atom.value)
        variable = self.variable(atom.variable)
        members = variable.type.members
        match atom:
            case Truth():
                return table.truth(variable)
            case Compare(op=op, value=value):
                return table.compare(variable, op, value)
            case Equals(value=text):
                return table.equals(variable, text) if _has(members, text) else table.const(False)
            case Contains(value=text):
                return table.contains(variable, text) if _has(members, text) else table.const(False)
            case Empty():
                if binding.kinds and set(binding.kinds) != set(members):
                    return self.no(
                        self.any(*(table.contains(variable, kind) for kind in binding.kinds))
                    )
                return table.empty(variable)

    def _band(self, bands: p.Bands, name: str) -> Expr:
        """The value lies below the band's bound and below no earlier one."""
        parts: list[Expr] = []
        for band in bands.bands:
            below = self.table.const(True)
            if band.bound is not None:
                op = self.table.compare(bands.variable, "<=" if band.inclusive else "<", band.bound)
                below = self.condition(op)
            if band.name == name:
                return self.all(*parts, below)
            parts.append(self.no(below))
        raise KeyError(name)

    def no(self, condition: Expr) -> Expr:
        """It does not hold."""
        if isinstance(condition, Const):
            return self.table.const(not condition.value)
        return self.table.not_(condition)

    def all(self, *conditions: Expr) -> Expr:
        """All of them hold."""
        if any(isinstance(c, Const) and not c.value for c in conditions):
            return self.table.const(False)
        return self.table.and_([c for c in conditions if not isinstance(c, Const)])

    def any(self, *conditions: Expr) -> Expr:
        """One of them holds."""
        if any(isinstance(c, Const) and c.value for c in conditions):
            return self.table.const(True)
        return self.table.or_([c for c in conditions if not isinstance(c, Const)])

    # --- requests -----------------------------------------------------------------

    def see(self, witness: Witness, *, limited: bool = True) -> Seen:
        """What this policy's interpreter decides about a request of the comparison.

        Args:
            witness: the request.
            limited: whether to ask if its size is too much for the route.
        """
        attributes: dict[str, Plain] = {}
        for name in self.policy.fields:
            binding = self.bindings[name]
            if binding.flag is None or not witness.attributes[binding.flag.name]:
                attributes[name] = witness.attributes[binding.name]
        signals: dict[str, Value] = {}
        entities: set[str] = set()
        for name, signal in self.policy.signals.items():
            if signal.stage is not p.Stage.DERIVED:
                value = signals[name] = self._value(self.bindings[name], witness)
                if isinstance(signal.definition, p.Entities) and isinstance(value, frozenset):
                    entities |= value
        size = 0 if self.size is None else witness.signals[self.size]
        request = Request("witness", attributes, int(size) if isinstance(size, int) else 0)
        return Seen(
            decide(self._roomy, request, signals),
            limited and decide(self._runnable, request, signals).overflow,
            frozenset(entities),
        )

    def decisive(self, witness: Witness) -> set[str]:
        """The fields and signals that the condition of the rule that decides a request reads."""
        decision = self.see(witness, limited=False).decision
        rules: list[p.Guard | p.Route] = [*self.policy.guards, *self.policy.routes]
        conditions = [
            rule.when.expr
            for rule in rules
            if rule.name == (decision.guard if isinstance(rule, p.Guard) else decision.route)
        ]
        found: set[str] = set()
        waiting = [v for condition in conditions for v in variables(condition)]
        while waiting:
            variable = waiting.pop()
            found.add(self.bindings[variable.name].name)
            if variable.source == "signal":
                waiting.extend(inputs(self.policy.signals[variable.name]))
        return found

    def _value(self, binding: Binding, witness: Witness) -> Value:
        if binding.flag is not None and witness.attributes[binding.flag.name]:
            assert binding.otherwise is not None
            return binding.otherwise
        value = witness.signals[binding.name]
        return value & set(binding.kinds) if isinstance(value, frozenset) else value


@dataclass(frozen=True, slots=True)
class Union:
    """Two policies in one set of terms.

    Attributes:
        old: the policy that is replaced.
        new: the policy that replaces it.
        policy: the fields and signals of both, and the conditions of their guards.
        table: maker of conditions over them.
        size: signal with the request's tokens; ``None`` where neither policy can tell.
        absent: flag of each field whose absence matters, by the field's name.
        failing: flag of each signal whose failure matters, by the signal's name.
    """

    old: Side
    new: Side
    policy: p.Policy
    table: Table
    size: str | None
    absent: Mapping[str, str]
    failing: Mapping[str, str]


def unite(old: p.Policy, new: p.Policy) -> Union:
    """Bring two policies without errors into one set of terms."""
    return _Builder(old, new).build()


class _Builder:
    def __init__(self, old: p.Policy, new: p.Policy) -> None:
        table = Table()
        self.table = table
        self.sides = (Side(old, OLD, table), Side(new, NEW, table))
        self.fields: dict[str, p.Field] = {}
        self.signals: dict[str, p.Signal] = {}
        self.absent: dict[str, str] = {}
        self.failing: dict[str, str] = {}

    def build(self) -> Union:
        old, new = self.sides
        for name in dict.fromkeys((*old.policy.fields, *new.policy.fields)):
            self._field(name)
        self._all_signals()
        size = next((n for n, s in self.signals.items() if s.kind == "tokens"), None)
        contexts = [m.context for side in self.sides for m in side.policy.models.values()]
        if size is None and any(context is not None for context in contexts):
            size = NO_SIGNAL
            self.signals[size] = p.Signal(
                size, "tokens", p.Stage.SCAN, COUNT, p.Structure(), None, NOWHERE
            )
        old.size = new.size = size
        both = replace(
            new.policy,
            table=self.table,
            fields=self.fields,
            signals=self.signals,
            lets={},
            categories=(*old.policy.categories, *new.policy.categories),
            guards=tuple(
                _guard(side, guard) for side in self.sides for guard in side.policy.guards
            ),
            routes=(*old.policy.routes, *new.policy.routes),
            promises=(),
            cases=(),
            meanings={},
        )
        return Union(old, new, both, self.table, size, self.absent, self.failing)

    # --- fields ---------------------------------------------------------------------

    def _field(self, name: str) -> None:
        found = [side.policy.fields.get(name) for side in self.sides]
        one, other = found
        if one is not None and other is not None:
            common = common_type(one.type, other.type)
            differs = one.default != other.default
            if one.path == other.path and common is not None and not (differs and self._sums(name)):
                self._shared_field(one, other, common)
                return
        for side, declared, across in zip(self.sides, found, reversed(self.sides), strict=True):
            if declared is None:
                continue
            contested = name in across.policy.fields or name in across.policy.signals
            own = name + side.suffix if contested else name
            self.fields[own] = replace(declared, name=own)
            side.bindings[name] = Binding(own, declared.type)

    def _shared_field(self, one: p.Field, other: p.Field, common: Type) -> None:
        name = one.name
        # Where only one of them has a default, the other policy refuses a request without it.
        differs = one.default != other.default
        optional = one.default is not None and other.default is not None
        flag = self._flag(f"{name} is absent") if differs and optional else None
        if flag is not None:
            self.absent[name] = flag.name
        default = None if differs else one.default
        self.fields[name] = replace(other, type=common, default=default)
        for side, declared in zip(self.sides, (one, other), strict=True):
            side.bindings[name] = Binding(name, common, flag, declared.default)

    def _flag(self, name: str) -> Variable:
        """A field of the comparison itself."""
        self.fields[name] = p.Field(name, BOOL, None, False, NOWHERE)
        return Variable("field", name, None, BOOL)

    def _sums(self, name: str) -> bool:
        """Whether some score adds up this field or signal."""
        return any(
            s.variable is not None and s.variable.name == name
            for side in self.sides
            for signal in side.policy.signals.values()
            if isinstance(signal.definition, p.Score)
            for s in signal.definition.summands
        )

    # --- signals ----------------------------------------------------------------------

    def _all_signals(self) -> None:
        basic: dict[Identity, list[tuple[Side, p.Signal]]] = {}
        for side in self.sides:
            guarded = guarded_signals(side.policy)
            for signal in side.policy.signals.values():
                if signal.stage is not p.Stage.DERIVED:
                    identity = of_definition(signal, side.variable, side.condition)
                    if isinstance(signal.definition, p.Keyword | p.Regex):
                        # What a guard depends on is also true of decoded views of the text.
                        identity += (signal.name in guarded,)
                    basic.setdefault(identity, []).append((side, signal))
        for group in basic.values():
            failures = list(dict.fromkeys(_failure(signal) for _, signal in group))
            if len(failures) == 1:
                self._shared_signal(group, differs=False)
            elif not any(self._sums(signal.name) for _, signal in group):
                self._shared_signal(group, differs=True)
            else:
                # A sum cannot tell a failure from a value: apart, by what they fail to.
                for failure in failures:
                    alike = [m for m in group if _failure(m[1]) == failure]
                    self._shared_signal(alike, differs=False)
        derived: dict[Identity, str] = {}
        for side in self.sides:
            for signal in side.policy.signals.values():
                if signal.stage is p.Stage.DERIVED:
                    self._derived(side, signal, derived)

    def _shared_signal(self, group: list[tuple[Side, p.Signal]], *, differs: bool) -> None:
        side, first = group[0]
        names = [signal.name for _, signal in group]
        name = next((n for n in names if names.count(n) > 1), first.name)
        if len({id(s) for s, _ in group}) == 1:
            across = self.sides[1] if side is self.sides[0] else self.sides[0]
            if name in across.policy.signals or name in across.policy.fields:
                name += side.suffix
        if name in self.fields or name in self.signals:
            name = f"{name}{side.suffix} {len(self.signals)}"
        type_ = first.type
        if isinstance(first.definition, p.Entities):
            kinds = tuple(dict.fromkeys(k for _, s in group for k in s.type.members))
            type_ = set_of(kinds)
            first = replace(first, definition=p.Entities(kinds))
        self.signals[name] = replace(first, name=name, type=type_)
        flag = self._flag(f"{name} fails") if differs else None
        if flag is not None:
            self.failing[name] = flag.name
        for owner, signal in group:
            kinds = signal.type.members if isinstance(signal.definition, p.Entities) else ()
            otherwise = signal.on_error
            if otherwise is None and kinds:
                otherwise = frozenset(kinds)
            owner.bindings[signal.name] = Binding(name, type_, flag, otherwise, kinds)

    def _derived(self, side: Side, signal: p.Signal, known: dict[Identity, str]) -> None:
        if isinstance(signal.definition, p.Bands):
            side.bindings[signal.name] = Binding(signal.name, signal.type, bands=signal.definition)
            return
        assert isinstance(signal.definition, p.Score)
        identity = of_definition(signal, side.variable, side.condition)
        name = known.get(identity)
        if name is None:
            name = known[identity] = f"{signal.name}{side.suffix} score"
            summands = tuple(
                replace(
                    s,
                    variable=None if s.variable is None else side.variable(s.variable),
                    condition=None if s.condition is None else side.condition(s.condition),
                )
                for s in signal.definition.summands
            )
            definition = replace(signal.definition, summands=summands)
            self.signals[name] = replace(signal, name=name, definition=definition)
        side.bindings[signal.name] = Binding(name, signal.type)


def _guard(side: Side, guard: p.Guard) -> p.Guard:
    return replace(guard, when=p.Condition(side.condition(guard.when.expr), None))


def _failure(signal: p.Signal) -> object:
    """What a signal fails to, as something that can be hashed."""
    value = signal.on_error
    return value.label if isinstance(value, Scores) else value


def common_type(one: Type, other: Type) -> Type | None:
    """The type of the values that both types have; ``None`` where there is none."""
    if one == other:
        return one
    kinds = {one.kind, other.kind}
    if kinds == {Kind.INT, Kind.FLOAT}:
        return one if one.kind is Kind.INT else other
    if kinds <= {Kind.STRING, Kind.ENUM} or kinds == {Kind.SET}:
        if not one.members or not other.members:
            return one if one.members else other
        members = tuple(m for m in one.members if m in other.members)
        if not members:
            return None
        return set_of(members) if one.kind is Kind.SET else enum_of(members)
    return None


def _has(members: tuple[str, ...], value: str) -> bool:
    return not members or value in members
