"""LongTailReport: its numbers are those of the scores, and it prints and serialises."""

import dataclasses
import json
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from ltresample.metrics import (
    LongTailReport,
    balanced_accuracy_score,
    geometric_mean,
    recall_per_class,
    shot_accuracy,
)


@pytest.fixture(scope="module")
def predictions():
    rng = np.random.default_rng(0)
    y_train = np.repeat(["a", "b", "c", "d"], [300, 150, 50, 5])
    y_true = np.repeat(["a", "b", "c", "d"], [20, 10, 10, 4])
    y_pred = np.where(rng.random(44) < 0.3, rng.choice(list("abc"), 44), y_true)
    y_pred[y_pred == "d"] = "a"
    return y_true, y_pred, y_train


def test_fields_are_the_scores(predictions):
    y_true, y_pred, y_train = predictions
    report = LongTailReport.from_predictions(y_true, y_pred, y_train=y_train)
    assert report.labels.tolist() == ["a", "b", "c", "d"]
    assert report.class_counts.tolist() == [300, 150, 50, 5]
    assert report.n_test.tolist() == [20, 10, 10, 4]
    np.testing.assert_array_equal(report.recall, recall_per_class(y_true, y_pred))
    assert report.accuracy == pytest.approx((y_true == y_pred).mean())
    assert report.balanced_accuracy == pytest.approx(balanced_accuracy_score(y_true, y_pred))
    assert report.n_zero_recall == 1
    assert report.geometric_mean == 0
    for field, kwargs in {
        "geometric_mean_corrected_001": {"correction": 0.001},
        "geometric_mean_corrected_01": {"correction": 0.01},
        "geometric_mean_smoothed": {"correction": 1 / (4 + 1)},  # class d, 4 test samples
        "geometric_mean_floored": {"floor": 0.1},
    }.items():
        assert getattr(report, field) == pytest.approx(geometric_mean(y_true, y_pred, **kwargs))
    shots = shot_accuracy(y_true, y_pred, class_counts=Counter(y_train.tolist()))
    assert {name: getattr(report, name) for name in shots} == shots


def test_counts_may_come_in_three_forms(predictions):
    y_true, y_pred, y_train = predictions
    reports = [
        LongTailReport.from_predictions(y_true, y_pred, **given)
        for given in (
            {"y_train": pd.Series(y_train)},
            {"class_counts": [300, 150, 50, 5]},
            {"class_counts": {"d": 5, "a": 300, "b": 150, "c": 50}},
        )
    ]
    assert reports[0].to_dict() == reports[1].to_dict() == reports[2].to_dict()


def test_classes_that_the_test_data_lack_enter_no_mean():
    report = LongTailReport.from_predictions(
        [0, 0, 2], [0, 1, 2], y_train=[0] * 5 + [1] * 5 + [2] * 5
    )
    np.testing.assert_array_equal(report.recall, [0.5, np.nan, 1])
    assert report.n_test.tolist() == [2, 0, 1]
    assert report.balanced_accuracy == report.few == 0.75
    assert report.geometric_mean == pytest.approx(np.sqrt(0.5))
    assert report.n_zero_recall == 0
    assert "nan" in str(report)


def test_from_estimator_predicts():
    X, y = make_classification(200, weights=[0.8], random_state=0)
    model = LogisticRegression().fit(X, y)
    report = LongTailReport.from_estimator(model, X, y, y_train=y)
    same = LongTailReport.from_predictions(y, model.predict(X), y_train=y)
    np.testing.assert_equal(report.to_dict(), same.to_dict())


def test_to_dict_is_json_and_complete(predictions):
    report = LongTailReport.from_predictions(*predictions[:2], y_train=predictions[2])
    plain = json.loads(json.dumps(report.to_dict()))
    assert list(plain) == [field.name for field in dataclasses.fields(report)]
    assert plain["class_counts"] == [300, 150, 50, 5]


def test_report_cannot_be_written_to(predictions):
    report = LongTailReport.from_predictions(*predictions[:2], y_train=predictions[2])
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.accuracy = 1.0


def test_table_is_sorted_by_count_and_leaves_out_the_middle():
    n_classes = 30
    y = np.arange(n_classes)
    counts = np.arange(n_classes) + 1
    text = str(LongTailReport.from_predictions(y, y, class_counts=counts))
    rows = text.split("\n\n")[1].splitlines()
    assert [row.split()[0] for row in rows[1:11]] == [str(k) for k in range(29, 19, -1)]
    assert "(10 classes left out)" in rows[11]
    assert [row.split()[0] for row in rows[12:]] == [str(k) for k in range(9, -1, -1)]
    assert "(0 classes with recall 0)" in text


def test_table_columns_line_up_under_long_names(predictions):
    y_true, y_pred = np.array(["a rather long class name", "b"]), np.array(["b", "b"])
    report = LongTailReport.from_predictions(y_true, y_pred, class_counts=[1e6, 2.0])
    rows = str(report).split("\n\n")[1].splitlines()
    assert len({len(row) for row in rows}) == 1
    assert "1000000" in rows[1]


def test_repr_is_one_line(predictions):
    report = LongTailReport.from_predictions(*predictions[:2], y_train=predictions[2])
    assert re.fullmatch(
        r"LongTailReport\(balanced_accuracy=0\.\d{4}, .*n_classes=4\)", repr(report)
    )


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "from either class_counts or y_train. Got neither. Pass exactly one of them."),
        ({"class_counts": [1, 1], "y_train": [0, 1]}, "Got both. Pass exactly one of them."),
        (
            {"y_train": [0, 0]},
            "y_train lacks 1 classes of y_true: [1]. Got 1 classes in y_train. "
            "Pass the labels that the classifier was trained on.",
        ),
    ],
)
def test_missing_information_is_named(kwargs, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        LongTailReport.from_predictions([0, 1], [0, 1], **kwargs)


def test_empty_test_data_is_refused():
    with pytest.raises(ValueError, match="y_true must hold at least one label. Got an empty one."):
        LongTailReport.from_predictions([], [], y_train=[0, 1])


def test_constant_predictions_recognise_one_class():
    y = np.repeat([0, 1, 2], [150, 50, 10])
    model = DummyClassifier().fit(np.zeros((210, 1)), y)
    report = LongTailReport.from_estimator(model, np.zeros((210, 1)), y, y_train=y)
    assert report.balanced_accuracy == pytest.approx(1 / 3)
    assert (report.many, report.medium, report.few) == (1, 0, 0)
    assert report.n_zero_recall == 2


@pytest.mark.parametrize("column", [0, 1])
def test_a_column_of_labels_is_its_labels(column):
    """As CatBoost predicts, and as a frame of one column holds them."""
    labels = [np.array([0, 0, 1, 1, 2]), np.array([0, 0, 1, 0, 0])]
    plain = LongTailReport.from_predictions(*labels, y_train=[0, 1, 2])
    labels[column] = labels[column][:, None]
    report = LongTailReport.from_predictions(*labels, y_train=[0, 1, 2])
    assert report.accuracy == 0.6
    assert str(report.to_dict()) == str(plain.to_dict())


def test_two_columns_are_no_labels():
    with pytest.raises(ValueError, match=r"1d array.*\(2, 2\)"):
        LongTailReport.from_predictions([0, 1], [[0, 1], [1, 0]], y_train=[0, 1])
