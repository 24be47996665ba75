"""Arrivals of requests in time: a Poisson process, and one whose intensity switches between two values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray, IntArray

# Relaxation times of the phases, in windows, among which one is looked for.
_FASTEST, _SLOWEST = 1e-4, 1e4
_GRID = 801
_BISECTIONS = 100
# Phases that are drawn at first.
_PHASES = 4
PhaseDraws = Callable[[int, int], FloatArray]


@dataclass(frozen=True)
class PoissonProcess:
    """Arrivals of constant intensity.

    Parameters
    ----------
    rate
        Arrivals per second; positive.
    """

    rate: float

    @property
    def gap_variation(self) -> float:
        """Coefficient of variation of the gaps between arrivals."""
        return 1.0

    def count_autocorrelation(self, window: float) -> float:
        """Correlation of the counts in two windows (s) that follow each other."""
        del window
        return 0.0

    def stretched(self, rate: float) -> PoissonProcess:
        """Return the process on a time scale on which its mean rate is ``rate``, 1/s."""
        return PoissonProcess(rate)

    def begin(self, uniform: FloatArray, exponential: FloatArray) -> FloatArray:
        """Return states at an arbitrary time: one phase, without end. Shapes: draws (M,), result (M, 2)."""
        del exponential
        return np.stack([np.zeros(uniform.shape), np.full(uniform.shape, math.inf)], axis=-1)

    def arrivals(self, exponentials: FloatArray, draw: PhaseDraws, state: FloatArray) -> FloatArray:
        """Return the times of the next arrivals, s; see :meth:`SwitchedProcess.arrivals`. Shape (M, count)."""
        del draw, state
        times = np.cumsum(exponentials, axis=1)
        times *= 1.0 / self.rate
        return times


@dataclass(frozen=True)
class SwitchedProcess:
    """Arrivals whose intensity switches between two values: a two-state Markov-modulated Poisson process.

    Each phase lasts an exponential time, then the other begins. Moments: W. Fischer and K. Meier-Hellstern, The
    Markov-modulated Poisson process (MMPP) cookbook, Performance Evaluation 18 (1993).

    Parameters
    ----------
    intensities
        Arrivals per second in each phase; at least 0, not both 0.
    durations
        Mean time that each phase lasts, s; positive.
    """

    intensities: tuple[float, float]
    durations: tuple[float, float]

    @property
    def shares(self) -> tuple[float, float]:
        """Share of the time that each phase has."""
        first, second = self.durations
        return first / (first + second), second / (first + second)

    @property
    def rate(self) -> float:
        """Mean arrivals per second."""
        return self.shares[0] * self.intensities[0] + self.shares[1] * self.intensities[1]

    @property
    def relaxation(self) -> float:
        """Rate at which the intensity's autocorrelation decays, 1/s."""
        return 1.0 / self.durations[0] + 1.0 / self.durations[1]

    @property
    def intensity_variance(self) -> float:
        """Variance of the intensity, 1/s**2."""
        (first, second), (high, low) = self.shares, self.intensities
        return first * second * (high - low) ** 2

    @property
    def gap_variation(self) -> float:
        """Coefficient of variation of the gaps between arrivals."""
        product = self.intensities[0] * self.intensities[1]
        return math.sqrt(1.0 + 2.0 * self.intensity_variance / (product + self.relaxation * self.rate))

    def count_autocorrelation(self, window: float) -> float:
        """Correlation of the counts in two windows (s) that follow each other."""
        return float(_count_autocorrelation(self.rate, self.intensity_variance, self.relaxation, window))

    def stretched(self, rate: float) -> SwitchedProcess:
        """Return the process on a time scale on which its mean rate is ``rate``, 1/s.

        The variation of the gaps stays; counts have the autocorrelation in a window as much longer as the rate is
        lower.
        """
        factor = rate / self.rate
        (high, low), (first, second) = self.intensities, self.durations
        return SwitchedProcess((factor * high, factor * low), (first / factor, second / factor))

    def begin(self, uniform: FloatArray, exponential: FloatArray) -> FloatArray:
        """Turn draws into states at an arbitrary time: the phase, and the time until it ends, s.

        Shapes: ``uniform``, on [0, 1), and ``exponential``, of mean 1, (M,), result (M, 2).
        """
        phase = (uniform >= self.shares[0]).astype(np.int64)
        return np.stack([phase, np.array(self.durations)[phase] * exponential], axis=-1)

    def arrivals(self, exponentials: FloatArray, draw: PhaseDraws, state: FloatArray) -> FloatArray:
        """Turn draws into the times of the next arrivals of some independent processes.

        Parameters
        ----------
        exponentials
            Exponential draws of mean 1, one for each arrival. Shape (M, count), at least one.
        draw
            Gives for a range of numbers, from the first to before the last, such draws for the lengths of the phases
            that begin, by their number. Shape (M, last - first).
        state
            Phase and time until it ends (s) of each process; afterwards those at the last arrival. Shape (M, 2).

        Returns
        -------
        numpy.ndarray
            Times from that of the state, s. Shape (M, count).
        """
        # Arrivals are where the intensity's integral, which is linear within a phase, passes those of unit rate.
        levels = np.cumsum(exponentials, axis=1)
        first = state[:, 0].astype(np.int64)
        ends, integral = self._phases(levels[:, -1], draw, first, state[:, 1])
        # None falls into a phase without intensity.
        index = np.zeros(levels.shape, dtype=np.int64)
        for end in integral[:, 1:-1].T:
            index += levels > end[:, None]
        phase = (first[:, None] + index) % 2
        times = levels - np.take_along_axis(integral, index, axis=1)
        times /= np.array(self.intensities)[phase]
        times += np.take_along_axis(ends, index, axis=1)
        last = np.take_along_axis(ends, index[:, -1:] + 1, axis=1)[:, 0]
        state[:, 0], state[:, 1] = phase[:, -1], np.maximum(last - times[:, -1], 0.0)
        return times

    def _phases(
        self, level: FloatArray, draw: PhaseDraws, first: IntArray, left: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Phases until the intensity's integral is past a level: 0 and their ends, s, and the integral there."""
        lasts = left[:, None]
        while True:
            phase = (first[:, None] + np.arange(lasts.shape[1])) % 2
            ends, integral = (np.zeros((len(lasts), lasts.shape[1] + 1)) for _ in range(2))
            np.cumsum(lasts, axis=1, out=ends[:, 1:])
            np.cumsum(lasts * np.array(self.intensities)[phase], axis=1, out=integral[:, 1:])
            if (integral[:, -1] >= level).all():
                return ends, integral
            known = lasts.shape[1] - 1
            more = draw(known, 2 * known + _PHASES)
            phase = (first[:, None] + 1 + known + np.arange(more.shape[1])) % 2
            lasts = np.concatenate((lasts, more * np.array(self.durations)[phase]), axis=1)


ArrivalProcess = PoissonProcess | SwitchedProcess


def fit_switched_process(
    rate: float, gap_variation: float, count_autocorrelation: float, count_window: float
) -> SwitchedProcess:
    """Fit a switched process to the mean, the variation and the memory of arrivals.

    Three figures leave one of the four parameters free. Of the processes that have them, it is one whose two phases are
    equally likely; where that would ask for a negative intensity, one of whose phases is silent. If several are, it is
    the one whose phases are shortest.

    Parameters
    ----------
    rate
        Mean arrivals per second; positive.
    gap_variation
        Coefficient of variation of the gaps between arrivals; above 1.
    count_autocorrelation
        Correlation of the counts in two windows that follow each other; above 0.
    count_window
        Length of the windows, s; positive.

    Returns
    -------
    SwitchedProcess
        The process; its first phase is the busier one.

    Raises
    ------
    ValueError
        If no such process has these figures; the message says which autocorrelations can be had.
    """
    excess = gap_variation**2 - 1.0

    def reached(relaxation: FloatArray | float) -> FloatArray:
        variance = _variance(rate, excess, relaxation)
        return np.asarray(_count_autocorrelation(rate, variance, relaxation, count_window))

    # From the fastest phases on: the first crossing is that of the shortest ones.
    grid = np.geomspace(1.0 / _FASTEST, 1.0 / _SLOWEST, _GRID) / count_window
    enough = reached(grid) >= count_autocorrelation
    if not enough.any() or enough[0]:
        raise ValueError(
            f"count_autocorrelation must lie in [{reached(grid[0]):.3g}, {reached(grid).max():.3g}], where counts of "
            f"{rate * count_window:g} arrivals on average, whose gaps have a variation of {gap_variation:g}, can have "
            f"it, got {count_autocorrelation!r}"
        )
    index = int(enough.argmax())
    fast, slow = math.log(grid[index - 1]), math.log(grid[index])
    for _ in range(_BISECTIONS):
        middle = 0.5 * (fast + slow)
        fast, slow = (fast, middle) if reached(math.exp(middle)) >= count_autocorrelation else (middle, slow)
    return _of_relaxation(rate, excess, math.exp(slow))


def _variance(rate: float, excess: float, relaxation: FloatArray | float) -> FloatArray:
    """Variance of the intensity at a squared variation of the gaps that exceeds 1 by so much."""
    alike = rate * (rate + relaxation) / (1.0 + 2.0 / excess)
    silent = 0.5 * excess * rate * relaxation
    # Phases that are equally likely cannot have a variance above the squared mean.
    return np.where(alike <= rate**2, alike, silent)


def _of_relaxation(rate: float, excess: float, relaxation: float) -> SwitchedProcess:
    variance = float(_variance(rate, excess, relaxation))
    ratio = max(math.sqrt(variance) / rate, 1.0)
    busy = 1.0 / (1.0 + ratio**2)
    high = rate + math.sqrt(variance) * ratio
    low = 0.0 if ratio > 1.0 else max(rate - math.sqrt(variance), 0.0)
    # The phase with the smaller share is left faster.
    return SwitchedProcess((high, low), (1.0 / ((1.0 - busy) * relaxation), 1.0 / (busy * relaxation)))


def _count_autocorrelation(
    rate: float, variance: FloatArray | float, relaxation: FloatArray | float, window: float
) -> FloatArray | float:
    left = relaxation * window
    fallen = -np.expm1(-left)
    covariance = variance * (fallen / relaxation) ** 2
    # left - fallen, without the difference of two like numbers where the window is short.
    bent = np.where(left < 1e-3, left**2 * (0.5 - left / 6.0), left - fallen)
    return covariance / (rate * window + 2.0 * variance * bent / relaxation**2)
