"""Opening the real services: what is missing is said at the start, with what to do."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from routec.compiler.program import Node, Program, ProgramError, Signal, Summand, Variable
from routec.runtime.config import Classifier, Config
from routec.runtime.engine import Engine, ServiceError, open_services
from routec.runtime.engine.conditions import MAX_DEPTH
from tests.runtime.doubles import Embedder, ask, program, services

PLAIN = """
signal kw = keyword("a")
signal size = tokens()
signal pii = entities(email)
model m {}
category c { when kw, max_error: 1%, ttl: 1m }
route r { when pii.any(email) and size > 2 to m }
default route rest { to m }
"""
TOPIC = """
signal topic = classifier("topic") { labels: [a, b], on_error: a }
model m {}
route r { when topic == b to m }
default route rest { to m }
"""


@pytest.fixture
def no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTEC_CACHE", str(tmp_path))


def zero() -> float:
    return 0.0


@pytest.mark.usefixtures("no_models")
async def test_what_needs_no_model_opens_without_one() -> None:
    made = program(PLAIN)
    opened = open_services(made, Config(), zero)
    assert opened.embedder is None
    (decision,) = await Engine(made, opened).decide([ask("write to a@example.com now please")])
    assert decision.route == "r"
    assert decision.category == "c"
    assert decision.cache.reason == "absent"


@pytest.mark.usefixtures("no_models")
@pytest.mark.parametrize(
    "text",
    [
        TOPIC,
        PLAIN.replace("max_error: 1%", "similarity: 0.9"),
        'signal s = similarity { examples: ["x"] } model m {} route r { when s > 0 to m } '
        "default route rest { to m }",
    ],
)
def test_a_missing_model_names_the_command(text: str) -> None:
    with pytest.raises(ServiceError) as caught:
        open_services(program(text), Config(), zero)
    assert caught.value.code == "not-installed"
    assert "routec models install minilm" in caught.value.help


def test_an_unbound_classifier_names_its_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routec.runtime.engine.open._embedder", lambda *_: Embedder())
    with pytest.raises(ServiceError) as caught:
        open_services(program(TOPIC), Config(), zero)
    assert caught.value.code == "unbound-classifier"
    assert "[classifiers.topic]" in caught.value.help


def test_a_bound_classifier_must_have_the_policys_labels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("routec.runtime.engine.open._embedder", lambda *_: Embedder())
    path = tmp_path / "examples.jsonl"
    rows = [{"text": f"{word} {n}", "label": word} for word in ("b", "z") for n in range(3)]
    path.write_bytes(b"\n".join(msgspec.json.encode(row) for row in rows))
    config = Config(classifiers={"topic": Classifier(backend="exemplars", path=path)})
    with pytest.raises(ServiceError) as caught:
        open_services(program(TOPIC), config, zero)
    assert caught.value.code == "other-labels"
    assert "`topic`" in caught.value.message
    fitting = program(TOPIC.replace("[a, b], on_error: a", "[b, z], on_error: z"))
    assert set(open_services(fitting, config, zero).classifiers) == {"topic"}
    on_gpu = Config(
        classifiers={"topic": Classifier(backend="exemplars", path=path, device="cuda")}
    )
    with pytest.raises(ServiceError, match="cpu"):
        open_services(fitting, on_gpu, zero)
    missing = Config(classifiers={"topic": Classifier(backend="linear", path=tmp_path / "no.npz")})
    with pytest.raises(ServiceError, match="cannot read"):
        open_services(fitting, missing, zero)


def changed(made: Program, **parts: object) -> Program:
    return msgspec.structs.replace(made, **parts)


def test_a_program_that_cannot_run_here_is_refused() -> None:
    made = program(PLAIN)
    with pytest.raises(ProgramError) as caught:
        Engine(changed(made, normaliser="other-9"), services())
    assert caught.value.code == "other-normaliser"
    with pytest.raises(ProgramError) as caught:
        Engine(changed(made, embedder="sha256:other"), services(embedder=Embedder()))
    assert caught.value.code == "other-embedder"
    route = msgspec.structs.replace(made.routes[0], by="linucb")
    with pytest.raises(ProgramError) as caught:
        Engine(changed(made, routes=(route, *made.routes[1:])), services())
    assert caught.value.code == "unknown-selection"
    bad = Signal("x", "regex", "scan", "bool", pattern="(")
    with pytest.raises(ProgramError) as caught:
        Engine(changed(made, signals=(*made.signals, bad)), services())
    assert caught.value.code == "invalid-program"


def test_hostile_conditions_are_refused() -> None:
    made = program(PLAIN)
    nodes = list(made.nodes)
    for _ in range(MAX_DEPTH):
        nodes.append(Node("not", of=(len(nodes) - 1,)))
    with pytest.raises(ProgramError, match="deeper"):
        Engine(changed(made, nodes=tuple(nodes)), services())
    at, variable = len(made.nodes), len(made.variables)
    loop = Signal("loop", "score", "derived", "float", summands=(Summand(1.0, node=at),) * 2)
    with pytest.raises(ProgramError, match="reads itself"):
        Engine(
            changed(
                made,
                variables=(*made.variables, Variable("signal", "loop", "float")),
                signals=(*made.signals, loop),
                nodes=(*made.nodes, Node("gt", variable, 0.5)),
            ),
            services(),
        )


async def test_much_shared_conditions_do_not_explode() -> None:
    made = program(PLAIN)
    nodes = list(made.nodes)
    first = next(at for at, node in enumerate(nodes) if node.op == "truth")
    nodes.append(Node("and", of=(first, first)))
    for _ in range(90):
        last = len(nodes) - 1
        nodes.append(Node("or", of=(last, last)))
    route = msgspec.structs.replace(made.routes[0], when=len(nodes) - 1)
    engine = Engine(changed(made, nodes=tuple(nodes), routes=(route, *made.routes[1:])), services())
    decided = await engine.decide([ask("a", id="1"), ask("b", id="2")])
    assert [decision.route for decision in decided] == ["r", "rest"]
