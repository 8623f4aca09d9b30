"""Open-set samples from anywhere: what is read, in which units, and what is refused."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from scipy import sparse
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from ltresample import LongTailWarning
from ltresample.rows import DatasetRows, RowStream, open_set_rows

TABLE = np.random.default_rng(0).normal(size=(30, 3))
IMAGES = np.random.default_rng(0).random((20, 1, 4, 4), dtype=np.float32)


class Numbered(Dataset):
    """Rows and labels."""

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], 7


class Flow(IterableDataset):
    def __init__(self, x):
        self.x = x

    def __iter__(self):
        return iter(self.x)


def containers(tmp_path):
    np.save(tmp_path / "aux.npy", TABLE)
    return {
        "array": TABLE,
        "list": TABLE.tolist(),
        "memory map": np.load(tmp_path / "aux.npy", mmap_mode="r"),
        "tensor": torch.from_numpy(TABLE),
        "sparse": sparse.csc_array(TABLE),
        "TensorDataset": TensorDataset(torch.from_numpy(TABLE), torch.zeros(30)),
        "Dataset": Numbered(torch.from_numpy(TABLE)),
        "Dataset of arrays": Numbered(TABLE),
    }


def test_all_containers_give_the_same_rows(tmp_path):
    index = torch.tensor([5, 0, 29])
    want = torch.from_numpy(TABLE[[5, 0, 29]])
    for name, aux in containers(tmp_path).items():
        rows = open_set_rows(aux, TABLE, dtype=torch.float64)
        assert len(rows) == 30, name
        assert rows.row_shape == (3,), name
        assert torch.equal(rows.take(index), want), name


def test_subsets_are_rows_in_their_order():
    subset = Subset(Numbered(TABLE), [3, 1, 4])
    nested = Subset(subset, [2, 0])
    assert open_set_rows(subset, TABLE, dtype=torch.float64).take(torch.tensor([2]))[
        0
    ].tolist() == pytest.approx(TABLE[4])
    rows = open_set_rows(nested, TABLE, dtype=torch.float64)
    np.testing.assert_array_equal(rows.take(torch.tensor([0, 1])), TABLE[[4, 3]])


@pytest.mark.parametrize(
    "aux",
    [
        DataLoader(Numbered(TABLE), batch_size=7),
        Flow(TABLE),
        DataLoader(torch.from_numpy(TABLE), batch_size=16),
    ],
)
def test_loaders_are_streams_that_start_again(aux):
    stream = open_set_rows(aux, TABLE, dtype=torch.float64)
    assert isinstance(stream, RowStream)
    got = torch.cat([stream.read(n) for n in (1, 10, 0, 24, 30)])
    np.testing.assert_array_equal(got, np.concatenate([TABLE, TABLE, TABLE])[: len(got)])
    assert stream.n_restarts == 2
    again = pickle.loads(pickle.dumps(stream)) if not isinstance(aux, Flow) else stream
    assert again.read(2).shape == (2, 3)


def test_a_memory_map_does_not_stay_in_memory(tmp_path):
    """A file of 147 MB: most of its pages are read, few are kept."""
    psutil = pytest.importorskip("psutil")
    place = tmp_path / "aux.npy"
    np.lib.format.open_memmap(place, "w+", np.uint8, (48_000, 32, 32, 3))
    example = np.random.default_rng(0).random((4, 3, 32, 32))
    before = peak = psutil.Process().memory_info().rss
    aux = np.moveaxis(np.load(place, mmap_mode="r"), -1, 1)
    rows = open_set_rows(aux, example)
    order = torch.randperm(48_000, generator=torch.Generator().manual_seed(0))
    for index in order.split(256)[:60]:
        rows.take(index)
        peak = max(peak, psutil.Process().memory_info().rss)
    assert peak - before < 110 << 20
    first = rows.take(torch.tensor([0]))  # pages that were given back are read again
    assert torch.equal(first, torch.zeros(1, 3, 32, 32))


def test_bytes_become_pixels():
    rows = open_set_rows(np.full((2, 1, 4, 4), 255, dtype=np.uint8), IMAGES)
    assert torch.equal(rows.take(torch.tensor([1])), torch.ones(1, 1, 4, 4))
    data = Numbered(torch.full((2, 1, 4, 4), 51, dtype=torch.uint8))
    rows = open_set_rows(data, IMAGES)
    torch.testing.assert_close(rows.take(torch.tensor([1])), torch.full((1, 1, 4, 4), 0.2))
    stream = open_set_rows(DataLoader(data, batch_size=2), IMAGES)
    torch.testing.assert_close(stream.read(3), torch.full((3, 1, 4, 4), 0.2))
    whole = open_set_rows(data, (IMAGES * 255).astype(np.uint8))
    assert torch.equal(whole.take(torch.tensor([0])), torch.full((1, 1, 4, 4), 51.0))


@pytest.mark.parametrize(
    ("aux", "example", "text"),
    [
        (None, TABLE, "Open-set samples are needed. Got X_aux=None. Pass an array"),
        (TABLE[:, :2], TABLE, r"of shape \(3,\). Got X_aux of shape \(30, 2\)"),
        (TABLE[:0], TABLE, r"at least one sample.*Got X_aux of shape \(0, 3\)"),
        (Numbered(TABLE[:0]), TABLE, "at least one sample"),
        (TABLE[:, 0], TABLE, r"of shape \(3,\). Got X_aux of shape \(30,\)"),
        (np.full((2, 3), "a"), TABLE, "must hold numbers. Got text of type <U1"),
        (TABLE.astype(complex), TABLE, "must hold real numbers. Got numbers of type complex128"),
        (torch.zeros(2, 3, dtype=torch.complex64), TABLE, "real numbers. Got.*complex64"),
        (iter([TABLE]), TABLE, "readable more than once. Got X_aux=list_iterator"),
        (DataLoader(Numbered(TABLE[:0])), TABLE, "at least one. Got a loader without batches"),
        (DataLoader(Numbered(TABLE[:, :2])), TABLE, r"Got a loader of rows of shape \(2,\)"),
        (np.moveaxis(np.zeros((2, 3, 4, 5)), 1, -1), np.zeros((2, 3, 4, 5)), "channels first"),
        (255 * IMAGES, IMAGES, r"in the range of X, \[0, 1\]. Got values from .* to 25"),
        (IMAGES - 0.5, IMAGES, r"in the range of X, \[0, 1\]. Got values from -0"),
        (IMAGES, (255 * IMAGES).astype(np.uint8), "X holds unsigned bytes.*in another type"),
        (255 * IMAGES, 2 * IMAGES - 1, "range of X, -.* to .* or thereabouts. Got values"),
    ],
)
def test_what_is_refused(aux, example, text):
    with pytest.raises(ValueError, match=f"(?s){text}"):
        open_set_rows(aux, example)


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_missing_values_are_refused_wherever_they_are(value, word):
    spoilt = np.tile(TABLE, (100, 1))
    spoilt[1777, 2] = value  # not among the rows that are looked at
    for aux in (spoilt, torch.from_numpy(spoilt), sparse.csr_array(spoilt)):
        with pytest.raises(ValueError, match=f"Input X_aux contains {word}"):
            open_set_rows(aux, TABLE)
    rows = open_set_rows(Numbered(spoilt), TABLE)  # read when they are wanted
    with pytest.raises(ValueError, match=rf"contains {word}. Got it in 1 column\(s\): 2"):
        rows.take(torch.tensor([1777]))


def test_rows_in_other_units_are_named():
    far = TABLE.copy()
    far[:, 1] = 1000 * far[:, 1] + 5000
    with pytest.warns(LongTailWarning, match=r"outside the range of X in 1 of 3 column\(s\): 1"):
        open_set_rows(far, TABLE)
    with pytest.warns(LongTailWarning, match="far outside"):
        open_set_rows(sparse.csr_array(far), sparse.csr_array(TABLE))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_set_rows(3 * TABLE, TABLE)


def test_dataset_rows_know_their_shape_and_type():
    rows = DatasetRows(Numbered(TABLE), dtype=torch.float64)
    assert rows.take(torch.tensor([1, 1])).dtype == torch.float64
    assert rows.row_shape == (3,)
