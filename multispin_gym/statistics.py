"""Aggregates over episodes, with bootstrap intervals that say how far to trust them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from multispin_gym import _estimates
from multispin_gym._estimates import (
    CONFIDENCE_LEVEL,
    NUM_RESAMPLES,
    Estimate,
    bootstrap,
    pooled_quantile_estimate,
)
from multispin_gym._validation import FloatArray, check_array

__all__ = [
    "CONFIDENCE_LEVEL",
    "NUM_RESAMPLES",
    "Estimate",
    "gain_estimate",
    "interquartile_mean",
    "iqm_estimate",
    "jain_index",
    "lowest_decile_estimate",
    "mean_estimate",
    "mean_interval",
    "pooled_quantile_estimate",
    "ratio_estimate",
    "regret_estimate",
]


def interquartile_mean(values: ArrayLike, axis: int = -1) -> FloatArray:
    """Mean of the middle half: a quarter of the values is dropped at each end (Agarwal et al. 2021).

    Parameters
    ----------
    values
        The values; with fewer than four along the axis nothing is dropped.
    axis
        Axis over which to aggregate.

    Returns
    -------
    numpy.ndarray
        The interquartile means.

    Examples
    --------
    >>> float(interquartile_mean([0.0, 1.0, 2.0, 90.0]))
    1.5
    """
    from scipy.stats import trim_mean  # scipy.stats takes half a second to import: only who aggregates pays

    return np.asarray(trim_mean(np.asarray(values, dtype=np.float64), 0.25, axis=axis))


def jain_index(rates: ArrayLike, axis: int = -1) -> FloatArray:
    """Jain's fairness index ``(sum x)**2 / (K sum x**2)``: 1 for equal rates, 1/K where one user has everything.

    Parameters
    ----------
    rates
        What each user gets; at least 0. Any common scale cancels.
    axis
        The user axis.

    Returns
    -------
    numpy.ndarray
        Fairness in [1/K, 1]; 1 where nobody gets anything.

    Raises
    ------
    ValueError
        If a rate is negative, NaN or infinite.

    Examples
    --------
    >>> jain_index([[3.0, 3.0, 3.0], [9.0, 0.0, 0.0]]).round(4)
    array([1.    , 0.3333])
    """
    x = check_array("rates", rates, low=0.0)
    largest = x.max(axis=axis, keepdims=True)
    x = x / np.where(largest > 0.0, largest, 1.0)
    squares = x.shape[axis] * (x * x).sum(axis=axis)
    empty = squares == 0.0
    # Equal rates may come out above one by rounding.
    return np.where(empty, 1.0, np.minimum(x.sum(axis=axis) ** 2 / np.where(empty, 1.0, squares), 1.0))


def mean_estimate(values: ArrayLike, seed: int) -> Estimate:
    """Mean over episodes with its bootstrap interval.

    Parameters
    ----------
    values
        One value per episode. Shape (episodes,).
    seed
        Seed of the resampling.

    Returns
    -------
    Estimate
        The mean and its interval.
    """
    return bootstrap((np.asarray(values, dtype=np.float64),), np.mean, seed)


def mean_interval(values: ArrayLike) -> dict[str, Any]:
    """Mean of a few independent values, such as those of the seeds of a training, with its bootstrap interval.

    Parameters
    ----------
    values
        The values. Shape (values,).

    Returns
    -------
    dict
        ``mean`` and ``ci95``; a single value has no interval: None.

    Examples
    --------
    >>> mean_interval([1.0, 2.0, 3.0])
    {'mean': 2.0, 'ci95': [1.0, 3.0]}
    """
    return mean_estimate(values, 0).to_dict()


def ratio_estimate(values: ArrayLike, reference: ArrayLike, seed: int) -> Estimate:
    """Ratio of sums ``sum(values) / sum(reference)`` over a fixed set of cells, with its bootstrap interval.

    A mean of each cell's own ratio would be ruled by the cells in which the reference is small; the ratio of sums says
    how much of what could be had was had. Cells are resampled as pairs. With several runs, such as the seeds of a
    training, runs are resampled as well, independently of the cells.

    Parameters
    ----------
    values
        What was reached in each cell. Shape (cells,) or (runs, cells).
    reference
        What it is compared with, in the same order. Shape (cells,).
    seed
        Seed of the resampling.

    Returns
    -------
    Estimate
        The ratio and its interval; NaN and None where the reference's sum is not positive.

    Examples
    --------
    >>> ratio_estimate([1.0, 90.0], [10.0, 90.0], 0).mean
    0.91
    """
    reached, base = np.asarray(values, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if reached.ndim == 1 or len(reached) == 1:
        return bootstrap((reached.reshape(-1), base), _ratio_of_means, seed)
    value = float(_ratio_of_means(reached.mean(axis=0), base))
    if not np.isfinite(value):
        return Estimate(value, None)
    rng = np.random.default_rng(seed)
    ratios = [
        np.einsum("nr,rc,nc->n", runs, reached, cells, optimize=True) / len(reached) / (cells @ base)
        for runs, cells in _counts(reached.shape, rng)
    ]
    low, high = np.quantile(np.concatenate(ratios), [0.5 - CONFIDENCE_LEVEL / 2, 0.5 + CONFIDENCE_LEVEL / 2])
    return Estimate(value, (float(low), float(high)))


def _counts(shape: tuple[int, int], rng: np.random.Generator) -> Iterator[tuple[FloatArray, FloatArray]]:
    """How often each run and each cell is drawn in each resample, in batches. Shapes (batch, runs), (batch, cells)."""
    batch = max(1, _estimates.BATCH_NUMBERS // sum(shape))
    for start in range(0, NUM_RESAMPLES, batch):
        size = min(batch, NUM_RESAMPLES - start)
        runs, cells = (rng.multinomial(n, np.full(n, 1.0 / n), size=size).astype(np.float64) for n in shape)
        yield runs, cells


def lowest_decile_estimate(values: ArrayLike, seed: int) -> Estimate:
    """Value that a tenth of the episodes stay below, with its bootstrap interval.

    Parameters
    ----------
    values
        One value per episode. Shape (episodes,).
    seed
        Seed of the resampling.

    Returns
    -------
    Estimate
        The lowest decile and its interval.

    Examples
    --------
    >>> lowest_decile_estimate(range(11), 0).mean
    1.0
    """
    return bootstrap((np.asarray(values, dtype=np.float64),), _lowest_decile, seed)


def _lowest_decile(values: FloatArray, axis: int = -1) -> FloatArray:
    return np.asarray(np.quantile(values, 0.1, axis=axis))


def iqm_estimate(values: ArrayLike, seed: int) -> Estimate:
    """Interquartile mean over episodes with its bootstrap interval.

    Parameters
    ----------
    values
        One value per episode. Shape (episodes,).
    seed
        Seed of the resampling.

    Returns
    -------
    Estimate
        The interquartile mean and its interval.
    """
    return bootstrap((np.asarray(values, dtype=np.float64),), interquartile_mean, seed)


def gain_estimate(values: ArrayLike, baseline: ArrayLike, seed: int) -> Estimate:
    """Relative gain ``mean(values) / mean(baseline) - 1`` with a paired bootstrap interval.

    Episodes are resampled as pairs: both policies played the same users, so what is hard for both cancels.

    Parameters
    ----------
    values, baseline
        One value per episode, in the same order. Shape (episodes,).
    seed
        Seed of the resampling.

    Returns
    -------
    Estimate
        The gain (0.1 is 10 % more) and its interval; NaN and None where the baseline's mean is not positive.
    """
    pair = (np.asarray(values, dtype=np.float64), np.asarray(baseline, dtype=np.float64))
    return bootstrap(pair, _gain_of_means, seed)


def regret_estimate(values: ArrayLike, rival: ArrayLike, seed: int) -> Estimate:
    """Relative loss ``1 - mean(values) / mean(rival)`` with a paired bootstrap interval.

    Parameters
    ----------
    values, rival
        One value per episode, in the same order. Shape (episodes,).
    seed
        Seed of the resampling.

    Returns
    -------
    Estimate
        The opposite of :func:`gain_estimate`.
    """
    gain = gain_estimate(values, rival, seed)
    # Zero less zero has no sign to show.
    return Estimate(0.0 - gain.mean, None if gain.ci95 is None else (0.0 - gain.ci95[1], 0.0 - gain.ci95[0]))


def _gain_of_means(values: FloatArray, baseline: FloatArray, axis: int = -1) -> FloatArray:
    return _ratio_of_means(values, baseline, axis) - 1.0


def _ratio_of_means(values: FloatArray, reference: FloatArray, axis: int = -1) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = values.mean(axis=axis) / reference.mean(axis=axis)
    return np.where(np.isfinite(ratio), ratio, np.nan)
