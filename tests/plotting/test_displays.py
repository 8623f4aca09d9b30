"""What all displays keep: matplotlib late, text inside the figure, a second plot, messages."""

import ast
import itertools
import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import ltresample
from ltresample.class_counts import long_tailed_counts
from ltresample.plotting import (
    ClassCountsDisplay,
    EmbeddingDisplay,
    RecallDisplay,
    SynthesisDisplay,
)
from ltresample.plotting._canvas import PALETTE

LONG = [f"a rather long class name {i}" for i in range(36)]


def _counts(r):
    return ClassCountsDisplay.from_sampler(r.sampler, r.y, r.y_res)


def _counts_long_names(r):
    return ClassCountsDisplay(LONG, np.arange(36)[::-1] + 1, after=np.full(36, 40))


def _counts_many_classes(r):
    counts = long_tailed_counts(500, 100, imbalance_factor=100)
    return ClassCountsDisplay(
        np.arange(100), counts, after=np.full(100, 500), synthetic=500 - counts
    )


def _recall(r):
    y_pred = np.where(np.arange(len(r.y)) % 3, r.y, 0)
    counts = np.bincount(r.y)
    return RecallDisplay.from_predictions({"f": (r.y, y_pred), "g": (r.y, r.y)}, counts, few=10)


def _recall_eight_methods(r):
    names = [f"a rather long method name {i}" for i in range(8)]
    return RecallDisplay(range(3), [500, 50, 5], recalls={name: [0.9, 0.5, 0.1] for name in names})


def _recall_many_classes(r):
    counts = long_tailed_counts(500, 100, imbalance_factor=100)
    return RecallDisplay(
        np.arange(100), counts, recalls={"ERM": counts / 500, "M2m": (counts / 500) ** 0.5}
    )


def _images(r):
    return SynthesisDisplay.from_sampler(r.sampler, r.X, r.X_res, r.y_res, image_shape=(8, 8))


def _table(r):
    return SynthesisDisplay.from_sampler(r.sampler, r.X, r.X_res, r.y_res, n_samples=5)


def _one_row(r):
    return SynthesisDisplay.from_sampler(r.sampler, r.X, r.X_res, r.y_res, n_samples=1)


def _embedding(r):
    return EmbeddingDisplay.from_sampler(r.sampler, r.X_res, r.y_res, random_state=0)


DISPLAYS = [
    _counts,
    _counts_long_names,
    _counts_many_classes,
    _recall,
    _recall_eight_methods,
    _recall_many_classes,
    _images,
    _table,
    _one_row,
    _embedding,
]


@pytest.mark.parametrize("make", DISPLAYS)
def test_plot_gives_the_display_back_with_all_text_inside(resampled, make):
    display = make(resampled)
    assert not plt.get_fignums()
    assert display.plot() is display
    assert display.figure_ is display.ax_.figure
    display.figure_.canvas.draw()
    drawn, (width, height) = display.figure_.get_tightbbox(), display.figure_.get_size_inches()
    slack = 0.02  # inches
    assert min(drawn.x0, drawn.y0) >= -slack
    assert drawn.x1 <= width + slack
    assert drawn.y1 <= height + slack


@pytest.mark.parametrize("make", [_counts, _recall, _images, _table, _embedding])
def test_plot_draws_into_given_axes(resampled, make):
    figure, axes = plt.subplots(1, 2)
    display = make(resampled).plot(axes[0])
    assert display.ax_ is axes[0]
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    assert not axes[1].has_data()


@pytest.mark.parametrize("make", [_counts, _recall, _images, _table, _embedding])
def test_plot_can_be_repeated(resampled, make):
    display = make(resampled)
    first = display.plot().figure_
    assert display.plot().figure_ is not first


@pytest.mark.parametrize("make", [_counts, _recall, _images, _embedding])
def test_missing_matplotlib_is_named_with_its_remedy(resampled, make, monkeypatch):
    display = make(resampled)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    message = f"{type(display).__name__}.plot needs matplotlib. Got: "
    with pytest.raises(ImportError, match=re.escape(message)) as err:
        display.plot()
    assert str(err.value).endswith('Install it by: pip install "ltresample[plot]"')


def test_matplotlib_is_imported_inside_functions_only():
    folder = Path(ltresample.__path__[0]) / "plotting"
    files = list(folder.glob("*.py"))
    assert len(files) > 4
    for file in files:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "matplotlib" not in ast.unparse(node)


@pytest.mark.parametrize(
    "call",
    [
        lambda s, r: ClassCountsDisplay.from_sampler(s, r.y, r.y_res),
        lambda s, r: SynthesisDisplay.from_sampler(s, r.X, r.X_res, r.y_res),
        lambda s, r: EmbeddingDisplay.from_sampler(s, r.X_res, r.y_res),
    ],
)
def test_sampler_must_be_fitted_on_these_rows(resampled, call):
    with pytest.raises(NotFittedError, match="This object has no provenance_ to draw. Call fit_re"):
        call(object(), resampled)
    shorter = type(resampled)(**vars(resampled))
    shorter.X_res, shorter.y_res = resampled.X_res[:-1], resampled.y_res[:-1]
    n = len(resampled.y_res)
    message = f"last fit_resample. Got {n - 1} rows, the sampler returned {n}."
    with pytest.raises(ValueError, match=re.escape(message)):
        call(resampled.sampler, shorter)


# Machado, Oliveira, Fernandes, IEEE TVCG 2009, table of severity 1.0: linear RGB as seen.
VISION = {
    "full": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def _lab(linear):
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.asarray(to_xyz) @ np.clip(linear, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_palette_stays_apart_in_every_kind_of_vision(vision):
    srgb = [np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) / 255 for c in PALETTE]
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in srgb]
    seen = [_lab(np.asarray(VISION[vision]) @ c) for c in linear]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15
