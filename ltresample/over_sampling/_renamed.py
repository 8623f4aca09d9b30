"""Parameters that have another name now: who uses the old one is told the new one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["renamed"]

Init = TypeVar("Init", bound=Callable[..., None])


def renamed(**moved: Any) -> Callable[[Init], Init]:
    """Make a constructor refuse old names of its parameters by naming the new ones.

    Parameters
    ----------
    **moved : str or tuple
        Old name to new name, or to the new name and a dictionary of old to new values.

    Returns
    -------
    callable
        A decorator for ``__init__``, which keeps its signature.

    Examples
    --------
    >>> class Sampler:
    ...     @renamed(labels=("soft_labels", {"hard": False, "soft": True}))
    ...     def __init__(self, *, soft_labels=False):
    ...         self.soft_labels = soft_labels
    >>> Sampler(labels="soft")
    Traceback (most recent call last):
    ...
    TypeError: Sampler has no parameter labels: it is called soft_labels now. Got labels='soft'. \
Pass soft_labels=True.
    """
    names = {old: new if isinstance(new, tuple) else (new, {}) for old, new in moved.items()}

    def decorated(init: Init) -> Init:
        @functools.wraps(init)
        def asked(self: Any, *args: Any, **params: Any) -> None:
            for old in names.keys() & params.keys():
                (new, values), given = names[old], params[old]
                value = values.get(given, given) if isinstance(given, str) else given
                raise TypeError(
                    f"{type(self).__name__} has no parameter {old}: it is called {new} now. Got "
                    f"{old}={given!r}. Pass {new}={value!r}."
                )
            init(self, *args, **params)

        return asked  # type: ignore[return-value]

    return decorated
