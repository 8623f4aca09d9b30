"""Random numbers: one root seed, children by path.

The only file that makes a generator. A path such as ``("noise", class, round, block)`` names a
child; the same root and path always give the same stream, whoever asks and in whatever order.
That is why results do not depend on batch size, on the number of jobs or on the order of classes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch

__all__ = ["Seed", "global_streams", "root_seed"]


class Seed(NamedTuple):
    """A node in the tree of random streams; small, hashable and picklable.

    Parameters
    ----------
    entropy : int
        The root's number, equal in all nodes of one tree.
    path : tuple of int
        Where the node stands below the root.
    """

    entropy: int
    path: tuple[int, ...] = ()

    def child(self, *names: int | str) -> Seed:
        """Return the node below this one at `names` (words are hashed, integers kept)."""
        return Seed(self.entropy, self.path + tuple(_as_number(name) for name in names))

    def integer(self) -> int:
        """Return a number in [0, 2**63) that belongs to this node."""
        state = np.random.SeedSequence(self.entropy, spawn_key=self.path).generate_state(
            1, np.uint64
        )
        return int(state[0] >> np.uint64(1))

    def numpy(self) -> np.random.Generator:
        """Return a new NumPy generator at the start of this node's stream."""
        return np.random.default_rng(np.random.SeedSequence(self.entropy, spawn_key=self.path))

    def torch(self) -> torch.Generator:
        """Return a new CPU generator at the start of this node's stream.

        Numbers are drawn on the CPU and moved, so that a device changes nothing about the draw.
        """
        return torch.Generator().manual_seed(self.integer())


def _as_number(name: int | str) -> int:
    return zlib.crc32(name.encode()) if isinstance(name, str) else int(name)


def root_seed(random_state: int | np.random.RandomState | np.random.Generator | None) -> Seed:
    """Turn scikit-learn's `random_state` into a root.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None
        An integer gives the same root each time; a generator is advanced by one draw; None takes
        entropy from the operating system.

    Returns
    -------
    Seed
        The root of a new tree of streams.

    Examples
    --------
    >>> root_seed(0).child("noise", 3) == root_seed(0).child("noise", 3)
    True
    """
    if random_state is None:
        return Seed(int(np.random.SeedSequence().generate_state(1, np.uint64)[0]))
    if isinstance(random_state, np.random.RandomState):
        return Seed(int(random_state.randint(np.iinfo(np.int32).max)))
    if isinstance(random_state, np.random.Generator):
        return Seed(int(random_state.integers(np.iinfo(np.int64).max)))
    return Seed(int(random_state))


@contextmanager
def global_streams(seed: Seed, device: torch.device | str | None = None) -> Iterator[None]:
    """Let PyTorch's global generators run from a node's stream, and give them back as they were.

    For what draws from them and cannot be told otherwise: dropout, and starting weights of networks
    that are not ours.

    Parameters
    ----------
    seed : Seed
        Where the streams start.
    device : torch.device, str or None, default=None
        The generator of this device is lent, too; the CPU's always is.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> with global_streams(root_seed(0)):
    ...     x = torch.rand(2)
    >>> with global_streams(root_seed(0)):
    ...     bool((torch.rand(2) == x).all())
    True
    >>> bool((torch.get_rng_state() == before).all())
    True
    """
    device = torch.device("cpu" if device is None else device)
    states = [(torch, torch.get_rng_state(), seed.torch().get_state())]
    if device.type != "cpu":
        module, own = torch.get_device_module(device), torch.Generator(device)
        started = own.manual_seed(seed.integer()).get_state()
        states.append((module, module.get_rng_state(), started))
    try:
        for module, _, started in states:
            module.set_rng_state(started)
        yield
    finally:
        for module, before, _ in states:
            module.set_rng_state(before)
