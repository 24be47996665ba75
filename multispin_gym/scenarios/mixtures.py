"""Mixtures of Beta laws on ranges, from which users' acceptance rates and drafting speeds are drawn."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from multispin_gym._validation import FloatArray, IntArray

# Cells in which the quantiles of a law are interpolated.
_CELLS = 4096


class RangeMixture:
    """A mixture of Beta laws scaled to ranges, drawn by inversion from two uniforms a draw, or by component.

    Parameters
    ----------
    weights
        Relative frequencies, positive. Shape (n,).
    ranges
        Least and largest value of each component. Shape (n, 2).
    beta
        Shape parameters of each component. Shape (n, 2); by default all uniform.
    limits
        Least and largest value that comes out of each component. Shape (n, 2); by default the ranges.
    inverted
        Of which components the inverse is drawn, so that the values are the inverses of the range's. Shape (n,).
    """

    def __init__(
        self,
        weights: ArrayLike,
        ranges: ArrayLike,
        beta: ArrayLike | None = None,
        limits: ArrayLike | None = None,
        inverted: ArrayLike = False,
    ) -> None:
        cumulative = np.cumsum(weights)
        self._edges = cumulative[:-1] / cumulative[-1]
        ends = np.array(ranges, dtype=np.float64)
        self._low, self._span = ends[:, 0].copy(), ends[:, 1] - ends[:, 0]
        within = np.array(ends if limits is None else limits, dtype=np.float64)
        self._inverted = np.broadcast_to(np.asarray(inverted, dtype=np.bool_), self._low.shape)
        self._inverts = bool(self._inverted.any())
        within[self._inverted] = 1.0 / within[self._inverted, ::-1]
        self.low, self.high = float(within.min()), float(within.max())
        # The sum in `invert` may exceed the upper end by its own rounding; elsewhere the ends of the whole are enough.
        self._limits = None if limits is None else within
        shapes = np.array([[1.0, 1.0]] if beta is None else beta, dtype=np.float64)
        self._beta = None if (shapes == 1.0).all() else (shapes[:, 0].copy(), shapes[:, 1].copy())

    def components(self, pick: FloatArray) -> IntArray:
        """Turn uniform draws into indices of components."""
        return np.asarray(self._edges.searchsorted(pick, side="right"))

    def invert(self, pick: FloatArray, level: FloatArray) -> FloatArray:
        """Turn uniform draws into draws of the mixture."""
        index = self.components(pick)
        if self._beta is not None:
            # Loading it takes longer than loading all of this library; most scenarios need none of it.
            from scipy.special import betaincinv

            level = np.asarray(betaincinv(self._beta[0][index], self._beta[1][index], level), dtype=np.float64)
        return self._values(index, level)

    def approximate(self, index: IntArray, level: FloatArray) -> FloatArray:
        """Turn uniform draws into draws of components, much faster than by inversion of their laws.

        Quantiles of Beta laws are interpolated between a few thousand of them, which are exact.
        """
        if self._beta is not None:
            place = level * _CELLS
            cell = place.astype(np.int64)
            place -= cell
            cell += index * (_CELLS + 1)
            low = self._quantiles.take(cell)
            level = low + place * (self._quantiles.take(cell + 1) - low)
        return self._values(index, level)

    @cached_property
    def _quantiles(self) -> FloatArray:
        """Quantiles of the components' Beta laws, one component after another."""
        assert self._beta is not None
        from scipy.special import betaincinv

        first, second = (np.broadcast_to(shape, self._low.shape)[:, None] for shape in self._beta)
        return np.asarray(betaincinv(first, second, np.linspace(0.0, 1.0, _CELLS + 1)), dtype=np.float64).ravel()

    def _values(self, index: IntArray, level: FloatArray) -> FloatArray:
        """Place draws on the components' ranges."""
        # One component, as often: no need to look it up for each draw.
        which = 0 if self._low.size == 1 else index
        value = self._low[which] + self._span[which] * level
        if self._inverts:
            value = np.where(self._inverted[index], 1.0 / value, value)
        if self._limits is None:
            return np.asarray(np.minimum(np.maximum(value, self.low), self.high))
        return np.asarray(np.minimum(np.maximum(value, self._limits[index, 0]), self._limits[index, 1]))
