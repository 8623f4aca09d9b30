"""SynthesisDisplay and EmbeddingDisplay choose, pair and place rows as they say."""

import re
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.decomposition import PCA

from ltresample.over_sampling import M2mSampler
from ltresample.plotting import EmbeddingDisplay, SynthesisDisplay


def synthesis(r, **kwargs):
    return SynthesisDisplay.from_sampler(r.sampler, r.X, r.X_res, r.y_res, **kwargs)


def test_seeds_stand_beside_their_rows(resampled):
    display = synthesis(resampled, n_samples=9)
    for seed, row, tale in zip(display.seeds, display.rows, display.tales, strict=True):
        assert tale.origin == "synthetic"
        assert tale.source == "0"
        own = resampled.X[resampled.y == int(tale.target)]
        assert np.isclose(2 * row - seed, own).all(axis=1).any()  # the other end of the half way
        assert (resampled.X[resampled.y == 0] == seed).all(axis=1).any()
    targets = [int(tale.target) for tale in display.tales]
    assert sorted(targets) == list(range(1, 10))
    assert (np.diff(np.bincount(resampled.y)[targets]) >= 0).all()  # the rarest first


def test_duplicates_fill_up_where_synthetic_rows_end(resampled):
    added = (resampled.y_res == 1) & (resampled.sampler.provenance_["origin"] != "original")
    n, n_synthetic = added.sum(), (added & resampled.sampler.is_synthetic_).sum()
    display = synthesis(resampled, n_samples=1000, target=1)
    origins = [tale.origin for tale in display.tales]
    assert origins == ["synthetic"] * n_synthetic + ["duplicate"] * (n - n_synthetic)
    np.testing.assert_array_equal(display.seeds[n_synthetic:], display.rows[n_synthetic:])
    assert display.summary.startswith(f"{n_synthetic} of {n} added rows of class 1 are synthetic (")


def test_images_are_seed_result_and_amplified_difference(resampled):
    display = synthesis(resampled, n_samples=3, image_shape=(1, 8, 8)).plot()
    assert display.axes_.shape == (3, 3)
    pictures = [part.get_images()[0] for part in display.axes_[:, 0]]
    shown = [np.asarray(picture.get_array()) for picture in pictures]
    np.testing.assert_allclose(shown[0], display.seeds[0].reshape(8, 8))
    np.testing.assert_allclose(shown[1], display.rows[0].reshape(8, 8))
    np.testing.assert_allclose(shown[2], (display.rows - display.seeds)[0].reshape(8, 8))
    most = np.abs(display.rows - display.seeds).max()
    assert pictures[2].get_clim() == pytest.approx((-most, most))
    assert display.axes_[2, 0].get_ylabel() == f"difference × {1 / most:.2g}"
    assert display.axes_[0, 0].get_title() == "0 → 9\naccepted, g 0.90"


def test_colour_images_and_duplicates():
    rng = np.random.default_rng(0)
    seeds = rng.random((2, 3, 4, 5))
    rows = seeds.copy()
    tales = [("duplicate", "a", "a", np.nan), ("synthetic", "aux", "b", np.nan)]
    display = SynthesisDisplay(seeds, rows, tales=tales).plot()
    np.testing.assert_allclose(
        display.axes_[1, 0].get_images()[0].get_array(), rows[0].transpose(1, 2, 0)
    )
    assert display.axes_[2, 0].get_ylabel() == "no difference"
    assert [part.get_title() for part in display.axes_[0]] == ["a\nduplicate", "aux → b\naccepted"]


def test_tables_show_the_features_that_moved_most(resampled):
    names = [f"pixel {i}" for i in range(64)]
    X = pd.DataFrame(resampled.X, columns=names)
    display = SynthesisDisplay.from_sampler(
        resampled.sampler, X, resampled.X_res, resampled.y_res, n_samples=2
    ).plot()
    scale = np.where(resampled.X.std(axis=0) > 0, resampled.X.std(axis=0), 1)
    moves = (display.rows - display.seeds) / scale
    part = display.axes_[0, 1]
    most = np.argsort(-np.abs(moves[1]), kind="stable")[:6]
    assert [text.get_text() for text in part.get_yticklabels()] == [names[i] for i in most]
    seed, row = (line.get_xdata() for line in part.get_lines())
    np.testing.assert_allclose(row - seed, moves[1][most], atol=1e-12)


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.coo_array, pd.DataFrame, list])
def test_containers_give_the_same_picture(resampled, container):
    r = resampled
    plain = synthesis(r)
    other = SynthesisDisplay.from_sampler(r.sampler, container(r.X), container(r.X_res), r.y_res)
    np.testing.assert_allclose(other.rows, plain.rows)
    np.testing.assert_allclose(other.seeds, plain.seeds)
    np.testing.assert_allclose(other.scale, plain.scale)


@pytest.fixture
def from_aux(resampled):
    provenance = resampled.sampler.provenance_.copy()
    provenance["from_aux"] = resampled.sampler.is_synthetic_
    provenance["source"][resampled.sampler.is_synthetic_] = -1
    return SimpleNamespace(
        **{**vars(resampled), "sampler": SimpleNamespace(provenance_=provenance)}
    )


def test_auxiliary_seeds_come_from_the_auxiliary_data(from_aux):
    display = synthesis(from_aux, X_aux=from_aux.X + 5)
    assert (display.seeds >= 5).all()
    assert {tale.source for tale in display.tales} == {"aux"}
    message = "need X_aux=. Got X_aux=None and 8 such rows. Pass the X_aux that the sampler was"
    with pytest.raises(ValueError, match=re.escape(message)):
        synthesis(from_aux)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"target": 0},
            "must have added rows to show. Got none for target=0. Classes with added rows: "
            "[1, 2, 3, 4, 5, 6, 7, 8, 9].",
        ),
        (
            {"image_shape": (3, 3)},
            "image_shape must be (H, W) or (C, H, W) with C of 1 or 3, for rows of shape (64,). "
            "Got (3, 3).",
        ),
        ({"image_shape": (4, 4, 4)}, "Got (4, 4, 4)."),
    ],
)
def test_synthesis_messages(resampled, kwargs, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        synthesis(resampled, **kwargs)


def test_sampler_without_new_rows(resampled):
    r = resampled
    sampler = SimpleNamespace(provenance_=r.sampler.provenance_[: len(r.y)])
    with pytest.raises(ValueError, match=r"Got none\. Classes with added rows: \[\]\."):
        SynthesisDisplay.from_sampler(sampler, r.X, r.X, r.y)


def test_axes_outside_a_grid_are_refused(resampled):
    ax = plt.figure().add_axes((0, 0, 1, 1))
    with pytest.raises(ValueError, match="ax must be part of a grid, so that it can be divided."):
        synthesis(resampled).plot(ax)


def embedding(r, **kwargs):
    return EmbeddingDisplay.from_sampler(r.sampler, r.X_res, r.y_res, random_state=0, **kwargs)


def test_pca_is_that_of_the_real_rows(resampled):
    display = embedding(resampled, classes=[0, 1, 2, 9])
    shown = np.isin(resampled.y_res, [0, 1, 2, 9])
    origin = resampled.sampler.provenance_["origin"]
    real = resampled.X_res[shown & (origin == "original")]
    kept = shown & (origin != "duplicate")
    expected = PCA(2, svd_solver="full").fit(real).transform(resampled.X_res[kept])
    np.testing.assert_allclose(display.points, expected)
    np.testing.assert_array_equal(display.labels, resampled.y_res[kept])
    np.testing.assert_array_equal(display.is_synthetic, origin[kept] == "synthetic")
    assert re.fullmatch(r"component 1 \(\d+% of the variance\)", display.axis_names[0])


def test_of_many_classes_those_with_most_synthetic_rows_are_shown(resampled):
    shown = np.unique(embedding(resampled).labels)
    assert shown.tolist() == list(range(2, 10))


def test_tsne_repeats_with_its_random_state(resampled):
    first, second = (
        embedding(resampled, method="tsne", classes=[0, 9], max_points=60).points for _ in range(2)
    )
    assert first.shape == (60, 2)
    np.testing.assert_array_equal(first, second)


def test_every_point_is_drawn(resampled):
    display = embedding(resampled, classes=[1, 2]).plot()
    n_drawn = sum(len(dots.get_offsets()) for dots in display.ax_.collections)
    assert n_drawn == len(display.points)
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names == ["1", "2", "real", "synthetic"]


@pytest.mark.parametrize("container", [sparse.csr_matrix, pd.DataFrame])
def test_embedding_takes_containers_and_images(resampled, container):
    r = resampled
    other = SimpleNamespace(**{**vars(r), "X_res": container(r.X_res)})
    np.testing.assert_allclose(embedding(other).points, embedding(r).points)
    images = SimpleNamespace(**{**vars(r), "X_res": r.X_res.reshape(-1, 1, 8, 8)})
    np.testing.assert_allclose(embedding(images).points, embedding(r).points)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"method": "umap"}, "method must be 'pca' or 'tsne'. Got method='umap'."),
        (
            {"classes": [0, 77]},
            "classes must be up to 8 of the labels in y_res. Got [0, 77], of which [77] are not in",
        ),
        ({"classes": range(9)}, "classes must be up to 8 of the labels in y_res."),
    ],
)
def test_embedding_messages(resampled, kwargs, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        embedding(resampled, **kwargs)


def test_palette_limits_the_classes():
    with pytest.raises(ValueError, match="A picture tells up to 8 classes apart. Got 9."):
        EmbeddingDisplay(np.zeros((9, 2)), range(9), is_synthetic=np.zeros(9))


@pytest.mark.filterwarnings("ignore::ltresample.LongTailWarning")
@pytest.mark.parametrize("container", ["pandas", "polars", "object array"])
def test_categories_are_drawn_as_zeros_and_ones(container):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [60, 12])
    frame = pd.DataFrame({"size": rng.normal(size=72) + 2 * y, "n": rng.integers(0, 9, 72)})
    frame["flag"], frame["kind"] = rng.random(72) < 0.5, np.where(rng.random(72) < 0.6, "u", "v")
    X = frame
    if container == "polars":
        X = pl.DataFrame({name: frame[name].tolist() for name in frame})
    elif container == "object array":
        X = frame.to_numpy(dtype=object)
    sampler = M2mSampler(random_state=0)
    X_res, y_res = sampler.fit_resample(X, y)
    display = SynthesisDisplay.from_sampler(sampler, X, X_res, y_res).plot()
    names = ["0", "1", "2", "3"] if container == "object array" else list(frame)
    assert display.feature_names == [*names[:3], f"{names[3]} = u", f"{names[3]} = v"]
    assert set(np.unique(display.rows[:, 3:])) <= {0, 1}
    np.testing.assert_array_equal(display.rows[:, 3:].sum(axis=1), 1)
    points = EmbeddingDisplay.from_sampler(sampler, X_res, y_res).plot().points
    assert points.shape[1] == 2
    assert np.isfinite(points).all()
    plt.close("all")
