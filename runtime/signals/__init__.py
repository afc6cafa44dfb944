"""Signals: what the conditions of a program read, computed a batch at a time."""

from routec.runtime.signals.observer import SILENT, Observer
from routec.runtime.signals.services import Services
from routec.runtime.signals.values import Pin, Scores, Value

__all__ = ["Observer", "Pin", "SILENT", "Scores", "Services", "Value"]
