import json

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from benchmarks.comparison import correct_samples
from benchmarks.data_sets import load, split
from benchmarks.suites import Task
from benchmarks.trial import run_trial

DATA = {"name": "standin_method:blobs"}


def trial(seed=0, **spec):
    spec = {"data": DATA, "validation": 0.2, "threads": 1, **spec}
    return run_trial(Task("s", "v", "r", spec, seed, None))


def epochs(**settings):
    return {"make": "standin_method:EpochMeans", **settings}


def test_a_record_is_plain_json_and_says_where_it_comes_from():
    record = trial(classifier=epochs())
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert len(record["key"]) == 20
    assert record["versions"]["scikit-learn"]
    assert record["machine"]["threads"] == 1
    assert set(record["seconds"]) == {"training", "scoring"}
    assert record["cpu_seconds"] > 0
    assert (record["n_train"], record["n_validation"]) == (80, 20)
    assert record["class_counts"] == [48, 24, 8]
    assert record["n_test"] == [20, 20, 20]


def test_the_best_epoch_is_chosen_on_the_validation_part():
    record = trial(classifier=epochs(max_epochs=5))
    curve = record["curve"]["validation_bacc"]
    assert len(curve) == 5
    last, best = record["last"], record["best"]
    assert (last["epoch"], last["validation_bacc"]) == (4, curve[4])
    assert best["validation_bacc"] == max(curve)
    assert best["epoch"] == max(e for e in range(5) if curve[e] == max(curve))  # the later of ties
    assert best["scores"]["balanced_accuracy"] > last["scores"]["balanced_accuracy"]
    assert record["curve"]["train_loss"] == pytest.approx([1 / (1 + e) for e in range(5)], abs=1e-6)


def test_scores_are_those_of_the_test_part():
    record = trial(classifier={"make": "standin_method:NoisyMeans", "random_state": 3})
    data = load(DATA, None)
    train, _ = split(data.y_train, 0.2, 0)
    from standin_method import NoisyMeans

    model = NoisyMeans(random_state=3).fit(data.X_train[train], data.y_train[train])
    predicted = model.predict(data.X_test)
    score = record["last"]["scores"]["balanced_accuracy"]
    assert score == pytest.approx(balanced_accuracy_score(data.y_test, predicted), abs=1e-6)
    hit = correct_samples(record["last"]["correct"], record["n_test"])
    assert np.array_equal(hit, predicted == data.y_test)  # test samples stand class by class
    assert record["best"] is None


def test_seeds_and_rows_share_what_they_should():
    one = trial(classifier=epochs(noise=1.0))
    again = trial(classifier=epochs(noise=1.0))
    other_seed = trial(seed=1, classifier=epochs(noise=1.0))
    other_row = trial(classifier=epochs(noise=0.5))
    assert one["last"] == again["last"]
    assert one["key"] == again["key"]
    assert len({r["key"] for r in (one, other_seed, other_row)}) == 3
    assert one["curve"]["validation_bacc"] != other_seed["curve"]["validation_bacc"]
    # the same random numbers in another row: its noise is overwritten from epoch to epoch
    assert one["curve"]["validation_bacc"] == other_row["curve"]["validation_bacc"]


def test_an_offline_sampler_sees_the_training_part_only(monkeypatch):
    import standin_method

    seen = {}
    fit = standin_method.NoisyMeans.fit

    def spy(self, X, y):
        seen["counts"] = np.unique(y, return_counts=True)[1].tolist()
        return fit(self, X, y)

    monkeypatch.setattr(standin_method.NoisyMeans, "fit", spy)
    record = trial(
        sampler={"make": "SMOTE", "k_neighbors": 2},
        classifier={"make": "standin_method:NoisyMeans"},
    )
    assert seen["counts"] == [48, 48, 48]
    assert record["class_counts"] == [48, 24, 8]  # counts of real samples name the shot groups
    assert "sampling" in record["seconds"]


def test_our_sampler_reports_what_it_accepted():
    sampler = {"make": "M2mSampler", "g_recipe": "erm"}
    record = trial(sampler=sampler, classifier={"make": "standin_method:NoisyMeans"})
    assert 0 < record["acceptance"] <= 1
    assert 0 < record["share_synthesized"] < 0.5


def test_guides_are_fitted_on_the_training_part_and_differ_within_an_ensemble():
    guide = {"classifier": {"make": "LogisticRegression"}}
    g = [{"guide": "plain"}, {"guide": "plain"}]
    record = trial(
        sampler={"make": "M2mSampler", "g": g},
        classifier={"make": "standin_method:NoisyMeans"},
        guides={"plain": guide},
    )
    assert record["seconds"]["guides"] > 0
    assert record["acceptance"] > 0


def test_a_guide_may_have_data_of_its_own(monkeypatch):
    from sklearn.linear_model import LogisticRegression

    seen = []
    fit = LogisticRegression.fit

    def spy(self, X, y):
        seen.append(len(y))
        return fit(self, X, y)

    monkeypatch.setattr(LogisticRegression, "fit", spy)
    for own in ({}, {"data": {"spread": 2.0}}):
        trial(
            sampler={"make": "M2mSampler", "g": {"guide": "own"}},
            classifier={"make": "standin_method:NoisyMeans"},
            guides={"own": {"seed": "spied", "classifier": {"make": "LogisticRegression"}, **own}},
        )
    assert seen == [80, 100]  # the training part; all that the other data have


def test_the_network_that_guides_is_scored_on_the_test_part():
    net = {
        "make": "DeferredRebalancingClassifier",
        "module": {"use": "MLP"},
        "max_epochs": 3,
        "start": 1,
        "resampler": {"make": "M2mSampler", "preset": "paper", "g": {"guide": "own"}},
    }
    own = {k: v for k, v in net.items() if k not in ("resampler", "start")} | {"max_epochs": 9}
    record = trial(classifier=net, guides={"own": {"seed": "g", "classifier": own}})
    alone = trial(classifier=own)
    assert 0.34 < record["guide_bacc"] <= 1
    assert "guide_bacc" not in alone


def test_a_wrapped_classifier_has_no_epochs():
    record = trial(
        classifier={"make": "LogisticRegression"}, wrap={"make": "PriorCorrectedClassifier"}
    )
    plain = trial(classifier={"make": "LogisticRegression"})
    assert record["best"] is None
    assert record["curve"]["validation_bacc"] == []
    recalls = [r["last"]["recall"][2] for r in (plain, record)]
    assert recalls[1] > recalls[0]  # of the smallest class


def test_warnings_are_kept(monkeypatch):
    import warnings

    import standin_method

    fit = standin_method.NoisyMeans.fit

    def warn(self, X, y):
        for _ in range(3):
            warnings.warn("few rows", UserWarning)
        return fit(self, X, y)

    monkeypatch.setattr(standin_method.NoisyMeans, "fit", warn)
    record = trial(classifier={"make": "standin_method:NoisyMeans"})
    assert record["warnings"] == ["UserWarning: few rows"]
