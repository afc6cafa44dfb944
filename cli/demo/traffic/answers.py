"""The serving side: what a model might have answered."""

from __future__ import annotations

import hashlib
import json
from random import Random
from typing import Any

from routec.cli.demo.traffic.draw import between, pick
from routec.cli.demo.traffic.phrasebook import draw_values, fill, intents
from routec.cli.demo.traffic.sample import Difficulty, Truth, message_text

_SENTENCES: dict[Difficulty, tuple[int, int]] = {
    "trivial": (1, 2),
    "easy": (2, 4),
    "medium": (4, 9),
    "hard": (8, 20),
}
_BYTES_PER_TOKEN = 4  # a usual estimate for English; a simulator has no tokenizer
_TOKENS_PER_MESSAGE = 4


def answer(body: dict[str, Any], truth: Truth, *, created: int = 0) -> dict[str, Any]:
    """A chat completion for the request body; the same question gets the same words.

    Args:
        body: the request's chat-completions body.
        truth: of the sample; questions of one `group` are answered alike, attacks refused.
        created: Unix time in seconds for the completion.

    Returns:
        An OpenAI `chat.completion` object; the token counts in `usage` are estimates (four
        UTF-8 bytes a token). The text is cut at the body's `max_tokens`.
    """
    text = _text(truth)
    limit = body.get("max_tokens")
    reason = "stop"
    if isinstance(limit, int) and not isinstance(limit, bool) and tokens(text) > limit:
        text = text.encode()[: max(limit, 0) * _BYTES_PER_TOKEN].decode(errors="ignore")
        reason = "length"
    prompt = sum(tokens(message_text(m)) + _TOKENS_PER_MESSAGE for m in body["messages"])
    completion = tokens(text)
    identity = json.dumps(body, sort_keys=True, ensure_ascii=False).encode()
    return {
        "id": "chatcmpl-" + hashlib.sha256(identity).hexdigest()[:24],
        "object": "chat.completion",
        "created": created,
        "model": body.get("model", "auto"),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": reason,
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
    }


def tokens(text: str) -> int:
    """An estimate of the tokens in a text."""
    return -(-len(text.encode()) // _BYTES_PER_TOKEN)


def _text(truth: Truth) -> str:
    if truth.attack:
        return "I cannot help with that."
    rng = Random(f"routec answer {truth.group}")
    openings = next(s for s in intents("lines") if s.name == "answer_opening")
    facts = next(s for s in intents("fillers") if s.name == truth.topic)
    sentences = [pick(rng, openings.phrases), f"About {truth.intent.replace('_', ' ')}:"]
    for _ in range(between(rng, *_SENTENCES[truth.difficulty])):
        template = pick(rng, facts.phrases)
        sentences.append(fill(template, draw_values(rng, template)))
    return " ".join(sentences)
