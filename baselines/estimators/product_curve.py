"""Sums of functions of one probability each that are nowhere below the product of all, and equal it along a curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray


@dataclass(frozen=True, eq=False)
class ProductCurve:
    """Functions with ``prod_k x_k <= sum_k phi_k(x_k)`` for all x in the unit cube.

    Let p(s) be a curve from (0, ..., 0) to (1, ..., 1) that falls in no coordinate, and ``phi_k(p_k(s))`` the integral
    of ``prod_{j != k} p_j`` over dp_k up to s. For any x let s_k be where ``p_k(s_k) = x_k``. Then
    ``prod_k p_k(min(s, s_k))`` grows by at most ``sum_{k: s_k > s} prod_{j != k} p_j(s) dp_k(s)``, and integrating over
    s gives the inequality, which is an equality on the curve. Between points of the curve the larger of both ends'
    products is taken.

    Parameters
    ----------
    points
        The curve, point by point. Shape (K, n).
    values
        phi of its points. Shape (K, n).
    """

    points: FloatArray
    values: FloatArray

    @classmethod
    def through(cls, chances: FloatArray) -> ProductCurve:
        """The functions of a curve through points that fall in no coordinate. Shape (K, n)."""
        users = len(chances)
        points = np.concatenate([np.zeros((users, 1)), chances, np.ones((users, 1))], axis=1)
        points = np.maximum.accumulate(np.clip(points, 0.0, 1.0), axis=1)
        later = points[:, 1:]
        others = np.stack([np.delete(later, user, axis=0).prod(axis=0) for user in range(users)])
        values = np.cumsum(others * np.diff(points, axis=1), axis=1)
        return cls(points, np.concatenate([np.zeros((users, 1)), values], axis=1))

    def of(self, user: int, chance: FloatArray) -> FloatArray:
        """The function phi of a user, for probabilities of any shape."""
        return np.asarray(np.interp(chance, self.points[user], self.values[user]))
