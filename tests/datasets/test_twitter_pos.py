"""Twitter: rows and windows on a small corpus, the published counts on the real one."""

from pathlib import Path

import numpy as np
import pytest

from ltresample.datasets import load_twitter_pos

TWEETS = Path(__file__).parents[3] / "shared" / "data" / "twitter_pos"
needs_tweets = pytest.mark.skipif(
    not TWEETS.is_dir(), reason="the tweets are not in ../shared/data/twitter_pos"
)
FILES = {
    "tweets-train.txt": "so\tP\nfar\tR\n\nJoe's\tZ\nso\tM\nFAR\tN\n\n",
    "tweets-dev.txt": "so\tR\n\n",
    "tweets-devtest.txt": "far\tP\nyou\tN",
}
VECTORS = "so 1 2\nfar 3 4\nUUUNKKK 5 6\n</s> 7 8\nother 9 9\n"


@pytest.fixture
def corpus(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "vectors.txt").write_text(VECTORS)
    return tmp_path


def test_a_token_is_a_row(corpus):
    data = load_twitter_pos(corpus, corpus / "vectors.txt")
    assert data.X_train.tolist() == [[1, 2], [3, 4], [5, 6], [5, 6]]
    assert data.X_train.dtype == np.float32
    assert data.y_train.tolist() == ["P", "R", "Z", "N"]
    assert data.tokens_train.tolist() == ["so", "far", "Joe's", "FAR"]
    assert data.X_val.tolist() == [[1, 2]]
    assert data.y_test.tolist() == ["P", "N"]
    assert data.target_names.tolist() == ["N", "P", "R", "Z"]
    assert data.class_counts.tolist() == [1, 1, 1, 1]
    assert "3 of 5 different words have no vector" in " ".join(data.DESCR.split())


def test_a_window_sees_neighbours_in_the_tweet_dropped_ones_too(corpus):
    data = load_twitter_pos(corpus, corpus / "vectors.txt", window=3)
    assert data.X_train.tolist() == [
        [7, 8, 1, 2, 3, 4],
        [1, 2, 3, 4, 7, 8],
        [7, 8, 5, 6, 1, 2],
        [1, 2, 5, 6, 7, 8],
    ]
    alone = load_twitter_pos(corpus, corpus / "vectors.txt")
    np.testing.assert_array_equal(data.X_train[:, 2:4], alone.X_train)


@pytest.mark.parametrize(
    ("settings", "unknown", "boundary"),
    [
        ({"unknown_token": None}, [0, 0], [7, 8]),
        ({"unknown_token": "other"}, [9, 9], [7, 8]),
        ({"boundary_token": None}, [5, 6], [0, 0]),
        ({"boundary_token": "<s>"}, [5, 6], [5, 6]),
    ],
)
def test_words_that_stand_in(corpus, settings, unknown, boundary):
    data = load_twitter_pos(corpus, corpus / "vectors.txt", window=3, **settings)
    assert data.X_train[2].tolist() == [*boundary, *unknown, 1, 2]


def test_sizes_and_empty_lines_of_the_vectors_are_passed_over(corpus):
    plain = load_twitter_pos(corpus, corpus / "vectors.txt")
    (corpus / "word2vec.txt").write_text("5 2\n" + VECTORS + "\n")
    data = load_twitter_pos(corpus, corpus / "word2vec.txt")
    np.testing.assert_array_equal(data.X_test, plain.X_test)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("so 1 2\nfar 3\n", r"Line 2 of .*vectors.txt must be a word and 2 numbers.* Got 'far 3"),
        ("so 1 2\nother 3 4 5\n", "Line 2 of"),
        ("so 1 b\n", "Line 1 of"),
        ("other 1 2\n", "must hold vectors of some words of the tweets. Got none."),
        ("so 1 2\n", "unknown_token must be a word of .*Got unknown_token='UUUNKKK'. Pass the"),
    ],
)
def test_vectors_that_are_not_right(corpus, text, said):
    (corpus / "vectors.txt").write_text(text)
    with pytest.raises(ValueError, match=said):
        load_twitter_pos(corpus, corpus / "vectors.txt")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "so\tP\nfar R\n",
            r"Line 2 of .*tweets-dev.txt must be a token, a tab and a tag. Got 'far",
        ),
        ("so\tP\tR\n", "Line 1 of"),
        ("\tP\n", "Line 1 of"),
        ("so\tM\n", "must hold lines of a token, a tab and a tag. Got none."),
    ],
)
def test_tweets_that_are_not_right(corpus, text, said):
    (corpus / "tweets-dev.txt").write_text(text)
    with pytest.raises(ValueError, match=said):
        load_twitter_pos(corpus, corpus / "vectors.txt")


def test_missing_files_and_other_windows(corpus):
    with pytest.raises(ValueError, match="window must be 1 or 3. Got window=2."):
        load_twitter_pos(corpus, corpus / "vectors.txt", window=2)
    with pytest.raises(FileNotFoundError, match="The word vectors are a text file.*no.txt"):
        load_twitter_pos(corpus, corpus / "no.txt")
    (corpus / "tweets-dev.txt").unlink()
    with pytest.raises(FileNotFoundError, match="tweets-devtest.txt. Got no file .*tweets-dev.txt"):
        load_twitter_pos(corpus, corpus / "vectors.txt")


@needs_tweets
def test_published_counts(tmp_path):
    (tmp_path / "vectors.txt").write_text(VECTORS)
    data = load_twitter_pos(TWEETS, tmp_path / "vectors.txt", window=3)
    assert data.X_train.shape == (14614, 6)
    assert len(data.y_val) == 4823
    assert len(data.y_test) == 7152
    assert len(data.target_names) == 23
    assert (data.class_counts.max(), data.class_counts.min()) == (2219, 15)
    assert set(data.y_test) <= set(data.target_names)
