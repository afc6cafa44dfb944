"""Where a policy runs: `routec.toml` and the environment, in one closed schema.

A value comes from, in this order: the environment (``ROUTEC_SECTION__KEY``,
such as ``ROUTEC_KAFKA__BOOTSTRAP``), the file, the default. Secrets come from
the environment only. A path in the file is relative to the file's folder; one
in the environment is relative to the current folder.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from routec.runtime.admissible import admissible, how, written
from routec.runtime.brokers import BrokersError, read_brokers
from routec.runtime.keys import MOST_KEYS, PRIVATE, KeyTextError, read_public

PREFIX = "ROUTEC_"
"""What the names of environment variables begin with."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is never printed.

    Attributes:
        value: the secret itself.
    """

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "***"


@dataclass(frozen=True, slots=True)
class _Duration:
    """Marks a field of seconds that may be written ``"50ms"``."""


@dataclass(frozen=True, slots=True)
class _Brokers:
    """Marks a field of addresses of brokers."""


_DURATION = _Duration()
_BROKERS = _Brokers()
Seconds = Annotated[float, Meta(gt=0.0), _DURATION]
SecondsOrZero = Annotated[float, Meta(ge=0.0), _DURATION]
Count = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
_TOPIC = "the name of a topic, of at most 249 letters, digits, `.`, `_` and `-`"
TopicName = Annotated[
    str, Meta(pattern=r"\A(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,249}\Z", description=_TOPIC)
]
OptionalTopic = Annotated[
    str,
    Meta(
        pattern=r"\A(?!\.{1,2}\Z)[A-Za-z0-9._-]{0,249}\Z",
        description=f'{_TOPIC}, or `""` for none',
    ),
]
Text = Annotated[str, Meta(min_length=1)]


class Kafka(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cluster and how to reach it; options of TLS and SASL pass through to the client."""

    bootstrap: Annotated[
        str,
        Meta(description='brokers in one text, such as `"broker-1:9092,broker-2:9092"`'),
        _BROKERS,
    ] = "localhost:9092"
    """Brokers to start from, ``HOST:PORT`` separated by commas."""
    group: Text = "routec"
    """Consumer group of the workers."""
    client_id: Text = "routec"
    instance_id: Text | None = None
    """Stable name of this worker (static membership): a restart then needs no rebalance."""
    start: Literal["earliest", "latest"] = "earliest"
    """Where a group without committed offsets begins."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: Text | None = None
    sasl_password: Secret | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_key_password: Secret | None = None
    ssl_check_hostname: bool = True
    compression: Literal["none", "gzip", "lz4", "snappy", "zstd"] = "none"
    """Compression of what is produced."""
    session_timeout: Seconds = 10.0
    heartbeat_interval: Seconds = 3.0
    rebalance_timeout: Seconds = 30.0
    """How long a member may take to give up partitions; half of it is for finishing work."""
    transaction_timeout: Seconds = 15.0
    """After this long the brokers end a transaction whose worker has gone."""
    request_timeout: Seconds = 40.0
    connect_timeout: Seconds = 60.0
    """How long to keep trying to reach the cluster at start."""
    retry_backoff: Seconds = 0.1
    fetch_max_wait: Seconds = 0.5
    """How long a broker may hold an empty fetch open."""


class Topics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of the topics."""

    requests: TopicName = "routec.requests"
    decisions: TopicName = "routec.decisions"
    responses: OptionalTopic = "routec.responses"
    """Filled by the serving side; ``""`` runs without it (the cache then stays empty)."""
    feedback: OptionalTopic = "routec.feedback"
    dlq: TopicName = "routec.dlq"
    policies: OptionalTopic = "routec.policies"
    """Compacted; programs that replace the one a worker was started with."""
    status: OptionalTopic = "routec.status"
    """Compacted; which policy each worker decides by."""
    differences: OptionalTopic = "routec.differences"
    """What a shadow would have decided otherwise."""


class Policies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose policies count."""

    keys: Annotated[tuple[str, ...], Meta(max_length=MOST_KEYS)] = ()
    """Public keys: with any, a worker decides by signed policies only."""


class Runtime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a worker works."""

    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"
    """``exactly_once`` needs Apache Kafka; the embedded broker is at least once."""
    batch_size: Annotated[int, Meta(ge=1, le=10_000)] = 500
    """Most events decided at once."""
    linger: SecondsOrZero = 0.0
    """How long a batch that is not full waits for more events."""
    max_event_bytes: Annotated[int, Meta(ge=1, le=33_554_432)] = 1_048_576
    """Bytes of an event's value above which it becomes a dead letter."""
    max_in_flight_events: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000
    """Most events between fetch and commit, over all partitions of a worker."""
    max_in_flight_bytes: Annotated[int, Meta(ge=65_536, le=2_147_483_647)] = 33_554_432
    """Bytes between fetch and commit above which nothing more is taken, and bytes that the client
    fetches ahead of that (one larger record still passes alone)."""
    max_dead_letter_bytes: Annotated[int, Meta(ge=65_536, le=33_554_432)] = 16_777_216
    """Largest request to the broker, so largest dead letter; topics need as much."""
    commit_interval: SecondsOrZero = 0.1
    """At least once: time between two commits of offsets; 0 commits after every write."""
    decide_timeout: Seconds = 60.0
    """How long deciding one batch may take before the worker stops."""
    drain_timeout: Seconds = 30.0
    """How long a graceful stop may take."""
    max_internal_errors: Count = 20
    """Events in a row that fail inside the engine before the worker stops."""
    max_consecutive_dead_letters: Annotated[int, Meta(ge=0, le=1_000_000)] = 10_000
    """Events of a partition in a row that may become dead letters; at more the worker stops. 0 sets
    no limit."""
    max_dead_letter_ratio: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    """Share of the last `dead_letter_window` events of a partition that may become dead letters; at
    more the worker stops. 1 sets no limit."""
    dead_letter_window: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_000


class Classifier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a policy's `classifier("NAME")` is bound to."""

    backend: Literal["exemplars", "linear"]
    path: Path
    """File of labelled examples (`exemplars`) or of weights (`linear`)."""
    device: Annotated[
        str,
        Meta(
            pattern=r"\A(cpu|cuda(:[0-9]{1,2})?)\Z",
            description="`cpu`, `cuda`, or `cuda:0` and so on",
        ),
    ] = "cpu"
    batch: Annotated[int, Meta(ge=1, le=4096)] = 32
    deadline: Seconds = 0.2


class Embedder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The text embedder."""

    model: Literal["minilm"] = "minilm"
    quantised: bool = False
    threads: Annotated[int, Meta(ge=1, le=1024)] = 1
    """Threads of the model; more pay only where nothing else wants the cores."""


class Cache(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of the semantic cache."""

    capacity: Count = 100_000
    """Entries over all categories and tenants."""
    max_response_bytes: Count = 65_536


class Observability(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Metrics, health and logs."""

    metrics: bool = True
    host: Text = "127.0.0.1"
    port: Port = 9464
    """Port of `/metrics` and `/healthz`; 0 takes a free one."""
    tracing: bool = False
    """Whether batches are spans of OpenTelemetry."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that `routec.toml` may say."""

    kafka: Kafka = Kafka()
    topics: Topics = Topics()
    policies: Policies = Policies()
    runtime: Runtime = Runtime()
    classifiers: dict[str, Classifier] = {}
    embedder: Embedder = Embedder()
    cache: Cache = Cache()
    observability: Observability = Observability()


class ConfigError(Exception):
    """The configuration cannot be used.

    Attributes:
        code: stable machine-readable reason, such as ``unknown-key``.
        message: one sentence for a person.
        help: how to put it right.
        key: the offending key, such as ``kafka.bootstrap``, or ``None``.
    """

    def __init__(self, code: str, message: str, help: str, key: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help
        self.key = key


_SECTIONS: dict[str, type[msgspec.Struct]] = {
    "kafka": Kafka,
    "topics": Topics,
    "policies": Policies,
    "runtime": Runtime,
    "embedder": Embedder,
    "cache": Cache,
    "observability": Observability,
}
_NAMED = "classifiers"
_CLASSIFIER_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]*\Z")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_TEXT = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*(us|ms|s|m|h)\s*\Z")


def load_config(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the configuration.

    Args:
        path: the `routec.toml`, or ``None`` for defaults and environment only.
        environ: the environment, such as ``os.environ``.

    Returns:
        The configuration, every value checked.

    Raises:
        ConfigError: the file cannot be read or is no TOML, a key is unknown,
            a value is outside its type, or a secret is in the file.
    """
    table = {} if path is None else _read(path)
    base = Path() if path is None else path.resolve().parent
    values: dict[str, dict[str, Any]] = {}
    for section, body in table.items():
        if section == _NAMED:
            for name, named in _table(body, _NAMED).items():
                key = f"{_NAMED}.{name}"
                _check_name(name, key)
                values[key] = _from_file(Classifier, _table(named, key), key, base)
        elif section in _SECTIONS:
            values[section] = _from_file(_SECTIONS[section], _table(body, section), section, base)
        else:
            raise _unknown(section, [*_SECTIONS, _NAMED], section, "section")
    for variable, text in environ.items():
        if variable.startswith(PREFIX) and "__" in variable:
            _from_environment(variable, text, values)
    config = _build(values)
    _check_together(config)
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise ConfigError(
            "unreadable-config", f"cannot read `{path}`: {reason}", "name an existing file"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            "invalid-toml", f"`{path}` is not UTF-8 text", "save it as UTF-8"
        ) from error
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = str(error) or "it is nested too deeply"
        raise ConfigError(
            "invalid-toml", f"`{path}` is not TOML: {reason}", "correct the line named"
        ) from error


def _table(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(
            "invalid-value", f"`{key}` must be a table", f"write `[{key}]` above its keys", key
        )
    return value


def _check_name(name: str, key: str) -> None:
    if not _CLASSIFIER_NAME.match(name):
        raise ConfigError(
            "invalid-value",
            f"`{name}` is no name of a classifier",
            "use lower-case letters, digits, `_` and `-`",
            key,
        )


def _from_file(
    struct: type[msgspec.Struct], body: dict[str, Any], section: str, base: Path
) -> dict[str, Any]:
    hints = _hints(struct)
    values = {}
    for name, value in body.items():
        key = f"{section}.{name}"
        if name not in hints:
            raise _unknown(name, hints, key, "key")
        if _accepts(hints[name], Secret):
            variable = _variable(key)
            raise ConfigError(
                "secret-in-file",
                f"`{key}` is a secret and must not be in the file",
                f"set the environment variable `{variable}` instead and change the secret",
                key,
            )
        values[name] = _convert(value, hints[name], key, base, strict=True)
    return values


def _from_environment(variable: str, text: str, values: dict[str, dict[str, Any]]) -> None:
    section, _, rest = variable.removeprefix(PREFIX).lower().partition("__")
    struct = _SECTIONS.get(section)
    if section == _NAMED:
        name, _, rest = rest.rpartition("__")
        section = f"{_NAMED}.{name}"
        _check_name(name, variable)
        struct = Classifier
    if struct is None:
        known = [f"{PREFIX}{_.upper()}__" for _ in (*_SECTIONS, _NAMED)]
        given = variable.partition("__")[0] + "__"
        raise _unknown(given, known, variable, "environment variable")
    hints = _hints(struct)
    if rest not in hints:
        names = [_variable(f"{section}.{_}") for _ in hints]
        raise _unknown(variable, names, variable, "environment variable")
    value = _convert(text, hints[rest], variable, Path(), strict=False)
    values.setdefault(section, {})[rest] = value


def _variable(key: str) -> str:
    return PREFIX + key.replace(".", "__").upper()


def _hints(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return get_type_hints(struct, include_extras=True)


def _accepts(hint: Any, kind: type) -> bool:
    return hint is kind or kind in getattr(hint, "__args__", ())


def _convert(value: Any, hint: Any, key: str, base: Path, *, strict: bool) -> Any:
    """The value in its field's type; ``strict`` is off for the text of the environment."""
    if _accepts(hint, Secret):
        if not value:
            # A secret store that fails to answer must not become a password.
            raise ConfigError(
                "invalid-value", f"`{key}` is empty", "set it to the secret, or unset it", key
            )
        return Secret(value)
    if _accepts(hint, Path):
        if not isinstance(value, str) or not value or "\0" in value:
            raise ConfigError("invalid-value", f"`{key}` must be a path", "give a file name", key)
        return base / value
    given = value
    if duration := _DURATION in getattr(hint, "__metadata__", ()):
        value = _seconds(value, key, strict=strict)
    elif isinstance(value, bool) and not _accepts(hint, bool):
        raise _not_admitted(given, hint, key, strict=strict)
    elif isinstance(value, str) and not strict and _accepts_many(hint):
        value = _items(value, key)
    try:
        found = msgspec.convert(value, hint, strict=strict)
        return _brokers(found, key) if _BROKERS in getattr(hint, "__metadata__", ()) else found
    except msgspec.ValidationError as error:
        raise _not_admitted(given, hint, key, strict=strict, duration=duration) from error


def _accepts_many(hint: Any) -> bool:
    return getattr(getattr(hint, "__origin__", hint), "__origin__", None) is tuple


def _items(text: str, key: str) -> list[str]:
    """The items of a list in the environment, separated by commas; ``[]`` for none.

    An empty text is refused: a secret store that fails to answer must not turn a check off.
    """
    if text.strip() == "[]":
        return []
    items = [part.strip() for part in text.split(",")]
    if not all(items):
        raise ConfigError(
            "invalid-value",
            f"`{key}` has an empty item",
            "separate items by commas; write `[]` for none, or unset it",
            key,
        )
    return items


def _brokers(text: str, key: str) -> str:
    try:
        return ",".join(read_brokers(text))
    except BrokersError as error:
        raise ConfigError("invalid-value", f"`{key}`: {error.message}", error.help, key) from error


def _seconds(value: Any, key: str, *, strict: bool) -> float:
    if isinstance(value, str):
        match = _DURATION_TEXT.match(value)
        if match:
            return float(match[1]) * _UNITS[match[2]]
        if not strict and re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", value):
            return float(value)
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ConfigError(
        "invalid-value",
        f"`{key}` must be a duration",
        'write a number of seconds, or text such as `"50ms"` (us, ms, s, m, h)',
        key,
    )


def _not_admitted(
    value: Any, hint: Any, key: str, *, strict: bool, duration: bool = False
) -> ConfigError:
    """Why a value is refused, in the words of whoever writes a configuration."""
    what = written(value, hint, in_file=strict)
    help = f"write {admissible(hint, duration=duration)}"
    if strict and not duration:
        help += how(value, hint)
    return ConfigError("invalid-value", f"`{key}` cannot be {what}", help, key)


def _unknown(name: str, known: Iterable[str], key: str, kind: str) -> ConfigError:
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    help = f"did you mean `{near[0]}`?" if near else "known: " + ", ".join(sorted(names))
    return ConfigError("unknown-key", f"unknown {kind} `{key}`", help, key)


def _build(values: dict[str, dict[str, Any]]) -> Config:
    sections: dict[str, Any] = {
        name: struct(**values[name]) for name, struct in _SECTIONS.items() if name in values
    }
    classifiers = {}
    for section, given in sorted(values.items()):
        if section.startswith(f"{_NAMED}."):
            for required in ("backend", "path"):
                if required not in given:
                    key = f"{section}.{required}"
                    raise ConfigError("missing-key", f"`{key}` is missing", "add it", key)
            classifiers[section.removeprefix(f"{_NAMED}.")] = Classifier(**given)
    return Config(classifiers=classifiers, **sections)


_TLS = ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_key_password")
_SASL = ("sasl_username", "sasl_mechanism", "sasl_password")
_BY_DEFAULT = Kafka()


def _check_security(kafka: Kafka) -> None:
    """Refuse what would be ignored: whoever names an authority or a user wants them used."""
    protocol = kafka.security_protocol
    for names, used, wanted in (
        (_TLS, protocol in ("SSL", "SASL_SSL"), "`SSL` or `SASL_SSL`"),
        (_SASL, protocol.startswith("SASL"), "`SASL_SSL` or `SASL_PLAINTEXT`"),
    ):
        for name in names:
            # What is written out and yet the default changes nothing where it is ignored.
            if not used and getattr(kafka, name) != getattr(_BY_DEFAULT, name):
                raise ConfigError(
                    "invalid-value",
                    f"`{_source(name)}` is of no use with `{protocol}`",
                    f"set `kafka.security_protocol` to {wanted}, or leave it out",
                    f"kafka.{name}",
                )
    for name in ("ssl_keyfile", "ssl_key_password"):
        # A file of certificates may hold the key, too.
        if getattr(kafka, name) is not None and kafka.ssl_certfile is None:
            raise ConfigError(
                "missing-key",
                f"`{_source(name)}` needs `kafka.ssl_certfile`",
                "name the certificate of the key",
                "kafka.ssl_certfile",
            )


def _source(name: str) -> str:
    """Where an option of `[kafka]` is written: secrets stand in the environment only."""
    key = f"kafka.{name}"
    return _variable(key) if _accepts(_hints(Kafka)[name], Secret) else key


def _check_keys(keys: tuple[str, ...]) -> None:
    for at, text in enumerate(keys):
        key = f"policies.keys[{at}]"
        try:
            read_public(text)
        except KeyTextError as error:
            code = "secret-in-file" if text.startswith(PRIVATE) else "invalid-value"
            raise ConfigError(code, f"`{key}`: {error.message}", error.help, key) from error
        if text in keys[:at]:
            raise ConfigError("invalid-value", f"`{key}` is there twice", "leave one out", key)


def _check_together(config: Config) -> None:
    _check_keys(config.policies.keys)
    kafka = config.kafka
    if kafka.heartbeat_interval >= kafka.session_timeout:
        raise ConfigError(
            "invalid-value",
            "`kafka.heartbeat_interval` must be shorter than `kafka.session_timeout`",
            "a third of the session timeout is usual",
            "kafka.heartbeat_interval",
        )
    if kafka.rebalance_timeout >= kafka.request_timeout:
        raise ConfigError(
            "invalid-value",
            "`kafka.rebalance_timeout` must be shorter than `kafka.request_timeout`",
            "a broker answers a member that joins only when all have joined",
            "kafka.rebalance_timeout",
        )
    if kafka.security_protocol.startswith("SASL") and (
        kafka.sasl_username is None or kafka.sasl_password is None
    ):
        raise ConfigError(
            "missing-key",
            f"`{kafka.security_protocol}` needs a user name and a password",
            "set `kafka.sasl_username`, and the password in the environment as "
            f"`{_variable('kafka.sasl_password')}`",
            "kafka.sasl_username",
        )
    _check_security(kafka)
    seen: dict[str, str] = {}
    for name in Topics.__struct_fields__:
        topic = getattr(config.topics, name)
        if topic and topic in seen:
            raise ConfigError(
                "invalid-value",
                f"`topics.{name}` and `topics.{seen[topic]}` are the same topic `{topic}`",
                "give each its own topic",
                f"topics.{name}",
            )
        seen[topic] = name
