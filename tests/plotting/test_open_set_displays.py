"""Pictures of label distributions and of open-set rows."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ltresample.class_counts import long_tailed_counts
from ltresample.plotting import LabelDistributionDisplay, OpenSetDisplay

COUNTS = long_tailed_counts(5000, 10, imbalance_factor=100)


def view(**params):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(12), np.arange(60, 0, -5))
    X = rng.normal(size=(len(y), 4)) + 8 * rng.normal(size=(12, 4))[y]
    return OpenSetDisplay.from_rows(X, y, rng.normal(size=(70, 4)) * 8, random_state=0, **params)


def test_distributions_are_those_of_the_papers_figure():
    display = LabelDistributionDisplay.from_counts(COUNTS)
    assert list(display.distributions) == [
        "class prior",
        "class-balanced (CB)",
        "minimum complementary (MCD)",
        "CD, α = 0.5",
        "CD, α = 5",
    ]
    prior = COUNTS / COUNTS.sum()
    for alpha, name in ((0.5, "CD, α = 0.5"), (5, "CD, α = 5")):
        want = (alpha - prior) / (10 * alpha - 1)
        np.testing.assert_allclose(display.distributions[name], want)


def test_alphas_that_do_not_exist_are_left_out():
    display = LabelDistributionDisplay.from_counts([90, 10], kinds=["uniform"], alphas=[0.5, None])
    assert list(display.distributions) == ["uniform", "CD, α = max + min"]


def test_bars_stand_by_decreasing_count():
    display = LabelDistributionDisplay.from_counts(COUNTS[::-1], kinds=["original"], alphas=[])
    heights = [bar.get_height() for bar in display.plot().axes_[0].patches]
    np.testing.assert_allclose(heights, COUNTS / COUNTS.sum())


def test_shapes_must_fit():
    with pytest.raises(ValueError, match=r"each of the 2 classes. Got shapes \[\(3,\)\]"):
        LabelDistributionDisplay([2, 1], {"a": [0.2, 0.3, 0.5]})
    with pytest.raises(ValueError, match="at least one distribution"):
        LabelDistributionDisplay([2, 1], {})
    with pytest.raises(ValueError, match="must be part of a grid"):
        LabelDistributionDisplay.from_counts(COUNTS).plot(plt.figure().add_axes((0, 0, 1, 1)))


def test_open_set_view_shows_head_and_tail():
    display = view()
    shown = np.unique(display.labels[~display.is_open_set])
    np.testing.assert_array_equal(shown, [0, 1, 2, 3, 8, 9, 10, 11])
    assert display.is_open_set.sum() == 70
    np.testing.assert_array_equal(np.unique(view(classes=[5, 2]).labels), [2, 5])
    assert (~view(max_points=20).is_open_set).sum() == 20


def test_ratio_tells_how_far_open_set_rows_are():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 3)), np.arange(300) % 3
    near = OpenSetDisplay.from_rows(X, y, rng.normal(size=(300, 3)))
    far = OpenSetDisplay.from_rows(X, y, X + [100, 0, 0])
    assert 0.8 < near.distance_ratio < 1.25
    assert far.distance_ratio > 50
    # in the features given it may be otherwise
    flat = OpenSetDisplay.from_rows(X, y, X + [100, 0, 0], features=lambda rows: rows[:, 1:])
    assert flat.distance_ratio < 1


def test_bad_views():
    with pytest.raises(ValueError, match="method must be 'pca' or 'tsne'. Got method='umap'"):
        view(method="umap")
    with pytest.raises(ValueError, match=r"labels in y. Got \[5, 99\], of which \[99\]"):
        view(classes=[5, 99])
    with pytest.raises(ValueError, match="up to 8 classes apart. Got 9"):
        OpenSetDisplay(np.zeros((9, 2)), np.arange(9), is_open_set=np.zeros(9, bool))


@pytest.mark.parametrize("make", [lambda: LabelDistributionDisplay.from_counts(COUNTS), view])
def test_plots_fit_the_figure_repeat_and_take_axes(make):
    display = make()
    assert display.plot() is display
    display.figure_.canvas.draw()
    drawn, (width, height) = display.figure_.get_tightbbox(), display.figure_.get_size_inches()
    assert min(drawn.x0, drawn.y0) >= -0.02
    assert drawn.x1 <= width + 0.02
    assert drawn.y1 <= height + 0.02
    first = display.figure_
    assert display.plot().figure_ is not first
    figure, axes = plt.subplots(1, 2)
    assert display.plot(axes[0]).figure_ is figure
    assert not axes[1].has_data()
