"""From a policy file to the program that runs: what every command but `check` begins with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from routec.cli.errors import CommandError, RefusedPolicy
from routec.cli.reading import STDIN, runnable_policy
from routec.compiler.lower import Unavailable, lower
from routec.compiler.plan import Optimised, Profile, optimise
from routec.compiler.policy import Policy
from routec.compiler.program import Program, digest
from routec.dsl.diagnostic import Diagnostic, Rule, Severity
from routec.dsl.source import Source
from routec.runtime.config import Config, ConfigError, load_config
from routec.safety.models.minilm import embedding_digest
from routec.safety.text import NORMALISER_VERSION

CONFIG_NAME = "routec.toml"

_UNAVAILABLE = Rule(
    "", "unavailable", Severity.ERROR, "This version checks it, but does not run it."
)
_VECTOR_KINDS = frozenset({"repeated", "similarity", "contrast", "classifier"})

_ON_VECTORS = frozenset({"exemplars", "linear"})
"""Backends of classifiers that read the embedding of the last user text."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A policy that can run.

    Attributes:
        policy: the resolved policy.
        program: its program, with its plan.
        hash: the program's content hash.
        config: where it runs.
        sources: every file read, by name.
        planned: the plan's figures and reasons; ``None`` where the program has no plan.
    """

    policy: Policy
    program: Program
    hash: str
    config: Config
    sources: Mapping[str, Source]
    planned: Optimised | None = None


def compile_file(
    file: str,
    *,
    config: str | None = None,
    stdin_name: str = "<stdin>",
    profile: Profile | None = None,
) -> Compiled:
    """Compile a policy file and plan it, for the place that its configuration describes.

    Args:
        file: its path, or ``-`` for standard input.
        config: path of the configuration; looked for if not given.
        stdin_name: what to call standard input.
        profile: measured traffic to plan for; what is usual without one.

    Raises:
        RefusedPolicy: it has errors, or uses what this version does not run.
        CommandError: it, or the configuration, cannot be read.
    """
    policy, sources = runnable_policy(file, stdin_name)
    where = read_config(stdin_name if file == STDIN else file, config)
    try:
        program = lower(
            policy,
            normaliser=NORMALISER_VERSION,
            embedder=_embedder(policy, where),
        )
    except Unavailable as error:
        findings = tuple(
            Diagnostic(_UNAVAILABLE, f.message, f.span, help=f.help) for f in error.findings
        )
        raise RefusedPolicy(findings, sources) from error
    bound = where.classifiers.items()
    on_vectors = {name for name, binding in bound if binding.backend in _ON_VECTORS}
    planned = optimise(policy, program, profile, on_vectors=on_vectors)
    return Compiled(policy, planned.program, digest(planned.program), where, sources, planned)


def read_config(policy: str, given: str | None) -> Config:
    """The configuration named, else `routec.toml` beside the policy, else in the current folder.

    Raises:
        CommandError: it cannot be used.
    """
    path = find_config(policy) if given is None else Path(given)
    try:
        return load_config(path, os.environ)
    except ConfigError as error:
        raise CommandError(error.message, error.help) from error


def with_bootstrap(config: Config, bootstrap: str | None) -> Config:
    """The configuration for another cluster, if one is named."""
    if bootstrap is None:
        return config
    return replace(config, kafka=replace(config.kafka, bootstrap=bootstrap))


def find_config(policy: str) -> Path | None:
    """`routec.toml` beside the policy, else in the current folder; ``None`` without one."""
    for folder in (Path(policy).parent, Path()):
        if (folder / CONFIG_NAME).is_file():
            return folder / CONFIG_NAME
    return None


def _embedder(policy: Policy, config: Config) -> str | None:
    """Digest of the embedder that the policy's thresholds are compared with, if there are any."""
    compares = any(signal.kind in _VECTOR_KINDS for signal in policy.signals.values())
    caches = any(c.similarity is not None or c.examples is not None for c in policy.categories)
    if not compares and not caches:
        return None
    return embedding_digest("int8" if config.embedder.quantised else "fp32")
