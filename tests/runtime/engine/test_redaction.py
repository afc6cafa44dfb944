"""What a guard redacts does not leave: not to the embedder for the cache, not to the cache."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routec.runtime.engine import Engine
from routec.runtime.engine.redaction import masked, merged
from routec.runtime.events import Message, Span
from tests.runtime.doubles import Embedder, ask, cache_of, program, services

CARD = "4111 1111 1111 1111"
POLICY = """
signal pii = entities(credit_card, email)
signal kw  = keyword("pay")
model m {}
category c { when kw, similarity: 0.9, ttl: 1h }
guard clean { when kw redact pii tag "clean" }
default route r { to m }
"""


class Watched(Embedder):
    """Remembers every text."""

    @property
    def seen(self) -> str:
        return "\n".join(text for call in self.calls for text in call)


def built(embedder: Embedder, text: str = POLICY) -> Engine:
    made = program(text)
    return Engine(made, services(embedder=embedder, cache=cache_of(made, embedder)))


async def test_the_spans_are_those_of_the_text_as_it_came() -> None:
    text = f"please\u200b pay with {CARD} or mail ann@example.com"
    talk = [("system", "write to bob@example.com"), ("user", text)]
    (decision,) = await built(Embedder()).decide([ask(messages=talk)])
    found = [(s.message, s.kind, talk[s.message][1][s.start : s.end]) for s in decision.redacted]
    assert found == [
        (0, "email", "bob@example.com"),
        (1, "credit_card", CARD),
        (1, "email", "ann@example.com"),
    ]
    assert decision.redacting == ("pii",)
    assert decision.tags == ("clean",)


async def test_the_masked_text_is_what_is_embedded_and_stored() -> None:
    embedder = Watched()
    engine = built(embedder)
    (decision,) = await engine.decide([ask(f"pay with {CARD}")])
    assert embedder.seen == "pay with [credit_card]"
    assert decision.ticket is not None
    # Another card makes the same masked request: one entry answers both, word for word.
    engine.store(decision.ticket, {"choices": ["ok"]}, 0.0)
    (other,) = await engine.decide([ask("pay with 5500 0000 0000 0004")])
    assert (other.outcome, other.cache.tier) == ("cached", "exact")
    assert len(embedder.calls) == 1


async def test_signals_read_the_text_as_it_came() -> None:
    text = POLICY.replace('keyword("pay")', 'keyword("4111 1111")')
    (decision,) = await built(Embedder(), text).decide([ask(f"with {CARD}")])
    assert decision.signals["kw"] is True
    assert [span.kind for span in decision.redacted] == ["credit_card"]


async def test_without_the_guard_nothing_is_masked() -> None:
    text = POLICY.replace("when kw redact", "when kw and pii.any(email) redact")
    embedder = Watched()
    (decision,) = await built(embedder, text).decide([ask(f"pay with {CARD}")])
    assert decision.redacted == ()
    assert embedder.seen == f"pay with {CARD}"


async def test_what_cannot_be_masked_does_not_reach_the_cache() -> None:
    embedder = Watched()
    engine = built(embedder)
    (decision,) = await engine.decide([ask(f"pay with {CARD}")], [{"pii": ["credit_card"]}])
    assert decision.cache.status == "skipped"
    assert decision.ticket is None
    assert embedder.calls == []


async def test_a_rejected_request_is_redacted_too() -> None:
    text = POLICY.replace("redact pii tag", 'redact pii reject 403 "no" tag')
    (decision,) = await built(Embedder(), text).decide([ask(f"pay with {CARD}")])
    assert decision.outcome == "reject"
    assert len(decision.redacted) == 1


spans = st.builds(
    lambda message, start, length, kind: Span(message, start, start + length, kind),
    st.integers(0, 1),
    st.integers(0, 15),
    st.integers(1, 5),
    st.sampled_from(("email", "iban")),
)


@given(st.lists(spans, max_size=6))
def test_every_masked_character_is_gone_and_every_other_stays(found: list[Span]) -> None:
    texts = ["abcdefghijklmnopqrst", "ABCDEFGHIJKLMNOPQRST"]
    inside = merged(found)
    result = masked([Message("user", text) for text in texts], inside)
    for index, text in enumerate(texts):
        hidden = {at for s in found if s.message == index for at in range(s.start, s.end)}
        plain = result[index].text
        for kind in ("email", "iban"):
            plain = plain.replace(f"[{kind}]", "")
        assert plain == "".join(c for at, c in enumerate(text) if at not in hidden)
