"""Reuters: the encodings on a small corpus, the published figures on the real one."""

import hashlib
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfTransformer

from ltresample.datasets import _reuters, fetch_reuters36, fetch_reuters52

REUTERS = Path(__file__).parents[3] / "shared" / "data" / "reuters52"
needs_reuters = pytest.mark.skipif(
    not REUTERS.is_dir(), reason="the Reuters files are not in ../shared/data/reuters52"
)

TRAIN = "earn\tprofit rose the profit \nearn\tprofit fell \ngold\tgold rose \ngold\tzinc ore ore \n"
TEST = "earn\tprofit silver gold \ngold\tthe silver silver ore \n"


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    texts = {"r52-train.txt": TRAIN, "r52-test.txt": TEST}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    files = [
        remote._replace(sha256=hashlib.sha256(texts[remote.name].encode()).hexdigest())
        for remote in _reuters._FILES
    ]
    monkeypatch.setattr(_reuters, "_FILES", files)
    return tmp_path


def test_words_by_frequency_then_alphabet_and_one_column_for_others(corpus):
    data = fetch_reuters52(path=corpus, vocabulary_size=4, encoding="count")
    assert data.feature_names.tolist() == ["profit", "ore", "rose", "<other words>"]
    assert data.X_train.toarray().tolist() == [
        [2, 0, 1, 0],
        [1, 0, 0, 1],
        [0, 0, 1, 1],
        [0, 2, 0, 1],
    ]
    assert data.X_test.toarray().tolist() == [[1, 0, 0, 2], [0, 1, 0, 2]]
    assert data.y_test.tolist() == ["earn", "gold"]


def test_full_vocabulary_drops_unknown_words(corpus):
    data = fetch_reuters52(path=corpus, vocabulary_size=None, encoding="count")
    names = ["profit", "ore", "rose", "fell", "gold", "zinc"]
    assert data.feature_names.tolist() == names
    assert data.X_test.toarray().tolist() == [[1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, 0]]
    large = fetch_reuters52(path=corpus, vocabulary_size=100, encoding="count")
    assert large.feature_names.tolist() == [*names, "<other words>"]
    assert large.X_train.toarray()[:, -1].sum() == 0


def test_encodings_follow_from_counts(corpus):
    data = {name: fetch_reuters52(path=corpus, encoding=name) for name in _reuters._ENCODERS}
    count, test = data["count"].X_train, data["count"].X_test
    np.testing.assert_array_equal(data["binary"].X_train.toarray(), count.toarray() > 0)
    np.testing.assert_allclose(data["log1p"].X_train.toarray(), np.log1p(count.toarray()))
    weighting = TfidfTransformer().fit(count)
    np.testing.assert_allclose(
        data["tfidf"].X_test.toarray(), weighting.transform(test).toarray(), rtol=1e-6
    )
    for bunch in data.values():
        for X in (bunch.X_train, bunch.X_test):
            assert X.format == "csr"
            assert X.dtype == np.float32
            assert X.has_canonical_format


@pytest.mark.parametrize(("stop_words", "first"), [(None, "ore"), (["profit", "ore"], "rose")])
def test_stop_words_are_a_choice(corpus, stop_words, first):
    data = fetch_reuters52(path=corpus, stop_words=stop_words, encoding="count")
    assert ("the" in data.feature_names) == (stop_words is None or "the" not in stop_words)
    assert first in data.feature_names[:2]
    assert not set(stop_words or []) & set(data.feature_names)


def test_wrong_file_is_refused(corpus):
    (corpus / "r52-test.txt").write_text("earn\tother \n")
    with pytest.raises(ValueError, match=re.escape(str(corpus / "r52-test.txt"))):
        fetch_reuters52(path=corpus)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"encoding": "bm25"},
            "encoding must be one of 'binary', 'count', 'log1p', 'tfidf'. Got encoding='bm25'.",
        ),
        ({"vocabulary_size": 1}, "at least 2, or None for all words. Got vocabulary_size=1."),
        ({"stop_words": "german"}, "a collection of words or None. Got stop_words='german'."),
        (
            {"min_test_documents": 9},
            "min_test_documents must leave some classes, it can be up to 1. "
            "Got min_test_documents=9.",
        ),
    ],
)
def test_messages(corpus, kwargs, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        fetch_reuters52(path=corpus, **kwargs)


@needs_reuters
def test_reuters36_has_the_published_figures():
    data = fetch_reuters36(path=REUTERS)
    counts = Counter(data.y_train.tolist())
    assert len(data.target_names) == len(counts) == 36
    assert data.X_train.shape == (6436, 1000)
    assert data.X_test.shape == (2530, 1000)
    assert (max(counts.values()), min(counts.values())) == (2840, 4)
    assert min(Counter(data.y_test.tolist()).values()) == 5
    assert set(np.unique(data.X_train.data)) == {1.0}
    assert data.feature_names[-1] == "<other words>"
    assert not set(data.feature_names) & ENGLISH_STOP_WORDS
    assert "6436 training and 2530 test documents of 36 classes" in data.DESCR


@needs_reuters
def test_reuters36_is_rows_of_reuters52():
    all_classes, some = fetch_reuters52(path=REUTERS), fetch_reuters36(path=REUTERS)
    assert all_classes.X_train.shape == (6532, 1000)
    assert all_classes.X_test.shape == (2568, 1000)
    assert len(all_classes.target_names) == 52
    np.testing.assert_array_equal(all_classes.feature_names, some.feature_names)
    rows = np.isin(all_classes.y_train, some.target_names)
    assert (all_classes.X_train[rows] != some.X_train).nnz == 0


@pytest.mark.network
def test_reuters_downloads(tmp_path):
    data = fetch_reuters52(data_home=tmp_path)
    assert data.X_train.shape == (6532, 1000)
