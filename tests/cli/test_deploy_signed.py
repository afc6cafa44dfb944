"""Signed policies at the command line: keys are made, what is deployed and run is signed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from routec.runtime.config import Secret
from routec.runtime.embedded import embedded_broker
from routec.runtime.keys import write_private
from routec.runtime.policies.signature import SEQUENCE, Signer, Verifier
from routec.runtime.policies.topic import read_topic
from routec.runtime.records import Record

from .deploying import TOPIC, Cluster
from .support import Run, start

PRIVATE = write_private(bytes(range(32)))
OURS = Signer(Secret(PRIVATE))
THEIRS = Signer(Secret(write_private(bytes(32))))


class Signing(Cluster):
    """A cluster on which deploys somebody with keys."""

    def trust(self, *keys: str) -> None:
        listed = ", ".join(f'"{one}"' for one in keys)
        (self.folder / "routec.toml").write_text(
            f"[kafka]\nfetch_max_wait = '10ms'\n[policies]\nkeys = [{listed}]\n"
        )

    async def written(self) -> list[Record]:
        """All that was ever written, tombstones too."""
        found: list[Record] = []
        await read_topic(self.config, TOPIC, found.append)
        return found

    async def slip(self, key: str, value: bytes | None, headers: Any = ()) -> None:
        """Write as who may write to the topic, and has no key."""
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap) as producer:
            await producer.send_and_wait(TOPIC, value, key=key.encode(), headers=list(headers))


@pytest.fixture
async def cluster(
    routec: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Signing]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROUTEC_SIGNING_KEY", PRIVATE)
    async with embedded_broker((TOPIC,)) as broker:
        cluster = Signing(broker.bootstrap, routec, tmp_path)
        cluster.trust(OURS.public)
        yield cluster


async def test_all_that_is_written_is_signed_and_numbered(cluster: Signing) -> None:
    first = await cluster.json(cluster.policy("one"))
    second = await cluster.json(cluster.policy("two"))
    third = await cluster.json(cluster.policy("three"), "--canary", "5%")
    assert (await cluster.json("--promote", "light"))["hash"] == third["hash"]
    await cluster.json(cluster.policy("one"), "--shadow")
    assert (await cluster.json("--rollback", "light"))["did"] == "withdrawn"
    assert (await cluster.json("--rollback", "light"))["hash"] == second["hash"]
    assert await cluster.hashes() == {"light": second["hash"]}
    assert (await cluster.json("--rollback", "light"))["did"] == "reset"
    assert await cluster.hashes() == {}
    assert first["before"] is None
    written = await cluster.written()
    assert len(written) == 12
    assert sum(one.value is None for one in written) == 4
    verifier = Verifier([OURS.public])
    numbers = [verifier.verify_record(one).sequence for one in written]
    assert numbers == sorted(set(numbers))


async def test_a_number_is_above_those_before_even_where_the_clock_was_wrong(
    cluster: Signing,
) -> None:
    ahead = 2**62
    await cluster.json(cluster.policy("one"))
    (held,) = await cluster.written()
    headers = OURS.sign_record(TOPIC, b"light", held.value, (), ahead)
    await cluster.slip("light", held.value, headers)
    # Nobody else can have numbers used up.
    theirs = THEIRS.sign_record(TOPIC, b"light", held.value, (), 2**63 - 1)
    await cluster.slip("light", held.value, theirs)
    await cluster.json(cluster.policy("one"))
    newest = (await cluster.written())[-1]
    assert dict(newest.headers)[SEQUENCE] == str(ahead + 1).encode()


async def test_with_keys_nothing_is_written_without_one(
    cluster: Signing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROUTEC_SIGNING_KEY")
    for arguments in (
        (cluster.policy("one"),),
        (cluster.policy("one"), "--canary", "5%"),
        ("--promote", "light"),
        ("--rollback", "light"),
    ):
        result = await cluster.deploy(*arguments)
        assert (result.status, result.out) == (2, "")
        assert "workers take signed policies only" in result.err
        assert "= help: set `ROUTEC_SIGNING_KEY` to the private key" in result.err
    assert await cluster.written() == []


async def test_with_a_key_that_workers_refuse_nothing_is_written(cluster: Signing) -> None:
    cluster.trust(THEIRS.public)
    result = await cluster.deploy(cluster.policy("one"))
    assert (result.status, result.out) == (2, "")
    assert f"(`{OURS.key}`): its public key is not in `policies.keys`" in result.err
    assert f"add `{OURS.public}` to `policies.keys`" in result.err
    assert await cluster.written() == []


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "it holds none"),
        ("hunter2", "it holds none"),
        (PRIVATE[:-1], "it holds none"),
        (OURS.public, "it holds a public key"),
    ],
)
async def test_a_key_that_is_none_is_said_and_not_shown(
    cluster: Signing, monkeypatch: pytest.MonkeyPatch, key: str, says: str
) -> None:
    monkeypatch.setenv("ROUTEC_SIGNING_KEY", key)
    result = await cluster.deploy(cluster.policy("one"))
    assert (result.status, result.out) == (2, "")
    assert "error: `ROUTEC_SIGNING_KEY` cannot be used: " in result.err
    assert says in result.err
    assert "= help: set it to the private key that `routec keys new` wrote" in result.err
    assert PRIVATE[20:40] not in result.err
    assert "hunter2" not in result.err
    assert "Traceback" not in result.err


async def test_who_signs_does_not_sign_what_was_slipped_in(cluster: Signing) -> None:
    one = await cluster.json(cluster.policy("one"))
    await cluster.json(cluster.policy("two"))
    rogue = (await cluster.written())[0].value
    mode = (("routec.candidate.mode", b"shadow"),)
    await cluster.slip("light/candidate", rogue, mode)
    result = await cluster.deploy("--promote", "light")
    assert (result.status, result.out) == (2, "")
    assert "error: the candidate cannot be promoted: the record is not signed" in result.err
    # The one before that was signed is still found behind what hides it.
    await cluster.slip("light/previous", b"rogue")
    await cluster.slip("light", b"rogue", THEIRS.sign_record(TOPIC, b"light", b"rogue", (), 2**62))
    back = await cluster.json("--rollback", "light")
    assert (back["did"], back["hash"]) == ("restored", one["hash"])


async def test_where_only_what_was_slipped_in_is_left_nothing_is_brought_back(
    cluster: Signing,
) -> None:
    await cluster.slip("light", b"rogue")
    result = await cluster.deploy("--rollback", "light")
    assert result.status == 2
    assert "what is deployed cannot be rolled back: the record is not signed" in result.err
    await cluster.json(cluster.policy("one"))
    await cluster.slip("light/previous", b"rogue")
    result = await cluster.deploy("--rollback", "light")
    assert result.status == 2
    assert "the program before cannot be restored: the record is not signed" in result.err


@pytest.mark.parametrize("left", [0, None])
async def test_only_the_program_that_the_one_in_force_names_is_restored(
    cluster: Signing, left: int | None
) -> None:
    for name in ("one", "two", "three"):
        await cluster.json(cluster.policy(name))
    # As after a compaction that somebody had helped: an older one that was signed once, or none.
    value = None if left is None else (await cluster.written())[left].value
    headers = OURS.sign_record(TOPIC, b"light/previous", value, (), 2**62)
    await cluster.slip("light/previous", value, headers)
    before = await cluster.hashes()
    result = await cluster.deploy("--rollback", "light")
    assert (result.status, result.out) == (2, "")
    assert "the program before cannot be restored: `light/previous` does not hold" in result.err
    assert await cluster.hashes() == before


async def test_a_promoted_policy_names_the_one_before_it_too(cluster: Signing) -> None:
    one = await cluster.json(cluster.policy("one"))
    await cluster.json(cluster.policy("two"), "--shadow")
    await cluster.json("--promote", "light")
    assert dict((await cluster.held())["light"].headers)["routec.previous"] == one["hash"].encode()
    # The same once more goes on naming it.
    await cluster.json(cluster.policy("two"))
    back = await cluster.json("--rollback", "light")
    assert (back["did"], back["hash"]) == ("restored", one["hash"])


async def test_before_workers_ask_for_signatures_all_is_signed_already(cluster: Signing) -> None:
    cluster.trust()
    first = await cluster.json(cluster.policy("one"))
    (written,) = await cluster.written()
    assert Verifier([OURS.public]).verify_record(written).key == OURS.key
    assert (await cluster.json(cluster.policy("two")))["before"] == first["hash"]


# Programs in files.


def compiled(routec: Run, light: Path, *arguments: str | Path) -> tuple[Path, Path]:
    program = light.parent / "light.program.json"
    result = routec("compile", light, "-o", program, *arguments)
    assert (result.status, result.err) == (0, "")
    return program, Path(f"{program}.sig")


def keys_for(light: Path, *keys: str) -> None:
    listed = ", ".join(f'"{one}"' for one in keys)
    (light.parent / "routec.toml").write_text(
        "[kafka]\nconnect_timeout = 0.2\n"
        "[observability]\nmetrics = false\n"
        f"[policies]\nkeys = [{listed}]\n"
    )


def test_a_program_is_signed_when_it_is_compiled(
    routec: Run, light: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, signature = compiled(routec, light)
    plain = program.read_bytes()
    assert not signature.exists()
    monkeypatch.setenv("ROUTEC_SIGNING_KEY", PRIVATE)
    result = routec("compile", light, "-o", program, "--format", "json")
    assert (result.json["signature"], result.json["signed_with"]) == (str(signature), OURS.key)
    assert program.read_bytes() == plain
    verifier = Verifier([OURS.public])
    assert verifier.verify_file(plain, signature.read_bytes()) == OURS.key
    assert f"signed with {OURS.key}: {signature}\n" in routec("compile", light, "-o", program).out


def test_a_signed_program_is_run(routec: Run, light: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTEC_SIGNING_KEY", PRIVATE)
    program, _ = compiled(routec, light)
    monkeypatch.delenv("ROUTEC_SIGNING_KEY")
    for keys in ((OURS.public,), (THEIRS.public, OURS.public), ()):
        keys_for(light, *keys)
        # It gets as far as there is something to connect to.
        result = routec("run", program, "--bootstrap", "127.0.0.1:1")
        assert result.status == 2
        assert "error: nothing answers at `127.0.0.1:1`" in result.err


def test_an_unsigned_program_is_not_run(
    routec: Run, light: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, signature = compiled(routec, light)
    keys_for(light, OURS.public)

    def said() -> str:
        result = routec("run", program, "--bootstrap", "127.0.0.1:1")
        assert (result.status, result.out) == (2, "")
        assert "= help: compile it again with `ROUTEC_SIGNING_KEY` set" in result.err
        return result.err

    assert "is not signed, and `policies.keys` demands it" in said()
    signature.write_bytes(THEIRS.sign_file(program.read_bytes()))
    assert f"is refused: it is signed with the key `{THEIRS.key}`" in said()
    signature.write_bytes(b"\xff" * 70)
    assert "is refused: the signature cannot be read" in said()
    signature.write_bytes(OURS.sign_file(program.read_bytes() + b" "))
    assert "the file was changed after signing" in said()
    # Nothing of the program is read before that.
    program.write_bytes(b"{" * 100_000)
    assert "the file was changed after signing" in said()


def test_a_source_is_not_run_where_keys_are_configured(routec: Run, light: Path) -> None:
    keys_for(light, OURS.public)
    result = routec("run", light, "--embedded")
    assert (result.status, result.out) == (2, "")
    assert "is a source, which nobody has signed" in result.err
    assert f"`routec compile {light} -o light.program.json`" in result.err


@pytest.mark.parametrize("data", [b"{", b'{"hash": 1}', b"{" * 100_000, b"{\xff\xfe"])
def test_what_is_no_program_is_said(routec: Run, tmp_path: Path, data: bytes) -> None:
    program = tmp_path / "p.json"
    program.write_bytes(data)
    result = routec("run", program, "--embedded")
    assert (result.status, result.out) == (2, "")
    assert "error: `" in result.err
    assert "Traceback" not in result.err


# Keys.


def test_a_new_pair_signs(routec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROUTEC_SIGNING_KEY", raising=False)
    made = routec("keys", "new", "--format", "json").json
    signer = Signer(Secret(made["private"]))
    assert (signer.public, signer.key) == (made["public"], made["id"])
    monkeypatch.setenv("ROUTEC_SIGNING_KEY", made["private"])
    assert routec("keys", "public").out == f"{made['public']}\n"
    other = routec("keys", "new").out
    assert made["private"] not in other
    assert "put the public key into `policies.keys`" in other


def test_the_public_key_of_nothing_is_an_error(
    routec: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROUTEC_SIGNING_KEY", raising=False)
    result = routec("keys", "public")
    assert (result.status, result.out) == (2, "")
    assert "error: `ROUTEC_SIGNING_KEY` is not set\n" in result.err


def test_cryptography_is_loaded_only_where_something_is_signed(light: Path) -> None:
    keys_for(light, OURS.public)
    code = (
        "import sys; from routec.cli.main import main\n"
        "import contextlib, io\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    assert main(['check', sys.argv[1]]) == 0\n"
        "    assert main(['compile', sys.argv[1], '-o', '-']) == 0\n"
        "    assert main(['test', sys.argv[1]]) in (0, 1, 2)\n"
        "print('cryptography' in sys.modules)"
    )
    code = code.replace("io.StringIO()", "io.TextIOWrapper(io.BytesIO())")
    run = subprocess.run(
        [sys.executable, "-c", code, str(light)], capture_output=True, text=True, check=True
    )
    assert run.stdout == "False\n"


def test_the_private_key_is_in_no_log(light: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys_for(light, OURS.public)
    monkeypatch.setenv("ROUTEC_SIGNING_KEY", PRIVATE)
    monkeypatch.setenv("ROUTEC_OBSERVABILITY__LOG_LEVEL", "debug")
    monkeypatch.setenv("ROUTEC_TRACEBACK", "1")
    process = start("deploy", str(light), "--bootstrap", "127.0.0.1:1", cwd=light.parent)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, b"")
    assert b"nothing answers at" in err
    assert PRIVATE.encode()[20:40] not in err
