"""What every verification piece of a cell can still offer at given prices of a token and of a second.

At prices c of a drafted token, s, and eta of a second, tokens, the most that ``tokens - eta * seconds`` comes to within
a piece separates over the users, so it is exact over whole lengths. A piece in which it is no more than it is for the
best known decision holds nothing better; and where it is largest is where to look next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.pieces import Pieces
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.physics.verification import TableVerification, Verification


def counts_tokens(server: Verification) -> bool:
    """Whether the pieces are ranges of the number of tokens in the batch: a table of ragged batches."""
    return isinstance(server, TableVerification) and server.batching == "ragged"


@dataclass(frozen=True, eq=False)
class PieceDuals:
    """The separated maximum in each piece of each cell.

    Parameters
    ----------
    value
        The maximum, tokens; minus infinity where no whole lengths lie in the piece. Shape (M, P).
    base, slope
        Verification time that is affine in the tokens of the batch and by which the maximum would be where it is, s and
        s per token: the piece's own where it has no range of tokens. Shape (M, P).
    order, number
        For a table of ragged batches, else None: the drafted tokens of a cell, user by user, by what they are worth,
        the most valuable first, and how many of them the maximum takes. Shapes: (M, E) and (M, P).
    """

    value: FloatArray
    base: FloatArray
    slope: FloatArray
    order: np.ndarray | None = None
    number: np.ndarray | None = None

    @classmethod
    def at(
        cls, linear: Problem, pieces: Pieces, server: Verification, prices: FloatArray, time_price: FloatArray
    ) -> PieceDuals:
        """Maximise in all pieces, for cells with the weighted sum in question and in no piece.

        Shapes: prices, s per token, (M, K); time_price, token/s, (M,).
        """
        if counts_tokens(server):
            return cls._of_table(linear, pieces, server, prices, time_price)
        slope, shape = pieces.slope[0], (len(linear.alpha), len(pieces))
        wanted = linear.best_whole_lengths(time_price[:, None] * (prices + slope))
        lengths = np.minimum(wanted[:, None], pieces.high[:, None])
        tokens = (linear.weight[:, None] * linear.expected(lengths)).sum(axis=-1)
        seconds = ((prices + slope)[:, None] * lengths).sum(axis=-1) + pieces.base + slope * linear.num_users
        base, slopes = (np.broadcast_to(every, shape) for every in (pieces.base, pieces.slope))
        return cls(tokens - time_price[:, None] * seconds, base, slopes)

    @classmethod
    def _of_table(
        cls, linear: Problem, pieces: Pieces, server: Verification, prices: FloatArray, time_price: FloatArray
    ) -> PieceDuals:
        """One order of all drafted tokens serves every number of them in the batch."""
        rows, num_users = linear.alpha.shape
        low, span = linear.low[0, 0], int(linear.high[0, 0] - linear.low[0, 0])
        gains = linear.gains(low + np.arange(1, span + 1))
        worth = (gains - (time_price[:, None] * prices)[..., None]).reshape(rows, -1)
        order = np.argsort(-worth, axis=-1, kind="stable")
        worth = np.take_along_axis(worth, order, -1)
        least = linear.tokens(linear.low) - time_price[:, None] * prices * low
        value = np.cumsum(np.concatenate([least.sum(axis=-1, keepdims=True), worth], axis=-1), axis=-1)
        count = num_users * (low + 1.0) + np.arange(value.shape[-1])
        value -= time_price[:, None] * server.time(count)
        first, last = first_and_last(pieces, count[0])
        ranges = zip(first, np.maximum(first, last), strict=True)
        best = [value[:, a : b + 1].argmax(axis=-1) + a for a, b in ranges]
        number, row = np.stack(best, axis=-1), np.arange(rows)[:, None]
        # At the margin: between what the last token taken is worth and the first that is not.
        around = np.concatenate([worth[:, :1], worth, worth[:, -1:]], axis=-1)
        margin = 0.5 * (around[row, number] + around[row, number + 1])
        slope = margin / np.where(time_price > 0.0, time_price, np.inf)[:, None]
        base = server.time(count[number]) - slope * count[number]
        return cls(np.where(first <= last, value[row, number], -np.inf), base, slope, order, number)

    def lengths(self, low: FloatArray, index: np.ndarray) -> FloatArray:
        """The lengths at the maximum in one piece of each cell, for a table of ragged batches.

        Shapes: the least lengths (M, K), pieces (M,), result (M, K).
        """
        assert self.order is not None
        assert self.number is not None
        rank = np.empty_like(self.order)
        np.put_along_axis(rank, self.order, np.arange(self.order.shape[-1])[None, :], -1)
        taken = rank < self.number[np.arange(len(index)), index][:, None]
        return np.asarray(low + taken.reshape(*low.shape, -1).sum(axis=-1))


def first_and_last(pieces: Pieces, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Fewest and most tokens in the batch beyond the least, in each piece; the first is larger where there is none."""
    return np.ceil(pieces.least - least).astype(np.int64), np.floor(pieces.most - least).astype(np.int64)
