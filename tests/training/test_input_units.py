"""Units of images are learnt in fit; channels come first; Datasets work or are refused by name."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.model_selection import GridSearchCV
from skorch.helper import SliceDataset
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from ltresample import LongTailWarning
from ltresample.over_sampling import (
    DistributionMatchingOversampler,
    M2mSampler,
    OpenSampler,
    OTMixSampler,
    SAFASampler,
)
from ltresample.rows import PixelUnit, pixel_unit
from ltresample.training import DeferredRebalancingClassifier

RNG = np.random.default_rng(0)
Y = np.repeat([0, 1], [30, 18])
BYTES = (RNG.integers(0, 256, (48, 1, 6, 6)) // (1 + Y[:, None, None, None])).astype(np.uint8)


class Small(nn.Module):
    def __init__(self, n_classes=2):
        super().__init__()
        self.layer = nn.Linear(36, n_classes)

    def forward(self, x):
        return self.layer(x.flatten(1))


class Items(Dataset):
    def __init__(self, x, change=lambda row: row):
        self.x, self.change, self.targets = x, change, Y[: len(x)]

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.change(self.x[i]), int(self.targets[i])


class Flow(IterableDataset):
    def __iter__(self):
        return iter(zip(BYTES, Y, strict=True))


def net_of(**params):
    return DeferredRebalancingClassifier(
        **{"module": Small, "max_epochs": 3, "lr": 0.1, "random_state": 0, **params}
    )


def containers():
    return {
        "uint8": BYTES,
        "int64": BYTES.astype(np.int64),
        "int16": BYTES.astype(np.int16),
        "whole floats": BYTES.astype(np.float32),
        "unit floats": (BYTES / 255).astype(np.float32),
        "tensor": torch.from_numpy(BYTES),
        "float tensor": torch.from_numpy(BYTES).double(),
        "Dataset": Items(BYTES),
        "Dataset of tensors": Items(torch.from_numpy(BYTES)),
        "Dataset of floats": Items(BYTES.astype(np.float32)),
        "TensorDataset": TensorDataset(torch.from_numpy(BYTES), torch.from_numpy(Y)),
        "SliceDataset": SliceDataset(Items(BYTES)),
        "Dataset of images": Items(BYTES, lambda row: Image.fromarray(row[0])),
    }


@pytest.mark.parametrize("kind", sorted(set(containers()) - {"Dataset of images"}))
def test_bytes_in_fit_are_bytes_in_every_container(kind):
    net = net_of().fit(BYTES, Y)
    x = containers()[kind]
    before = x.copy() if isinstance(x, np.ndarray) else None
    np.testing.assert_allclose(net.predict_proba(x), net.predict_proba(BYTES), atol=1e-6)
    if before is not None:
        np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("kind", ["Dataset", "Dataset of tensors", "TensorDataset", "SliceDataset"])
def test_bytes_of_a_dataset_are_scaled(kind):
    want = net_of().fit(BYTES, Y)
    net = net_of().fit(containers()[kind], Y)
    assert net._pixel_unit is PixelUnit.BYTES
    for other in ("uint8", "int64", "unit floats"):
        x = containers()[other]
        np.testing.assert_allclose(net.predict_proba(x), want.predict_proba(BYTES), atol=1e-6)


def test_grey_images_of_a_dataset():
    net = net_of().fit(containers()["Dataset of images"], Y)
    want = net_of().fit(BYTES[:, 0], Y)
    np.testing.assert_allclose(
        net.predict_proba(BYTES[:, 0]), want.predict_proba(BYTES[:, 0]), atol=1e-6
    )


def test_pixels_in_the_unit_interval_take_bytes_later():
    net = net_of().fit((BYTES / 255).astype(np.float32), Y)
    for kind in ("uint8", "int64", "Dataset"):
        np.testing.assert_allclose(
            net.predict_proba(containers()[kind]),
            net.predict_proba(containers()["unit floats"]),
            atol=1e-6,
        )


def test_what_was_not_scaled_in_fit_is_not_scaled_later():
    with pytest.warns(LongTailWarning, match=r"values from 0 to 25\d in the type int64.*astype"):
        net = net_of().fit(BYTES.astype(np.int64), Y)
    np.testing.assert_array_equal(net.predict_proba(BYTES), net.predict_proba(BYTES.astype(float)))


def test_validation_partial_fit_and_open_set_rows_share_the_unit():
    aux = BYTES[::-1].copy()

    def trained(x_aux, more):
        net = net_of(resampler=OpenSampler(), start=0, train_split=0.25)
        net.fit(BYTES, Y, X_aux=x_aux)
        net.partial_fit(more, Y, X_aux=x_aux)
        return net.predict_proba(BYTES), net.history[:, "valid_loss"]

    want = trained(aux, BYTES)
    loader = DataLoader(torch.from_numpy(aux), batch_size=48)
    for x_aux in (aux.astype(np.int64), aux.astype(np.float32), Items(aux), torch.from_numpy(aux)):
        got = trained(x_aux, BYTES.astype(np.float32))
        np.testing.assert_allclose(got[0], want[0], atol=1e-5)
        np.testing.assert_allclose(got[1], want[1], atol=1e-5)
    assert np.isfinite(trained(loader, BYTES)[0]).all()


def test_numbers_beyond_bytes_are_refused():
    net = net_of().fit(BYTES, Y)
    with pytest.raises(ValueError, match="bytes from 0 to 255. Got values from 0 to 5"):
        net.predict(BYTES.astype(np.int64) * 2)


def test_units():
    assert pixel_unit(BYTES) is PixelUnit.BYTES
    assert pixel_unit(BYTES / 255) is PixelUnit.UNIT
    assert pixel_unit(BYTES.astype(float)) is PixelUnit.OTHER
    assert pixel_unit(BYTES.reshape(48, -1)) is PixelUnit.OTHER


LAST = np.moveaxis(np.repeat(BYTES, 3, axis=1), 1, -1)


@pytest.mark.parametrize("n_channels", [1, 3, 4])
@pytest.mark.parametrize(
    "sampler",
    [
        M2mSampler(),
        DistributionMatchingOversampler(),
        OTMixSampler(preset="cutmix"),
        SAFASampler(),
        OpenSampler(),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_channels_last_is_refused_by_samplers(sampler, n_channels):
    x = np.repeat(LAST[..., :1], n_channels, axis=-1)
    text = rf"channels first.*Got rows of shape \(6, 6, {n_channels}\).*np.moveaxis"
    for make in (lambda x: x, lambda x: x / 255, torch.from_numpy):
        with pytest.raises(ValueError, match=text):
            sampler.fit_resample(make(x), Y)


def test_channels_last_is_refused_in_training():
    text = r"channels first.*Got rows of shape \(6, 6, 3\)"
    for x in (LAST, torch.from_numpy(LAST), Items(LAST), Items(LAST, Image.fromarray)):
        with pytest.raises(ValueError, match=text):
            net_of().fit(x, Y)
    net = net_of().fit(BYTES, Y)
    with pytest.raises(ValueError, match="channels first|features"):
        net.predict(LAST)


@pytest.mark.parametrize("shape", [(3, 6, 6), (1, 6, 3), (8, 4, 4), (64, 1, 1), (16, 2, 3)])
def test_channels_first_and_maps_pass(shape):
    x = RNG.random((48, *shape)).astype(np.float32)
    OTMixSampler(preset="cutmix", random_state=0).fit_resample(x, Y)


def test_a_grid_search_over_a_dataset():
    rows = SliceDataset(Items(BYTES))
    search = GridSearchCV(net_of(), {"lr": [0.01, 0.1]}, cv=2, scoring="balanced_accuracy")
    search.fit(rows, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    np.testing.assert_array_equal(search.predict(rows), search.predict(BYTES))


@pytest.mark.parametrize(
    "x",
    [Flow(), DataLoader(Items(BYTES)), iter([BYTES])],
    ids=["IterableDataset", "DataLoader", "iterator"],
)
def test_what_has_one_order_is_refused(x):
    with pytest.raises(TypeError, match="taken by position.*map-style Dataset"):
        net_of().fit(x, Y)
    net = net_of().fit(BYTES, Y)
    with pytest.raises(TypeError, match="taken by position.*map-style Dataset"):
        net.predict(x)
    with pytest.raises(TypeError, match="Samplers take rows at once.*map-style Dataset"):
        M2mSampler().fit_resample(x, Y)


def test_datasets_without_rows_of_numbers():
    with pytest.raises(TypeError, match="items of a Dataset must be rows of numbers"):
        net_of().fit(Items(BYTES, lambda row: {"image": row}), Y)
    with pytest.raises(ValueError, match="Got an empty Items"):
        net_of().fit(Items(BYTES[:0]), Y[:0])
    with pytest.raises(TypeError, match="Samplers take rows at once"):
        M2mSampler().fit_resample(Items(BYTES), Y)


def test_numbers_beyond_the_network():
    table = RNG.normal(size=(48, 36)) * 1e300
    with pytest.raises(ValueError, match="in torch.float32 up to 3.4e.*dtype=torch.float64"):
        net_of().fit(table, Y)
    net = DeferredRebalancingClassifier(max_epochs=1, lr=0.01, random_state=0).fit(table, Y)
    assert np.isfinite(net.predict_proba(table)).all()
    with pytest.raises(ValueError, match="in torch.float32 up to"):
        M2mSampler(g=nn.Linear(36, 2)).fit_resample(table, Y)
