"""`routec.toml` and the environment: closed, typed, secrets apart."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.cli.arguments import Parser, add_bootstrap
from routec.cli.errors import CommandError
from routec.runtime.admissible import admissible
from routec.runtime.config import (
    Cache,
    Classifier,
    Config,
    ConfigError,
    Embedder,
    Kafka,
    Observability,
    Policies,
    Runtime,
    Secret,
    Topics,
    load_config,
)

CANARY = "canary-c41d"


@pytest.fixture
def toml(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "routec.toml"
        path.write_text(text)
        return path

    return write


def refusal(path: Path | None, environ: dict[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as refused:
        load_config(path, environ or {})
    return refused.value


def test_without_file_and_environment_the_defaults_of_the_contract_hold() -> None:
    config = load_config(None, {})
    assert config == Config()
    assert config.topics.requests == "routec.requests"
    assert config.topics.decisions == "routec.decisions"
    assert config.topics.dlq == "routec.dlq"
    assert config.observability.host == "127.0.0.1"
    assert config.runtime.delivery == "exactly_once"


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(toml) -> None:
    path = toml('[kafka]\nbootstrap = "a:1"\ngroup = "g"\n[runtime]\nbatch_size = 7\n')
    config = load_config(
        path, {"ROUTEC_KAFKA__BOOTSTRAP": "b:2", "ROUTEC_EMBEDDER__QUANTISED": "true"}
    )
    assert (config.kafka.bootstrap, config.kafka.group) == ("b:2", "g")
    assert config.runtime.batch_size == 7
    assert config.embedder.quantised is True
    assert config.kafka.client_id == "routec"


@pytest.mark.parametrize("section", ["kafka", "topics", "runtime", "embedder", "cache"])
def test_every_value_can_come_from_the_environment(section: str) -> None:
    default = getattr(Config(), section)
    for name in default.__struct_fields__:
        value = getattr(default, name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            config = load_config(None, {f"ROUTEC_{section}__{name}".upper(): str(value)})
            assert getattr(getattr(config, section), name) == value


@pytest.mark.parametrize(
    ("text", "key", "near"),
    [
        ('[kafka]\nbootstrp = "x"', "kafka.bootstrp", "`bootstrap`"),
        ('[kafak]\nbootstrap = "x"', "kafak", "`kafka`"),
        ("[classifiers.topic]\nbakend = 1", "classifiers.topic.bakend", "`backend`"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_the_nearest(toml, text, key, near) -> None:
    error = refusal(toml(text))
    assert (error.code, error.key) == ("unknown-key", key)
    assert error.help == f"did you mean {near}?"


def test_an_unknown_variable_is_an_error_that_names_the_nearest() -> None:
    error = refusal(None, {"ROUTEC_KAFKA__BOOTSTRP": "x"})
    assert error.help == "did you mean `ROUTEC_KAFKA__BOOTSTRAP`?"


def test_variables_without_a_section_belong_to_others() -> None:
    assert load_config(None, {"ROUTEC_CACHE": "/c", "ROUTEC_DATA": "/d", "HOME": "/"}) == Config()


@pytest.mark.parametrize("key", ["sasl_password", "ssl_key_password"])
def test_a_secret_in_the_file_is_an_error_that_does_not_repeat_it(toml, key) -> None:
    error = refusal(toml(f'[kafka]\n{key} = "hunter2"'))
    assert (error.code, error.key) == ("secret-in-file", f"kafka.{key}")
    assert f"`ROUTEC_KAFKA__{key.upper()}`" in error.help
    assert "hunter2" not in str(error) + error.help


def test_a_secret_of_the_environment_is_never_shown() -> None:
    config = load_config(
        None,
        {
            "ROUTEC_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "ROUTEC_KAFKA__SASL_USERNAME": "u",
            "ROUTEC_KAFKA__SASL_PASSWORD": "hunter2",
        },
    )
    assert config.kafka.sasl_password == Secret("hunter2")
    assert "hunter2" not in f"{config!r} {config} {config.kafka.sasl_password}"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [('"50ms"', 0.05), ("0.25", 0.25), ("2", 2.0), ('"1.5 s"', 1.5), ('"2m"', 120.0)],
)
def test_durations_are_text_with_a_unit_or_seconds(toml, text, seconds) -> None:
    config = load_config(toml(f"[runtime]\ndecide_timeout = {text}"), {})
    assert config.runtime.decide_timeout == pytest.approx(seconds)


def test_a_bare_number_in_the_environment_is_seconds() -> None:
    config = load_config(None, {"ROUTEC_RUNTIME__LINGER": "0.5"})
    assert config.runtime.linger == 0.5


@pytest.mark.parametrize(
    "text",
    [
        "batch_size = 0",
        "batch_size = true",
        'batch_size = "7"',
        "batch_size = 7.5",
        "linger = -1",
        "linger = nan",
        "linger = inf",
        'linger = "soon"',
        'linger = "50"',
        'linger = "-5ms"',
        "decide_timeout = 0",
        'delivery = "perhaps"',
        "max_in_flight_bytes = 99999999999999999999",
    ],
)
def test_a_value_outside_its_type_is_refused_by_its_key(toml, text) -> None:
    error = refusal(toml(f"[runtime]\n{text}"))
    assert error.code == "invalid-value"
    assert error.key == "runtime." + text.partition(" ")[0]


@pytest.mark.parametrize(
    "text", ["[kafka", "kafka = 3", "[[kafka]]", "a = " + "[" * 5000, "classifiers = 1"]
)
def test_what_is_no_configuration_is_refused(toml, text) -> None:
    assert refusal(toml(text)).code in {"invalid-toml", "invalid-value", "unknown-key"}


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.toml").code == "unreadable-config"
    assert refusal(tmp_path).code == "unreadable-config"
    (tmp_path / "latin.toml").write_bytes(b"# \xff")
    assert refusal(tmp_path / "latin.toml").code == "invalid-toml"


def test_paths_of_the_file_lie_beside_it_and_those_of_the_environment_do_not(toml) -> None:
    path = toml('[classifiers.topic]\nbackend = "linear"\npath = "w/topic.bin"\n')
    config = load_config(
        path,
        {"ROUTEC_KAFKA__SSL_CAFILE": "ca.pem", "ROUTEC_KAFKA__SECURITY_PROTOCOL": "SSL"},
    )
    assert config.classifiers["topic"].path == path.parent / "w/topic.bin"
    assert config.kafka.ssl_cafile == Path("ca.pem")


def test_a_classifier_can_come_from_the_environment_alone() -> None:
    config = load_config(
        None,
        {
            "ROUTEC_CLASSIFIERS__TOPIC__BACKEND": "exemplars",
            "ROUTEC_CLASSIFIERS__TOPIC__PATH": "/x.jsonl",
            "ROUTEC_CLASSIFIERS__TOPIC__DEADLINE": "80ms",
        },
    )
    topic = config.classifiers["topic"]
    assert (topic.backend, topic.path, topic.deadline) == ("exemplars", Path("/x.jsonl"), 0.08)


def test_a_classifier_needs_backend_and_path(toml) -> None:
    error = refusal(toml('[classifiers.topic]\nbackend = "linear"'))
    assert (error.code, error.key) == ("missing-key", "classifiers.topic.path")


def test_delivery_is_exactly_once_unless_told_otherwise(toml) -> None:
    config = load_config(toml('[runtime]\ndelivery = "at_least_once"'), {})
    assert config.runtime.delivery == "at_least_once"


def test_giving_up_partitions_must_not_take_longer_than_a_request(toml) -> None:
    error = refusal(toml("[kafka]\nrebalance_timeout = 40\nrequest_timeout = 40"))
    assert error.key == "kafka.rebalance_timeout"


def test_sasl_needs_a_name_and_a_password(toml) -> None:
    path = toml('[kafka]\nsecurity_protocol = "SASL_SSL"\nsasl_username = "u"')
    assert refusal(path).code == "missing-key"
    config = load_config(path, {"ROUTEC_KAFKA__SASL_PASSWORD": "p"})
    assert config.kafka.security_protocol == "SASL_SSL"


@pytest.mark.parametrize(
    ("key", "value", "protocol"),
    [
        ("ssl_cafile", '"x"', "PLAINTEXT"),
        ("ssl_certfile", '"x"', "SASL_PLAINTEXT"),
        ("ssl_keyfile", '"x"', "PLAINTEXT"),
        ("ssl_check_hostname", "false", "PLAINTEXT"),
        ("ssl_check_hostname", "false", "SASL_PLAINTEXT"),
        ("sasl_username", '"x"', "PLAINTEXT"),
        ("sasl_username", '"x"', "SSL"),
        ("sasl_mechanism", '"SCRAM-SHA-256"', "PLAINTEXT"),
        ("sasl_mechanism", '"SCRAM-SHA-512"', "SSL"),
    ],
)
def test_what_the_protocol_would_ignore_is_refused(toml, key, value, protocol) -> None:
    sasl = protocol.startswith("SASL")
    others = 'sasl_username = "u"\n' if sasl else ""
    path = toml(f'[kafka]\nsecurity_protocol = "{protocol}"\n{others}{key} = {value}')
    error = refusal(path, {"ROUTEC_KAFKA__SASL_PASSWORD": "p"} if sasl else {})
    assert (error.code, error.key) == ("invalid-value", f"kafka.{key}")
    assert error.message == f"`kafka.{key}` is of no use with `{protocol}`"
    assert "kafka.security_protocol" in error.help


@pytest.mark.parametrize(
    ("key", "protocol"),
    [
        ("sasl_password", "PLAINTEXT"),
        ("sasl_password", "SSL"),
        ("ssl_key_password", "PLAINTEXT"),
    ],
)
def test_a_secret_that_the_protocol_would_ignore_is_refused_by_its_variable(
    toml, key, protocol
) -> None:
    variable = f"ROUTEC_KAFKA__{key.upper()}"
    path = toml(f'[kafka]\nsecurity_protocol = "{protocol}"')
    error = refusal(path, {variable: CANARY})
    assert (error.code, error.key) == ("invalid-value", f"kafka.{key}")
    assert error.message == f"`{variable}` is of no use with `{protocol}`"
    assert CANARY not in error.message + error.help


def test_a_default_that_is_written_out_is_no_reason_to_refuse(toml) -> None:
    path = toml('[kafka]\nsasl_mechanism = "PLAIN"\nssl_check_hostname = true')
    assert load_config(path, {}).kafka == Config().kafka


@pytest.mark.parametrize("key", ["sasl_password", "ssl_key_password"])
def test_an_empty_secret_is_refused_by_its_variable(toml, key) -> None:
    path = toml('[kafka]\nsecurity_protocol = "SASL_SSL"\nsasl_username = "u"')
    variable = f"ROUTEC_KAFKA__{key.upper()}"
    error = refusal(path, {"ROUTEC_KAFKA__SASL_PASSWORD": "p", variable: ""})
    assert (error.code, error.key) == ("invalid-value", variable)
    assert error.message == f"`{variable}` is empty"


@pytest.mark.parametrize(
    ("text", "says", "help"),
    [
        ('kafka.group = ""', "cannot be empty", "write text that is not empty"),
        ("kafka.group = 3", "cannot be `3`", "write text that is not empty, in quotes"),
        ("kafka.group = {a = 1}", "cannot be a table", "write text that is not empty"),
        ("kafka.group = 1979-05-27", "cannot be a date or time", "write text that is not empty"),
        ("kafka.instance_id = 4", "cannot be `4`", "write text that is not empty, in quotes"),
        (
            'kafka.bootstrap = ["a:1"]',
            "cannot be a list",
            'write brokers in one text, such as `"broker-1:9092,broker-2:9092"`',
        ),
        ('kafka.start = "never"', "cannot be `never`", "write one of `earliest`, `latest`"),
        (
            'policies.keys = "a"',
            "cannot be text",
            'write a list of texts, such as `["a", "b"]`, at most 16',
        ),
        (
            "policies.keys = [1]",
            "cannot be this list",
            'write a list of texts, such as `["a", "b"]`, at most 16',
        ),
        ("runtime.batch_size = 0", "cannot be `0`", "write a whole number from 1 to 10,000"),
        ("runtime.batch_size = true", "cannot be `true`", "write a whole number from 1 to 10,000"),
        (
            'runtime.batch_size = "many"',
            "cannot be text",
            "write a whole number from 1 to 10,000, without quotes",
        ),
        ("runtime.batch_size = 7.5", "cannot be `7.5`", "write a whole number from 1 to 10,000"),
        ("cache.capacity = 0", "cannot be `0`", "write a whole number of at least 1"),
        ("runtime.linger = -1", "cannot be `-1`", "write a duration of at least 0"),
        ('runtime.decide_timeout = "0 s"', "cannot be `0 s`", "write a duration above 0"),
        (
            "runtime.max_dead_letter_ratio = 2",
            "cannot be `2`",
            "write a number above 0 and up to 1",
        ),
        ("observability.metrics = 1", "cannot be `1`", "write `true` or `false`"),
        (
            'topics.dlq = "a b"',
            "cannot be this text",
            "write the name of a topic, of at most 249 letters, digits, `.`, `_` and `-`",
        ),
    ],
)
def test_what_may_be_written_is_said_in_words(toml, text: str, says: str, help: str) -> None:
    error = refusal(toml(text))
    key = text.partition(" ")[0]
    assert error.message == f"`{key}` {says}"
    assert error.help == help


@pytest.mark.parametrize(
    ("value", "says"), [("0", "`0`"), ("-3", "`-3`"), ("lots", "this text"), ("", "empty")]
)
def test_the_environment_is_all_text(value: str, says: str) -> None:
    error = refusal(None, {"ROUTEC_RUNTIME__BATCH_SIZE": value})
    assert error.message == f"`ROUTEC_RUNTIME__BATCH_SIZE` cannot be {says}"
    assert error.help == "write a whole number from 1 to 10,000"


def test_every_field_has_words_and_none_of_the_schema() -> None:
    for struct in (Kafka, Topics, Policies, Runtime, Classifier, Embedder, Cache, Observability):
        for name, hint in get_type_hints(struct, include_extras=True).items():
            words = admissible(hint)
            assert words, name
            for schema in ("expected", "array", "str ", "`str`", "int ", "float", "regex", "<="):
                assert schema not in words, (name, words)


BAD_BROKERS = [
    ("", "`` is no address of a broker"),
    ("foo", "`foo` is no address of a broker"),
    ("a,b", "`a` is no address of a broker"),
    ("a:1,b", "`b` is no address of a broker"),
    ("a:1,", "`` is no address of a broker"),
    (":9092", "`:9092` is no address of a broker"),
    ("kafka://a:9092", "`kafka://a:9092` is no address of a broker"),
    ("::1:9092", "`::1:9092` is no address of a broker"),
    ("[::g]:9092", "`[::g]:9092` is no address of a broker"),
    ("localhost:", "`` is no port of a broker"),
    ("localhost:0", "`0` is no port of a broker"),
    ("localhost:99999", "`99999` is no port of a broker"),
    ("localhost:9092x", "`9092x` is no port of a broker"),
    ("localhost:٩٠٩٢", "`٩٠٩٢` is no port of a broker"),
]


@pytest.mark.parametrize(("text", "says"), BAD_BROKERS)
def test_brokers_are_checked_wherever_they_are_written(toml, text: str, says: str) -> None:
    in_file = refusal(toml(f'[kafka]\nbootstrap = "{text}"'))
    assert (in_file.code, in_file.key) == ("invalid-value", "kafka.bootstrap")
    assert in_file.message.startswith(f"`kafka.bootstrap`: {says}")
    variable = "ROUTEC_KAFKA__BOOTSTRAP"
    in_environment = refusal(None, {variable: text})
    assert (in_environment.code, in_environment.key) == ("invalid-value", variable)
    assert in_environment.message.startswith(f"`{variable}`: {says}")
    with pytest.raises(CommandError) as on_command_line:
        main_parser().parse_args(["--bootstrap", text])
    assert says in on_command_line.value.message


def main_parser() -> Parser:
    parser = Parser("routec status", "")
    add_bootstrap(parser)
    return parser


@pytest.mark.parametrize(
    ("text", "brokers"),
    [
        ("a:1", "a:1"),
        ("broker-1.example.org:9092, broker_2:65535", "broker-1.example.org:9092,broker_2:65535"),
        ("127.0.0.1:9092,[::1]:9093", "127.0.0.1:9092,[::1]:9093"),
    ],
)
def test_brokers_may_be_several(toml, text: str, brokers: str) -> None:
    assert load_config(toml(f'[kafka]\nbootstrap = "{text}"'), {}).kafka.bootstrap == brokers
    assert main_parser().parse_args(["--bootstrap", text]).bootstrap == brokers


def test_a_key_needs_its_certificate_and_so_does_its_password(toml) -> None:
    error = refusal(toml('[kafka]\nsecurity_protocol = "SSL"\nssl_keyfile = "k.pem"'))
    assert (error.code, error.key) == ("missing-key", "kafka.ssl_certfile")
    password = {"ROUTEC_KAFKA__SSL_KEY_PASSWORD": CANARY}
    error = refusal(toml('[kafka]\nsecurity_protocol = "SSL"'), password)
    assert (error.code, error.key) == ("missing-key", "kafka.ssl_certfile")
    assert error.message == "`ROUTEC_KAFKA__SSL_KEY_PASSWORD` needs `kafka.ssl_certfile`"
    # The file of the certificate may hold the key, too.
    both = toml('[kafka]\nsecurity_protocol = "SSL"\nssl_certfile = "both.pem"')
    assert load_config(both, password).kafka.ssl_key_password == Secret(CANARY)


@pytest.mark.parametrize(
    "text",
    [
        f'[kafka]\nsasl_password = "{CANARY}"',
        f'[kafka]\nssl_key_password = "{CANARY}"',
        f'[kafka]\nsasl_pasword = "{CANARY}"',
        f'[kafka]\nsasl_password = ["{CANARY}"]',
        f'[kafka]\nsasl_password = "{CANARY}',
        f'[runtime]\nbatch_size = "{CANARY}"',
        f'[policies]\nkeys = "{CANARY}"',
        f'[topics]\ndlq = "{CANARY} x"',
        f'[kafak]\nsasl_password = "{CANARY}"',
        '[kafka]\nsecurity_protocol = "SASL_SSL"',
        "[kafka]\nheartbeat_interval = 60",
    ],
)
def test_no_error_shows_a_secret(toml, text) -> None:
    error = refusal(
        toml(text),
        {"ROUTEC_KAFKA__SSL_KEY_PASSWORD": CANARY, "ROUTEC_KAFKA__SASL_PASSWORD": CANARY},
    )
    chain: BaseException | None = error
    while chain is not None:
        assert CANARY not in f"{chain!r} {chain}"
        chain = chain.__cause__
    assert CANARY not in error.message + error.help


def test_two_roles_cannot_share_a_topic(toml) -> None:
    error = refusal(toml('[topics]\nrequests = "a"\ndecisions = "a"'))
    assert error.key == "topics.decisions"


def test_topics_that_a_deployment_does_without_may_be_empty(toml) -> None:
    config = load_config(toml('[topics]\nresponses = ""\nfeedback = ""'), {})
    assert config.topics.responses == ""
    assert refusal(toml('[topics]\ndlq = ""')).key == "topics.dlq"


def test_the_configuration_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Config().kafka.bootstrap = "x"  # type: ignore[misc]


@given(
    st.floats(min_value=0.001, max_value=1e6, allow_nan=False).map(lambda x: round(x, 6)),
    st.sampled_from(["us", "ms", "s", "m", "h"]),
)
def test_every_duration_with_a_unit_is_read_as_that_many(number: float, unit: str) -> None:
    factor = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}[unit]
    config = load_config(None, {"ROUTEC_RUNTIME__DECIDE_TIMEOUT": f"{number:f}{unit}"})
    assert math.isclose(config.runtime.decide_timeout, number * factor, rel_tol=1e-9)


@given(st.dictionaries(st.text(max_size=12).map(lambda s: "ROUTEC_" + s), st.text(max_size=12)))
def test_no_environment_does_worse_than_a_configuration_error(environ: dict[str, str]) -> None:
    try:
        found: Config | ConfigError = load_config(None, environ)
    except ConfigError as error:
        found = error
    if isinstance(found, ConfigError):
        assert found.message
        assert found.help
        assert not found.message.endswith(".")
    else:
        assert msgspec.structs.asdict(found)
