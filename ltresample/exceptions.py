"""Checks of what users pass in, and their messages."""

from __future__ import annotations

from typing import Any

__all__ = ["LongTailWarning", "refuse_class"]


class LongTailWarning(UserWarning):
    """Something about the data or a network makes resampling less useful than it looks."""


def refuse_class(value: Any, name: str) -> None:
    """Refuse a class where an instance is needed.

    Raises
    ------
    TypeError
        If `value` is a class; `name` is the parameter's.
    """
    if isinstance(value, type):
        raise TypeError(
            f"{name} must be an instance, not a class. Got the class {value.__name__}. Pass "
            f"{name}={value.__name__}(), with parentheses."
        )


class NotFiniteError(ValueError):
    """Logits are NaN: a network has diverged, or rows hold NaN."""
