"""Parts of speech in tweets: 23 classes with a natural long tail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

__all__ = ["load_twitter_pos"]

_FILES = {"train": "tweets-train.txt", "val": "tweets-dev.txt", "test": "tweets-devtest.txt"}
_DROPPED = ("M", "Y")  # without tokens in the dev and devtest files
_DESCR = """Tokens of tweets and their parts of speech (Gimpel et al., ACL 2011).

{sizes} tokens of {n_classes} classes; {largest} training tokens in the largest class, {smallest} in
the smallest. Tags {dropped} are left out, they occur in training only.

Features: word vectors of {n_dimensions} numbers from {embeddings}, window {window}. {n_unknown} of
{n_words} different words have no vector."""


class _Tokens(NamedTuple):
    contexts: list[tuple[str, ...]]  # `window` words each
    words: NDArray[np.str_]
    tags: NDArray[np.str_]


def load_twitter_pos(
    path: str | os.PathLike,
    embeddings: str | os.PathLike,
    *,
    window: int = 1,
    unknown_token: str | None = "UUUNKKK",
    boundary_token: str | None = "</s>",
) -> Bunch:
    """Load the tokens of tweets [1]_ as word vectors, with their parts of speech.

    14,614 tokens for training, 4,823 for validation, 7,152 for the test; 23 classes, class counts
    fall from 2,219 to 15. The tags ``M`` and ``Y`` are left out: they occur in training only.

    Parameters
    ----------
    path : path
        Folder with ``tweets-train.txt``, ``tweets-dev.txt``, ``tweets-devtest.txt``: a token a line
        as ``token<TAB>tag``, an empty line after each tweet.
    embeddings : path
        Text file of word vectors in GloVe's form: a word a line and its d > 1 numbers, separated
        by spaces. A first line with word2vec's sizes is passed over.
    window : {1, 3}, default=1
        Words whose vectors make a row: the token, or the one before, the token, the one after.
    unknown_token : str or None, default="UUUNKKK"
        Word whose vector stands for words without one, which are looked up as they are written.
        None: zeros.
    boundary_token : str or None, default="</s>"
        Word before the first and after the last token of a tweet, for ``window=3``, looked up in
        the same way. None: zeros.

    Returns
    -------
    sklearn.utils.Bunch
        ``X_train``, ``X_val``, ``X_test`` : ndarrays of shape (n_tokens, window * d), float32;
        ``y_train``, ``y_val``, ``y_test`` : tags; ``tokens_train`` and so on : the words;
        ``target_names`` : sorted tags; ``class_counts`` : (23,); ``DESCR``.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a line is malformed, which names it, a word that stands for others has no vector, or
        `window` is another number.

    Notes
    -----
    *Fidelity.* M2m [2]_ names vectors of 50 numbers, a single token; the code that came with the
    files takes three, with ``</s>`` on both sides.

    References
    ----------
    .. [1] Gimpel, Schneider, O'Connor, Das, Mills, Eisenstein, Heilman, Yogatama, Flanigan, Smith.
       Part-of-Speech Tagging for Twitter: Annotation, Features, and Experiments. ACL 2011.
    .. [2] Kim, Jeong, Shin. M2m: Imbalanced Classification via Major-to-minor Translation.
       CVPR 2020. arXiv:2004.00431.

    Examples
    --------
    >>> from ltresample.datasets import load_twitter_pos
    >>> data = load_twitter_pos("tweets", "embeddings-twitter.txt")  # doctest: +SKIP
    >>> data.X_train.shape  # doctest: +SKIP
    (14614, 50)
    """
    if window not in (1, 3):
        raise ValueError(f"window must be 1 or 3. Got window={window!r}.")
    folder = Path(path).expanduser()
    parts = {part: _read_tokens(folder / name, window) for part, name in _FILES.items()}
    words = {w for part in parts.values() for context in part.contexts for w in context if w}
    standing_in = {w for w in (unknown_token, boundary_token) if w is not None}
    vectors = _read_vectors(Path(embeddings).expanduser(), words | standing_in)
    table = _table(vectors, words, unknown_token, boundary_token, embeddings)
    classes, counts = np.unique(parts["train"].tags, return_counts=True)
    content = {}
    for name, part in parts.items():
        content[f"X_{name}"] = np.stack([_row(table, c) for c in part.contexts])
        content[f"y_{name}"], content[f"tokens_{name}"] = part.tags, part.words
    return Bunch(
        **content,
        target_names=classes,
        class_counts=counts,
        DESCR=_DESCR.format(
            sizes=", ".join(f"{len(part.tags)} {name}" for name, part in parts.items()),
            n_classes=len(classes),
            largest=counts.max(),
            smallest=counts.min(),
            dropped=" and ".join(_DROPPED),
            n_dimensions=len(next(iter(vectors.values()))),
            embeddings=embeddings,
            window=window,
            n_unknown=len(words - vectors.keys()),
            n_words=len(words),
        ),
    )


def _read_tokens(place: Path, window: int) -> _Tokens:
    contexts, words, tags = [], [], []
    for tweet in _tweets(place):
        padded = ["", *(word for word, _ in tweet), ""]  # the empty word is the boundary
        for i, (word, tag) in enumerate(tweet, start=1):
            if tag not in _DROPPED:
                contexts.append(tuple(padded[i - window // 2 : i + window // 2 + 1]))
                words.append(word)
                tags.append(tag)
    if not tags:
        raise ValueError(f"{place} must hold lines of a token, a tab and a tag. Got none.")
    return _Tokens(contexts, np.array(words), np.array(tags))


def _tweets(place: Path) -> Iterator[list[tuple[str, str]]]:
    if not place.is_file():
        raise FileNotFoundError(
            f"The tweets are in {', '.join(_FILES.values())}. Got no file {place}."
        )
    tweet: list[tuple[str, str]] = []
    for number, line in enumerate(place.read_text(encoding="utf-8").split("\n"), start=1):
        fields = line.strip("\r").split("\t")
        if fields == [""]:
            yield tweet
            tweet = []
        elif len(fields) == 2 and all(fields):
            tweet.append((fields[0], fields[1]))
        else:
            raise ValueError(
                f"Line {number} of {place} must be a token, a tab and a tag. Got {line[:80]!r}."
            )
    yield tweet


def _read_vectors(place: Path, words: set[str]) -> dict[str, NDArray[np.float32]]:
    """Read the vectors of some words; all lines must have the same number of numbers."""
    if not place.is_file():
        raise FileNotFoundError(
            f"The word vectors are a text file, a word and its numbers a line. Got no file {place}."
        )
    vectors: dict[str, NDArray[np.float32]] = {}
    width = None
    with place.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            word, *numbers = line.rstrip().split(" ")
            if not word or (number == 1 and len(numbers) == 1):
                continue  # an empty line, or the sizes that word2vec writes first
            width = width or len(numbers)
            try:
                values = np.array(numbers, dtype=np.float32) if word in words else None
            except ValueError:
                numbers = []
            if not numbers or len(numbers) != width:
                raise ValueError(
                    f"Line {number} of {place} must be a word and {width or 'its'} numbers, "
                    f"separated by spaces. Got {line[:60]!r}."
                )
            if values is not None:
                vectors.setdefault(word, values)
    if not vectors:
        raise ValueError(f"{place} must hold vectors of some words of the tweets. Got none.")
    return vectors


def _table(
    vectors: dict[str, NDArray[np.float32]],
    words: set[str],
    unknown: str | None,
    boundary: str | None,
    place: str | os.PathLike,
) -> dict[str, NDArray[np.float32]]:
    """Return a vector to every word and to the boundary, whose word is empty."""
    zeros = np.zeros_like(next(iter(vectors.values())))
    if unknown is not None and unknown not in vectors:
        raise ValueError(
            f"unknown_token must be a word of {place}. Got unknown_token={unknown!r}. "
            "Pass the word that stands for unknown ones there, or None for zeros."
        )
    stand_in = zeros if unknown is None else vectors[unknown]
    table = {word: vectors.get(word, stand_in) for word in words}
    return {**table, "": zeros if boundary is None else vectors.get(boundary, stand_in)}


def _row(table: dict[str, NDArray[np.float32]], context: tuple[str, ...]) -> NDArray[np.float32]:
    return np.concatenate([table[word] for word in context])
