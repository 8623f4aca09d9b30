"""Scores against scikit-learn's and imbalanced-learn's, limits, and their messages."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imblearn.metrics import geometric_mean_score

from ltresample.class_counts import long_tailed_counts
from ltresample.metrics import (
    balanced_accuracy_score,
    geometric_mean,
    recall_per_class,
    shot_accuracy,
)

pairs_st = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@pytest.mark.filterwarnings("ignore:.*single label:UserWarning")
@given(pairs_st)
def test_recall_is_the_share_of_hits_in_the_class(pairs):
    y_true, y_pred = np.array(pairs).T
    recall = recall_per_class(y_true, y_pred)
    oracle = [(y_pred[y_true == k] == k).mean() for k in np.unique(y_true)]
    np.testing.assert_allclose(recall, oracle)
    present = np.isin(y_pred, y_true)  # scikit-learn warns about classes that are only predicted
    if present.all():
        assert recall.mean() == pytest.approx(balanced_accuracy_score(y_true, y_pred))


def test_recall_of_a_class_without_samples_is_nan():
    recall = recall_per_class(["b", "a"], ["b", "b"], labels=["c", "b", "a"])
    np.testing.assert_array_equal(recall, [np.nan, 1, 0])


@given(pairs_st, st.floats(0, 1))
def test_geometric_mean_is_imbalanced_learns(pairs, correction):
    y_true, y_pred = np.array(pairs).T
    theirs = geometric_mean_score(
        y_true, y_pred, labels=np.unique(y_true), average="multiclass", correction=correction
    )
    assert geometric_mean(y_true, y_pred, correction=correction) == pytest.approx(theirs)


@given(pairs_st)
def test_geometric_mean_by_its_definition(pairs):
    """(prod_k recall_k)^(1 / K) over the classes in y_true, counted by hand."""
    y_true, y_pred = zip(*pairs, strict=True)
    product, classes = 1.0, set(y_true)
    for k in classes:
        hits = sum(1 for t, p in pairs if t == k and p == k)
        product *= hits / sum(1 for t in y_true if t == k)
    assert geometric_mean(y_true, y_pred) == pytest.approx(product ** (1 / len(classes)))


@given(pairs_st, st.floats(0.01, 1))
def test_floor_bounds_the_geometric_mean(pairs, floor):
    y_true, y_pred = np.array(pairs).T
    floored = geometric_mean(y_true, y_pred, floor=floor)
    recall = np.maximum(recall_per_class(y_true, y_pred), floor)
    assert floored == pytest.approx(np.prod(recall) ** (1 / len(recall)))
    assert floored >= geometric_mean(y_true, y_pred, correction=floor) - 1e-12


def test_a_class_that_is_only_predicted_does_not_count():
    assert geometric_mean([0, 0, 1], [0, 2, 1]) == pytest.approx(np.sqrt(0.5))


@pytest.mark.parametrize("name", ["correction", "floor"])
def test_geometric_mean_checks_its_replacements(name):
    with pytest.raises(ValueError, match=re.escape(f"{name} must be in [0, 1]. Got {name}=1.5.")):
        geometric_mean([0, 1], [0, 1], **{name: 1.5})


def test_shot_accuracy_is_the_mean_of_class_recalls_not_of_samples():
    y_true = [0] * 9 + [1] + [2] * 2
    y_pred = [0] * 9 + [0] + [2, 0]
    scores = shot_accuracy(y_true, y_pred, class_counts=[500, 400, 3])
    assert scores["many"] == 0.5  # 9 of 10 samples, but recalls 1 and 0
    assert scores["few"] == 0.5
    assert np.isnan(scores["medium"])
    assert list(scores) == ["many", "medium", "few"]


def test_shot_accuracy_takes_thresholds_and_mappings():
    counts = {"a": 10, "b": 5, "c": 1, "absent": 99}
    scores = shot_accuracy(["a", "b", "c"], ["a", "a", "c"], class_counts=counts, many=9, few=2)
    assert scores == {"many": 1, "medium": 0, "few": 1}


def test_shot_groups_of_a_balanced_test_average_to_the_accuracy():
    counts = long_tailed_counts(500, 100, imbalance_factor=100)
    y_true = np.repeat(np.arange(100), 3)
    y_pred = np.where(np.arange(300) % 4 == 0, (y_true + 1) % 100, y_true)
    scores = shot_accuracy(y_true, y_pred, class_counts=counts)
    mean = (35 * scores["many"] + 35 * scores["medium"] + 30 * scores["few"]) / 100
    assert mean == pytest.approx((y_true == y_pred).mean())


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (
            [5, 4],
            "class_counts must hold one number per class of y_true, in sorted order. Got shape "
            "(2,) for 3 classes. Pass a mapping {label: count} where y_true lacks some of the "
            "classes.",
        ),
        (
            {0: 5},
            "class_counts lacks 2 classes of y_true: [1, 2]. Got counts of 1 classes. "
            "Pass the counts of all classes in y_true.",
        ),
    ],
)
def test_class_counts_must_cover_the_classes(counts, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        shot_accuracy([0, 1, 2], [0, 1, 2], class_counts=counts)
