"""Compiled code that decides requests which need nothing but themselves and the exact cache."""

from routec.runtime.native.path import NativePath

__all__ = ["NativePath"]
