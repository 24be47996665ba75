"""What is believed of users' channel gains: a probability law for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray


@dataclass(frozen=True, eq=False)
class GainLaw:
    """Laws of independent channel gains on one grid of decibels, uniform within its cells.

    Parameters
    ----------
    first_db
        Lower end of the first cell, dB.
    spacing_db
        Width of a cell, dB.
    below
        Probability that a gain lies below each end of a cell: from 0 to 1. Shape (..., K, G + 1).
    """

    first_db: float
    spacing_db: float
    below: FloatArray

    def __getitem__(self, index: Any) -> GainLaw:
        """Select cells of the batch, or repeat them."""
        return GainLaw(self.first_db, self.spacing_db, self.below[index])

    @property
    def ends_db(self) -> FloatArray:
        """Ends of the cells, dB. Shape (G + 1,)."""
        return np.asarray(self.first_db + self.spacing_db * np.arange(self.below.shape[-1]))

    def mean(self) -> FloatArray:
        """Mean gain, linear. Shape (..., K)."""
        ends = 10.0 ** (0.1 * self.ends_db)
        # The mean of the exponential of a uniform variable.
        inside = np.diff(ends) / (0.1 * np.log(10.0) * self.spacing_db)
        return np.asarray(np.diff(self.below, axis=-1) @ inside)

    def quantile_db(self, level: float | FloatArray) -> FloatArray:
        """Gain that lies above with the probability of a level, dB.

        Parameters
        ----------
        level
            Levels in (0, 1): one, or one for each user. It broadcasts to shape (..., K).

        Returns
        -------
        numpy.ndarray
            Gains, dB. Shape (..., K).
        """
        wanted = np.broadcast_to(level, self.below.shape[:-1])[..., None]
        place = np.clip((self.below < wanted).sum(axis=-1, keepdims=True), 1, self.below.shape[-1] - 1)
        left = np.take_along_axis(self.below, place - 1, axis=-1)
        right = np.take_along_axis(self.below, place, axis=-1)
        part = (wanted - left) / np.maximum(right - left, 1e-300)
        return np.asarray((self.first_db + self.spacing_db * (place - 1 + np.clip(part, 0.0, 1.0)))[..., 0])

    def above(self, gain_db: FloatArray) -> FloatArray:
        """Probability that each user's gain is at least some value.

        Parameters
        ----------
        gain_db
            Values, dB; minus infinity for none. Shape (..., K, J).

        Returns
        -------
        numpy.ndarray
            Probabilities. Shape (..., K, J).
        """
        cells = self.below.shape[-1] - 1
        place = np.clip((gain_db - self.first_db) / self.spacing_db, 0.0, float(cells))
        whole = np.minimum(place.astype(np.int64), cells - 1)
        left = np.take_along_axis(self.below, whole, axis=-1)
        right = np.take_along_axis(self.below, whole + 1, axis=-1)
        return np.asarray(1.0 - left - (place - whole) * (right - left))
