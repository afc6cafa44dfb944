"""What the compiled path is made of, what it refuses, and what becomes of errors on the way."""

from __future__ import annotations

import gc
import sys
import tracemalloc
import weakref
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson
import pytest

from routec.runtime.engine import Engine
from routec.runtime.events.decode import Limits
from routec.runtime.events.encode import Encoder
from routec.runtime.native._native import Path
from routec.runtime.native.path import NativePath
from routec.runtime.native.spec import (
    MOST_DERIVED,
    MOST_GUARDS,
    MOST_TOKEN_SIGNALS,
    fits,
    spec_of,
)
from routec.runtime.native.templates import Templates
from routec.runtime.records import Decided, Record
from routec.safety.tokens import estimate_tokens, most_tokens
from tests.runtime.doubles import cache_of, program, services
from tests.runtime.native.pairs import One, responses
from tests.runtime.native.policies import compiled

POLICY = """policy made
request {
  tenant: string = "acme"
  tier: enum(free, pro) = free
  seats: int = 1
  load: float = 0.5
  beta: bool = false
  roles: set(enum(admin, dev))
}
signal size = tokens()
signal turn = turns()
signal tool = has_tools()
signal day = weekday("UTC")
signal when_h = hour("UTC")
signal urgent = keyword("urgent", "asap")
signal ticket = regex(/TKT-[0-9]+/) { scope: all }
signal need = score { 0.4 * urgent + 0.3 * (size > 4) + 0.2 * load }
signal band = bands(need) { low: < 0.3, mid: <= 0.6, high }
model a { context: 8k, quality: 0.5 }
model b { quality: 0.9 }
pool both = [a, b]
category c { when size < 12 and not tool, ttl: 1h, scope: tenant }
category d { when tier == pro and "admin" in roles, ttl: 1h }
guard odd { when when_h > 20 and load > 0.7 reject 403 "odd" }
guard many { when turn > 3 or seats in 2..5 tag "many" }
guard known { when ticket and not beta tag "known" }
route hot priority 40 { when band == high or need > 0.55 and seats > 4 to a }
route quick priority 30 { when size < 7 and day == mon to both by quality }
route deep priority 20 { when size > 20 or roles.empty and beta to [a 50%, b 50%] sticky by tenant }
default route rest { to b cache d }
"""

TEXTS = ("", "one two", "urgent: one two three TKT-7 " * 2, "many words " * 30)


NAMELESS = b'{"body":{"messages":[{"role":"user","content":"x"}]}}'


def records(count: int = 24) -> list[Record]:
    made = []
    for at in range(count):
        event = {
            "request_id": f"r-{at}",
            "time": f"2026-11-2{at % 7}T{at % 24:02}:00:00.5{at % 10}0Z",
            "attributes": {
                "tier": ("free", "pro")[at % 2],
                "seats": at % 6,
                "load": at % 4 / 4,
                "beta": at % 3 == 0,
                "roles": ["admin", "dev"][: at % 3],
            },
            "body": {"messages": [{"role": "user", "content": TEXTS[at % 4]}] * (at % 5 + 1)},
        }
        made.append(Record("t", 0, at, 0, None, orjson.dumps(event)))
    return made


def engine(text: str = POLICY, planned: bool = True, **changed: Any) -> Engine:
    made = compiled(text, planned)
    given = {
        "tokens": estimate_tokens,
        "most_tokens": most_tokens,
        "cache": cache_of(made),
        **changed,
    }
    return Engine(made, services(**given))


def spec(made: Engine, **changed: Any) -> dict[str, Any]:
    """All that `Path` is given."""
    encoder = Encoder("made", made.hash, {model.name: model for model in made.program.models})
    return {
        **spec_of(made, Limits()),
        "template": Templates(made, encoder).make,
        "ask": lambda slip, now, again: None,
        "scan": lambda scope, text: tuple(made.texts.scan(scope, text)),
        "fingerprints": {},
        "missed": lambda id, slip: None,
        **changed,
    }


# --- specifications --------------------------------------------------------------------


def places(part: Any, to: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every part of a specification."""
    yield to
    if isinstance(part, dict):
        for name, inner in part.items():
            yield from places(inner, (*to, name))
    elif isinstance(part, tuple):
        for at, inner in enumerate(part):
            yield from places(inner, (*to, at))


def at(part: Any, to: tuple[Any, ...]) -> Any:
    for step in to:
        part = part[step]
    return part


def replaced(part: Any, to: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value there."""
    if not to:
        return value
    if isinstance(part, dict):
        return {**part, to[0]: replaced(part[to[0]], to[1:], value)}
    return tuple(
        replaced(inner, to[1:], value) if index == to[0] else inner
        for index, inner in enumerate(part)
    )


def without(part: Any, to: tuple[Any, ...]) -> Any:
    """A copy without what is there."""
    above, last = at(part, to[:-1]), to[-1]
    if isinstance(above, dict):
        rest: Any = {name: inner for name, inner in above.items() if name != last}
    else:
        rest = above[:last] + above[last + 1 :]
    return replaced(part, to[:-1], rest)


WRONG: tuple[Any, ...] = (
    None, True, -1, -7, 3, 61, 64, 10**6, 2**31, 2**70, 0.5, float("nan"), "", "switch", "is",
    "set", "\ud800", b"x", (), ((),), (0,), {}, {"x": 1}, frozenset({"x"}), [1], len,
)  # fmt: skip


@pytest.mark.parametrize("planned", [True, False])
def test_a_specification_with_a_wrong_part_is_refused_or_harmless(planned: bool) -> None:
    right = spec(engine(planned=planned), template=lambda *shape: ())
    asked = records(8)
    refused = harmless = 0
    for to in places(right):
        for value in WRONG:
            try:
                path = Path(replaced(right, to, value))
            except (TypeError, KeyError, ValueError):
                refused += 1
                continue
            path.decide(asked, Decided, 2**62)
            harmless += 1
    assert refused > harmless > 0


def test_a_specification_needs_each_of_its_parts() -> None:
    right = spec(engine())
    for to in places(right):
        above = at(right, to[:-1]) if to else ()
        if not isinstance(above, dict):
            continue
        with pytest.raises(KeyError, match=str(to[-1])):
            Path(without(right, to))


@pytest.mark.parametrize(
    ("to", "value", "error"),
    [
        ((), None, TypeError),
        (("fields",), None, TypeError),
        (("fields", 0), ("tenant", "text", None, "acme"), ValueError),
        (("nodes", 0, 0), "xor", ValueError),
        (("nodes", 0, 3), (0,), ValueError),
        (("nodes", 0, 1), 99, ValueError),
        (("variables", 0, 1), 99, ValueError),
        (("vertices", 0, 0), "loop", ValueError),
        (("vertices", 3, 1), (3, 3), ValueError),
        (("route", "root"), 10**6, ValueError),
        (("routes", 0, "pick"), "dice", ValueError),
        (("routes", 0, "limit"), 2**64, ValueError),
        (("routes", 0, "category"), 2, ValueError),
        (("fingerprints",), [], TypeError),
        (("loads",), b"", TypeError),
        (("key", "apart"), ("messages",), TypeError),
    ],
)
def test_what_is_wrong_with_a_specification(
    to: tuple[Any, ...], value: Any, error: type[Exception]
) -> None:
    wrong = replaced(spec(engine()), to, value)
    with pytest.raises(error):
        Path(wrong)


def test_a_score_that_reads_itself_is_refused() -> None:
    made = engine()
    right, names = spec(made), [signal.name for signal in made.program.signals]
    need, variables = names.index("need"), made.program.variables
    itself = next(at for at, one in enumerate(variables) if one.name == "need")
    asks = next(
        at for at, one in enumerate(made.program.nodes) if one.variable == itself and one.op == "gt"
    )
    for summand in ((1.0, itself, -1), (1.0, -1, asks)):
        with pytest.raises(ValueError, match="out of range"):
            Path(replaced(right, ("signals", need, "summands"), (summand,)))
    # A chain of levels is no circle, but too long a one is refused as well.
    negations = tuple(("not", -1, None, (at,)) for at in range(len(right["nodes"]), 2000))
    with pytest.raises(ValueError, match="out of range"):
        Path({**right, "nodes": (*right["nodes"], ("const", -1, True, ()), *negations)})


def test_a_path_is_made_of_one_dict() -> None:
    for arguments in ((), ({}, {}), (5,)):
        with pytest.raises((TypeError, KeyError)):
            Path(*arguments)


@pytest.mark.parametrize(
    "records_",
    [
        [None],
        [5],
        [Record(5, None, "x", None, None, b"{}", ())],  # type: ignore[arg-type]
        [Record("t", 0, 0, 0, None, "text", ())],  # type: ignore[arg-type]
        [Record("t", 0, 2**70, 2**70, None, records(1)[0].value, ())],
        [Record("t", 0, 0, 0, None, records(1)[0].value, [("ce_id", b"")])],  # type: ignore[arg-type]
        [Record("t", 0, 0, 0, None, records(1)[0].value, ((5, b""),))],  # type: ignore[arg-type]
        [Record("\ud800", 0, 0, 0, None, records(1)[0].value, ())],
        [Record(b"t", 0, 0, 0, None, NAMELESS, ())],  # type: ignore[arg-type]
        [Record(5, 0, 0, 0, None, NAMELESS, ())],  # type: ignore[arg-type]
        [Record(("t",), 0, 0, 0, None, NAMELESS, ())],  # type: ignore[arg-type]
    ],
)
def test_what_is_no_proper_record_is_left_to_python(records_: list[Any]) -> None:
    answers, tally = Path(spec(engine())).decide(records_, Decided, 0)
    assert [type(answer) for answer in answers] in ([type(None)], [dict])
    assert tally["finished"] == 0


def test_a_batch_that_shrinks_meanwhile_is_decided_whole() -> None:
    asked = records()
    count = len(asked)

    def loads(value: bytes) -> Any:
        asked.clear()
        return orjson.loads(value)

    answers, _ = Path(spec(engine(), loads=loads)).decide(asked, Decided, 0)
    assert len(answers) == count


@pytest.mark.parametrize("kind", ["truth", "integer", "real", "name", "margin"])
def test_a_template_that_tells_of_what_is_not_known_leaves_the_request_to_python(kind: str) -> None:
    made = engine()
    unknown = [signal.name for signal in made.program.signals].index("ticket")
    pieces = ((kind, b"", unknown, (0.5,) if kind == "margin" else ()),)
    path = Path(spec(made, template=lambda *given: pieces, scan=lambda scope, text: ()))
    answers, tally = path.decide(records(), Decided, 0)
    assert set(map(type, answers)) == {dict}
    assert tally["finished"] == 0


# --- which policies fit ----------------------------------------------------------------


def test_policies_fit_that_need_nothing_special() -> None:
    assert fits(engine())
    assert fits(
        engine('policy made\nsignal kw = keyword("x")\nmodel a {}\ndefault route r { to a }')
    )


@pytest.mark.parametrize(
    "text",
    [
        'request { who: string from "body.user" }\nmodel a {}\ndefault route r { to a }',
        "signal t = turns()\nmodel a {}\n"
        + "".join(f"signal s{at} = score {{ {at} * t }}\n" for at in range(MOST_DERIVED + 1))
        + "default route r { to a }",
        "model a {}\n"
        + "".join(f'guard g{at} {{ when true tag "t{at}" }}\n' for at in range(MOST_GUARDS + 1))
        + "default route r { to a }",
        "model a {}\n"
        + "".join(f"signal t{at} = tokens()\n" for at in range(MOST_TOKEN_SIGNALS + 1))
        + "default route r { to a }",
        "signal t = turns()\nmodel a {}\nmodel b {}\npool all = [a, b]\n"
        "route q { when t > 2 to all by round_robin }\ndefault route r { to all by latency }",
        "request { n: int = 0 }\nmodel a {}\n"
        + "".join(f"route r{at} {{ when n == {at} to a }}\n" for at in range(200))
        + "default route r { to a }",
    ],
    ids=["elsewhere", "derived", "guards", "tokens", "choices", "routes"],
)
def test_policies_that_do_not_fit_are_decided_by_python_alone(text: str) -> None:
    made = Engine(program(text), services(tokens=estimate_tokens, most_tokens=most_tokens))
    assert not fits(made)
    encoder = Encoder("made", made.hash, {})
    assert NativePath.of(made, encoder, Limits(), lambda id, slip: None) is None


def test_without_a_bound_of_tokens_no_policy_fits() -> None:
    assert not fits(engine(most_tokens=None))


def test_a_program_whose_scans_come_at_another_stage_does_not_fit() -> None:
    made = engine().program
    signals = tuple(
        msgspec.structs.replace(signal, stage="light") if signal.name == "urgent" else signal
        for signal in made.signals
    )
    later = msgspec.structs.replace(made, signals=signals)
    given = services(tokens=estimate_tokens, most_tokens=most_tokens)
    assert fits(Engine(made, given))
    assert not fits(Engine(later, given))


async def test_as_many_scores_as_fit_all_count() -> None:
    text = 'policy made\nsignal kw = keyword("urgent")\nmodel a {}\n'
    for at in range(MOST_DERIVED):
        text += f"signal s{at} = score {{ {at + 1} * kw }}\n"
        if at < MOST_GUARDS - 1:
            text += f'guard g{at} {{ when s{at} >= {at + 1} tag "t{at}" }}\n'
    text += f"route q {{ when s{MOST_DERIVED - 1} > 3 to a }}\ndefault route r {{ to a }}"
    made = compiled(text, False)
    native, plain = One.of(made, True), One.of(made, False)
    assert await native.decide(records()) == await plain.decide(records())
    assert native.answered == [len(records())]
    assert native.seen() == plain.seen()


def test_as_many_guards_and_numbers_of_tokens_as_fit_all_act() -> None:
    text = "policy made\nmodel a {}\n"
    text += "".join(f"signal t{at} = tokens()\n" for at in range(MOST_TOKEN_SIGNALS))
    for at in range(MOST_GUARDS):
        text += f'guard g{at} {{ when t{at + 4} > {at % 3} tag "t{at}" }}\n'
    made = engine(text + "default route r { to a }", planned=False)
    assert fits(made)


# --- errors on the way -----------------------------------------------------------------


async def both(text: str = POLICY, **changed: Any) -> tuple[One, One]:
    """With and without the compiled path, after the same requests, which were decided alike."""
    made = compiled(text, True)
    native, plain = One.of(made, True, **changed), One.of(made, False, **changed)
    for _ in range(2):
        found = await native.decide(records())
        assert found == await plain.decide(records())
        for one in (native, plain):
            one.service.learn(responses(found)[:5])
        assert native.seen() == plain.seen()
    return native, plain


async def test_without_errors_all_is_decided_by_compiled_code() -> None:
    native, _ = await both()
    assert native.answered[0] == len(records())


async def test_a_token_counter_that_fails_fails_the_signal_as_ever() -> None:
    def fail(text: str) -> int:
        raise RuntimeError("no vocabulary")

    native, plain = await both(tokens=fail)
    assert plain.observer.heard["failure", "size", "error"] > 0
    assert 0 < native.answered[0] < len(records())


async def test_a_scan_that_fails_fails_its_signals_as_ever() -> None:
    native, plain = await both()
    for one in (native, plain):
        one.service._engine.texts.scan = fails(MemoryError("too long"))  # type: ignore[method-assign]
    assert await native.decide(records()) == await plain.decide(records())
    assert plain.observer.heard["failure", "urgent", "error"] > 0
    assert native.seen() == plain.seen()


@pytest.mark.parametrize(
    "found",
    [None, 5, [], ((0,),), ((99, True),), ((5, 1),), ((0, True),), ((-1, True),), ("ab",), ()],
)
def test_an_odd_answer_of_a_scan_leaves_the_request_to_python(found: Any) -> None:
    made = engine(
        'policy made\nsignal kw = keyword("x")\nsignal t = turns()\nmodel a {}\n'
        "route q { when kw or t > 99 to a }\ndefault route r { to a }"
    )
    answers, tally = Path(spec(made, scan=lambda scope, text: found)).decide(records(), Decided, 0)
    if found == ((0, True),):
        assert tally["finished"] == len(answers)
    else:
        assert set(map(type, answers)) == {dict}


async def test_the_engine_need_not_scan_again_what_was_scanned() -> None:
    text = POLICY.replace("default route", "route last { when near > 0.5 to a }\ndefault route")
    text = text.replace("model a", 'signal near = similarity { examples: ["a b"] }\nmodel a', 1)
    made = compiled(text, True)
    scanned: list[tuple[str, str]] = []
    native = One.of(made, True)
    texts = native.service._engine.texts
    scanners = texts._scopes

    class Counted:
        def __init__(self, scope: str, scanner: Any) -> None:
            self.scope, self.scanner = scope, scanner

        def scan(self, text: str) -> frozenset[str]:
            scanned.append((self.scope, text))
            found: frozenset[str] = self.scanner.scan(text)
            return found

    for scope, (signals, scanner, guarded) in scanners.items():
        scanners[scope] = (signals, Counted(scope, scanner), guarded)  # type: ignore[assignment]
    found = await native.decide(records())
    assert 0 < native.answered[0] < len(records())
    assert len(scanned) == len(set(scanned)) > 0
    assert texts._kept == {}
    assert found == await One.of(made, False).decide(records())


async def test_a_cache_that_fails_misses_as_ever() -> None:
    native, plain = await both()
    for one in (native, plain):
        one.cache.exact = one.cache.holds = fails(RuntimeError("gone"))  # type: ignore[method-assign]
    assert await native.decide(records()) == await plain.decide(records())
    assert native.seen()["heard"] == plain.seen()["heard"]


def fails(error: BaseException) -> Any:
    def failing(*given: Any) -> Any:
        raise error

    return failing


@pytest.mark.parametrize("what", ["tokens", "most_tokens"])
async def test_an_interrupt_comes_through(what: str) -> None:
    made = compiled(POLICY, True)
    native = One.of(made, True, **{what: fails(KeyboardInterrupt())})
    with pytest.raises(KeyboardInterrupt):
        await native.decide(records())


async def test_an_interrupt_in_the_cache_comes_through_and_the_next_batch_is_counted_alone() -> (
    None
):
    native, plain = await both()
    exact = native.cache.exact
    native.cache.exact = fails(KeyboardInterrupt())  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        await native.decide(records())
    native.cache.exact = exact  # type: ignore[method-assign]
    before = native.observer.heard.total()
    native.observer.heard.clear()
    plain.observer.heard.clear()
    assert before > 0
    assert await native.decide(records()) == await plain.decide(records())
    assert native.seen()["heard"] == plain.seen()["heard"]


def test_a_batch_cannot_begin_inside_another() -> None:
    inner: list[Exception] = []

    def again(id: str, slip: Any) -> None:
        try:
            path.decide([], Decided, 0)
        except RuntimeError as error:
            inner.append(error)

    path = Path(spec(engine(), missed=again))
    _, tally = path.decide(records(), Decided, 0)
    assert len(inner) == sum(tally["misses"]) > 0
    assert path.decide([], Decided, 0)[0] == []


@pytest.mark.parametrize(
    "answer", [(), (1,), ("e", "text"), (b"e", b"{}"), "e", 5, ("\ud800", b"{}")]
)
def test_an_odd_answer_of_the_cache_leaves_the_request_to_python(answer: Any) -> None:
    class Every(dict[bytes, int]):
        """Holds what it is asked for."""

    made = engine()
    asked: list[bytes] = []
    Path(spec(made, missed=lambda id, slip: asked.append(slip[3]))).decide(records(), Decided, 0)
    assert asked
    path = Path(
        spec(made, ask=lambda slip, now, again: answer, fingerprints=Every.fromkeys(asked, 1))
    )
    answers, tally = path.decide(records(), Decided, 0)
    assert sum(tally["hits"]) == 0
    assert dict in map(type, answers)


@pytest.mark.parametrize(
    "pieces",
    [
        None,
        5,
        ("x",),
        (("hole", b"", -1, ()),),
        (("integer", b"", 99, ()),),
        (("integer", b"", -1, ()),),
        (("margin", b"", 0, ()),),
        (("literal", "x", -1, ()),),
        (("literal", b"x"),),
    ],
)
def test_a_template_that_is_none_leaves_the_request_to_python(pieces: Any) -> None:
    answers, tally = Path(spec(engine(), template=lambda *given: pieces)).decide(
        records(), Decided, 0
    )
    assert set(map(type, answers)) == {dict}
    assert tally["finished"] == 0


# --- memory ----------------------------------------------------------------------------


async def test_a_service_that_is_dropped_goes_with_its_engine() -> None:
    one = One.of(compiled(POLICY, True), True)
    await one.decide(records())
    assert one.answered == [len(records())]
    gone = [weakref.ref(one.service._engine), weakref.ref(one.service)]
    path = one.service._native
    assert path is not None
    del one, path
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


async def test_batches_leave_no_references_behind() -> None:
    made = engine(cache=None)
    kept = spec(made, ask=None)
    path = Path(kept)
    asked = records()
    dirty = [
        Record("t", 0, 0, 0, None, value)
        for value in (b"{", b"[]", None, b'{"body":{"messages":[{"role":"user","content":5}]}}')
    ]
    held = [*asked, *(one.value for one in asked), kept["loads"], kept["bound"], None, Decided]
    held += ["user", "content", "free", "acme"]
    path.decide(asked + dirty, Decided, 2**62)
    counts = [sys.getrefcount(one) for one in held]
    for _ in range(10):
        path.decide(asked + dirty, Decided, 2**62)
    grown = [
        (one, now - was)
        for one, was, now in zip(held, counts, map(sys.getrefcount, held), strict=True)
        # A few are kept of the last request.
        if abs(now - was) > 8
    ]
    assert grown == []


async def test_memory_does_not_grow_with_the_batches() -> None:
    native = One.of(compiled(POLICY, True), True)
    asked = records()
    asked += [Record("t", 0, 99, 0, None, value) for value in (b"{", b"{}", None)]

    async def some(count: int) -> int:
        for _ in range(count):
            await native.service.decide(asked)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    await some(5)
    tracemalloc.start()
    try:
        before = await some(20)
        after = await some(100)
    finally:
        tracemalloc.stop()
    # 2,700 requests more: one object each would be some 100 KB.
    assert after - before < 20_000
