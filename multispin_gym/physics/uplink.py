r"""The shared uplink: achievable rates and the bandwidth that a rate needs.

A user's signal enters as ``signal = P g / N0`` in Hz, the bandwidth over which its SNR would be one. Both
models are written in ``w = ln(1 + signal / bandwidth)``, the natural logarithm of one plus the SNR:

* total power: ``R = (signal / ln 2) w / expm1(w)`` and ``bandwidth = signal / expm1(w)``, so that a rate fixes
  ``expm1(w) / w`` and the inverse needs no Lambert function;
* fixed power density: ``R = bandwidth * log2(1 + signal / B)`` with the whole band B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from multispin_gym._arrays import extremes
from multispin_gym._validation import FloatArray

LN2 = math.log(2.0)
# Below this value of h(w) = ln(expm1(w) / w) its closed form cancels, and w/2 + w^2/24 - w^4/2880 is exact to rounding.
SERIES_END = 0.01
# Below it the SNR has lost digits to underflow.
_TINY = 1e-290


def series_root(target: FloatArray) -> FloatArray:
    """Solve h(w) = target for small targets by Newton's method on the series of h, element by element."""
    w = 2.0 * target - target * target / 3.0
    for _ in range(2):
        square = w * w
        value = 0.5 * w + square * (1 / 24 - square / 2880)
        w = w - (value - target) / (0.5 + w * (1 / 12 - square / 720))
    return np.maximum(w, 0.0)


def halley_root(target: FloatArray) -> FloatArray:
    """Solve h(w) = target for finite targets from :data:`SERIES_END` on by Halley's method, element by element."""
    # Within 0.4 % of the root everywhere: right to second order at 0 and asymptotically at infinity.
    w = target + np.log1p(target * (1.0 + target / (6.0 + target * (2.76 + 0.166 * target))))
    for _ in range(2):
        fall = np.expm1(-w)
        flat = 1.0 / w
        slope = -1.0 / fall - flat
        error = w + np.log(-fall * flat) - target
        bend = flat * flat - (1.0 + fall) / (fall * fall)
        w = w - 2.0 * error * slope / (2.0 * slope * slope - error * bend)
    return w


def log_snr_of_ratio(excess: ArrayLike) -> FloatArray:
    """Solve ``expm1(w) / w = 1 + excess`` for w.

    Halley's method on ``h(w) = ln(expm1(w) / w)``, from a guess that is right at both ends; small roots come from
    the series of h, where its closed form would cancel. Accurate to rounding from the wideband limit up.

    Parameters
    ----------
    excess
        Values of ``expm1(w) / w - 1``, at least 0; infinity gives infinity.

    Returns
    -------
    numpy.ndarray
        The roots w >= 0, of the same shape.
    """
    return _log_snr(np.log1p(np.asarray(excess, dtype=np.float64)))


def _log_snr(target: FloatArray) -> FloatArray:
    """Solve ``ln(expm1(w) / w) = target`` for w."""
    finite = np.isfinite(target)
    small = target < SERIES_END
    goal = target if finite.all() and not small.any() else np.where(finite & ~small, target, 1.0)
    w = halley_root(goal)
    if goal is target:
        return w
    w = np.where(finite, w, np.inf)
    if small.any():
        w[small] = series_root(target[small])
    return w


@dataclass(frozen=True)
class TotalPowerUplink:
    """Each device puts its whole power into its share: ``R(b) = b log2(1 + signal / b)``.

    The rate is concave and increasing in the bandwidth and bounded by ``signal / ln 2`` (model, section 3).
    """

    def rate(self, bandwidth: ArrayLike, signal: ArrayLike) -> FloatArray:
        """Achievable rate on a given bandwidth.

        Parameters
        ----------
        bandwidth
            Bandwidth given to the user, Hz; at least 0.
        signal
            ``P g / N0``, Hz; positive. The two broadcast.

        Returns
        -------
        numpy.ndarray
            Rates, bit/s; 0 without bandwidth, ``signal / ln 2`` on an infinite one.
        """
        band, strength = np.asarray(bandwidth, dtype=np.float64), np.asarray(signal, dtype=np.float64)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return self.quiet_rate(band, strength)

    def quiet_rate(self, band: FloatArray, strength: FloatArray) -> FloatArray:
        """Compute :meth:`rate` of arrays, floating-point warnings being off.

        Parameters
        ----------
        band
            Bandwidth, Hz.
        strength
            ``P g / N0``, Hz.

        Returns
        -------
        numpy.ndarray
            Rates, bit/s.
        """
        w = np.log1p(strength / band)
        rate = band * w / LN2
        least, largest = extremes(w)
        if not (least > _TINY and largest < math.inf):
            ordinary = (w > _TINY) & (w < np.inf)
            # The SNR overflows long before its logarithm does, and underflows where the rate is at its limit.
            high = np.where(band == 0.0, 0.0, band * (np.log(strength) - np.log(band)) / LN2)
            rate = np.where(ordinary, rate, np.where(w > _TINY, high, strength / LN2))
        return np.asarray(rate)

    def bandwidth(self, rate: ArrayLike, signal: ArrayLike) -> FloatArray:
        """Least bandwidth that carries a given rate: the inverse of :meth:`rate`.

        Parameters
        ----------
        rate
            Rate, bit/s; at least 0.
        signal
            ``P g / N0``, Hz; positive. The two broadcast.

        Returns
        -------
        numpy.ndarray
            Bandwidths, Hz; 0 for a rate of 0, infinity where ``rate >= signal / ln 2``, which no bandwidth carries.
        """
        rates, strength = np.asarray(rate, dtype=np.float64), np.asarray(signal, dtype=np.float64)
        limit = strength / LN2
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            excess = np.where(rates < limit, (limit - rates) / rates, 0.0)
            # The ratio of the limit to a tiny rate overflows long before its logarithm does.
            target = np.where(np.isinf(excess), np.log(limit) - np.log(rates), np.log1p(excess))
            band = rates * LN2 / _log_snr(target)
        return np.where(rates < limit, band, np.inf)


@dataclass(frozen=True)
class DensityUplink:
    """Fixed power per Hz, hence a fixed spectral efficiency: ``R(b) = b log2(1 + signal / B)``.

    Parameters
    ----------
    total_bandwidth
        The whole band B, Hz, over which the SNR is taken.
    """

    total_bandwidth: float

    def efficiency(self, signal: ArrayLike) -> FloatArray:
        """Spectral efficiency of a user.

        Parameters
        ----------
        signal
            ``P g / N0``, Hz; positive.

        Returns
        -------
        numpy.ndarray
            Spectral efficiencies, bit/s/Hz.
        """
        return np.asarray(np.log1p(np.asarray(signal, dtype=np.float64) / self.total_bandwidth) / LN2)

    def rate(self, bandwidth: ArrayLike, signal: ArrayLike) -> FloatArray:
        """Achievable rate on a given bandwidth; arguments as for :meth:`TotalPowerUplink.rate`.

        Parameters
        ----------
        bandwidth
            Bandwidth given to the user, Hz; at least 0.
        signal
            ``P g / N0``, Hz; positive. The two broadcast.

        Returns
        -------
        numpy.ndarray
            Rates, bit/s.
        """
        return self.quiet_rate(np.asarray(bandwidth, dtype=np.float64), np.asarray(signal, dtype=np.float64))

    def quiet_rate(self, band: FloatArray, strength: FloatArray) -> FloatArray:
        """Compute :meth:`rate` of arrays.

        Parameters
        ----------
        band
            Bandwidth, Hz.
        strength
            ``P g / N0``, Hz.

        Returns
        -------
        numpy.ndarray
            Rates, bit/s.
        """
        return band * self.efficiency(strength)

    def bandwidth(self, rate: ArrayLike, signal: ArrayLike) -> FloatArray:
        """Least bandwidth that carries a given rate: the inverse of :meth:`rate`.

        Parameters
        ----------
        rate
            Rate, bit/s; at least 0.
        signal
            ``P g / N0``, Hz; positive. The two broadcast.

        Returns
        -------
        numpy.ndarray
            Bandwidths, Hz; infinity where the efficiency is too small for a number.
        """
        rates = np.asarray(rate, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(rates == 0.0, 0.0, rates / self.efficiency(signal))


Uplink = TotalPowerUplink | DensityUplink
