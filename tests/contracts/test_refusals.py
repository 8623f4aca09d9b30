"""What cannot be used is refused by name, before any work, and not by a library below."""

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.pipeline import make_pipeline
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from ltresample import (
    LongTailWarning,
    MinimumCostClassifier,
    PriorCorrectedClassifier,
    TunedOffsetsClassifierCV,
)
from ltresample.over_sampling import (
    DistributionMatchingOversampler,
    M2mSampler,
    OpenSampler,
    OTMixSampler,
    ResampledClassifier,
    SAFASampler,
)
from ltresample.training import DeferredRebalancingClassifier

SAMPLERS = [
    M2mSampler,
    DistributionMatchingOversampler,
    OTMixSampler,
    SAFASampler,
    OpenSampler,
]


@pytest.fixture
def table():
    y = np.repeat([0, 1, 2], [34, 16, 10])
    return np.random.default_rng(0).normal(size=(60, 4)) + y[:, None], y


def ready(kind, **settings):
    if kind is OpenSampler:
        settings = {"X_aux": np.zeros((5, 4)), **settings}
    return kind(**{"random_state": 0, **settings})


def net(module=None, **settings):
    return DeferredRebalancingClassifier(
        module, **{"max_epochs": 1, "verbose": 0, "random_state": 0, **settings}
    )


# ---------------------------------------------------------------------- parameters


@pytest.mark.parametrize("kind", SAMPLERS)
def test_no_number_is_a_truth_value(kind, table):
    own = kind._parameter_constraints
    checked = 0
    for name in kind().get_params(deep=False):
        allowed = own.get(name)
        numeric = isinstance(allowed, list) and any("Interval" in repr(type(c)) for c in allowed)
        if numeric and "boolean" not in allowed and name != "sampling_strategy":
            checked += 1
            with pytest.raises(ValueError, match=f"'{name}'.*not a truth value"):
                ready(kind, **{name: True}).fit_resample(*table)
    assert checked > 2


@pytest.mark.parametrize("kind", SAMPLERS)
def test_no_parameter_is_a_class(kind, table):
    for name in kind().get_params(deep=False):
        with pytest.raises(TypeError, match=f"{name} must be an instance, not a class"):
            ready(kind, **{name: LogisticRegression}).fit_resample(*table)


@pytest.mark.parametrize("kind", [M2mSampler, DistributionMatchingOversampler, SAFASampler])
def test_no_jobs_at_all_are_refused(kind, table):
    with pytest.raises(ValueError, match="'n_jobs' parameter"):
        ready(kind, n_jobs=0).fit_resample(*table)


def test_a_single_number_is_no_list_of_columns_and_no_open_set(table):
    with pytest.raises(ValueError, match="categorical_features must"):
        M2mSampler(categorical_features=np.array(9)).fit_resample(*table)
    with pytest.raises(TypeError, match="X_aux must hold rows"):
        OpenSampler(X_aux=np.array(3)).fit_resample(*table)


def test_training_takes_no_truth_value_for_a_number(table):
    with pytest.raises(ValueError, match="'max_epochs'.*not a truth value"):
        net(max_epochs=True).fit(*table)


# ---------------------------------------------------------------------- rows and labels


@pytest.mark.parametrize("kind", SAMPLERS)
def test_masked_labels(kind, table):
    X, y = table
    with pytest.raises(ValueError, match="masked labels.*10 rows"):
        ready(kind).fit_resample(X, np.ma.masked_array(y, mask=y > 1))


def test_masked_labels_in_training_and_masks_that_hide_nothing(table):
    X, y = table
    with pytest.raises(ValueError, match="masked labels"):
        net().fit(X, np.ma.masked_array(y, mask=y > 1))
    plain, masked = (
        SAFASampler(n_steps=2, random_state=0).fit_resample(X, labels)[0]
        for labels in (y, np.ma.masked_array(y))
    )
    np.testing.assert_array_equal(plain, masked)


def test_text_of_variable_width(table):
    X, y = table
    text = np.array(["a", "b", "c"], dtype=np.dtypes.StringDType())[y]
    _, made = SAFASampler(n_steps=2, random_state=0).fit_resample(X, text)
    assert made[60:].tolist().count("c") == 24
    with pytest.raises(ValueError, match="Got text of type StringDType"):
        M2mSampler().fit_resample(X.astype(str).astype(np.dtypes.StringDType()), y)
    assert set(net().fit(X, text).predict(X)) <= set("abc")


@pytest.mark.parametrize("kind", SAMPLERS)
def test_columns_of_the_same_name(kind, table):
    X, y = table
    with pytest.raises(ValueError, match=r"must have different names. Got \['a'\] more than once"):
        ready(kind).fit_resample(pd.DataFrame(X, columns=list("abca")), y)


@pytest.mark.parametrize("kind", SAMPLERS[:4])
def test_lists_of_text_and_numbers(kind, table):
    X, y = table
    rows = [[float(x[0]), "high" if x[1] > 1 else "low", float(x[2])] for x in X]
    table_of_objects = np.array(rows, dtype=object)
    easy = {"min_confidence": 0.2} if hasattr(kind(), "min_confidence") else {}
    made, _ = ready(kind, **easy).fit_resample(rows, y)
    want, _ = ready(kind, **easy).fit_resample(table_of_objects, y)
    assert isinstance(made, list)
    assert made[:60] == rows
    assert made == want.tolist()
    assert {row[1] for row in made} == {"high", "low"}


def test_rows_of_numbers_where_categories_were(table):
    X, y = table
    frame = pd.DataFrame({"word": np.where(X[:, 0] > 1, "up", "down"), "more": X[:, 1]})
    model = net().fit(frame, y)
    for other in (X[:, :2], torch.from_numpy(X[:, :2]), X[:, :3]):
        with (
            pytest.warns(UserWarning, match="valid feature names"),
            pytest.raises(ValueError, match=r"categories in column\(s\) \['word'\], as in fit"),
        ):
            model.predict(other)


# ---------------------------------------------------------------------- images


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.uint64, np.int64])
def test_images_of_wide_whole_numbers(dtype):
    y = np.repeat([0, 1], [12, 6])
    images = np.random.default_rng(0).integers(0, 200, (18, 1, 6, 6)).astype(np.uint8)
    model = net().fit(images, y)
    np.testing.assert_array_equal(
        model.predict_proba(images.astype(dtype)), model.predict_proba(images)
    )
    with pytest.warns(LongTailWarning, match="made for"):
        net().fit(images.astype(dtype), y)


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.uint16])
def test_samplers_warn_of_images_in_another_unit(dtype):
    y = np.repeat([0, 1], [12, 6])
    images = np.random.default_rng(0).integers(0, 200, (18, 1, 6, 6)).astype(dtype)
    with pytest.warns(LongTailWarning, match="values from 0 to 199"):
        OTMixSampler(preset="cmo", random_state=0).fit_resample(images, y)


def test_data_sets_of_images_in_another_unit():
    y = np.repeat([0, 1], [12, 6])
    images = torch.randint(0, 100, (18, 1, 6, 6)).float()
    images[9] += 100  # the first one does not show it
    with pytest.warns(LongTailWarning, match="made for"):
        net().fit(TensorDataset(images), y)


# ---------------------------------------------------------------------- data sets of PyTorch


class Rows(Dataset):
    def __init__(self, take):
        self.take = take

    def __getitem__(self, i):
        return self.take(i)


class Counted(Rows):
    def __len__(self):
        return 60


def test_items_that_are_lists_of_numbers(table):
    X, y = table
    want = net().fit(X.astype(np.float32), y).predict_proba(X.astype(np.float32))
    for item in (lambda i: X[i].tolist(), lambda i: (X[i].tolist(), y[i])):
        items = Counted(item)
        np.testing.assert_allclose(net().fit(items, y).predict_proba(items), want, atol=1e-6)


def test_items_of_different_length_and_data_sets_without_one(table):
    X, y = table
    with pytest.raises(ValueError, match=r"rows of one shape. Got \[\(3,\), \(4,\)\]"):
        net().fit(Counted(lambda i: torch.from_numpy(X[i][: 3 + i % 2])), y)
    with pytest.raises(TypeError, match="without __len__"):
        net().fit(Rows(lambda i: torch.from_numpy(X[i])), y)


# ---------------------------------------------------------------------- networks and guides


class Odd(nn.Linear):
    def __init__(self, change):
        super().__init__(4, 3)
        self.change = change

    def forward(self, x):
        return self.change(super().forward(x))


def test_networks_that_cannot_be_trained(table):
    X, y = table[0].astype(np.float32), table[1]
    with pytest.raises(ValueError, match="all of whose parameters are frozen"):
        net(nn.Linear(4, 3).requires_grad_(False)).fit(X, y)
    with pytest.raises(ValueError, match="forward cuts the graph"):
        net(Odd(lambda out: out.detach())).fit(X, y)
    with pytest.raises(ValueError, match="single or double precision. Got torch.float16"):
        net(nn.Linear(4, 3).half(), resampler=M2mSampler(), start=0).fit(X, y)


@pytest.mark.parametrize(
    ("g", "text"),
    [
        (Odd(lambda out: (out, out)), "its output must be a tensor of logits, and is a tuple"),
        (Odd(lambda out: {"logits": out}), "is a dict"),
        (nn.Linear(4, 3).half(), "single or double precision"),
        (Odd(lambda out: out.detach()), "g must have a gradient"),
    ],
)
@pytest.mark.filterwarnings("ignore:g gives the true class", "ignore:Few synthetic")
def test_guides_that_cannot_guide(g, text, table):
    for kind in (M2mSampler, DistributionMatchingOversampler):
        with pytest.raises(ValueError, match=text):
            kind(g=g, random_state=0).fit_resample(*table)


def test_weights_do_not_go_through_a_sampler_in_a_pipeline(table):
    X, y = table
    inner = make_pipeline(SAFASampler(n_steps=2, random_state=0), LogisticRegression())
    model = ResampledClassifier(inner, OTMixSampler(random_state=0))
    with pytest.warns(LongTailWarning, match="neither soft targets nor sample_weight"):
        model.fit(X, y)
    assert model.predict(X).shape == (60,)
    with pytest.raises(ValueError, match="takes no sample_weight"):
        model.fit(X, y, sample_weight=np.ones(60))


@pytest.mark.parametrize(
    "model",
    [
        PriorCorrectedClassifier(LogisticRegression()),
        TunedOffsetsClassifierCV(LogisticRegression()),
        MinimumCostClassifier(LogisticRegression()),
        ResampledClassifier(LogisticRegression(), SAFASampler()),
        net(),
    ],
)
def test_no_weight_is_negative(model, table):
    X, y = table
    for weight in (np.where(np.arange(60) == 7, -1.0, 1.0), -np.ones(60)):
        with pytest.raises(ValueError, match="Negative values.*sample_weight"):
            model.fit(X, y, sample_weight=weight)


def test_class_weights_that_are_all_zero(table):
    with pytest.raises(ValueError, match="leave a class with a weight above 0"):
        net(class_weight={0: 0, 1: 0, 2: 0}).fit(*table)
