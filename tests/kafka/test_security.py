"""Real handshakes with Apache Kafka: SASL over TLS, client certificates, and every refusal."""

from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from apache_kafka import ApacheKafka, BrokerError, _free_port
from certificates import Authority, Certificate
from traffic import PARTITIONS, EchoDecider, check_once, numbered, running, send, until

from routec.runtime.config import Config, Kafka, Runtime, Secret, Topics
from routec.runtime.observe import Reach
from routec.runtime.stream import StreamError, Worker, create_topics
from routec.runtime.stream.security import tls_context

pytestmark = pytest.mark.kafka

USER, PASSWORD = "alice", "canary-7f3a"
WRONG = "canary-wrong-91"
KEY_PASSWORD = "canary-key-5b2"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class SecureKafka(ApacheKafka):
    """A broker that also listens with SASL over TLS, and with TLS that asks for a certificate.

    Attributes:
        sasl: address of the first.
        mutual: address of the second.
        authority: has signed the broker's certificate.
        client: a certificate that the broker accepts, with an encrypted key.
    """

    authority: Authority
    client: Certificate

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.client = self.authority.sign("client", "DNS:client", KEY_PASSWORD)
        # Names the address only, so that another name of this machine is refused.
        self._server = self.authority.sign("server", "IP:127.0.0.1")
        ports = _free_port(), _free_port()
        self._sasl_port, self._mutual_port = ports
        self.sasl, self.mutual = (f"127.0.0.1:{port}" for port in ports)
        super().__init__()

    def _settings(self) -> Iterator[str]:
        for line in super()._settings():
            name, _, value = line.partition("=")
            extra = {
                "listeners": f",SECURE://127.0.0.1:{self._sasl_port}"
                f",MUTUAL://127.0.0.1:{self._mutual_port}",
                "advertised.listeners": f",SECURE://{self.sasl},MUTUAL://{self.mutual}",
                "listener.security.protocol.map": ",SECURE:SASL_SSL,MUTUAL:SSL",
            }.get(name, "")
            yield f"{name}={value}{extra}"
        yield f"sasl.enabled.mechanisms={','.join(MECHANISMS)}"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        prefix = "listener.name.secure"
        yield f"{prefix}.scram-sha-256.sasl.jaas.config={scram}"
        yield f"{prefix}.scram-sha-512.sasl.jaas.config={scram}"
        yield f'{prefix}.plain.sasl.jaas.config={plain} user_{USER}="{PASSWORD}";'
        yield "ssl.keystore.type=PEM"
        yield f"ssl.keystore.location={self._server.bundle}"
        yield "ssl.truststore.type=PEM"
        yield f"ssl.truststore.location={self.authority.certificate}"
        yield "listener.name.mutual.ssl.client.auth=required"

    def _format(self) -> None:
        command = ["kafka.tools.StorageTool", "format", f"--cluster-id={uuid.uuid4().hex[:22]}"]
        command += ["-c", str(self._properties)]
        for mechanism in MECHANISMS[1:]:
            command += ["--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]"]
        done = subprocess.run(
            self._command("-Xmx128m", *command), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise BrokerError(f"cannot format the storage:\n{(done.stdout + done.stderr)[-2000:]}")


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with SecureKafka(tmp_path_factory.mktemp("certificates")) as broker:
        yield broker


def reaching(secure: SecureKafka, **options: Any) -> Config:
    """A configuration with topics and a group of its own."""
    name = uuid.uuid4().hex[:8]
    kafka: dict[str, Any] = {
        "bootstrap": secure.sasl,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": USER,
        "sasl_password": Secret(PASSWORD),
        "ssl_cafile": secure.authority.certificate,
    }
    return Config(
        kafka=Kafka(
            group=name,
            session_timeout=6.0,
            heartbeat_interval=1.0,
            rebalance_timeout=8.0,
            request_timeout=10.0,
            connect_timeout=6.0,
            fetch_max_wait=0.05,
            **{**kafka, **options},
        ),
        topics=Topics(**{field: f"{name}.{field}" for field in Topics.__struct_fields__}),
        runtime=Runtime(batch_size=200, commit_interval=0.05),
    )


def with_certificate(secure: SecureKafka) -> dict[str, Any]:
    return {
        "bootstrap": secure.mutual,
        "security_protocol": "SSL",
        "ssl_certfile": secure.client.certificate,
        "ssl_keyfile": secure.client.key,
        "ssl_key_password": Secret(KEY_PASSWORD),
    }


async def decide_all(secure: SecureKafka, config: Config) -> None:
    """Make the topics, decide 200 requests, and see each of them once, through every client."""
    await create_topics(config, partitions=PARTITIONS)
    open_side = msgspec.structs.replace(config, kafka=Kafka(bootstrap=secure.bootstrap))
    plainly = msgspec.structs.replace(
        open_side, kafka=msgspec.structs.replace(open_side.kafka, group=config.kafka.group)
    )
    sent = await send(plainly, numbered(200))
    worker = Worker(config, EchoDecider())
    async with running(worker):
        await until(lambda: worker.counts.decided == 200)
    await check_once(plainly, sent)


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_each_mechanism_decides_exactly_once_over_tls(
    secure: SecureKafka, mechanism: str
) -> None:
    await decide_all(secure, reaching(secure, sasl_mechanism=mechanism))


async def test_at_least_once_uses_the_same_options(secure: SecureKafka) -> None:
    config = reaching(secure)
    runtime = msgspec.structs.replace(config.runtime, delivery="at_least_once")
    await decide_all(secure, msgspec.structs.replace(config, runtime=runtime))


async def test_a_client_certificate_with_an_encrypted_key_is_enough(secure: SecureKafka) -> None:
    await decide_all(secure, reaching(secure, **with_certificate(secure)))


async def refused(config: Config) -> StreamError:
    """Why a worker does not start; it says so at once, and nothing of it shows a secret."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with pytest.raises(StreamError) as raised:
            await asyncio.wait_for(Worker(config, EchoDecider()).run(), 30)
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    error: BaseException | None = raised.value
    shown = [stream.getvalue(), repr(config), str(config)]
    while error is not None:
        shown.append(f"{error!r} {error} {vars(error)}")
        error = error.__cause__ or error.__context__
    assert "canary" not in "\n".join(shown)
    return raised.value


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_wrong_password_is_said_and_not_shown(secure: SecureKafka, mechanism: str) -> None:
    config = reaching(secure, sasl_mechanism=mechanism, sasl_password=Secret(WRONG))
    error = await refused(config)
    assert error.code == "authentication-failed"
    assert "`ROUTEC_KAFKA__SASL_PASSWORD`" in error.help


async def test_an_authority_that_is_not_trusted_is_said(
    secure: SecureKafka, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger")
    error = await refused(reaching(secure, ssl_cafile=stranger.certificate))
    assert error.code == "tls-refused"
    assert "kafka.ssl_cafile" in error.help


async def test_a_name_that_the_certificate_does_not_have_is_said(secure: SecureKafka) -> None:
    elsewhere = secure.sasl.replace("127.0.0.1", "localhost")
    error = await refused(reaching(secure, bootstrap=elsewhere))
    assert error.code == "tls-refused"
    assert "kafka.ssl_check_hostname" in error.help
    await decide_all(secure, reaching(secure, bootstrap=elsewhere, ssl_check_hostname=False))


async def test_no_certificate_where_one_is_asked_for_is_said(secure: SecureKafka) -> None:
    error = await refused(reaching(secure, bootstrap=secure.mutual, security_protocol="SSL"))
    assert error.code == "tls-refused"
    assert "kafka.ssl_certfile" in error.help


async def test_a_listener_without_tls_is_said(secure: SecureKafka) -> None:
    error = await refused(reaching(secure, bootstrap=secure.bootstrap))
    assert error.code in {"tls-refused", "kafka-unreachable"}


async def test_readiness_asks_through_tls_before_any_authentication(secure: SecureKafka) -> None:
    config = reaching(secure)
    assert await asyncio.to_thread(Reach(secure.sasl, tls_context(config.kafka)))
    assert not await asyncio.to_thread(Reach(secure.sasl))
