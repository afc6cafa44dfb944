"""Reading a group's committed offset, once no open transaction can still move it.

The client's own request is of a version that answers with the offset before a transaction that
is being completed; version 7 can be told to wait for it (KIP-447, `require_stable`).
"""

from __future__ import annotations

import asyncio

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    NotCoordinatorError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

_NONE = -1
_UNSTABLE = 88
"""The code of an offset that a transaction has written and not yet ended."""
_MOVED = (CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError)


class _OffsetFetchResponse(Response):  # type: ignore[misc]
    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class _OffsetFetchStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 9
    API_VERSION = 7
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _OffsetFetchResponse
    SCHEMA = Schema(
        ("group", CompactString("utf-8")),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                ("partitions", CompactArray(Int32)),
                ("tags", TaggedFields),
            ),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class _OffsetFetch(Request[_OffsetFetchStruct]):  # type: ignore[misc]
    API_KEY = 9

    def __init__(self, group: str, partition: TopicPartition) -> None:
        self._group = group
        self._partition = partition

    def build(self, request_struct_class: type[_OffsetFetchStruct]) -> _OffsetFetchStruct:
        one = self._partition
        return request_struct_class(self._group, [(one.topic, [one.partition], {})], True, {})


async def stable_offset(
    client: AIOKafkaClient, group: str, partition: TopicPartition, backoff: float
) -> int | None:
    """The committed offset of a partition, after every transaction that concerns it.

    Args:
        client: a connected client.
        group: the consumer group.
        partition: the partition of the source topic.
        backoff: seconds between two tries while it is not settled; the caller limits the time.

    Returns:
        The offset to go on from; ``None`` if the group has committed none.

    Raises:
        GroupAuthorizationFailedError, TopicAuthorizationFailedError: reading is forbidden.
        KafkaError: the coordinator does not answer, or refuses.
    """
    while True:
        node = await client.coordinator_lookup(CoordinationType.GROUP, group)
        request = _OffsetFetch(group, partition)
        response = await client.send(node, request, group=ConnectionGroup.COORDINATION)
        code, offset = response.error_code, _NONE
        for _, partitions, _ in response.topics:
            for _, found, _, _, own, _ in partitions:
                code, offset = code or own, found
        if code == 0:
            return None if offset == _NONE else int(offset)
        error = for_code(code)
        if error is GroupAuthorizationFailedError:
            raise error(group)
        if error is TopicAuthorizationFailedError:
            raise error(partition.topic)
        if code != _UNSTABLE and error not in _MOVED:
            raise error(f"code {code}")
        await asyncio.sleep(backoff)
