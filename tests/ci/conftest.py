"""Fixtures of the tests that watch `bin/ci` from an empty state."""

from tests.clones import clone, empty, index, made_uv, wheels

__all__ = ["clone", "empty", "index", "made_uv", "wheels"]
