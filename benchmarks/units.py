"""What worker processes are given; PyTorch is not loaded here, as the runner does without."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from benchmarks.suites import Task
from benchmarks.trunks import Stretch

__all__ = ["BudgetOver", "Place", "Unit", "newest"]


class BudgetOver(Exception):
    """The time is up; what was written down is the state to go on from."""

    def __init__(self, epoch: int):
        super().__init__(f"stopped after {epoch} epochs")
        self.epoch = epoch


class Place(NamedTuple):
    """Where a worker writes states, how often, and when it has to end.

    Attributes
    ----------
    folder : Path
        Of the files.
    every : float
        Seconds between two states of a training that goes on.
    deadline : float or None
        In seconds of `time.time`.
    """

    folder: Path
    every: float = 60.0
    deadline: float | None = None


def newest(folder: Path, key: str) -> tuple[int, Path] | None:
    """Return the last epoch of a key that was written down, and its file; None: there is none."""
    found = [(int(path.stem.rpartition("-")[2]), path) for path in folder.glob(f"{key}-*.pt")]
    return max(found, default=None)


class Unit(NamedTuple):
    """What a worker does at once: a whole run, or a stretch of a training.

    Attributes
    ----------
    task : Task
        The run.
    name : str
        Which of its trainings: "" is its own, else a guide's name.
    stretch : Stretch or None
        The epochs; None: the run in one piece.
    guides : dict
        {name of a guide: its last stretch}, of those that are trained as stretches.
    is_last : bool
        Whether a record comes out.
    is_wanted : bool
        Whether the state after the stretch is wanted by others.
    may_cut : bool
        Whether it can be taken up between any two epochs.
    place : Place or None
        Where states are; None: there are none.
    """

    task: Task
    name: str = ""
    stretch: Stretch | None = None
    guides: dict[str, Stretch] = {}  # noqa: RUF012 (never written)
    is_last: bool = True
    is_wanted: bool = False
    may_cut: bool = True
    place: Place | None = None
