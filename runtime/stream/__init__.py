"""The Kafka worker."""

from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.observer import Observed, Observer
from routec.runtime.stream.serve import run_until_signalled
from routec.runtime.stream.topics import create_topics
from routec.runtime.stream.worker import Counts, Worker

__all__ = [
    "Counts",
    "Observed",
    "Observer",
    "StreamError",
    "Worker",
    "create_topics",
    "run_until_signalled",
]
