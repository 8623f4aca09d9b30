"""Ways to train that `AutoResampledClassifier` tries, and how it chooses one of them."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from ltresample._estimators import offers, weight_keyword
from ltresample.class_counts import PartialFill
from ltresample.over_sampling._m2m import M2mSampler
from ltresample.over_sampling._trial_samplers import guide_alone, smote_for
from ltresample.over_sampling._trials import Result, Trial, paired_interval

__all__ = ["ChoiceReport", "Option", "Tally", "choose", "ways"]

_SHARE, _SMOTE_SHARE = 0.05, 0.3  # of what the classes lack


class Option(NamedTuple):
    """A trial and one of its answers."""

    name: str
    trial: int
    answer: Literal["plain", "corrected", "voted"]
    sampled: bool


class ChoiceReport(NamedTuple):
    """What was tried, what was chosen, and why; print it."""

    names: list[str]
    """Ways that were tried, best first."""
    means: list[float]
    """Mean scores over the splits."""
    gains: list[float]
    """Mean paired differences to the best way without a sampler."""
    errors: list[float]
    """Standard errors of these differences."""
    n_splits: int
    """Splits on which they were tried."""
    chosen: str
    """Name of the way that was taken."""
    reason: str
    """Why, in a sentence."""
    failures: dict[str, str]
    """What refused the data, and with which words."""

    def __str__(self) -> str:
        width = max(len(name) for name in self.names)
        lines = [f"{f'{self.n_splits} splits':{width}}   score    gain   standard error"]
        columns = (self.names, self.means, self.gains, self.errors)
        for name, mean, gain, error in zip(*columns, strict=True):
            mark = "  <- chosen" if name == self.chosen else ""
            lines.append(f"{name:{width}}  {mean:6.3f}  {gain:+6.3f}  {error:15.3f}{mark}")
        lines += [f"{name}: {said}" for name, said in self.failures.items()]
        return "\n".join([*lines, self.reason])

    __repr__ = __str__


def ways(classifier: Any, seed: int, *, votes: bool) -> tuple[list[Trial], list[Option]]:
    """List what is trained, and how each answers, first what stands unless another is ahead.

    With `votes` that is the corrected classifier in a vote with a guide, which votes on what
    samplers do, too.
    """
    proba, weights = offers(classifier, "predict_proba"), weight_keyword(classifier) is not None

    def voter() -> M2mSampler:
        return guide_alone(seed)

    votes = votes and proba
    trials = [Trial("none", voter=voter if votes else None)]
    options = [Option("none", 0, "plain", False)]
    if proba:
        options.insert(0, Option("none, corrected", 0, "corrected", False))
    if votes:
        options.insert(0, Option("none, with g", 0, "voted", False))
    if weights:
        trials.append(Trial("class weights", weighted=True, binned=True))
        options.append(Option("class weights", 1, "plain", False))
    for trial in _sampled(seed, soft=proba and weights, filled=not proba):
        if votes:  # against a vote of two models a single one would have more than rows to make up
            options.append(Option(f"{trial.name}, with g", len(trials), "voted", True))
            if not trial.name.startswith("M2m"):
                trial = trial._replace(voter=voter)
        else:
            options.append(Option(trial.name, len(trials), "plain", True))
            if proba:
                options.append(Option(f"{trial.name}, corrected", len(trials), "corrected", True))
        trials.append(trial)
    return trials, options


def _sampled(seed: int, *, soft: bool, filled: bool) -> list[Trial]:
    """Return trials with a sampler; `filled` adds one that fills the classes up."""
    trials = [
        Trial(
            f"M2m {_SHARE:.0%}",
            lambda y, g: M2mSampler(
                g=g,
                sampling_strategy=PartialFill(_SHARE),
                synthetic_share=1.0,
                soft_labels=soft,
                random_state=seed,
            ),
        )
    ]
    if filled:  # what is left of the imbalance cannot be divided out
        trials.append(Trial("M2m", lambda y, g: M2mSampler(g=g, random_state=seed)))
    share = "auto" if filled else PartialFill(_SMOTE_SHARE)
    name = "SMOTE" if filled else f"SMOTE {_SMOTE_SHARE:.0%}"
    return [*trials, Trial(name, lambda y, g: smote_for(y, seed, share))]


class Tally:
    """Scores of the ways, and what failed.

    Parameters
    ----------
    options : list of Option
        Ways; the first that nothing refuses stands unless another one is ahead.
    results : list of list of Result
        For each split those of all trials.
    test_share : float
        Test rows per training row of a split.
    """

    def __init__(self, options: list[Option], results: list[list[Result]], test_share: float):
        self.test_share = test_share
        self.scores: dict[Option, np.ndarray] = {}
        self.failures: dict[str, str] = {}
        for option in options:
            column = [split[option.trial] for split in results]
            if not self._failed(option, column):
                scores = [result.scores[option.answer][0] for result in column]
                self.scores[option] = np.array(scores)

    def _failed(self, option: Option, column: list[Result]) -> bool:
        """Note why an option is out, if it is."""
        said = next((result.failed for result in column if result.failed), None)
        if said:
            self.failures[option.name.split(", ")[0]] = said
            return True
        refused = next((result.refused for result in column if result.refused), None)
        if refused and option.answer == "voted":
            self.failures["with g"] = refused
            return True
        return False

    @property
    def first(self) -> Option:
        """The way that stands unless another one is ahead."""
        return next(iter(self.scores))

    def gain(self, option: Option, other: Option) -> tuple[float, float]:
        """Return the mean difference over the splits, and its standard error."""
        return paired_interval(self.scores[option] - self.scores[other], self.test_share)[:2]

    def ranked(self) -> list[Option]:
        """Return the ways, best first."""
        return sorted(self.scores, key=lambda option: -self.scores[option].mean())

    def best(self, *, start: Option, sampled: bool) -> Option:
        """Return the best way of a kind if it is ahead of `start` by more than its error."""
        others = [o for o in self.ranked() if o.sampled is sampled and o != start]
        if not others:
            return start
        gain, error = self.gain(others[0], start)
        return others[0] if gain > error else start


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
        len(tally.scores[plain]),
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
