"""Path loss: the mean channel gain at a distance, and decibel conversions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from multispin_gym._validation import MOST_DECIBELS, FloatArray, check_number

NEPER_PER_DB = math.log(10.0) / 10.0
_STEEPEST = 100.0
_LEAST_GAIN = float(np.finfo(np.float32).tiny)


def watt_to_dbm(power: float) -> float:
    """Convert a power from W to dBm.

    Parameters
    ----------
    power
        Power, W; positive.

    Returns
    -------
    float
        Power, dBm.
    """
    return 10.0 * math.log10(power * 1000.0)


def gain_to_db(gain: ArrayLike, low: float, high: float) -> NDArray[np.float32]:
    """Turn linear gains into decibels, rounded to float32.

    Parameters
    ----------
    gain
        Linear power gains, at least 0. Any shape.
    low, high
        Ends to which the result is clipped, dB; float32 numbers.

    Returns
    -------
    numpy.ndarray
        Gains, dB, float32, of the same shape.
    """
    # The bound keeps the logarithm of a vanishing gain finite. Rounded once, from float64: so going to gains and back
    # returns the same numbers.
    decibels = (np.log(np.maximum(gain, _LEAST_GAIN)) * (1.0 / NEPER_PER_DB)).astype(np.float32)
    return np.asarray(np.minimum(np.maximum(decibels, np.float32(low)), np.float32(high)))


def db_to_gain(gain_db: ArrayLike) -> FloatArray:
    """Turn decibels into linear gains.

    Parameters
    ----------
    gain_db
        Gains, dB. Any shape.

    Returns
    -------
    numpy.ndarray
        Linear power gains, float64, of the same shape.
    """
    return np.asarray(np.exp(NEPER_PER_DB * np.asarray(gain_db, dtype=np.float64)))


@dataclass(frozen=True)
class PathLoss:
    """Mean channel gain that falls with a power of the distance.

    Parameters
    ----------
    gain_at_1m_db
        Gain at a distance of 1 m, dB; in [-1000, 1000].
    exponent
        Path-loss exponent; in [0, 100].

    Raises
    ------
    ValueError
        If a value is out of range.
    TypeError
        If a value is not a number.

    Examples
    --------
    >>> PathLoss(gain_at_1m_db=-30.0, exponent=3.5).gain_db(100.0)
    array(-100.)
    """

    gain_at_1m_db: float
    exponent: float

    def __post_init__(self) -> None:
        object.__setattr__(
            self,
            "gain_at_1m_db",
            check_number("gain_at_1m_db", self.gain_at_1m_db, low=-MOST_DECIBELS, high=MOST_DECIBELS),
        )
        object.__setattr__(self, "exponent", check_number("exponent", self.exponent, low=0.0, high=_STEEPEST))

    def gain_db(self, distance: ArrayLike) -> FloatArray:
        """Gain at a distance.

        Parameters
        ----------
        distance
            Distance to the base station, m; positive. Any shape.

        Returns
        -------
        numpy.ndarray
            Gains, dB, of the same shape.
        """
        return np.asarray(self.gain_at_1m_db - 10.0 * self.exponent * np.log10(distance))
