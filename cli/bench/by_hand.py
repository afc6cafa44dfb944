"""The rules of a policy as the Python function that one would write by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from routec.cli.bench.rules import Atom, Rule, Rules
from routec.runtime.events.decision import Decision, Selection
from routec.runtime.events.request import Request

Choose = Callable[..., str]
"""From the value of every field and signal, in order, to the name of a route."""

Decide = Callable[[Request, Mapping[str, Any]], Decision]
"""From a request and the values of its signals to a decision."""


def choose_by_hand(rules: Rules) -> Choose:
    """A function of `if` statements: values in, the route's name out."""
    names = [*rules.fields, *rules.signals]
    lines = [f"def choose({', '.join(names)}):"]
    for rule in rules.rules:
        lines += [f"    if {_condition(rule, _plain)}:", f"        return {rule.name!r}"]
    lines.append(f"    return {rules.default.name!r}")
    made: Choose = _function("choose", lines, {})
    return made


def decide_by_hand(rules: Rules) -> Decide:
    """A function of `if` statements that answers with a whole decision.

    It names route, model, fallbacks, parameters and tags, how the model was selected, and the
    values of the signals that the conditions up to that of the route mention.
    """
    lines = [
        "def decide(request, pins):",
        "    attributes = request.attributes",
    ]
    read: dict[str, str] = {}
    space: dict[str, Any] = {"Decision": Decision}
    for at, rule in enumerate([*rules.rules, rules.default]):
        for clause in rule.clauses:
            for atom in clause:
                if not atom.field:
                    read.setdefault(*_traced(atom))
        signals = ", ".join(f"{key!r}: {value}" for key, value in read.items())
        # What is the same in every decision of a route is made once.
        space[f"parameters_{at}"] = dict(rule.parameters)
        space[f"selection_{at}"] = Selection("only", (rule.model,), 1.0)
        answer = (
            f"Decision('route', route={rule.name!r}, model={rule.model!r}, "
            f"fallbacks={rule.fallbacks!r}, parameters=parameters_{at}, tags={rule.tags!r}, "
            f"selection=selection_{at}, signals={{{signals}}})"
        )
        if rule.clauses:
            lines += [f"    if {_condition(rule, _pinned)}:", f"        return {answer}"]
        else:
            lines.append(f"    return {answer}")
    made: Decide = _function("decide", lines, space)
    return made


def _condition(rule: Rule, read: Callable[[Atom], str]) -> str:
    clauses = [" or ".join(read(atom) for atom in clause) for clause in rule.clauses]
    return " and ".join(
        f"({text})" if len(clause) > 1 else text
        for text, clause in zip(clauses, rule.clauses, strict=True)
    )


def _plain(atom: Atom) -> str:
    return atom.python.format(atom.name)


def _pinned(atom: Atom) -> str:
    place = "attributes" if atom.field else "pins"
    return atom.python.format(f"{place}[{atom.name!r}]")


def _traced(atom: Atom) -> tuple[str, str]:
    """The name that a trace has for what an atom reads, and how to read it."""
    value = f"pins[{atom.name!r}]"
    if atom.python.startswith("{}.label"):
        return atom.name, f"{value}.label"
    if atom.python.startswith("{}.scores"):
        label = atom.route.partition(" ")[0].partition(".")[2]
        return f"{atom.name}.{label}", f"{value}.scores[{label!r}]"
    return atom.name, value


def _function(name: str, lines: Sequence[str], space: dict[str, Any]) -> Any:
    source = "\n".join(lines) + "\n"
    # Written above from our own tables; nothing of a user's is in it.
    exec(compile(source, "<by hand>", "exec"), space)  # noqa: S102
    return space[name]
