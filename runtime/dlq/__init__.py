"""Looking at dead letters, and bringing them back."""

from routec.runtime.dlq.letter import Letter, Source, read_letter
from routec.runtime.dlq.reading import Place, Selection, letter_at, letters_of, opened
from routec.runtime.dlq.register import Register, read_register, register_topic
from routec.runtime.dlq.replay import Refused, Replay, Replayed, obstacle

__all__ = [
    "Letter",
    "Place",
    "Refused",
    "Register",
    "Replay",
    "Replayed",
    "Selection",
    "Source",
    "letter_at",
    "letters_of",
    "obstacle",
    "opened",
    "read_register",
    "read_letter",
    "register_topic",
]
