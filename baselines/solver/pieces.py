"""Cuts of the decision space of a cell, on each of which the verification time is affine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.server import drafting_server
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.verification import AffineVerification, TableVerification


@dataclass(frozen=True, eq=False)
class Pieces:
    """Cuts of the decision space on each of which the verification time is ``base + slope * n``.

    A padded batch has one piece for each longest draft m (lengths up to m, constant time); a ragged affine batch, or
    one whose time does not depend on the lengths, is one piece; a ragged table has one piece for each stretch between
    two measured batch sizes, with ``least <= n <= most`` for the tokens n of the batch.

    Parameters
    ----------
    high
        Longest draft allowed in the piece. Shape (P,).
    base, slope
        Verification time, s and s per token. Shape (P,).
    least, most
        Range of the number of tokens n in the batch; infinite where it does not matter. Shape (P,).
    """

    high: FloatArray
    base: FloatArray
    slope: FloatArray
    least: FloatArray
    most: FloatArray

    def __len__(self) -> int:
        """Number of pieces P."""
        return len(self.base)

    def joined(self) -> Pieces:
        """One piece that holds all of them, nowhere longer to verify than they are."""
        every = self.high.max(), self.base.min(), self.slope.min(), self.least.min(), self.most.max()
        return Pieces(*(np.array([value]) for value in every))


@lru_cache(maxsize=256)
def pieces_of(cell: Cell, num_users: int) -> Pieces:
    """Cut the decision space of a cell into pieces that together hold every decision in which somebody drafts.

    They are kept for the cell's next decision: nobody writes to them.
    """
    server, low, high = drafting_server(cell, num_users), cell.min_draft_length, cell.max_draft_length
    if isinstance(server, AffineVerification) and (server.batching == "ragged" or server.per_token == 0.0):
        return _pieces(np.array([float(high)]), np.array([server.fixed]), server.per_token, -np.inf, np.inf)
    if server.batching == "padded":
        longest = np.arange(max(low, 1), high + 1, dtype=np.float64)
        return _pieces(longest, server.time(num_users * (longest + 1.0)), 0.0, -np.inf, np.inf)
    assert isinstance(server, TableVerification)
    return _table_pieces(server, low, high, num_users)


def _pieces(high: FloatArray, base: FloatArray, slope: Any, least: Any, most: Any) -> Pieces:
    full = np.broadcast_arrays(high, base, slope, least, most)
    return Pieces(*(np.array(part, dtype=np.float64) for part in full))


def _table_pieces(server: TableVerification, low: int, high: int, num_users: int) -> Pieces:
    first, last = num_users * (low + 1.0), num_users * (high + 1.0)
    inner = [size for size in server.num_tokens if first < size < last]
    ends = np.array([first, *inner, last])
    if first == last:
        return _pieces(np.array([float(high)]), server.time(first)[None], 0.0, first, last)
    times = server.time(ends)
    slope = np.diff(times) / np.diff(ends)
    return _pieces(np.full(len(slope), float(high)), times[:-1] - slope * ends[:-1], slope, ends[:-1], ends[1:])
