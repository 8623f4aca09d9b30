import numpy as np
import torch

from ltresample._random import Seed, root_seed


def test_a_path_has_one_stream_whoever_asks_first():
    a, b = Seed(5).child("noise", 3), Seed(5).child("accept", 3)
    first = torch.rand(4, generator=a.torch()), torch.rand(4, generator=b.torch())
    second = torch.rand(4, generator=b.torch()), torch.rand(4, generator=a.torch())
    assert torch.equal(first[0], second[1])
    assert torch.equal(first[1], second[0])
    assert a.numpy().random() == Seed(5).child("noise").child(3).numpy().random()


def test_children_differ_by_each_part_of_the_path_and_by_the_root():
    seeds = [
        Seed(0),
        Seed(1),
        Seed(0).child(0),
        Seed(0).child(0, 0),
        Seed(0).child("0"),
        Seed(0).child(1, 0),
    ]
    numbers = {seed.integer() for seed in seeds}
    assert len(numbers) == len(seeds)
    assert all(0 <= number < 2**63 for number in numbers)


def test_roots_follow_scikit_learn():
    assert root_seed(3) == root_seed(3)
    state = np.random.RandomState(0)  # noqa: NPY002
    assert root_seed(state) != root_seed(state)
    generator = np.random.default_rng(0)
    assert root_seed(generator) != root_seed(generator)
    assert root_seed(None) != root_seed(None)
