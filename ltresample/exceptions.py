"""Checks of what users pass in, and their messages."""

from __future__ import annotations

__all__ = ["LongTailWarning"]


class LongTailWarning(UserWarning):
    """Something about the data or a network makes resampling less useful than it looks."""
