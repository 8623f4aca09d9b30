"""Open-set samples made without a download."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, sparse

from ltresample.datasets import (
    make_blob_noise,
    make_gaussian_noise,
    make_rademacher_noise,
    permute_features,
    shuffle_patches,
    shuffle_words,
)

MAKERS = [
    make_blob_noise,
    make_gaussian_noise,
    make_rademacher_noise,
    permute_features,
    shuffle_patches,
    shuffle_words,
]
IMAGES = np.random.default_rng(0).random((40, 3, 8, 8), dtype=np.float32)
BYTES = (255 * IMAGES).astype(np.uint8)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("images", [IMAGES, BYTES, IMAGES[:, 0].astype(np.float64)])
def test_shape_type_range_and_seed(make, images):
    before = images.copy()
    made = make(images, 7, random_state=3)
    assert made.shape == (7, *images.shape[1:])
    assert made.dtype == images.dtype
    assert made.min() >= 0
    assert made.max() <= (255 if images.dtype == np.uint8 else 1)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(made, make(images, 7, random_state=3))
    assert not np.array_equal(made, make(images, 7, random_state=4))
    assert len(make(images, random_state=0)) == len(images)
    assert (
        len(np.unique(make(images, 90, random_state=0).reshape(90, -1), axis=0)) > 80
    )  # some blobs are blank


def test_gaussian_noise_has_the_published_form():
    noise = make_gaussian_noise(IMAGES, 500, center=[0.5, 0.4, 0.3], scale=0.2, random_state=0)
    z = (noise - np.array([0.5, 0.4, 0.3])[:, None, None]) / 0.2
    assert np.abs(z).max() <= 1 + 1e-6
    # N(0, 0.5^2) clipped to [-1, 1]: standard deviation 0.479 (numerically, 1e7 draws)
    draws = np.clip(np.random.default_rng(0).normal(0, 0.5, 10**6), -1, 1)
    assert z.std() == pytest.approx(draws.std(), abs=0.01)
    assert abs(z.mean()) < 0.01


def test_rademacher_noise_has_two_values_a_channel():
    noise = make_rademacher_noise(IMAGES, 50, random_state=0)
    for channel in range(3):
        mean, spread = IMAGES[:, channel].mean(), IMAGES[:, channel].std()
        values = np.unique(noise[:, channel].astype(np.float64).round(5))
        np.testing.assert_allclose(values, [mean - spread, mean + spread], atol=1e-4)
        assert (noise[:, channel] > mean).mean() == pytest.approx(0.5, abs=0.05)


def test_blobs_have_the_published_form():
    blobs = make_blob_noise(IMAGES, 50, center=0.0, scale=1.0, random_state=0)
    # center 0, scale 1: 2 z - 1, clipped to [0, 1]; z is 0 or at least 0.75
    assert set(np.unique(blobs < 0.5 - 1e-6)) <= {True, False}
    inside = blobs[blobs > 0]
    assert inside.min() >= 0.5 - 1e-6
    coins = (np.random.default_rng(1).random((50, 3, 8, 8)) < 0.7).astype(float)
    blurred = ndimage.gaussian_filter(coins, (0, 1.5, 1.5, 1.5), mode="nearest")
    assert (blobs > 0).mean() == pytest.approx((blurred >= 0.75).mean(), abs=0.05)


def test_noise_for_tables_has_their_mean_and_a_share_of_their_spread():
    X = np.random.default_rng(0).normal([0, 100], [1, 20], (500, 2))
    noise = make_gaussian_noise(X, 5000, random_state=0)
    np.testing.assert_allclose(noise.mean(0), X.mean(0), atol=0.5)
    np.testing.assert_allclose(noise.std(0) / X.std(0), 0.48, atol=0.02)
    whole = make_gaussian_noise(X.astype(np.int32), 10, random_state=0)
    assert whole.dtype == np.int32


@settings(max_examples=20)
@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 5))
def test_permuted_features_keep_the_columns(n, m, seed):
    X = np.arange(3 * n).reshape(n, 3)
    made = permute_features(X, m, random_state=seed)
    for j in range(3):
        values, times = np.unique(made[:, j], return_counts=True)
        assert set(values) <= set(X[:, j])
        assert times.max() - (times.min() if len(times) == n else 0) <= 1
    whole = permute_features(X, 2 * n, random_state=seed)
    np.testing.assert_array_equal(np.sort(whole, 0), np.sort(np.concatenate([X, X]), 0))


def test_permuted_features_have_no_dependence():
    x = np.random.default_rng(0).normal(size=4000)
    made = permute_features(np.stack([x, x, -x], 1), random_state=0)
    correlation = np.corrcoef(made.T) - np.eye(3)
    assert np.abs(correlation).max() < 0.06


def patches_of(image, size):
    rows, columns = image.shape[-2] // size, image.shape[-1] // size
    return [
        image[..., i * size : (i + 1) * size, j * size : (j + 1) * size].tobytes()
        for i in range(rows)
        for j in range(columns)
    ]


@pytest.mark.parametrize("shape", [(6, 3, 8, 12), (6, 8, 12)])
def test_shuffled_patches_are_patches(shape):
    X = np.random.default_rng(0).random(shape)
    known = {p: i for i, image in enumerate(X) for p in patches_of(image, 4)}
    across = shuffle_patches(X, 20, patch=4, random_state=0)
    sources = [{known[p] for p in patches_of(image, 4)} for image in across]
    assert max(map(len, sources)) > 3
    within = shuffle_patches(X, 20, patch=4, within=True, random_state=0)
    for image in within:
        parts = patches_of(image, 4)
        (source,) = {known[p] for p in parts}
        assert sorted(parts) == sorted(patches_of(X[source], 4))
    assert any(not np.array_equal(image, X[known[patches_of(image, 4)[0]]]) for image in within)


def test_default_patches_divide_the_image():
    X = np.random.default_rng(0).random((3, 28, 28))
    made = shuffle_patches(X, 5, random_state=0)
    known = {p for image in X for p in patches_of(image, 7)}
    assert all(p in known for image in made for p in patches_of(image, 7))


def documents():
    rng = np.random.default_rng(0)
    X = rng.poisson(0.15 + 0.5 * (np.arange(50) % 5 == np.arange(200)[:, None] % 5), (200, 50))
    return sparse.csr_array(np.log1p(X.astype(np.float64)))


def test_shuffled_words_keep_lengths_and_frequencies():
    X = documents()
    made = shuffle_words(X, random_state=0)
    assert made.nnz > 0.85 * X.nnz  # words that a document was dealt twice are one
    lengths, real = np.diff(made.indptr), np.sort(np.diff(X.indptr))
    assert (np.sort(lengths) <= real).all()
    frequency = (made != 0).sum(0) / (X != 0).sum(0)
    assert 0.75 < np.asarray(frequency).min() <= np.asarray(frequency).max() < 1.15
    assert set(made.data) <= set(X.data)
    # words of one subject no longer go together
    together = np.corrcoef((X.toarray() > 0).T)[0, 5]
    apart = np.corrcoef((made.toarray() > 0).T)[0, 5]
    assert together > 0.15 > abs(apart)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array])
def test_shuffled_words_come_in_the_type_that_came(kind):
    X = kind(documents())
    before = X.copy()
    made = shuffle_words(X, 450, random_state=0)
    assert isinstance(made, kind)
    assert made.shape == (450, 50)
    assert abs(X - before).nnz == 0
    np.testing.assert_array_equal(
        made.toarray(), shuffle_words(X.toarray(), 450, random_state=0), strict=True
    )


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("X", "n", "text"),
    [
        (IMAGES[:0], None, "at least one row of numbers"),
        (IMAGES[0, 0, 0], None, r"two dimensions or more. Got shape \(8,\)"),
        (IMAGES, 0, "n_samples must be at least 1. Got n_samples=0"),
    ],
)
def test_bad_input(make, X, n, text):
    with pytest.raises(ValueError, match=text):
        make(X, n)


@pytest.mark.parametrize("make", [make_blob_noise, shuffle_patches])
def test_flat_rows_are_images_where_their_shape_is_given(make):
    flat = IMAGES.reshape(40, -1)
    got = make(flat, 9, image_shape=(3, 8, 8), random_state=0)
    np.testing.assert_array_equal(got, make(IMAGES, 9, random_state=0).reshape(9, -1))
    with pytest.raises(ValueError, match=r"Got image_shape=\(8, 8\) for rows of shape \(192,\)"):
        make(flat, image_shape=(8, 8))


def test_images_are_needed_for_blobs_and_patches():
    for make in (make_blob_noise, shuffle_patches):
        with pytest.raises(ValueError, match=rf"{make.__name__} needs images.*Got shape \(5, 4\)"):
            make(np.zeros((5, 4)))
    with pytest.raises(ValueError, match="patch must divide the height 8.*Got patch=3"):
        shuffle_patches(IMAGES, patch=3)
    with pytest.raises(ValueError, match="Got a sparse csr_array. Use shuffle_words"):
        permute_features(documents())
