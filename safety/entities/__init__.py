"""Recognisers of personal and secret data that need no model.

Each has a file of its own and validates what it finds. What has no checkable shape
(names of people, street addresses) is not covered here: that needs a model.
"""

from routec.safety.entities.entity import Entity
from routec.safety.entities.recognise import KINDS, find, find_in_original, mask

__all__ = ["KINDS", "Entity", "find", "find_in_original", "mask"]
