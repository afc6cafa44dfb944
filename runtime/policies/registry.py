"""What operators do with the control topic: deploy, promote, roll back; and read the status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from routec.compiler.program import Program, ProgramError, digest, dump, load
from routec.runtime.config import Config
from routec.runtime.policies.held import Held, read_held, signed
from routec.runtime.policies.instruction import BEFORE, CANDIDATE, MODE, PREVIOUS, SHARE
from routec.runtime.policies.signature import Signer
from routec.runtime.policies.status import WorkerStatus, decode_status
from routec.runtime.policies.topic import Write, read_compacted, write_records
from routec.runtime.records import Headers, Record


class DeployError(Exception):
    """What was asked cannot be done; the control topic is as it was.

    Attributes:
        code: stable reason.
        message: one sentence for a person.
        help: what to do about it.
    """

    def __init__(self, code: str, message: str, help: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help


@dataclass(frozen=True, slots=True)
class Change:
    """What was written to the control topic.

    Attributes:
        policy: name of the policy.
        did: ``deployed``, ``tried``, ``promoted``, ``withdrawn`` (a candidate), ``restored`` (the
            program before) or ``reset`` (to what each worker was started with).
        hash: hash of the program that is now wanted; ``None`` where the record was taken back.
        before: hash of the program that was wanted before; ``None`` without one.
    """

    policy: str
    did: str
    hash: str | None
    before: str | None


async def deploy(config: Config, program: Program, signer: Signer | None = None) -> Change:
    """Have the workers of a policy decide by a program; the one before is remembered.

    Args:
        config: where.
        program: the program.
        signer: signs what is written.

    Raises:
        DeployError: its workers would refuse what is written, for want of a signature.
        StreamError: the cluster cannot be reached, or the control topic is missing.
    """
    name, hash = program.name, digest(program)
    held = await _held(config, name, signer)
    await _write(config, name, _in_force(held, name, dump(program)), signer, held)
    return Change(name, "deployed", hash, _hash(held.records.get(name)))


async def try_candidate(
    config: Config, program: Program, share: float | None, signer: Signer | None = None
) -> Change:
    """Try a program beside the one in force, in place of any other candidate.

    Args:
        config: where.
        program: the program.
        share: of the requests that it decides, above 0 to 1; ``None`` for a shadow, whose
            decisions are only compared.
        signer: signs what is written.

    Raises:
        DeployError: its workers would refuse what is written, for want of a signature.
        StreamError: the cluster cannot be reached, or the control topic is missing.
    """
    name = program.name
    held = await _held(config, name, signer)
    headers: Headers = ((MODE, b"shadow"),)
    if share is not None:
        headers = ((MODE, b"canary"), (SHARE, repr(share).encode()))
    await _write(config, name, [(name + CANDIDATE, dump(program), headers)], signer, held)
    return Change(name, "tried", digest(program), _hash(held.records.get(name)))


async def promote(config: Config, name: str, signer: Signer | None = None) -> Change:
    """Have a policy's candidate decide all requests.

    Args:
        config: where.
        name: name of the policy.
        signer: signs what is written.

    Raises:
        DeployError: there is no candidate, it is no program, or a signature is missing or wrong.
        StreamError: the cluster cannot be reached, or the control topic is missing.
    """
    held = await _held(config, name, signer)
    candidate = held.records.get(name + CANDIDATE)
    _refuse(held, name + CANDIDATE, "the candidate", "promoted")
    if candidate is None or candidate.value is None:
        raise DeployError(
            "no-candidate",
            f"`{name}` has no candidate",
            "deploy one with `--canary` or `--shadow`",
        )
    try:
        program = load(candidate.value)
    except (ProgramError, ValueError, RecursionError) as error:
        raise DeployError(
            "invalid-program",
            f"the candidate of `{name}` cannot be put in force: {error}",
            f"deploy it again, or withdraw it: `routec deploy --rollback {name}`",
        ) from error
    # The candidate is taken back after it is in force, in one batch: nobody decides by less.
    writes = [*_in_force(held, name, candidate.value), (name + CANDIDATE, None, ())]
    await _write(config, name, writes, signer, held)
    return Change(name, "promoted", digest(program), _hash(held.records.get(name)))


async def roll_back(config: Config, name: str, signer: Signer | None = None) -> Change:
    """Withdraw a policy's candidate; without one, go back to the program before.

    Without a program before, each worker goes back to the one it was started with. So it is with a
    second call after one that was written, even if it failed with ``unwritable-topic``.

    Args:
        config: where.
        name: name of the policy.
        signer: signs what is written.

    Raises:
        DeployError: there is nothing to go back from, a signature is missing or wrong, or what is
            kept as the program before is another one than that.
        StreamError: the cluster cannot be reached, or the control topic is missing.
    """
    held = await _held(config, name, signer)
    active, previous = held.records.get(name), held.records.get(name + PREVIOUS)
    candidate = held.records.get(name + CANDIDATE)
    if candidate is not None:
        await _write(config, name, [(name + CANDIDATE, None, ())], signer, held)
        return Change(name, "withdrawn", _hash(active), _hash(candidate))
    if active is None:
        _refuse(held, name, "what is deployed", "rolled back")
        raise DeployError(
            "nothing-deployed",
            f"no program of `{name}` is deployed",
            "its workers decide by what they were started with; `routec status` shows it",
        )
    _refuse(held, name + PREVIOUS, "the program before", "restored")
    if held.signed and _hash(previous) != _before(active):
        # It was signed once, but not for this turn: the newest may be gone, or an older one
        # written again by who kept it.
        raise DeployError(
            "other-previous",
            f"the program before cannot be restored: `{name}{PREVIOUS}` does not hold the one that "
            f"the policy in force names in its header `{BEFORE}`",
            "deploy the policy that you want instead",
        )
    if previous is None:
        await _write(config, name, [(name, None, ())], signer, held)
        return Change(name, "reset", None, _hash(active))
    writes: list[Write] = [(name, previous.value, ()), (name + PREVIOUS, None, ())]
    await _write(config, name, writes, signer, held)
    return Change(name, "restored", _hash(previous), _hash(active))


async def read_statuses(config: Config) -> list[WorkerStatus]:
    """The status of every worker that has not taken it back, by group and name.

    Raises:
        StreamError: the cluster cannot be reached, or the status topic is missing.
    """
    held = await read_compacted(config, config.topics.status)
    found = [decode_status(record.value or b"") for record in held.values()]
    return sorted(
        (one for one in found if one is not None), key=lambda one: (one.group, one.worker)
    )


def _hash(record: Record | None) -> str | None:
    if record is None or record.value is None:
        return None
    try:
        return digest(load(record.value))
    except (ProgramError, ValueError, RecursionError):
        return None


def _in_force(held: Held, name: str, value: bytes) -> list[Write]:
    """What puts a program in force, and keeps the one that is as the one before.

    Its header says which that is, so that nothing else is restored in its name.
    """
    writes: list[Write] = []
    active = held.records.get(name)
    before = _before(active)
    if active is not None and active.value != value and (hash := _hash(active)) is not None:
        writes.append((name + PREVIOUS, active.value, ()))
        before = hash
    headers: Headers = () if before is None else ((BEFORE, before.encode()),)
    return [*writes, (name, value, headers)]


def _before(active: Record | None) -> str | None:
    """The hash of the program that the one in force names as the one before it."""
    found = None if active is None else dict(active.headers).get(BEFORE)
    return None if found is None else found.decode("utf-8", "replace")


async def _held(config: Config, name: str, signer: Signer | None) -> Held:
    keys = config.policies.keys
    if keys and signer is None:
        raise DeployError(
            "unsigned-policy",
            "`policies.keys` is set, so workers take signed policies only, "
            "and there is no key to sign with",
            "set `ROUTEC_SIGNING_KEY` to the private key of one of them",
        )
    if keys and signer is not None and signer.public not in keys:
        raise DeployError(
            "unknown-key",
            f"workers would refuse what is signed with `ROUTEC_SIGNING_KEY` (`{signer.key}`): "
            "its public key is not in `policies.keys`",
            f"sign with another key, or add `{signer.public}` to `policies.keys` of every worker",
        )
    return await read_held(config, name, signer)


def _refuse(held: Held, key: str, what: str, done: str) -> None:
    """Refuse to sign what somebody else may have written."""
    if key in held.refused:
        raise DeployError(
            "unsigned-policy",
            f"{what} cannot be {done}: {held.refused[key]}",
            "deploy the policy that you want instead",
        )


async def _write(
    config: Config, name: str, writes: Sequence[Write], signer: Signer | None, held: Held
) -> None:
    await write_records(config, name, signed(config, writes, signer, held))
