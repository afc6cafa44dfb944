"""A finding's witness, executed again from nothing but the JSON that `routec check` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routec.compiler import policy as p
from routec.compiler.interpreter import Decision, Request, all_values, decide
from routec.compiler.types import Kind, Plain, Scores, Type, Value
from routec.safety.scan import Keyword, Pattern, Scanner
from routec.safety.text import normalise

_ROLES = {"all_user": ("user",), "system": ("system", "developer")}


class Replayed:
    """A witness read back.

    Attributes:
        request: what is decided about.
        signals: values of the signals that are not derived; of text signals those that the
            real scanner finds in the text.
    """

    def __init__(self, policy: p.Policy, witness: Mapping[str, Any]) -> None:
        self.policy = policy
        attributes = {
            name: _plain(policy.fields[name].type, value)
            for name, value in witness["attributes"].items()
        }
        for name, declared in policy.fields.items():
            if name not in attributes:
                assert declared.default is not None, f"the witness lacks `{name}`"
        messages = [
            (m["role"], m["content"])
            for m in witness.get("messages", [{"role": "user", "content": witness["text"]}])
        ]
        users = [content for role, content in messages if role == "user"]
        assert witness["text"] == (users[-1] if users else "")
        self.signals: dict[str, Value] = {}
        tokens = 0
        for name, signal in policy.signals.items():
            if signal.stage is p.Stage.DERIVED:
                continue
            said = witness["signals"][name]
            if isinstance(signal.definition, p.Keyword | p.Regex):
                found = _scan(signal, messages)
                assert found is said, f"`{name}` is said to be {said} of {messages!r}"
                self.signals[name] = found
            elif isinstance(signal.definition, p.Classifier):
                self.signals[name] = _scores(name, signal.definition, witness["signals"])
            elif signal.kind == "language":
                confidence = witness["signals"].get(f"{name}.confidence", 0.0)
                self.signals[name] = Scores(said, {"confidence": confidence})
            else:
                self.signals[name] = _plain(signal.type, said)
                if signal.kind == "tokens":
                    assert isinstance(said, int)
                    tokens = said
        self.request = Request("witness", attributes, tokens)
        self.values = all_values(policy, self.request, self.signals)

    def decide(self) -> Decision:
        """What the reference interpreter decides, with an empty cache."""
        return decide(self.policy, self.request, self.signals)


def _plain(type_: Type, value: Any) -> Plain:
    if type_.kind is Kind.SET:
        assert isinstance(value, list)
        found = frozenset(value)
        assert not type_.members or found <= set(type_.members)
        return found
    wanted: dict[Kind, type | tuple[type, ...]] = {
        Kind.BOOL: bool,
        Kind.INT: int,
        Kind.FLOAT: (int, float),
        Kind.STRING: str,
        Kind.ENUM: str,
    }
    assert isinstance(value, wanted[type_.kind]), (type_, value)
    if type_.kind is Kind.ENUM:
        assert value in type_.members
    if isinstance(value, int | float):
        assert type_.low is None or value >= type_.low
        assert type_.high is None or value <= type_.high
    return value  # type: ignore[no-any-return]


def _scores(name: str, definition: p.Classifier, said: Mapping[str, Any]) -> Scores:
    scores: dict[str, float] = {}
    for label in definition.labels:
        plain = label.isidentifier() and label.islower()
        key = f"{name}.{label}" if plain else f'{name}["{label}"]'
        scores[label] = said.get(key, 0.0)
        assert 0 <= scores[label] <= 1, (name, label, scores[label])
    if definition.exclusive:
        assert abs(sum(scores.values()) - 1) < 1e-9, (name, scores)
    best = max(definition.labels, key=lambda label: scores[label])
    assert said[name] == best, f"`{name}` is said to be {said[name]} with scores {scores}"
    return Scores(best, scores)


def _scan(signal: p.Signal, messages: list[tuple[str, str]]) -> bool:
    definition = signal.definition
    assert isinstance(definition, p.Keyword | p.Regex)
    if definition.scope == "last_user":
        text = next((content for role, content in reversed(messages) if role == "user"), "")
    else:
        roles = _ROLES.get(definition.scope)
        text = "\n".join(content for role, content in messages if roles is None or role in roles)
    if isinstance(definition, p.Keyword):
        keyword = Keyword(
            signal.name, definition.phrases, definition.match, definition.case_sensitive
        )
        scanner = Scanner([keyword])
    else:
        scanner = Scanner([], [Pattern(signal.name, definition.pattern, definition.flags)])
    return signal.name in scanner.scan(normalise(text))
