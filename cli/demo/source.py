"""The events of the demo: sample traffic with a small share of malformed ones among it."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from routec.cli.demo.schema import placed
from routec.cli.demo.traffic import (
    MALFORMED_KINDS,
    Attribute,
    Sample,
    generate,
    make_malformed,
)

MALFORMED_SHARE = 0.02
"""How much of the traffic is malformed."""

_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Sending:
    """One record to send: its value, and the sample in it; ``None`` for a malformed one."""

    value: bytes
    sample: Sample | None


def sendings(seed: int, count: int, schema: Sequence[Attribute]) -> Iterator[Sending]:
    """That many records; the same arguments give the same bytes.

    A question that is repeated word by word is repeated by the same caller: with the same
    attributes and the same body.
    """
    rng = Random(f"routec demo {seed}")
    samples = generate(seed, schema)
    earlier: OrderedDict[str, dict[str, Any]] = OrderedDict()
    for _ in range(count):
        if rng.random() < MALFORMED_SHARE:
            kind = MALFORMED_KINDS[rng.randrange(len(MALFORMED_KINDS))]
            yield Sending(make_malformed(kind, rng, schema), None)
            continue
        sample = next(samples)
        event = placed(sample.event)
        first = earlier.get(sample.truth.repeat_of or "")
        if first is not None:
            event["attributes"], event["body"] = first["attributes"], first["body"]
        else:
            earlier[event["request_id"]] = event
            if len(earlier) > _REMEMBERED:
                earlier.popitem(last=False)
        yield Sending(json.dumps(event, ensure_ascii=False).encode(), sample)
