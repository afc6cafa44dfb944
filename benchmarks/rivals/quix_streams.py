"""Quix Streams' consume-decide-produce, exactly once or at least once.

    python quix_streams.py SPEC      # see `side_by_side.py`

It decides one message at a time, decoded and encoded by orjson. ``commit_every`` and
``commit_interval`` say when it commits, all partitions together. Keys keep their partition: both
topics have as many, and the producer is told to place keys as Kafka's own clients do.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from typing import Any

from quixstreams import Application, message_context
from streaming.answer import choose


def run(spec: dict[str, Any]) -> None:
    """Work until SIGTERM."""
    with tempfile.TemporaryDirectory() as state:
        app = Application(
            broker_address=spec["bootstrap"],
            consumer_group=spec["group"],
            auto_offset_reset="earliest",
            processing_guarantee=spec["guarantee"],
            commit_every=spec.get("commit_every", 0),
            commit_interval=spec.get("commit_interval", 5.0),
            auto_create_topics=False,
            use_changelog_topics=False,
            state_dir=state,
            loglevel="WARNING",
            consumer_extra_config={"isolation.level": "read_committed"},
            producer_extra_config={"acks": "all", "partitioner": "murmur2_random"},
        )
        signal.signal(signal.SIGTERM, lambda *_: app.stop())
        requests = app.topic(spec["requests"], value_deserializer="json")
        decisions = app.topic(spec["decisions"], value_serializer="json")

        def decide(event: Any) -> dict[str, Any]:
            context = message_context()
            return choose(event, context.topic, context.partition, context.offset)

        frame = app.dataframe(requests)
        frame.apply(decide).to_topic(decisions)
        app.run()


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
