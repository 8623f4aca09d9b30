"""Ways to train that `AutoResampledClassifier` tries, and how it chooses one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from imblearn.over_sampling import SMOTE

from ltresample._estimators import offers, weight_keyword
from ltresample.class_counts import PartialFill
from ltresample.over_sampling._m2m import M2mSampler
from ltresample.over_sampling._trials import Result, Trial, paired_interval

__all__ = ["ChoiceReport", "Option", "Tally", "choose", "ways"]

_SHARES = (0.05, 0.15)  # of what the classes lack
_SMOTE_SHARE = 0.3


class Option(NamedTuple):
    """A trial and one of its answers."""

    name: str
    trial: int
    answer: Literal["plain", "corrected", "voted"]
    sampled: bool


class ChoiceReport(NamedTuple):
    """What was tried, what was chosen, and why; print it."""

    names: list[str]
    """Ways that were tried, best first, those that were given up early last."""
    means: list[float]
    """Mean scores over the splits."""
    gains: list[float]
    """Mean paired differences to the best way without a sampler."""
    errors: list[float]
    """Standard errors of these differences."""
    n_splits: list[int]
    """Splits on which each way was tried."""
    chosen: str
    """Name of the way that was taken."""
    reason: str
    """Why, in a sentence."""
    failures: dict[str, str]
    """What refused the data, and with which words."""

    def __str__(self) -> str:
        width = max(len(name) for name in self.names)
        lines = [f"{'':{width}}   score    gain   standard error   splits"]
        columns = (self.names, self.means, self.gains, self.errors, self.n_splits)
        for name, mean, gain, error, n in zip(*columns, strict=True):
            mark = "  <- chosen" if name == self.chosen else ""
            lines.append(f"{name:{width}}  {mean:6.3f}  {gain:+6.3f}  {error:15.3f}  {n:7d}{mark}")
        lines += [f"{name}: {said}" for name, said in self.failures.items()]
        return "\n".join([*lines, self.reason])


def ways(classifier: Any, seed: int, *, votes: bool) -> tuple[list[Trial], list[Option]]:
    """List what is trained, and how each answers; `votes` adds votes of the sampler's guide."""
    proba, weights = offers(classifier, "predict_proba"), weight_keyword(classifier) is not None
    trials, options = [Trial("none")], [Option("none", 0, "plain", False)]
    if proba:
        options.insert(0, Option("none, corrected", 0, "corrected", False))
    if weights:
        trials.append(Trial("class weights", weighted=True))
        options.append(Option("class weights", 1, "plain", False))
    for trial in _sampled(seed, soft=proba and weights, filled=not proba):
        options.append(Option(trial.name, len(trials), "plain", True))
        if proba:
            options.append(Option(f"{trial.name}, corrected", len(trials), "corrected", True))
        if proba and votes and trial.name.startswith("M2m"):
            options.append(Option(f"{trial.name}, with g", len(trials), "voted", True))
        trials.append(trial)
    return trials, options


def _sampled(seed: int, *, soft: bool, filled: bool) -> list[Trial]:
    """Return trials with a sampler; `filled` adds one that fills the classes up."""
    trials = [
        Trial(
            f"M2m {share:.0%}",
            lambda y, g, share=share: M2mSampler(
                g=g,
                sampling_strategy=PartialFill(share),
                synthetic_share=1.0,
                soft_labels=soft,
                random_state=seed,
            ),
        )
        for share in _SHARES
    ]
    if filled:  # what is left of the imbalance cannot be divided out
        trials.append(Trial("M2m", lambda y, g: M2mSampler(g=g, random_state=seed)))
    share = "auto" if filled else PartialFill(_SMOTE_SHARE)
    name = "SMOTE" if filled else f"SMOTE {_SMOTE_SHARE:.0%}"
    return [*trials, Trial(name, lambda y, g: _smote(y, share, seed))]


def _smote(y: np.ndarray, share: Any, seed: int) -> SMOTE:
    smallest = int(np.unique(y, return_counts=True)[1].min())
    return SMOTE(
        sampling_strategy=share, k_neighbors=max(1, min(5, smallest - 1)), random_state=seed
    )


class Tally:
    """Scores of the ways, split by split, and what failed.

    Parameters
    ----------
    options : list of Option
        Ways; the first costs nothing and is best in theory.
    test_share : float
        Test rows per training row of a split.
    """

    def __init__(self, options: list[Option], test_share: float):
        self.first = options[0]
        self.test_share = test_share
        self.scores: dict[Option, np.ndarray] = {option: np.empty(0) for option in options}
        self.failures: dict[str, str] = {}

    def add(self, asked: Sequence[int], results: list[list[Result]]) -> None:
        """Add the results of some trials on further splits; what failed once is out."""
        for option in [o for o in self.scores if o.trial in asked]:
            column = [split[list(asked).index(option.trial)] for split in results]
            said = next((result.failed for result in column if result.failed), None)
            if said:
                self.failures[option.name.removesuffix(", corrected").removesuffix(", with g")] = (
                    said
                )
                del self.scores[option]
                continue
            new = [result.scores[option.answer][0] for result in column]
            self.scores[option] = np.append(self.scores[option], new)

    def gain(self, option: Option, other: Option) -> tuple[float, float]:
        """Return the mean difference over the splits of both, and its standard error."""
        n = min(len(self.scores[option]), len(self.scores[other]))
        gap = self.scores[option][:n] - self.scores[other][:n]
        return paired_interval(gap, self.test_share)[:2]

    def ranked(self) -> list[Option]:
        """Return the ways that were tried to the end, best first, then the others."""
        return sorted(self.scores, key=lambda o: (-len(self.scores[o]), -self.scores[o].mean()))

    def best(self, *, start: Option, sampled: bool) -> Option:
        """Return the best way of a kind if it is ahead of `start` by more than its error."""
        others = [o for o in self.ranked() if o.sampled is sampled and o != start]
        if not others:
            return start
        gain, error = self.gain(others[0], start)
        return others[0] if gain > error else start

    def in_question(self) -> list[int]:
        """Return the trials of ways that are ahead of the best plain one, and its own."""
        plain = self.best(start=self.first, sampled=False)
        ahead = {option for option in self.scores if self.gain(option, plain)[0] > 0}
        open_ = ahead | {plain, self.first}
        return [] if len(open_) == 1 else sorted({option.trial for option in open_})


def choose(tally: Tally) -> tuple[ChoiceReport, Option]:
    """Take the best way without a sampler, or the best sampler if it is ahead by more than chance."""
    ranked = tally.ranked()
    plain = tally.best(start=tally.first, sampled=False)
    best = tally.best(start=plain, sampled=True)
    against = [tally.gain(option, plain) for option in ranked]
    report = ChoiceReport(
        [option.name for option in ranked],
        [float(tally.scores[option].mean()) for option in ranked],
        [gain for gain, _ in against],
        [error for _, error in against],
        [len(tally.scores[option]) for option in ranked],
        best.name,
        _reason(tally, plain, best),
        tally.failures,
    )
    return report, best


def _reason(tally: Tally, plain: Option, best: Option) -> str:
    samplers = [option for option in tally.ranked() if option.sampled]
    if not samplers:
        return f"{plain.name!r} is chosen: no sampler could be tried."
    gain, error = tally.gain(samplers[0], plain)
    if best.sampled:
        return (
            f"{best.name!r} is chosen: it is ahead of {plain.name!r}, the best way without a "
            f"sampler, by {gain:.3f}, more than the standard error of {error:.3f}."
        )
    return (
        f"{plain.name!r} is chosen, without a sampler: the best sampler, {samplers[0].name!r}, "
        f"differs from it by {gain:+.3f}, which is not more than the standard error of {error:.3f}."
    )
