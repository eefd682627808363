"""Is one model better than another, or is it chance: paired tests on the same videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from kinema.errors import UserError, missing_extra, one_of
from kinema.evaluation import metrics
from kinema.evaluation.scores import ScoreTable
from kinema.wording import counted, some_of

RESAMPLES = 9999
_BATCH = 500
"""Resamples drawn at once: 10,000 units take 40 MB then."""
_SAME = ("protocol", "split", "manifest_sha256", "reverse")
"""What tables say of their test, and must say alike to be compared."""


@dataclass(frozen=True, eq=False)
class Hits:
    """Which videos a model has right.

    Attributes:
        name: What to call the model.
        ids: The labelled videos, sorted.
        labels: Names of their true classes.
        hits: 1 where the class with the highest score is the true one, axes ``seeds videos``.
    """

    name: str
    ids: np.ndarray
    labels: np.ndarray
    hits: np.ndarray

    @property
    def accuracies(self) -> np.ndarray:
        """Top-1 accuracy of each seed, from 0 to 1."""
        return self.hits.mean(axis=1)


@dataclass(frozen=True)
class Difference:
    """What sets the top-1 accuracies of two models on the same videos apart.

    Attributes:
        first: The one model.
        second: The other.
        difference: Accuracy of the first minus that of the second, -1 to 1; means over the seeds.
        interval: Where the difference lies with the confidence asked for, by resampling the units.
        p_value: How likely a difference at least as large would be between equal models.
        p_adjusted: The same, corrected for the number of pairs (Holm); equal to it where there is one pair.
        test: How ``p_value`` was found: ``exact McNemar`` or ``sign flips``.
        only_first: Videos that only the first has right, a mean over pairs of seeds.
        only_second: Videos that only the second has right.
        num_videos: Labelled videos.
        num_units: What was resampled: groups, or videos where none are known.
    """

    first: str
    second: str
    difference: float
    interval: tuple[float, float]
    p_value: float
    p_adjusted: float
    test: str
    only_first: float
    only_second: float
    num_videos: int
    num_units: int


def hits(name: str, tables: Sequence[ScoreTable]) -> Hits:
    """Find what a model has right.

    Args:
        name: What to call the model.
        tables: Its scores, one table for each seed, of the same videos.

    Raises:
        UserError: There is no table, nothing is labelled, or the tables are of different videos or tests.
    """
    if not tables:
        raise UserError(f"{name} has no score tables.")
    found: list[Hits] = []
    for number, table in enumerate(tables, 1):
        own_name = f"{name}, table {number}" if len(tables) > 1 else name
        known = np.flatnonzero(table.labels >= 0)
        if not len(known):
            raise UserError(f"{own_name}: no video has a label, so nothing can be compared.")
        known = known[np.argsort(table.ids[known])]
        labels = np.array(table.classes)[table.labels[known]]
        right = metrics.ranks(table.scores[known], table.labels[known]) == 0
        found.append(Hits(own_name, table.ids[known], labels, right[None].astype(np.float64)))
        _require_same_videos(found[-1], found[0])
    return Hits(name, found[0].ids, found[0].labels, np.concatenate([one.hits for one in found]))


def require_same_test(models: Mapping[str, Sequence[ScoreTable]]) -> None:
    """Refuse tables that say that they come of different tests.

    Raises:
        UserError: Protocol, split, data or direction of two tables differ; the message names both.
    """
    stated: dict[str, tuple[Any, str]] = {}
    for name, tables in models.items():
        for table in tables:
            for key in _SAME:
                value = table.meta.get(key)
                if value is None:
                    continue
                other, owner = stated.setdefault(key, (value, name))
                if other != value:
                    raise UserError(
                        f"{owner} was tested with {key} {other!r}, {name} with {value!r}; compare results of one test, "
                        "or allow different ones (--allow-different)."
                    )


def differences(
    models: Sequence[Hits],
    *,
    groups: Mapping[str, str] | None = None,
    against: str = "",
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Difference]:
    """Compare models two by two on the same videos.

    Videos of one group (the same actor, scene or recording) are not independent. With ``groups`` whole groups are
    resampled for the interval, and their differences change sign at random for the p-value; so it is where a model
    has several seeds. Without, and with one seed, the p-value is that of the exact McNemar test. Several seeds are
    averaged: the tests say whether these trainings differ beyond the choice of videos, not how other seeds would.

    Args:
        models: Two or more, of the same videos.
        groups: Video id to group; "" or no entry is a group of its own.
        against: Name of the model that all others are compared with; by default all pairs are.
        confidence: Of the interval, between 0 and 1.
        resamples: Random draws for interval and p-value.
        seed: Of the draws.

    Returns:
        A row for each pair, p-values corrected for their number by Holm's method.

    Raises:
        UserError: There are fewer than two models, a name twice, other videos, or a value out of range.
        MissingExtraError: scipy is not installed.
    """
    names = [model.name for model in models]
    if len(models) < 2:
        raise UserError(f"a comparison needs at least two models; given {len(models)}.")
    if len(set(names)) != len(names):
        raise UserError(f"every model needs a name of its own; given {', '.join(names)}.")
    if not 0 < confidence < 1:
        raise UserError(f"confidence must be between 0 and 1; given {confidence:g}.")
    if resamples < 100:
        raise UserError(f"resamples must be at least 100; given {resamples}.")
    for model in models[1:]:
        _require_same_videos(model, models[0])
    pairs = list(combinations(models, 2))
    if against:
        one_of("model", against, names)
        base = models[names.index(against)]
        pairs = [(model, base) for model in models if model is not base]
    unit_of, is_grouped = _units(models[0].ids, groups)
    found = [
        _compare(one, other, unit_of, is_grouped=is_grouped, confidence=confidence, resamples=resamples, seed=seed)
        for one, other in pairs
    ]
    adjusted = holm([row.p_value for row in found])
    return [replace(row, p_adjusted=p_adjusted) for row, p_adjusted in zip(found, adjusted, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number: the chance of one false alarm among all stays under the threshold.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _compare(
    one: Hits, other: Hits, unit_of: np.ndarray, *, is_grouped: bool, confidence: float, resamples: int, seed: int
) -> Difference:
    mean_one, mean_other = one.hits.mean(axis=0), other.hits.mean(axis=0)
    gains = np.bincount(unit_of, mean_one - mean_other)
    sizes = np.bincount(unit_of).astype(np.float64)
    # means over all pairs of seeds of "right here and wrong there"
    only_one = float((mean_one * (1 - mean_other)).sum())
    only_other = float((mean_other * (1 - mean_one)).sum())
    uses_mcnemar = not is_grouped and len(one.hits) == len(other.hits) == 1
    if uses_mcnemar:
        p_value = _exact_mcnemar(round(only_one), round(only_other))
    else:
        p_value = _sign_flips(gains, resamples, seed)
    return Difference(
        first=one.name,
        second=other.name,
        difference=float(gains.sum() / sizes.sum()),
        interval=_bootstrap(gains, sizes, confidence, resamples, seed),
        p_value=p_value,
        p_adjusted=p_value,
        test="exact McNemar" if uses_mcnemar else "sign flips",
        only_first=only_one,
        only_second=only_other,
        num_videos=len(unit_of),
        num_units=len(sizes),
    )


def _units(ids: np.ndarray, groups: Mapping[str, str] | None) -> tuple[np.ndarray, bool]:
    """The number of each video's unit, from 0 on, and whether any unit holds several videos."""
    names = [(groups or {}).get(video, "") for video in ids.tolist()]
    keys = [("group", name) if name else ("video", video) for name, video in zip(names, ids.tolist(), strict=True)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys]), len(numbers) < len(ids)


def _exact_mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided probability of so uneven a split of the videos that one model alone has right."""
    discordant = only_first + only_second
    return float(_statistics().binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0


def _sign_flips(gains: np.ndarray, resamples: int, seed: int) -> float:
    """Two-sided probability of so large a sum if each unit's gain could as well be the other model's.

    Few units are tried in all ways; of many, the gains as they are count as one of the draws.
    """
    gains = gains[gains != 0]
    if len(gains) < 2:  # one unit can only change its sign
        return 1.0
    result = _statistics().permutation_test(
        (gains, np.zeros_like(gains)),
        lambda one, other, axis: (one - other).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=_BATCH,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def _bootstrap(
    gains: np.ndarray, sizes: np.ndarray, confidence: float, resamples: int, seed: int
) -> tuple[float, float]:
    """Percentile interval of the mean gain of a video when units are drawn with replacement."""
    if len(sizes) < 2:
        return -1.0, 1.0  # nothing to draw from
    result = _statistics().bootstrap(
        (gains, sizes),
        lambda gain, size, axis: gain.sum(axis=axis) / size.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=_BATCH,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _statistics() -> Any:
    try:
        import scipy.stats
    except ImportError as error:
        raise missing_extra("scipy", "analysis", "a paired test") from error
    return scipy.stats


def _require_same_videos(model: Hits, first: Hits) -> None:
    own, wanted = model.ids.tolist(), first.ids.tolist()
    missing, extra = sorted({*wanted} - {*own}), sorted({*own} - {*wanted})
    parts = [f"{len(missing)} of {first.name} are missing in {model.name} ({some_of(missing, 3)})"] if missing else []
    parts += [f"{len(extra)} are only in {model.name} ({some_of(extra, 3)})"] if extra else []
    if parts:
        raise UserError(f"models are compared on the same labelled videos: {'; '.join(parts)}.")
    others = np.flatnonzero(model.labels != first.labels)
    if len(others):
        video = others[0]
        raise UserError(
            f"{counted(len(others), 'video')} have another class in {model.name} than in {first.name}, such as "
            f"{model.ids[video]}: {model.labels[video]} and {first.labels[video]}."
        )
