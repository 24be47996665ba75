"""A Rayleigh fade's power on a grid of decibels: how likely each step is at first, and after any number of instants."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from scipy.special import chndtr

from multispin_gym._validation import FloatArray

# Power is below the first of these once in a thousand instants, and above the last once in twenty thousand.
_RANGE_DB = (-30.0, 10.0)
# What is left of an amplitude's correlation where the past is forgotten.
_FORGOTTEN = 1e-3
_MOST_STEPS = 512


class FadeGrid:
    """The power of a Gauss-Markov amplitude of mean power 1, as probabilities of cells of equal width in decibels.

    Given the power x before, twice the power y after over ``1 - rho**2`` is noncentral chi-square with two degrees of
    freedom and noncentrality ``2 rho**2 x / (1 - rho**2)``: the phase need not be known, the power is Markov itself.
    (Standard: the squared radius of a two-dimensional Ornstein-Uhlenbeck process.)

    Parameters
    ----------
    correlation
        Correlation of the amplitude between instants, in [0, 1].
    spacing_db
        Width of a cell, dB.
    fades
        Whether there is fading at all; otherwise there is one cell, at 0 dB.
    """

    def __init__(self, correlation: float, spacing_db: float, fades: bool = True) -> None:
        low, high = _RANGE_DB if fades else (0.0, 0.0)
        count = round((high - low) / spacing_db) + 1
        self.nodes_db: FloatArray = np.asarray(low + spacing_db * np.arange(count), dtype=np.float64)
        self.spacing_db = spacing_db
        self._correlation = correlation
        self._edges = 10.0 ** (0.1 * (self.nodes_db[:-1] + 0.5 * spacing_db))
        self._after: dict[int, FloatArray] = {}

    @cached_property
    def stationary(self) -> FloatArray:
        """Probability of each cell without a report. Shape (S,)."""
        return np.diff(-np.expm1(-np.concatenate([[0.0], self._edges, [np.inf]])))

    @cached_property
    def horizon(self) -> int:
        """Instants after which the past is forgotten, or no further ones are told apart."""
        if not 0.0 < self._correlation < 1.0:
            return 1
        return min(math.ceil(math.log(_FORGOTTEN) / math.log(self._correlation)), _MOST_STEPS)

    def after(self, instants: int) -> FloatArray:
        """Probabilities of each cell so many instants after each cell. Shape (S, S), the later cell last."""
        steps = min(instants, self.horizon)
        if steps not in self._after:
            self._after[steps] = self._transitions(self._correlation**steps)
        return self._after[steps]

    def _transitions(self, rho: float) -> FloatArray:
        if rho == 1.0:
            return np.eye(self.nodes_db.size)
        scale = 2.0 / (1.0 - rho * rho)
        before = 10.0 ** (0.1 * self.nodes_db)[:, None]
        below = chndtr(scale * self._edges, 2.0, scale * rho * rho * before)
        ends = np.zeros((self.nodes_db.size, 1))
        return np.diff(np.concatenate([ends, below, ends + 1.0], axis=1), axis=1)
