"""Whether the control topic keeps every record, as a worker with keys that starts needs it.

Who may write to the topic but has no key can have records removed in one way only: by others under
the same key, in a topic that is compacted; see `docs/decisions/0013-signed-policies.md`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import for_code
from aiokafka.protocol.admin import DescribeConfigsRequest

from routec.runtime.stream.topics import FOREVER

log = logging.getLogger(__name__)

COMPACTING = "compacting-policies"
"""Code of the problem that records of the control topic may be removed."""

_SETTINGS = ("cleanup.policy", "min.compaction.lag.ms", "retention.ms", "retention.bytes")
_PATIENCE = 5.0
_TOPIC = 2
"""A topic, among the kinds of things that Kafka has options of."""


def shortfall(settings: Mapping[str, str]) -> str | None:
    """Which options let records be removed, in words; ``None`` where all are kept.

    Args:
        settings: the topic's options by name; those that are missing keep nothing.
    """
    kinds = {kind.strip() for kind in settings.get("cleanup.policy", "").split(",")}
    wrong = []
    if "compact" in kinds and _number(settings, "min.compaction.lag.ms") < FOREVER:
        wrong.append(f"`min.compaction.lag.ms` must be {FOREVER}")
    if "delete" in kinds:
        names = ("retention.ms", "retention.bytes")
        wrong += [f"`{name}` must be -1" for name in names if _number(settings, name) != -1]
    if not wrong:
        return None
    return f"with `cleanup.policy={settings['cleanup.policy']}`, {' and '.join(wrong)}"


def _number(settings: Mapping[str, str], name: str) -> int:
    try:
        return int(settings.get(name, "0"))
    except ValueError:
        return 0


async def read_settings(consumer: AIOKafkaConsumer, topic: str) -> dict[str, str]:
    """The options of a topic that say what is removed from it.

    Raises:
        KafkaError: the cluster does not tell, or forbids it.
    """
    client = consumer._client  # a connection of its own for this is not worth it
    request = DescribeConfigsRequest([(_TOPIC, topic, list(_SETTINGS))])
    response = await client.send(client.get_random_node(), request)
    found: dict[str, str] = {}
    for code, message, _, _, entries in response.resources:
        if code:
            raise for_code(code)(message or topic)
        found |= {name: value or "" for name, value, *_ in entries}
    return found


class Retention:
    """Looks whether the control topic keeps everything, and tells when that changes.

    Args:
        topic: the control topic.
        problems: by code, what is wrong, in words; the problem is there as long as it lasts.
        changed: called after each change of it.
    """

    def __init__(self, topic: str, problems: dict[str, str], changed: Callable[[], None]) -> None:
        self._topic = topic
        self._problems = problems
        self._changed = changed
        self._warned = False

    async def look(self, consumer: AIOKafkaConsumer) -> None:
        """Look; what is not told is warned of once, and changes nothing."""
        try:
            async with asyncio.timeout(_PATIENCE):
                settings = await read_settings(consumer, self._topic)
        except Exception as error:  # a worker that cannot find out decides all the same
            if not self._warned:
                self._say(
                    log.warning,
                    "it is not known whether the control topic keeps everything; "
                    "grant DESCRIBE_CONFIGS on it to this client",
                    error=type(error).__name__,
                )
            self._warned = True
        else:
            self._judge(settings)

    def _judge(self, settings: Mapping[str, str]) -> None:
        wrong, before = shortfall(settings), self._problems.get(COMPACTING)
        if wrong is None:
            self._problems.pop(COMPACTING, None)
        else:
            wrong = f"`{self._topic}` does not keep every signed record: {wrong}"
            self._problems[COMPACTING] = wrong
        if wrong != before:
            if wrong is not None:
                self._say(
                    log.error,
                    "workers that start may follow an older policy, or none",
                    code=COMPACTING,
                    reason=wrong,
                )
            self._changed()

    def _say(self, say: Callable[..., Any], message: str, **more: str) -> None:
        say(message, extra={"topic": self._topic, **more})
