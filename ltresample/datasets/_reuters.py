"""Reuters news stories by topic: 52 or 36 classes with a natural long tail."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfTransformer
from sklearn.utils import Bunch

from ltresample.datasets._fetch import RemoteFile, find_file

__all__ = ["fetch_reuters36", "fetch_reuters52"]

_OTHER = "<other words>"
_ADDRESS = (
    "https://raw.githubusercontent.com/hendrycks/error-detection/{}/NLP/Categorization/data/{}"
)
_REVISIONS = ("master", "96b8c95396e111879f0675264301caf5d7fb26df")
_FILES = [
    RemoteFile(name, sha256, [_ADDRESS.format(revision, name) for revision in _REVISIONS])
    for name, sha256 in (
        ("r52-train.txt", "2bb8c5e400bd24a1fb3c5a8fb86bb9751c224e66b542cf75bc2ae0aa3952b5b9"),
        ("r52-test.txt", "05dbdf3a88be730ff614126fdd6c8912a8a3e03bb77be81c84eb12fb0144a7af"),
    )
]
_DESCR = """Reuters-21578 news stories in the R52 split: each story has one of 52 topics.

The stories are those of the Reuters newswire of 1987, collected by D. D. Lewis, in lower case,
without numbers, punctuation and words of one or two letters.

{n_train} training and {n_test} test documents of {n_classes} classes;
{largest} training documents in the largest class, {smallest} in the smallest.

Features: {n_features} columns, encoding {encoding!r}. One column per word, the most frequent
training word first{other}."""


class _Documents(NamedTuple):
    words: list[list[str]]
    labels: NDArray[np.str_]


def fetch_reuters52(
    *,
    data_home: str | os.PathLike | None = None,
    path: str | os.PathLike | None = None,
    encoding: str = "binary",
    vocabulary_size: int | None = 1000,
    stop_words: str | Collection[str] | None = "english",
    min_test_documents: int = 0,
    download_if_missing: bool = True,
) -> Bunch:
    """Load the Reuters R52 topics as word vectors, downloading them if necessary.

    6,532 training and 2,568 test documents of 52 classes; class counts fall from 2,840 to 1.

    Parameters
    ----------
    data_home : path or None, default=None
        Cache folder. None stands for the environment variable LTRESAMPLE_DATA, or else
        ``~/ltresample_data``.
    path : path or None, default=None
        Folder that holds ``r52-train.txt`` and ``r52-test.txt``, a document a line as
        ``class<TAB>text``. Where it is given, neither cache nor network is used.
    encoding : {"binary", "count", "log1p", "tfidf"}, default="binary"
        Value of a word in a document: 1 if it is there; the number of times n; ``log(1 + n)``; or
        scikit-learn's TF-IDF, fitted on the training documents, rows of Euclidean length 1.
    vocabulary_size : int or None, default=1000
        Number of columns, at least 2: the ``vocabulary_size - 1`` most frequent training words
        (ties in alphabetical order) and one last column for all other words. None gives every
        training word a column, without a column for others.
    stop_words : "english", collection of str or None, default="english"
        Words to leave out before anything is counted. "english" is scikit-learn's
        ``ENGLISH_STOP_WORDS``.
    min_test_documents : int, default=0
        Classes with fewer test documents are dropped, after the encoding: it changes rows only.
    download_if_missing : bool, default=True
        Whether the files may be downloaded where the cache lacks them.

    Returns
    -------
    sklearn.utils.Bunch
        ``X_train``, ``X_test`` : CSR matrices of shape (n_documents, n_features), float32;
        ``y_train``, ``y_test`` : ndarrays of str; ``target_names`` : sorted class names,
        ``feature_names`` : the words, ``DESCR`` : a description.

    Raises
    ------
    FileNotFoundError
        If the files are missing and may not be downloaded.
    OSError
        If the download fails; the message says where to put the files.
    ValueError
        If a file's content is not the expected one, or an argument is out of its range.

    See Also
    --------
    fetch_reuters36 : The 36 classes with at least five test documents.

    Notes
    -----
    Fidelity: M2m [1]_ names "bag-of-words" of 1,000 words, which may be presence ("binary") or
    "count". The notebook that came with the files takes its stop words from NLTK; pass that list as
    `stop_words` for the same columns.

    References
    ----------
    .. [1] Kim, Jeong, Shin. M2m: Imbalanced Classification via Major-to-minor Translation.
       CVPR 2020. arXiv:2004.00431.

    Examples
    --------
    >>> from ltresample.datasets import fetch_reuters52
    >>> data = fetch_reuters52(encoding="tfidf")  # doctest: +SKIP
    >>> data.X_train.shape  # doctest: +SKIP
    (6532, 1000)
    """
    encode = _encoder(encoding)
    if vocabulary_size is not None and vocabulary_size < 2:
        raise ValueError(
            "vocabulary_size must be at least 2, or None for all words. "
            f"Got vocabulary_size={vocabulary_size!r}."
        )
    stop = _stop_words(stop_words)
    train, test = (
        _read(
            find_file(
                remote,
                dataset="reuters52",
                path=path,
                data_home=data_home,
                download_if_missing=download_if_missing,
            ),
            stop,
        )
        for remote in _FILES
    )
    names = _vocabulary(train.words, vocabulary_size)
    X_train, X_test = encode(_count(train.words, names), _count(test.words, names))
    return _bunch(X_train, train.labels, X_test, test.labels, names, encoding, min_test_documents)


def fetch_reuters36(
    *,
    data_home: str | os.PathLike | None = None,
    path: str | os.PathLike | None = None,
    encoding: str = "binary",
    vocabulary_size: int | None = 1000,
    stop_words: str | Collection[str] | None = "english",
    download_if_missing: bool = True,
) -> Bunch:
    """Load the 36 Reuters topics with at least five test documents, as M2m uses them.

    6,436 training and 2,530 test documents; class counts fall from 2,840 to 4, imbalance
    factor 710. The documents, their order and columns are those of `fetch_reuters52`.

    Parameters
    ----------
    data_home : path or None, default=None
        Cache folder. None stands for the environment variable LTRESAMPLE_DATA, or else
        ``~/ltresample_data``.
    path : path or None, default=None
        Folder that holds ``r52-train.txt`` and ``r52-test.txt``; where it is given, neither cache
        nor network is used.
    encoding : {"binary", "count", "log1p", "tfidf"}, default="binary"
        Value of a word in a document: 1 if it is there; the number of times n; ``log(1 + n)``; or
        scikit-learn's TF-IDF.
    vocabulary_size : int or None, default=1000
        Number of columns: the most frequent training words and one last column for all others.
        None gives every word a column.
    stop_words : "english", collection of str or None, default="english"
        Words that are left out. None keeps all.
    download_if_missing : bool, default=True
        Whether the files may be downloaded where the cache lacks them.

    Returns
    -------
    sklearn.utils.Bunch
        As from `fetch_reuters52`.

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        As `fetch_reuters52`.

    Examples
    --------
    >>> from ltresample.datasets import fetch_reuters36
    >>> data = fetch_reuters36()  # doctest: +SKIP
    >>> data.X_train.shape  # doctest: +SKIP
    (6436, 1000)
    """
    return fetch_reuters52(
        data_home=data_home,
        path=path,
        encoding=encoding,
        vocabulary_size=vocabulary_size,
        stop_words=stop_words,
        min_test_documents=5,
        download_if_missing=download_if_missing,
    )


def _stop_words(stop_words: str | Collection[str] | None) -> Collection[str]:
    if not isinstance(stop_words, str):
        return frozenset(stop_words or ())
    if stop_words != "english":
        raise ValueError(
            "stop_words must be 'english', a collection of words or None. "
            f"Got stop_words={stop_words!r}."
        )
    return ENGLISH_STOP_WORDS


def _read(place: Path, stop_words: Collection[str]) -> _Documents:
    pairs = [line.split("\t", 1) for line in place.read_text(encoding="ascii").splitlines()]
    words = [[word for word in text.split() if word not in stop_words] for _, text in pairs]
    return _Documents(words, np.array([label for label, _ in pairs]))


def _vocabulary(documents: Iterable[list[str]], size: int | None) -> NDArray[np.str_]:
    """Return words by decreasing frequency, then alphabetically; the column of all others last."""
    counts = Counter(word for document in documents for word in document)
    words = sorted(counts, key=lambda word: (-counts[word], word))
    return np.array(words if size is None else [*words[: size - 1], _OTHER])


def _count(documents: list[list[str]], names: NDArray[np.str_]) -> sparse.csr_matrix:
    """Count words, (n_documents, n_features)."""
    column = {word: i for i, word in enumerate(names.tolist())}
    other = column.get(_OTHER)
    per_document = [
        [i for word in document if (i := column.get(word, other)) is not None]
        for document in documents
    ]
    indptr = np.cumsum([0, *map(len, per_document)])
    indices = np.concatenate([np.array(columns, dtype=np.int32) for columns in per_document])
    counted = sparse.csr_matrix(
        (np.ones(len(indices), dtype=np.float32), indices, indptr),
        shape=(len(documents), len(names)),
    )
    counted.sum_duplicates()
    return counted


def _encoder(encoding: str):
    if encoding not in _ENCODERS:
        allowed = ", ".join(repr(name) for name in _ENCODERS)
        raise ValueError(f"encoding must be one of {allowed}. Got encoding={encoding!r}.")
    return _ENCODERS[encoding]


def _tfidf(train: sparse.csr_matrix, test: sparse.csr_matrix) -> tuple:
    weighting = TfidfTransformer().fit(train)
    return weighting.transform(train), weighting.transform(test)


_ENCODERS = {
    "binary": lambda train, test: (train.sign(), test.sign()),
    "count": lambda train, test: (train, test),
    "log1p": lambda train, test: (train.log1p(), test.log1p()),
    "tfidf": _tfidf,
}


def _bunch(
    X_train: sparse.csr_matrix,
    y_train: NDArray,
    X_test: sparse.csr_matrix,
    y_test: NDArray,
    names: NDArray,
    encoding: str,
    min_test_documents: int,
) -> Bunch:
    classes, n_test = np.unique(y_test, return_counts=True)
    classes = classes[n_test >= min_test_documents]
    if not len(classes):
        raise ValueError(
            f"min_test_documents must leave some classes, it can be up to {n_test.max()}. "
            f"Got min_test_documents={min_test_documents!r}."
        )
    in_train, in_test = np.isin(y_train, classes), np.isin(y_test, classes)
    counts = np.unique(y_train[in_train], return_counts=True)[1]
    return Bunch(
        X_train=X_train[in_train],
        y_train=y_train[in_train],
        X_test=X_test[in_test],
        y_test=y_test[in_test],
        target_names=classes,
        feature_names=names,
        DESCR=_DESCR.format(
            n_train=in_train.sum(),
            n_test=in_test.sum(),
            n_classes=len(classes),
            largest=counts.max(),
            smallest=counts.min(),
            n_features=len(names),
            encoding=encoding,
            other=", the last column for all other words" if _OTHER in names[-1:] else "",
        ),
    )
