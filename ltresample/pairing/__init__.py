"""Which foreground goes with which background.

A pairing takes two batches, each with labels and features, and gives every foreground a background.
Its random numbers are drawn first and passed in.
"""

from ltresample.pairing._base import Pairing, Side, checked_affinity
from ltresample.pairing._confusion import ConfusionPairing
from ltresample.pairing._random import RandomPairing
from ltresample.pairing._transport import TransportPairing

__all__ = [
    "ConfusionPairing",
    "Pairing",
    "RandomPairing",
    "Side",
    "TransportPairing",
    "checked_affinity",
]
