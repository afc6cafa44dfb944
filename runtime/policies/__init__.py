"""Policies that are replaced while a worker runs."""

from routec.runtime.policies.activation import Activation, Failure, Standing
from routec.runtime.policies.instruction import Instruction, Refusal, read_instruction
from routec.runtime.policies.live import InForce, LivePolicy

__all__ = [
    "Activation",
    "Failure",
    "InForce",
    "Instruction",
    "LivePolicy",
    "Refusal",
    "Standing",
    "read_instruction",
]
