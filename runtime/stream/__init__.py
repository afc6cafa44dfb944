"""The Kafka worker."""

from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.faults import OPEN_TRANSACTION, Faults, NoFaults, Point
from routec.runtime.stream.lane import Counts
from routec.runtime.stream.observer import Observed, Observer
from routec.runtime.stream.serve import run_until_signalled
from routec.runtime.stream.topics import create_topics
from routec.runtime.stream.worker import Control, Worker

__all__ = [
    "OPEN_TRANSACTION",
    "Control",
    "Counts",
    "Faults",
    "NoFaults",
    "Observed",
    "Observer",
    "Point",
    "StreamError",
    "Worker",
    "create_topics",
    "run_until_signalled",
]
