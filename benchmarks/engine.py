"""What the engine costs, against the same policy written by hand in Python.

    python benchmarks/engine.py [--requests 2000] [--rounds 7] [--format json]

The policy has 25 routes over 80 atoms of keyword, score, label, number and set kind. All signals
are pinned, so that only deciding is measured: no text is read. The baseline is a function of
`if` statements over the same values, generated from the same random policy; it answers the
route's name and nothing else, while the engine also picks the model and writes the trace: the
ratio is to a bound that no engine reaches. Both give the same routes, which is checked first.
Processor time, the least of several rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

from routec.compiler.program import SCHEMA, Field, Model, Node, Program, Route, Signal, Variable
from routec.runtime.engine import Engine
from routec.runtime.events import Request
from routec.runtime.signals import Scores, Services
from routec.safety.text import NORMALISER_VERSION

ROUTES = 25
LABELS = ("billing", "code", "legal", "other")
KEYWORDS, SIMILARITIES, CLASSIFIERS = 16, 6, 4


def signals() -> tuple[Signal, ...]:
    """The signals of the policy."""
    return (
        *(Signal(f"k{i}", "keyword", "scan", "bool", phrases=("x",)) for i in range(KEYWORDS)),
        *(Signal(f"s{i}", "similarity", "embed", "float") for i in range(SIMILARITIES)),
        *(
            Signal(f"c{i}", "classifier", "model", "enum", labels=LABELS, on_error="other")
            for i in range(CLASSIFIERS)
        ),
        Signal("size", "tokens", "scan", "int"),
        Signal("pii", "entities", "light", "set", kinds=("email", "iban")),
    )


class Maker:
    """A random policy as a program and as Python."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.variables: list[Variable] = []
        self.nodes: list[Node] = []
        self.atoms: list[tuple[int, str]] = []

    def atom(self) -> None:
        """Add one atom: its node, and the Python that says the same."""
        pick = self.random.randrange(6)
        if pick == 0:
            at = self.random.randrange(KEYWORDS)
            self._atom(Variable("signal", f"k{at}", "bool"), "truth", None, f"k{at}")
        elif pick == 1:
            at, bound = self.random.randrange(SIMILARITIES), round(self.random.random(), 2)
            self._atom(Variable("signal", f"s{at}", "float"), "ge", bound, f"s{at} >= {bound}")
        elif pick == 2:
            at, label = self.random.randrange(CLASSIFIERS), self.random.choice(LABELS)
            name = f"c{at}"
            self._atom(Variable("signal", name, "enum"), "is", label, f"{name}.label == {label!r}")
        elif pick == 3:
            at, label = self.random.randrange(CLASSIFIERS), self.random.choice(LABELS)
            bound = round(0.3 + self.random.random() * 0.7, 2)
            variable = Variable("signal", f"c{at}", "float", label)
            self._atom(variable, "ge", bound, f"c{at}.scores[{label!r}] >= {bound}")
        elif pick == 4:
            bound = self.random.randrange(200, 4000)
            self._atom(Variable("signal", "size", "int"), "gt", bound, f"size > {bound}")
        else:
            tier = self.random.choice(("free", "pro"))
            self._atom(Variable("field", "tier", "enum"), "is", tier, f"tier == {tier!r}")

    def _atom(self, variable: Variable, op: Any, value: Any, text: str) -> None:
        if variable not in self.variables:
            self.variables.append(variable)
        self.nodes.append(Node(op, self.variables.index(variable), value))
        self.atoms.append((len(self.nodes) - 1, text))

    def condition(self, atoms: list[tuple[int, str]]) -> tuple[int, str]:
        """A condition of some atoms: pairs of alternatives that must all hold."""
        parts = []
        for start in range(0, len(atoms), 2):
            pair = atoms[start : start + 2]
            if len(pair) == 1:
                parts.append(pair[0])
                continue
            self.nodes.append(Node("or", of=tuple(at for at, _ in pair)))
            parts.append((len(self.nodes) - 1, " or ".join(f"({text})" for _, text in pair)))
        if len(parts) == 1:
            return parts[0]
        self.nodes.append(Node("and", of=tuple(at for at, _ in parts)))
        return len(self.nodes) - 1, " and ".join(f"({text})" for _, text in parts)


def make(seed: int) -> tuple[Program, Callable[..., str]]:
    """A program, and the function of `if` statements that decides the same."""
    maker = Maker(seed)
    while len(maker.atoms) < 80:
        maker.atom()
    routes: list[Route] = []
    lines = []
    for at in range(ROUTES - 1):
        atoms = maker.atoms[at * 3 : at * 3 + 3]
        if at < 8:
            atoms = [*atoms, maker.atoms[-1 - at]]
        node, text = maker.condition(atoms)
        routes.append(Route(f"r{at}", node, "only", ("mini",)))
        lines.append(f"    if {text}:\n        return 'r{at}'")
    maker.nodes.append(Node("const", value=True))
    routes.append(Route("rest", len(maker.nodes) - 1, "only", ("mini",)))
    names = ", ".join(["tier", *(signal.name for signal in signals())])
    source = f"def decide({names}):\n" + "\n".join(lines) + "\n    return 'rest'\n"
    space: dict[str, Any] = {}
    exec(compile(source, "<by hand>", "exec"), space)
    program = Program(
        schema=SCHEMA,
        name="bench",
        text="",
        normaliser=NORMALISER_VERSION,
        embedder=None,
        fields=(Field("tier", "enum", ("free", "pro")),),
        variables=tuple(maker.variables),
        nodes=tuple(maker.nodes),
        signals=signals(),
        models=(Model("mini", "mini"),),
        categories=(),
        guards=(),
        routes=tuple(routes),
    )
    return program, space["decide"]


def values(dice: random.Random) -> dict[str, Any]:
    """Values of all signals of one request."""
    found: dict[str, Any] = {}
    for signal in signals():
        if signal.kind == "keyword":
            found[signal.name] = dice.random() < 0.08
        elif signal.kind == "similarity":
            found[signal.name] = round(dice.random() * 0.5, 3)
        elif signal.kind == "classifier":
            raw = [dice.random() ** 2 for _ in LABELS]
            scores = {name: x / sum(raw) for name, x in zip(LABELS, raw, strict=True)}
            found[signal.name] = Scores(max(LABELS, key=scores.__getitem__), scores)
        elif signal.kind == "tokens":
            found[signal.name] = dice.randrange(1500)
        else:
            found[signal.name] = frozenset()
    return found


def least(run: Callable[[], object], rounds: int) -> float:
    """The least processor time of a call, seconds."""
    times = []
    for _ in range(rounds):
        begin = time.process_time()
        run()
        times.append(time.process_time() - begin)
    return min(times)


def measure(requests: int, rounds: int) -> list[dict[str, Any]]:
    """The figures."""
    program, by_hand = make(seed=7)
    dice = random.Random(11)
    pins = [values(dice) for _ in range(requests)]
    asked = [Request(str(at), {"tier": dice.choice(("free", "pro"))}) for at in range(requests)]
    # No signal is ever computed, so no example needs a vector and no text a token count.
    engine = Engine(program, Services(tokens=len))
    rows = [(r.attributes["tier"], *pin.values()) for r, pin in zip(asked, pins, strict=True)]
    loop = asyncio.new_event_loop()
    decided = loop.run_until_complete(engine.decide(asked, pins))
    expected = [by_hand(*row) for row in rows]
    if [decision.route for decision in decided] != expected:
        raise SystemExit("the engine and the function by hand do not agree")
    taken = sum(int(name[1:]) + 1 if name != "rest" else ROUTES for name in expected) / requests

    def engine_run() -> None:
        for start in range(0, requests, 500):
            batch = engine.decide(asked[start : start + 500], pins[start : start + 500])
            loop.run_until_complete(batch)

    def hand_run() -> None:
        for row in rows:
            by_hand(*row)

    ours, theirs = requests / least(engine_run, rounds), requests / least(hand_run, rounds)
    loop.close()
    ratio = ours / theirs
    return [
        {
            "name": "engine/decisions-pinned",
            "value": round(ours),
            "unit": "decisions/s",
            "baseline": round(theirs),
            "ratio": round(ratio, 4),
            "target": None,
            "met": None,
        },
        {
            "name": "engine/routes-consulted",
            "value": round(taken, 1),
            "unit": "routes/decision",
            "baseline": None,
            "ratio": None,
            "target": None,
            "met": None,
        },
    ]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args()
    results = measure(options.requests, options.rounds)
    if options.format == "json":
        print(json.dumps({"results": results}))
    else:
        for result in results:
            against = "" if result["ratio"] is None else f"  {result['ratio']:.4f} of by hand"
            print(f"{result['name']:28} {result['value']:>12} {result['unit']}{against}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
