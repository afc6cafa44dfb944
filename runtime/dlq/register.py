"""Which letters were replayed: a compacted topic beside that of the dead letters.

A record's key names the source of a letter and a hash of the original record, so that a source
that was deleted and filled anew is not taken for the one before, nor takes its place; the value
holds the same. It is written in the transaction that writes the replayed record.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from routec.runtime.config import Config
from routec.runtime.dlq.letter import Letter, Source
from routec.runtime.dlq.reading import partitions_of, reached
from routec.runtime.stream.clients import Admin, close, connect
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.unreachable import in_words

SUFFIX = ".replays"
"""What the register's topic has after the name of the dead-letter topic."""
_READY_POLL = 0.1


def register_topic(config: Config) -> str:
    """The name of the register's topic."""
    return config.topics.dlq + SUFFIX


class _Entry(msgspec.Struct, frozen=True):
    topic: str
    partition: int
    offset: int
    digest: str
    time_ms: int


@dataclass(slots=True)
class Register:
    """What was replayed so far.

    Attributes:
        entries: source and hash of each record that was replayed.
    """

    entries: set[tuple[Source, str]] = field(default_factory=set)

    def holds(self, letter: Letter) -> bool:
        """Whether a letter, or another one of the same record, was replayed."""
        return (letter.source, letter.digest()) in self.entries

    def add(self, letter: Letter) -> None:
        """Note a letter that was replayed."""
        self.entries.add((letter.source, letter.digest()))


def entry_of(letter: Letter, time_ms: int) -> tuple[bytes, bytes]:
    """Key and value of the register's record for a letter.

    Args:
        letter: the letter.
        time_ms: when it is replayed, milliseconds since the epoch.
    """
    at = letter.source
    digest = letter.digest()
    key = f"{at.topic}/{at.partition}/{at.offset}/{digest}".encode()
    entry = _Entry(at.topic, at.partition, at.offset, digest, time_ms)
    return key, msgspec.json.encode(entry)


async def read_register(consumer: AIOKafkaConsumer, config: Config) -> Register:
    """Read what was replayed; nothing where the topic does not exist. Foreign records are ignored.

    Raises:
        StreamError: the topic cannot be read.
    """
    register = Register()
    topic = register_topic(config)
    if not await partitions_of(consumer, config, topic):
        return register
    async for record in reached(consumer, config, topic):
        try:
            entry = msgspec.json.decode(record.value or b"", type=_Entry)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue  # whatever is no entry says nothing
        register.entries.add((Source(entry.topic, entry.partition, entry.offset), entry.digest))
    return register


async def create_register(consumer: AIOKafkaConsumer, config: Config) -> None:
    """Create the register's topic if it is missing, with as many copies as the letters have.

    Raises:
        StreamError: the cluster refuses, or cannot be reached.
    """
    topic = register_topic(config)
    if await partitions_of(consumer, config, topic):
        return
    admin = await connect(lambda: Admin(config), config)
    try:
        async with asyncio.timeout(config.kafka.request_timeout):
            letters = (await admin.client.describe_topics([config.topics.dlq]))[0]
            copies = min((len(one["replicas"]) for one in letters["partitions"]), default=1)
            new = NewTopic(topic, 1, copies, topic_configs={"cleanup.policy": "compact"})
            response = await admin.client.create_topics([new])
            code, *message = response.topic_errors[0][1:]
            refusal = for_code(code)
            if code and refusal is not TopicAlreadyExistsError:
                raise _refused(topic, (message and message[0]) or refusal.__name__)
            while not await _has_leader(admin.client, topic):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(_READY_POLL)
    except (KafkaError, TimeoutError) as error:
        raise _refused(topic, in_words(error)) from error
    finally:
        await close(admin)


async def _has_leader(admin: AIOKafkaAdminClient, topic: str) -> bool:
    found = (await admin.describe_topics([topic]))[0]
    return found["error_code"] == 0 and all(one["leader"] >= 0 for one in found["partitions"])


def _refused(topic: str, reason: str) -> StreamError:
    return StreamError(
        "topic-refused",
        f"the topic `{topic}`, which remembers what was replayed, cannot be created: {reason}",
        f"create `{topic}` by hand with one partition and `cleanup.policy=compact`",
    )
