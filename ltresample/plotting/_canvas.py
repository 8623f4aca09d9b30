"""What all pictures share: matplotlib, a figure, colours, class names on an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

# Okabe and Ito's palette, with wine for its yellow, which is too faint on white. Its colours stay
# apart under all common kinds of colour blindness.
PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#882255", "#000000"]

_MAX_NAMES = 40  # class names that an axis holds
_MAX_NAME = 20  # characters of a class name that an axis holds


def pyplot(owner: object) -> Any:
    """Import matplotlib.pyplot, or say how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as err:
        raise ImportError(
            f"{type(owner).__name__}.plot needs matplotlib. Got: {err}. "
            'Install it by: pip install "ltresample[plot]"'
        ) from err
    return plt


def canvas(owner: object, ax: Any, figsize: tuple[float, float]) -> tuple[Any, Any]:
    """Return figure and axes: those of `ax`, or new ones with room for all text."""
    plt = pyplot(owner)
    if ax is not None:
        return ax.figure, ax
    figure, ax = plt.subplots(figsize=figsize, layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return figure, ax


def legend_above(ax: Any, handles: list, *, height: float = 1.0) -> None:
    """Put the legend over the axes, in one line if the width allows."""
    inches = [0.7 + 0.075 * len(handle.get_label()) for handle in handles]
    width = ax.figure.bbox.width / ax.figure.dpi * min(1, 1.2 * ax.get_position().width)
    ncols = len(handles) if sum(inches) <= width else max(1, int(width / max(inches)))
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, height)}
    ax.legend(handles=handles, ncols=ncols, frameon=False, **place)


def class_width(n_classes: int) -> float:
    """Return the width in inches of a figure with one place per class."""
    return float(np.clip(2.5 + 0.35 * n_classes, 5, 10))


def name_classes(ax: Any, labels: list) -> None:
    """Put class names on the x axis, or ranks where there are too many classes."""
    ax.set_xlim(-0.5, len(labels) - 0.5)
    if len(labels) > _MAX_NAMES:
        ax.set_xlabel("class, by decreasing number of training samples (rank)")
        return
    names = [shortened(str(label)) for label in labels]
    crowded = max(map(len, names)) * len(names) > 60
    ax.set_xticks(range(len(names)), names, **_turned(crowded))
    ax.set_xlabel("class, by decreasing number of training samples")


def _turned(crowded: bool) -> dict[str, Any]:
    if not crowded:
        return {}
    return {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}


def shortened(name: str) -> str:
    """Cut a long name."""
    return name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + "…"
