"""What containers must not lose: ends of a type's range, distinct labels, the user's own arrays."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from ltresample import M2mSampler, OpenSampler, OTMixSampler, ResampledClassifier, SAFASampler
from ltresample.pairing import RandomPairing

pytestmark = [
    pytest.mark.filterwarnings("ignore:The guide is no better:ltresample.LongTailWarning"),
    pytest.mark.filterwarnings("ignore:OpenSampler got no open-set:ltresample.LongTailWarning"),
]
rng = np.random.default_rng(0)
Y = np.repeat([0, 1], [60, 20])
X = rng.normal(size=(80, 4)) + Y[:, None]


def m2m(**params):
    return M2mSampler(random_state=0, min_confidence=0.0, **params)


@pytest.mark.parametrize("kind", ["array", "tensor", "sparse", "frame"])
@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int32, np.uint8, np.int16])
def test_the_ends_of_whole_numbers(kind, dtype):
    top = np.iinfo(dtype).max
    data = np.zeros((80, 12), dtype=dtype)
    data[:, 0] = rng.integers(top // 2, top, 80, dtype=dtype, endpoint=True)
    data[:, 1] = rng.integers(0, 9, 80) + 2 * Y
    data[::7, 0] = top
    given = {
        "array": lambda: data,
        "tensor": lambda: torch.from_numpy(data),
        "sparse": lambda: sparse.csr_array(data),
        "frame": lambda: pd.DataFrame(data),
    }[kind]()
    made = m2m().fit_resample(given, Y)[0]
    made = made.toarray() if kind == "sparse" else np.asarray(made)
    assert made.dtype == dtype
    assert made[:, 0].min() >= data[:, 0].min()
    assert (made[:80] == data).all()


@pytest.mark.parametrize(
    "index",
    [
        [f"r{i}" for i in range(80)],
        pd.date_range("2020", periods=80),
        np.arange(80) / 2,
        np.arange(48, 128).astype(np.int8),
        pd.CategoricalIndex([f"c{i}" for i in range(80)]),
    ],
    ids=["text", "dates", "floats", "int8", "categories"],
)
def test_labels_of_new_rows_are_new_ones_again_and_again(index):
    frame, y = pd.DataFrame(X, index=index), Y
    for n in (22, 24, 26):
        frame, y = m2m(sampling_strategy={1: n}).fit_resample(frame, y)
        assert frame.index.is_unique
    assert list(frame.index[:80]) == list(pd.Index(index))


@pytest.mark.parametrize("order", ["unsorted", "doubled"])
@pytest.mark.parametrize("kind", [M2mSampler, OTMixSampler, OpenSampler, SAFASampler])
def test_sparse_rows_that_are_not_in_order_stay_as_they_are(order, kind):
    matrix = sparse.csr_array(X)
    if order == "unsorted":
        at = np.arange(matrix.nnz).reshape(80, 4)[:, ::-1].ravel()
        parts = matrix.data[at], matrix.indices[at], matrix.indptr
    else:
        parts = np.repeat(matrix.data / 2, 2), np.repeat(matrix.indices, 2), 2 * matrix.indptr
    given = sparse.csr_array(parts, shape=X.shape)
    before = [part.copy() for part in (given.data, given.indices, given.indptr)]
    for part in (given.data, given.indices, given.indptr):
        part.setflags(write=False)  # as of joblib's memory maps
    settings = {"weights_used": True} if kind is OpenSampler else {}
    made = kind(random_state=0, **settings).fit_resample(given, Y)[0]
    for part, old in zip((given.data, given.indices, given.indptr), before, strict=True):
        assert (part == old).all()
    assert made[:80].toarray() == pytest.approx(X)


@pytest.mark.parametrize("values", [X > 1, (10 * abs(X)).astype(np.uint64)], ids=["bool", "uint64"])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, pd.DataFrame])
def test_built_in_open_set_rows_of_types_that_cannot_be_negative(values, container):
    made = OpenSampler(random_state=0, weights_used=True).fit_resample(container(values), Y)[0]
    assert made.shape[0] > 80


def test_a_vote_of_a_guide_that_is_not_there():
    sampler = OTMixSampler(pairing=RandomPairing(), random_state=0)
    model = ResampledClassifier(
        LogisticRegression(), sampler, prior_correction=True, guide_weight=0.5
    )
    with pytest.raises(ValueError, match="guide vote, and OTMixSampler.* fitted none"):
        model.fit(X, Y)


def test_a_report_of_an_earlier_choice_goes():
    model = ResampledClassifier(LogisticRegression(), "auto", random_state=0).fit(X, Y)
    assert hasattr(model, "choice_report_")
    assert not hasattr(model.set_params(sampler=None).fit(X, Y), "choice_report_")
