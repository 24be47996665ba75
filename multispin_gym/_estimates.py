"""Estimates and how they are resampled."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from multispin_gym._validation import FloatArray

CONFIDENCE_LEVEL = 0.95
NUM_RESAMPLES = 9999
# Resamples are drawn in batches of at most this many numbers, whatever the number of episodes.
BATCH_NUMBERS = 2**20
# Quantiles of many values take longer to resample than means.
_POOLED_RESAMPLES = 1999


@dataclass(frozen=True)
class Estimate:
    """A statistic over episodes and its 95 % bootstrap interval.

    Parameters
    ----------
    mean
        The statistic's value on the episodes played.
    ci95
        Ends of the interval, or None where the data give none: a single episode has no spread to learn from.
    """

    mean: float
    ci95: tuple[float, float] | None

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate as JSON-able data: ``{"mean": ..., "ci95": [low, high]}``, null where not finite.

        Returns
        -------
        dict
            The two fields.
        """
        mean = self.mean if np.isfinite(self.mean) else None
        return {"mean": mean, "ci95": None if self.ci95 is None else list(self.ci95)}


def pooled_quantile_estimate(values: Sequence[ArrayLike], level: float, seed: int) -> Estimate:
    """Quantile of the values of all episodes together, with an interval from resampling episodes.

    Parameters
    ----------
    values
        The values of each episode, of any number.
    level
        Level of the quantile, in [0, 1]: the least value that so large a share of all is not above.
    seed
        Seed of the resampling.

    Returns
    -------
    Estimate
        The quantile and its interval; NaN and None without values, None for a single episode.

    Examples
    --------
    >>> pooled_quantile_estimate([[1.0, 2.0], [], [3.0, 4.0]], 0.5, 0).mean
    2.0
    """
    parts = [np.asarray(part, dtype=np.float64) for part in values]
    pooled = np.concatenate([np.zeros(0), *parts])
    if pooled.size == 0:
        return Estimate(np.nan, None)
    order = np.argsort(pooled, kind="stable")
    ordered, owner = pooled[order], np.repeat(np.arange(len(parts)), [part.size for part in parts])[order]
    if len(parts) < 2:
        return Estimate(float(_quantile_of(ordered, np.ones((1, ordered.size)), level)[0]), None)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(parts), np.full(len(parts), 1.0 / len(parts)), size=_POOLED_RESAMPLES).astype(
        np.float64
    )
    batch = max(1, BATCH_NUMBERS // ordered.size)
    found = [_quantile_of(ordered, counts[i : i + batch, owner], level) for i in range(0, _POOLED_RESAMPLES, batch)]
    low, high = np.nanquantile(np.concatenate(found), [0.5 - CONFIDENCE_LEVEL / 2, 0.5 + CONFIDENCE_LEVEL / 2])
    value = float(_quantile_of(ordered, np.ones((1, ordered.size)), level)[0])
    return Estimate(value, (float(low), float(high)))


def _quantile_of(ordered: FloatArray, weights: FloatArray, level: float) -> FloatArray:
    """Quantile of weighted values in ascending order. Shapes: ``ordered`` (n,), ``weights`` (m, n), result (m,)."""
    above = np.cumsum(weights, axis=1)
    total = above[:, -1:]
    # At a level of 0 it is still a value that has weight.
    index = np.argmax((above >= level * total) & (above > 0.0), axis=1)
    return np.where(total[:, 0] > 0.0, ordered[index], np.nan)


def bootstrap(samples: tuple[FloatArray, ...], statistic: Callable[..., Any], seed: int) -> Estimate:
    """Percentile bootstrap: unlike BCa it is finite for any data, and covers as well on such samples."""
    from scipy import stats

    value = float(statistic(*samples, axis=-1))
    episodes = samples[0].size
    if episodes < 2 or not np.isfinite(value):
        return Estimate(value, None)
    if all(np.ptp(sample) == 0.0 for sample in samples):
        return Estimate(value, (value, value))
    with warnings.catch_warnings():
        # Resamples in which the baseline has nothing make the gain NaN: said by the missing interval.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        ends = stats.bootstrap(
            samples,
            statistic,
            paired=len(samples) > 1,
            method="percentile",
            confidence_level=CONFIDENCE_LEVEL,
            n_resamples=NUM_RESAMPLES,
            batch=max(1, BATCH_NUMBERS // episodes),
            rng=np.random.default_rng(seed),
        ).confidence_interval
    if not np.isfinite(ends.low) or not np.isfinite(ends.high):
        return Estimate(value, None)
    return Estimate(value, (float(ends.low), float(ends.high)))
