"""Options of the configuration reach the clients; what fails says why in bounded time."""

from __future__ import annotations

from pathlib import Path

import pytest

from routec.runtime.config import Config, Kafka, Secret, Topics
from routec.runtime.stream import StreamError
from routec.runtime.stream.clients import common_options, connect, make_producer
from routec.runtime.stream.topics import Partitions, check_partitions


def test_sasl_options_pass_through() -> None:
    options = common_options(
        Kafka(
            security_protocol="SASL_SSL",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username="u",
            sasl_password=Secret("p"),
            ssl_check_hostname=False,
        )
    )
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("u", "p")
    assert options["ssl_context"].check_hostname is False


def test_plain_connections_take_no_secrets_along() -> None:
    options = common_options(Kafka(sasl_username="u", sasl_password=Secret("p")))
    assert not any(name.startswith(("sasl", "ssl")) for name in options)


def test_tls_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(StreamError) as refused:
        common_options(Kafka(security_protocol="SSL", ssl_cafile=tmp_path / "none.pem"))
    assert refused.value.code == "invalid-tls"
    assert "kafka.ssl_cafile" in refused.value.help


async def test_a_cluster_that_is_not_there_is_named_after_the_time_given(
    unused_tcp_port: int,
) -> None:
    address = f"127.0.0.1:{unused_tcp_port}"
    config = Config(kafka=Kafka(bootstrap=address, connect_timeout=0.3, retry_backoff=0.05))
    with pytest.raises(StreamError) as refused:
        await connect(lambda: make_producer(config), config)
    assert refused.value.code == "kafka-unreachable"
    assert f"`{address}`" in refused.value.message


def test_decisions_need_as_many_partitions_as_requests() -> None:
    check_partitions(Partitions(requests=4, decisions=6, dlq=1, responses=0), Topics())
    with pytest.raises(StreamError) as refused:
        check_partitions(Partitions(requests=4, decisions=3, dlq=4, responses=0), Topics())
    assert refused.value.code == "too-few-partitions"
    assert "at least 4" in refused.value.help
