import numpy as np
import pytest
import torch
from torch import nn

from ltresample.guides import Classifier
from ltresample.rows import ArrayRows, Pool, Space


def linear(weight, bias):
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))
    return layer


@pytest.fixture
def problem():
    """Three overlapping classes with 40, 15 and 4 rows in [0, 1]^3, and two linear networks."""
    rng = np.random.default_rng(3)
    counts = [40, 15, 4]
    y = np.repeat(np.arange(3), counts)
    x = np.clip(rng.normal(0.5, 0.15, (len(y), 3)) + 0.1 * np.eye(3)[y], 0, 1)
    g = linear(6 * np.eye(3) + rng.normal(size=(3, 3)), rng.normal(size=3))
    f = linear(3 * rng.normal(size=(3, 3)), rng.normal(size=3))
    pool = Pool(
        x=ArrayRows(x, dtype=torch.float64),
        y=torch.from_numpy(y),
        class_counts=torch.tensor(counts),
        space=Space.pixels(dtype=torch.float64),
    )
    return pool, Classifier([g]), Classifier([f])
