"""ClassCountsDisplay and RecallDisplay draw the numbers they were given."""

import re

import numpy as np
import pytest

from ltresample.metrics import LongTailReport, recall_per_class
from ltresample.plotting import ClassCountsDisplay, RecallDisplay


def bar_heights(ax):
    return [bar.get_height() for bar in ax.containers[0]]


def tick_names(ax):
    return [text.get_text() for text in ax.get_xticklabels()]


def test_counts_are_sorted_and_drawn_on_a_log_axis():
    display = ClassCountsDisplay.from_labels(["a"] * 3 + ["b"] * 50 + ["c"] * 7, ["a"] * 50).plot()
    assert display.labels.tolist() == ["a", "b", "c"]
    assert display.before.tolist() == [3, 50, 7]
    assert display.after.tolist() == [50, 0, 0]
    assert bar_heights(display.ax_) == [50, 7, 3]
    assert tick_names(display.ax_) == ["b", "c", "a"]
    assert display.ax_.get_yscale() == "log"


def test_counts_of_a_sampler_name_the_synthetic_rows(resampled):
    r = resampled
    display = ClassCountsDisplay.from_sampler(r.sampler, r.y, r.y_res)
    np.testing.assert_array_equal(display.before, np.bincount(r.y))
    np.testing.assert_array_equal(display.after, np.bincount(r.y_res))
    np.testing.assert_array_equal(
        display.synthetic, np.bincount(r.y_res[r.sampler.is_synthetic_], minlength=10)
    )
    dots = display.plot().ax_.get_lines()[0].get_ydata()
    assert np.isnan(dots[0])  # class 0 got none, and 0 has no place on a log axis
    np.testing.assert_array_equal(dots[1:], display.synthetic[1:])
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names == ["before", "after", "synthetic rows"]


def test_counts_without_after_need_no_legend():
    assert ClassCountsDisplay.from_labels([0, 0, 1]).plot().ax_.get_legend() is None


def test_counts_need_labels():
    with pytest.raises(ValueError, match="y_before must hold at least one label. Got an empty"):
        ClassCountsDisplay.from_labels([])


@pytest.fixture
def predictions():
    y = np.repeat([0, 1, 2], 10)
    return {
        "constant": (y, np.zeros(30, dtype=int)),
        "half": (y, np.where(np.arange(30) % 2, y, 0)),
    }


def test_recalls_are_drawn_by_decreasing_count(predictions):
    display = RecallDisplay.from_predictions(predictions, class_counts=[5, 500, 50]).plot()
    for line, (y_true, y_pred) in zip(display.ax_.get_lines(), predictions.values(), strict=True):
        recall = recall_per_class(y_true, y_pred)
        np.testing.assert_array_equal(line.get_ydata(), recall[[1, 2, 0]])
    assert tick_names(display.ax_) == ["1", "2", "0"]
    assert [text.get_text() for text in display.ax_.texts] == ["many", "medium", "few"]
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == ["constant (mean 0.333)", "half (mean 0.667)"]


def test_reports_give_the_same_picture(predictions):
    reports = {
        name: LongTailReport.from_predictions(*pair, class_counts=[5, 500, 50])
        for name, pair in predictions.items()
    }
    one = RecallDisplay.from_reports(reports)
    other = RecallDisplay.from_predictions(predictions, class_counts=[5, 500, 50])
    for name in predictions:
        np.testing.assert_array_equal(one.recalls[name], other.recalls[name])
    np.testing.assert_array_equal(one.class_counts, other.class_counts)


def test_many_classes_show_the_mean_of_each_group():
    counts = np.repeat([200, 50, 5], 12)
    recall = np.repeat([0.9, 0.5, 0.1], 12) + np.tile([-0.05, 0.05], 18)
    recall[0] = np.nan
    display = RecallDisplay(np.arange(36), counts, recalls={"f": recall}).plot()
    dots, *bars = display.ax_.get_lines()
    assert dots.get_linestyle() == "None"
    means = [bar.get_ydata()[0] for bar in bars]
    np.testing.assert_allclose(means, [np.nanmean(recall[:12]), 0.5, 0.1])
    assert len(display.ax_.get_legend().get_texts()) == 1


def test_thresholds_move_the_groups():
    display = RecallDisplay([0, 1], [30, 3], recalls={"f": [1, 0]}, many=20, few=2).plot()
    assert [text.get_text() for text in display.ax_.texts] == ["many", "medium"]


@pytest.mark.parametrize("n", [0, 9])
def test_number_of_classifiers_is_limited(n):
    message = f"A picture holds the recalls of 1 to 8 classifiers. Got {n}. Draw several pictures."
    with pytest.raises(ValueError, match=re.escape(message)):
        RecallDisplay([0], [1], recalls={str(i): [1.0] for i in range(n)})
    with pytest.raises(ValueError, match=re.escape(message)):
        RecallDisplay.from_predictions({str(i): ([0], [0]) for i in range(n)}, [1])


def test_reports_must_agree():
    reports = {
        name: LongTailReport.from_predictions([0, 1], [0, 1], class_counts=counts)
        for name, counts in {"a": [5, 4], "b": [5, 3]}.items()
    }
    message = (
        "All reports must have the same classes and class counts. Got other ones in 'b' than in "
        "'a'. Draw one picture for each training set."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        RecallDisplay.from_reports(reports)
