"""`routec deploy`: what it writes to the control topic, and what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from routec.runtime.embedded import embedded_broker

from .deploying import TOPIC, Cluster
from .support import Run


@pytest.fixture
async def cluster(
    routec: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Cluster]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "routec.toml").write_text("[kafka]\nfetch_max_wait = '10ms'\n")
    async with embedded_broker((TOPIC,)) as broker:
        yield Cluster(broker.bootstrap, routec, tmp_path)


async def test_deployed_programs_are_remembered_one_back_and_rolled_back(
    cluster: Cluster,
) -> None:
    first = await cluster.json(cluster.policy("one"))
    assert (first["policy"], first["did"], first["before"]) == ("light", "deployed", None)
    second = await cluster.json(cluster.policy("two"))
    assert second["before"] == first["hash"]
    assert await cluster.hashes() == {"light": second["hash"], "light/previous": first["hash"]}
    # The same again remembers the one before, not itself.
    await cluster.json(cluster.policy("two"))
    assert await cluster.hashes() == {"light": second["hash"], "light/previous": first["hash"]}
    restored = await cluster.json("--rollback", "light")
    assert (restored["did"], restored["hash"]) == ("restored", first["hash"])
    assert await cluster.hashes() == {"light": first["hash"]}
    reset = await cluster.json("--rollback", "light")
    assert (reset["did"], reset["hash"]) == ("reset", None)
    assert await cluster.hashes() == {}
    refused = await cluster.deploy("--rollback", "light")
    assert (refused.status, refused.out) == (2, "")
    assert "error: no program of `light` is deployed\n" in refused.err


async def test_what_is_no_program_is_not_remembered_as_the_one_before(cluster: Cluster) -> None:
    first = await cluster.json(cluster.policy("one"))
    await cluster.json(cluster.policy("two"))
    async with AIOKafkaProducer(bootstrap_servers=cluster.bootstrap) as producer:
        await producer.send_and_wait(TOPIC, b"no program", key=b"light")
    await cluster.json(cluster.policy("three"))
    back = await cluster.json("--rollback", "light")
    assert (back["did"], back["hash"]) == ("restored", first["hash"])


async def test_a_canary_is_promoted_or_withdrawn(cluster: Cluster) -> None:
    first = await cluster.json(cluster.policy("one"))
    tried = await cluster.json(cluster.policy("two"), "--canary", "5%")
    assert (tried["did"], tried["share"], tried["before"]) == ("tried", 0.05, first["hash"])
    held = await cluster.held()
    assert dict(held["light/candidate"].headers) == {
        "routec.candidate.mode": b"canary",
        "routec.candidate.share": b"0.05",
    }
    # All of a policy is in one partition, so that it keeps its order.
    assert len({one.partition for one in held.values()}) == 1
    withdrawn = await cluster.json("--rollback", "light")
    assert (withdrawn["did"], withdrawn["hash"]) == ("withdrawn", first["hash"])
    assert await cluster.hashes() == {"light": first["hash"]}
    await cluster.json(cluster.policy("two"), "--canary", "0.5")
    promoted = await cluster.json("--promote", "light")
    assert (promoted["did"], promoted["hash"]) == ("promoted", tried["hash"])
    assert await cluster.hashes() == {"light": tried["hash"], "light/previous": first["hash"]}
    refused = await cluster.deploy("--promote", "light")
    assert refused.status == 2
    assert "error: `light` has no candidate\n" in refused.err


async def test_a_shadow_is_a_candidate_too(cluster: Cluster) -> None:
    tried = await cluster.json(cluster.policy("two"), "--shadow")
    assert (tried["did"], tried["share"]) == ("tried", None)
    held = await cluster.held()
    assert dict(held["light/candidate"].headers) == {"routec.candidate.mode": b"shadow"}
    assert (await cluster.json("--promote", "light"))["hash"] == tried["hash"]
    assert await cluster.hashes() == {"light": tried["hash"]}


@pytest.mark.parametrize("trial", [("--canary", "50%"), ("--shadow",)])
async def test_what_is_in_force_cannot_be_tried(cluster: Cluster, trial: tuple[str, ...]) -> None:
    first = await cluster.json(cluster.policy("one"))
    await cluster.json(cluster.policy("two"), "--canary", "5%")
    before = await cluster.hashes()
    refused = await cluster.deploy(cluster.policy("one"), *trial)
    assert (refused.status, refused.out) == (2, "")
    role = "canary" if "--canary" in trial else "shadow"
    assert refused.err.startswith(
        f"error: `light` is deployed with this very program, {first['hash']}, "
        f"so there is nothing to try as a {role}\n"
    )
    assert await cluster.hashes() == before  # the candidate that was there goes on
    # Promoted, the other one is in force, and the first can be tried.
    await cluster.json("--promote", "light")
    assert (await cluster.json(cluster.policy("one"), *trial))["did"] == "tried"


async def test_it_says_what_it_did(cluster: Cluster) -> None:
    result = await cluster.deploy(cluster.policy("one"), "--canary", "5%")
    assert result.status == 0
    assert "as a canary for 0.05 of the requests\n" in result.out
    assert "see `routec status`" in result.out


async def test_a_missing_control_topic_is_said(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "routec.toml").write_text("[topics]\npolicies = 'absent'\n")
    result = await cluster.deploy(cluster.policy("one"))
    assert result.status == 2
    assert "error: the topic `absent` does not exist\n" in result.err
    assert "cleanup.policy=compact" in result.err


async def test_a_policy_with_errors_is_not_deployed(cluster: Cluster, tmp_path: Path) -> None:
    broken = tmp_path / "broken.route"
    broken.write_text("policy broken\nroute r { to nowhere }\n")
    result = await cluster.deploy(broken)
    assert result.status == 1
    assert await cluster.held() == {}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say one of a policy to deploy, `--promote NAME` and `--rollback NAME`"),
        (["--promote", "a", "--rollback", "a"], "say one of"),
        (["--promote", "a", "--canary", "5%"], "`--canary` needs a policy to try"),
        (["--promote", "a", "--shadow"], "`--shadow` needs a policy to try"),
        (["x.route", "--canary", "5%", "--shadow"], "exclude each other"),
        (["x.route", "--canary", "0"], "`0` is no share above 0% up to 100%"),
        (["x.route", "--canary", "101%"], "`101%` is no share"),
        (["x.route", "--canary", "nan"], "`nan` is no share"),
        (["x.route", "--canary", "٥%"], "is no share"),
        (["--promote", ""], "`` is no name of a policy"),
        (["--rollback", ""], "`` is no name of a policy"),
        (["--rollback", " "], "` ` is no name of a policy"),
        (["--promote", "light/candidate"], "`light/candidate` is no name of a policy"),
        ([""], "cannot read ``"),
        (["--promote", "a", "--bootstrap", "host"], "`host` is no address of a broker"),
    ],
)
def test_wrong_usage_is_said(routec: Run, arguments: list[str], says: str) -> None:
    result = routec("deploy", *arguments)
    assert (result.status, result.out) == (2, "")
    assert says in result.err
