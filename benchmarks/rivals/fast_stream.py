"""FastStream's consume-decide-produce, at least once; it has no transactions.

    python fast_stream.py SPEC      # see `side_by_side.py`

Its best documented ways: batches in (`batch=True`), batches out (`publish_batch`, one for each
partition, confirmed together), orjson and uvloop installed, acknowledged after the handler.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from collections import defaultdict
from typing import Any

import orjson
import uvloop
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage, KafkaPublishMessage
from streaming.answer import choose


async def run(spec: dict[str, Any]) -> None:
    """Work until SIGTERM."""
    logger = logging.getLogger("faststream")
    logger.setLevel(logging.WARNING)
    broker = KafkaBroker(
        spec["bootstrap"], acks="all", linger_ms=0, max_batch_size=1_048_576, logger=logger
    )

    @broker.subscriber(
        spec["requests"],
        group_id=spec["group"],
        batch=True,
        max_records=spec["batch"],
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        ack_policy=AckPolicy.NACK_ON_ERROR,
    )
    async def decide(events: list[Any], message: KafkaMessage) -> None:
        answers = defaultdict(list)
        for event, record in zip(events, message.raw_message, strict=True):
            decision = choose(event, record.topic, record.partition, record.offset)
            answers[record.partition].append(
                KafkaPublishMessage(orjson.dumps(decision), key=record.key)
            )
        sent = [
            await broker.publish_batch(
                *some, topic=spec["decisions"], partition=partition, no_confirm=True
            )
            for partition, some in answers.items()
        ]
        await asyncio.gather(*sent)

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with broker:
        await broker.start()
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(run(json.loads(sys.argv[1])))
