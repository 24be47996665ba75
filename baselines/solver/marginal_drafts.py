"""Drafts one by one, by what each adds: the exact way to whole lengths where no band is left to split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from multispin_gym._arrays import sum_users
from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.physics.users import Users


@dataclass(frozen=True, eq=False)
class MarginalDrafts:
    """Every draft beyond the shortest that the users of some cells may make, E of them in a cell.

    The l-th draft of a user adds ``alpha**l`` tokens, or the l-th entry of its curve, which falls with l: whatever the
    price of a draft, who makes one has made all before it. The drafts of one user stand side by side.

    Parameters
    ----------
    shortest
        Drafts that everybody makes.
    base
        Tokens of a cell in which nobody makes more. Shape (M,).
    level
        Which draft of its user each one is, from ``shortest + 1``. Shape (E,).
    gain
        Tokens that each adds. Shape (M, E).
    """

    shortest: int
    base: FloatArray
    level: FloatArray
    gain: FloatArray

    @classmethod
    def of(cls, users: Users, shortest: int, longest: int) -> MarginalDrafts:
        """List the drafts of users of shape (M, K)."""
        levels = np.arange(shortest + 1, longest + 1, dtype=np.float64)
        rows, num_users = users.acceptance_rate.shape
        base = sum_users(users.tokens(np.full(1, float(shortest))))
        curves, rates = users.survival, users.acceptance_rate[..., None]
        gain = rates**levels if curves is None else curves[..., shortest:longest]
        return cls(shortest, base, np.tile(levels, num_users), gain.reshape(rows, num_users * len(levels)))

    def lengths(self, made: np.ndarray, num_users: int) -> FloatArray:
        """Draft lengths of those who make the marked drafts. Shapes: marks (M, E), lengths (M, K)."""
        count = made.reshape(len(made), num_users, -1).sum(axis=-1)
        return np.asarray(self.shortest + count, dtype=np.float64)

    def best_first(self, leading: np.ndarray | None = None) -> tuple[IntArray, MarginalDrafts]:
        """Order the drafts of each cell by what they add; indices (M, E), and the drafts' gains in that order.

        The drafts of one user per row may lead. Shape (M,).
        """
        key = -self.gain
        if leading is not None:
            users = np.arange(key.shape[-1]) // max(len(np.unique(self.level)), 1)
            key[users == leading[:, None]] = -np.inf
        order = np.argsort(key, axis=-1, kind="stable")
        gain = np.take_along_axis(self.gain, order, axis=-1)
        return order, MarginalDrafts(self.shortest, self.base, self.level, gain)

    def best_number(
        self, allowed: np.ndarray, seconds: Callable[[IntArray], FloatArray]
    ) -> tuple[FloatArray, IntArray]:
        """Goodput of the best number of drafts, and that number.

        Of the drafts that are allowed, the first ones in the row are made. ``seconds`` gives the round's time for
        numbers of drafts. Shapes: allowed (M, E), numbers (M, E + 1), goodputs and best numbers (M,).
        """
        rows = len(self.gain)
        number = np.zeros((rows, self.gain.shape[-1] + 1), dtype=np.int64)
        tokens = np.zeros(number.shape)
        np.cumsum(allowed, axis=-1, out=number[:, 1:])
        np.cumsum(np.where(allowed, self.gain, 0.0), axis=-1, out=tokens[:, 1:])
        goodput = (self.base[:, None] + tokens) / seconds(number)
        best = goodput.argmax(axis=-1)[:, None]
        return np.take_along_axis(goodput, best, axis=-1)[:, 0], np.take_along_axis(number, best, axis=-1)[:, 0]


def first_allowed(order: IntArray, allowed: np.ndarray, number: IntArray) -> np.ndarray:
    """Mark the first drafts that are allowed in an order, and put the marks back where the drafts came from.

    Shapes: order, allowed and marks (M, E), number (M,).
    """
    first = allowed & (np.cumsum(allowed, axis=-1) <= number[:, None])
    marks = np.empty_like(first)
    np.put_along_axis(marks, order, first, axis=-1)
    return marks
