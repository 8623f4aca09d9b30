"""Crop and flip: a batch at once is what a row after the other would be."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from benchmarks.components import build
from ltresample._random import Seed
from ltresample.training import DeferredRebalancingClassifier, RandomCropFlip


def row_by_row(x, padding, flip, fill, u):
    """Pad, crop and flip one image after the other, as the CIFAR protocols write it."""
    out = []
    for image, (top, left, coin) in zip(x, u, strict=True):
        width = [(0, 0)] * (image.ndim - 2) + [(padding, padding)] * 2
        padded = np.pad(image, width, constant_values=fill)
        top, left = int(top * (2 * padding + 1)), int(left * (2 * padding + 1))
        crop = padded[..., top : top + image.shape[-2], left : left + image.shape[-1]]
        out.append(crop[..., ::-1] if coin < flip else crop)
    return np.stack(out)


@given(
    shape=st.sampled_from([(7, 3, 6, 5), (1, 1, 4, 9), (4, 5, 5)]),
    padding=st.integers(0, 5),
    flip=st.sampled_from([0.0, 0.5, 1.0]),
    fill=st.sampled_from([0, 3]),
    kind=st.sampled_from(["float32", "float64", "uint8"]),
    seed=st.integers(0, 5),
)
def test_batches_are_what_rows_would_be(shape, padding, flip, fill, kind, seed):
    x = np.random.default_rng(seed).integers(1, 200, shape).astype(kind)
    u = torch.rand(shape[0], 3, generator=Seed(seed).torch(), dtype=torch.float64).numpy()
    made = RandomCropFlip(padding, flip, fill)(torch.from_numpy(x), Seed(seed).torch())
    assert made.dtype == torch.from_numpy(x).dtype
    np.testing.assert_array_equal(made, row_by_row(x, padding, flip, fill, u))


def test_rows_depend_on_their_place_only():
    x, augment = torch.rand(9, 3, 8, 8, generator=Seed(0).torch()), RandomCropFlip()
    whole = augment(x, Seed(1).torch())
    assert torch.equal(augment(x[:4], Seed(1).torch()), whole[:4])
    generator = Seed(1).torch()
    parts = [augment(part, generator) for part in x.split(2)]
    assert torch.equal(torch.cat(parts), whole)
    changed = augment(torch.cat([x[:5], 1 - x[5:]]), Seed(1).torch())
    assert torch.equal(changed[:5], whole[:5])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_memory_format_stays_and_images_are_not_written(layout):
    x = torch.rand(4, 3, 8, 8, generator=Seed(0).torch()).to(memory_format=layout)
    before = x.clone()
    made = RandomCropFlip()(x, Seed(1).torch())
    assert made.is_contiguous(memory_format=layout)
    assert torch.equal(x, before)
    assert torch.equal(made, RandomCropFlip()(x.contiguous(), Seed(1).torch()))


def test_all_places_are_alike_and_every_other_image_is_flipped():
    x = torch.zeros(20_000, 1, 3, 3)
    x[:, 0, 1, 1:] = torch.tensor([1.0, 2.0])  # the centre, and what tells a flip
    made = RandomCropFlip(padding=1)(x, Seed(0).torch())[:, 0]
    share = (made == 1).float().mean(0)
    assert share.sub(1 / 9).abs().max() < 4 * (1 / 9 / 20_000) ** 0.5
    at, on = (made == 1).nonzero(), (made == 2).nonzero()
    seen = at[:, 2] == 1  # the neighbour is in the picture on either side
    flipped = dict(zip(on[:, 0].tolist(), on[:, 2].tolist(), strict=True))
    sides = [flipped[int(i)] == 0 for i in at[seen][:, 0]]
    assert abs(np.mean(sides) - 0.5) < 4 * 0.5 / len(sides) ** 0.5


def test_without_padding_and_flip_nothing_happens():
    x = torch.rand(4, 3, 8, 8, generator=Seed(0).torch())
    assert torch.equal(RandomCropFlip(0, 0.0)(x, Seed(1).torch()), x)
    assert torch.equal(RandomCropFlip(0, 1.0)(x, Seed(1).torch()), x.flip(3))


@pytest.mark.parametrize("wrong", [{"padding": -1}, {"padding": 1.5}, {"flip": 1.1}])
def test_parameters_out_of_range(wrong):
    message = "padding must be an integer of at least 0, and flip a probability in [0, 1]. Got "
    with pytest.raises(ValueError, match=re.escape(message)):
        RandomCropFlip(**wrong)


def test_tables_cannot_be_cropped():
    message = "Got rows of shape (5,). Leave augment out for tables."
    with pytest.raises(ValueError, match=re.escape(message)):
        RandomCropFlip()(torch.zeros(2, 5), Seed(0).torch())


def test_training_with_it_is_repeatable_and_differs_from_training_without():
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 255, (40, 3, 8, 8)).astype(np.uint8), np.repeat([0, 1], [30, 10])
    net = DeferredRebalancingClassifier(augment=RandomCropFlip(2), max_epochs=2, random_state=0)
    one, two = (clone(net).fit(X, y).predict_proba(X) for _ in range(2))
    plain = clone(net).set_params(augment=None).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - plain).max() > 0


def test_suite_files_can_name_it():
    spec = {"make": "RandomCropFlip", "padding": 2}
    assert build(spec, guide=None, seed=lambda path: 0) == RandomCropFlip(padding=2)
