"""TLS and SASL: what connections are made with, and why brokers refuse them."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from routec.runtime.config import Kafka
from routec.runtime.stream.errors import StreamError

_TLS_HELP = (
    "give PEM files: `kafka.ssl_cafile`, `kafka.ssl_certfile` with `kafka.ssl_keyfile`, and the "
    "password of an encrypted key in the environment as `ROUTEC_KAFKA__SSL_KEY_PASSWORD`"
)
AUTHENTICATION = (
    AuthenticationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
"""Refusals of a name, a password or a mechanism."""
_OF_CLIENTS = ("bootstrap_servers", "retry_backoff_ms")
"""Options that a single connection does not take."""
_TRY = 3.0


class _NoCredentials(logging.Filter):
    """Drops what the client logs of its logins: at the level of debugging it shows passwords."""

    def filter(self, record: logging.LogRecord) -> bool:
        args = record.args if isinstance(record.args, tuple) else ()
        return not any(type(one).__name__.startswith("SaslAuthenticate") for one in args)


logging.getLogger("aiokafka.conn").addFilter(_NoCredentials())


def tls_context(kafka: Kafka) -> ssl.SSLContext | None:
    """What TLS connections are made with; ``None`` where the configuration wants none.

    Raises:
        StreamError: a file of the TLS options cannot be used.
    """
    if kafka.security_protocol not in ("SSL", "SASL_SSL"):
        return None
    if kafka.ssl_certfile is None and kafka.ssl_keyfile is not None:
        raise _invalid_tls(
            "`kafka.ssl_keyfile` is of no use without a certificate", "set `kafka.ssl_certfile`"
        )
    reading = "kafka.ssl_cafile"
    try:
        context = ssl.create_default_context(
            ssl.Purpose.SERVER_AUTH,
            cafile=None if kafka.ssl_cafile is None else str(kafka.ssl_cafile),
        )
        if kafka.ssl_certfile is not None:
            reading = "kafka.ssl_certfile` or `kafka.ssl_keyfile"
            # Without an answer of ours OpenSSL would ask for the password on the terminal.
            context.load_cert_chain(
                kafka.ssl_certfile, kafka.ssl_keyfile, lambda: _key_password(kafka)
            )
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise _invalid_tls(f"`{reading}` cannot be used: {reason}", _TLS_HELP) from error
    context.check_hostname = kafka.ssl_check_hostname
    return context


def _key_password(kafka: Kafka) -> str:
    if kafka.ssl_key_password is None:
        raise _invalid_tls(
            "the key of `kafka.ssl_certfile` is encrypted",
            "set its password in the environment as `ROUTEC_KAFKA__SSL_KEY_PASSWORD`",
        )
    return kafka.ssl_key_password.value


def _invalid_tls(message: str, help: str) -> StreamError:
    return StreamError("invalid-tls", message, help)


async def refusal(kafka: Kafka, options: Mapping[str, Any]) -> StreamError | None:
    """Why brokers that are there let this client not in; ``None`` if they do, or are not there.

    A client that starts says only that no broker would have it. TLS and SASL are therefore tried
    once more, broker by broker.

    Args:
        kafka: how the brokers are reached.
        options: what a client was made with.
    """
    if kafka.security_protocol == "PLAINTEXT":
        return None
    given = {name: options[name] for name in options if name not in _OF_CLIENTS}
    hosts = collect_hosts(kafka.bootstrap)
    for host, port, _ in hosts:
        try:
            async with asyncio.timeout(min(_TRY, kafka.request_timeout)):
                connection = await create_conn(host, port, **given)
            connection.close()
            return None
        except AUTHENTICATION as error:
            return authentication_failed(kafka, str(error))
        except ssl.SSLError as error:
            return tls_refused(kafka, f"{host}:{port}", error)
        except ValueError as error:  # of SCRAM, whose server proves itself too
            return authentication_failed(kafka, str(error))
        except (KafkaError, OSError, TimeoutError):
            if (told := await _alert(host, port, options.get("ssl_context"))) is not None:
                return tls_refused(kafka, f"{host}:{port}", told)
    return None


async def _alert(host: str, port: int, context: ssl.SSLContext | None) -> ssl.SSLError | None:
    """What a broker says after the handshake, such as that it wants a certificate (TLS 1.3)."""
    if context is None:
        return None
    try:
        async with asyncio.timeout(_TRY):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                await reader.read(1)
            finally:
                writer.close()
    except ssl.SSLError as error:
        return error
    except (OSError, TimeoutError):
        pass
    return None


def authentication_failed(kafka: Kafka, reason: str) -> StreamError:
    """Why the worker stops when the brokers refuse its name or password.

    Args:
        kafka: how the brokers are reached.
        reason: what they say; brokers repeat no password, and what would is withheld.
    """
    secret = kafka.sasl_password
    if secret is not None and secret.value and secret.value in reason:
        reason = "withheld, as it repeats the password"
    return StreamError(
        "authentication-failed",
        f"Kafka at `{kafka.bootstrap}` refuses the credentials: {reason.rstrip('.')}",
        "check `kafka.sasl_username`, `kafka.sasl_mechanism` and the password in "
        "`ROUTEC_KAFKA__SASL_PASSWORD`",
    )


def tls_refused(kafka: Kafka, broker: str, error: ssl.SSLError) -> StreamError:
    """Why the worker stops when no TLS connection comes about.

    Args:
        kafka: how the brokers are reached.
        broker: ``HOST:PORT`` of the one that was asked.
        error: what the TLS library says.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"its certificate is refused: {error.verify_message.rstrip('.')}"
        help = "name the authority that has signed it in `kafka.ssl_cafile`"
        if "match" in error.verify_message:
            help = (
                "use a name in `kafka.bootstrap` that the certificate has, or set "
                "`kafka.ssl_check_hostname = false` where the network vouches for the brokers"
            )
    else:
        reason = (error.reason or str(error) or "no reason given").replace("_", " ").lower()
        help = (
            "check that `kafka.bootstrap` names a listener with TLS, and "
            "`kafka.ssl_certfile` where the brokers ask for a certificate"
        )
    return StreamError("tls-refused", f"no TLS with Kafka at `{broker}`: {reason}", help)
