"""TLS files are read without asking anybody; what is refused says why, without secrets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from routec.runtime.config import Config, Kafka, Secret
from routec.runtime.stream import StreamError
from routec.runtime.stream.clients import common_options, connect, make_producer
from routec.runtime.stream.security import authentication_failed, tls_context
from tests.kafka.certificates import Authority, Certificate

CANARY = "canary-2f9c"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def client(authority: Authority) -> Certificate:
    return authority.sign("client", "DNS:client", CANARY)


@pytest.fixture(scope="module")
def server(authority: Authority) -> Certificate:
    return authority.sign("server", "IP:127.0.0.1")


def refusal(**options: object) -> StreamError:
    with pytest.raises(StreamError) as refused:
        tls_context(Kafka(security_protocol="SSL", **options))
    assert CANARY not in f"{refused.value!r} {refused.value} {refused.value.help}"
    return refused.value


def test_plain_connections_have_no_context() -> None:
    assert tls_context(Kafka()) is None
    assert tls_context(Kafka(security_protocol="SASL_PLAINTEXT")) is None


def test_brokers_must_prove_who_they_are_by_tls_1_2_or_later() -> None:
    context = tls_context(Kafka(security_protocol="SSL"))
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    lenient = tls_context(Kafka(security_protocol="SSL", ssl_check_hostname=False))
    assert lenient is not None
    # The name may differ; the authority must still have signed.
    assert lenient.verify_mode is ssl.CERT_REQUIRED


def test_an_encrypted_key_opens_with_its_password(client: Certificate) -> None:
    assert tls_context(
        Kafka(
            security_protocol="SSL",
            ssl_certfile=client.certificate,
            ssl_keyfile=client.key,
            ssl_key_password=Secret(CANARY),
        )
    )


def test_an_encrypted_key_without_password_is_said_rather_than_asked_for(
    client: Certificate,
) -> None:
    error = refusal(ssl_certfile=client.certificate, ssl_keyfile=client.key)
    assert error.code == "invalid-tls"
    assert "encrypted" in error.message
    assert "`ROUTEC_KAFKA__SSL_KEY_PASSWORD`" in error.help


@pytest.mark.parametrize("password", ["", CANARY + "!"])
def test_a_wrong_password_of_the_key_is_not_shown(client: Certificate, password: str) -> None:
    error = refusal(
        ssl_certfile=client.certificate,
        ssl_keyfile=client.key,
        ssl_key_password=Secret(password),
    )
    assert error.code == "invalid-tls"
    assert "kafka.ssl_keyfile" in error.message


def test_a_key_without_a_certificate_is_refused(client: Certificate) -> None:
    assert refusal(ssl_keyfile=client.key).code == "invalid-tls"


def test_files_that_hold_something_else_are_named(tmp_path: Path, client: Certificate) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_bytes(b"\x00 not a certificate")
    assert "`kafka.ssl_cafile`" in refusal(ssl_cafile=junk).message
    assert "kafka.ssl_certfile" in refusal(ssl_certfile=junk).message
    assert "kafka.ssl_certfile" in refusal(ssl_certfile=client.key, ssl_keyfile=client.key).message
    assert "`kafka.ssl_cafile`" in refusal(ssl_cafile=tmp_path / "none.pem").message


@asynccontextmanager
async def listening(context: ssl.SSLContext | None) -> AsyncIterator[str]:
    """Something that ends each connection; with TLS after its handshake."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with listener:
        yield f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"


def by(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    return context


async def why(address: str, **options: object) -> StreamError:
    kafka = Kafka(
        bootstrap=address,
        security_protocol="SSL",
        connect_timeout=0.3,
        request_timeout=2.0,
        rebalance_timeout=1.0,
        retry_backoff=0.05,
        **options,
    )
    config = Config(kafka=kafka)
    with pytest.raises(StreamError) as refused:
        await connect(lambda: make_producer(config), config)
    return refused.value


async def test_a_certificate_of_a_stranger_is_refused_at_once(
    server: Certificate, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger")
    async with listening(by(server)) as address:
        error = await why(address, ssl_cafile=stranger.certificate)
    assert error.code == "tls-refused"
    assert address in error.message
    assert "kafka.ssl_cafile" in error.help


async def test_a_certificate_of_another_name_is_refused_at_once(
    server: Certificate, authority: Authority
) -> None:
    async with listening(by(server)) as address:
        error = await why(
            address.replace("127.0.0.1", "localhost"), ssl_cafile=authority.certificate
        )
    assert error.code == "tls-refused"
    assert "kafka.ssl_check_hostname" in error.help


async def test_what_ends_connections_is_no_broker(
    server: Certificate, authority: Authority
) -> None:
    async with listening(by(server)) as address:
        error = await why(address, ssl_cafile=authority.certificate)
    assert error.code == "kafka-unreachable"


def test_a_broker_that_repeats_the_password_is_not_quoted() -> None:
    kafka = Kafka(sasl_username="u", sasl_password=Secret(CANARY))
    error = authentication_failed(kafka, f"user u, password {CANARY}: no")
    assert CANARY not in f"{error} {error.message} {error.help}"
    assert "invalid" in authentication_failed(kafka, "invalid credentials").message


def test_options_hold_secrets_only_where_they_are_used() -> None:
    kafka = Kafka(
        security_protocol="SASL_PLAINTEXT", sasl_username="u", sasl_password=Secret(CANARY)
    )
    assert common_options(kafka)["sasl_plain_password"] == CANARY
    assert CANARY not in repr(common_options(Kafka(sasl_password=Secret(CANARY))))
    assert CANARY not in f"{kafka!r}{Config(kafka=kafka)}"
