"""The optimisation problem of a batch of cells, cut into pieces on which the verification time is affine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.acceptance import mean_tokens
from multispin_gym.baselines.share_curves import ShareCurves
from multispin_gym.cell import Cell
from multispin_gym.users import Users
from multispin_gym.verification import AffineVerification, TableVerification

# exp(-700) is the smallest power that keeps its precision; a smaller acceptance rate yields no more tokens.
_STEEPEST = 700.0


@dataclass(frozen=True, eq=False)
class Pieces:
    """Cuts of the decision space on each of which the verification time is ``base + slope * n``.

    A padded batch has one piece for each longest draft m (lengths up to m, constant time); a ragged affine batch
    is one piece; a ragged table has one piece for each stretch between two measured batch sizes, with
    ``least <= n <= most`` for the tokens n of the batch.

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


def pieces_of(cell: Cell, num_users: int) -> Pieces:
    """Cut the decision space of a cell.

    Parameters
    ----------
    cell
        The shared system.
    num_users
        Number of users K.

    Returns
    -------
    Pieces
        Pieces that together hold every decision in which somebody drafts.
    """
    server, low, high = cell.verification, cell.min_draft_length, cell.max_draft_length
    if server.batching == "padded":
        longest = np.arange(max(low, 1), high + 1, dtype=np.float64)
        return _pieces(longest, server.time(num_users * (longest + 1.0)), 0.0, -np.inf, np.inf)
    if isinstance(server, AffineVerification):
        return _pieces(np.array([float(high)]), np.array([server.fixed]), server.per_token, -np.inf, np.inf)
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


@dataclass(frozen=True, eq=False)
class Problem:
    """A batch of relaxed problems: one row for each pair of a cell and a piece.

    Maximises ``sum_k weight_k N(alpha_k, L_k) / (T(L) + base + slope * n)`` over ``low <= L <= high`` and
    ``least <= n = sum(L_k + 1) <= most``.

    Parameters
    ----------
    curves
        The users' share curves. Arrays of shape (M, K).
    alpha, weight
        Acceptance rates and weights of the users' tokens. Shape (M, K).
    decay, gain
        ``a = -ln alpha`` and ``a / (1 - alpha)``, so that ``N'(L) = gain exp(-a (L + 1))``. Shape (M, K).
    low, high
        Range of the draft lengths. Shape (M, K).
    base, slope, least, most
        The verification piece of each row. Shape (M,).
    """

    curves: ShareCurves
    alpha: FloatArray
    weight: FloatArray
    decay: FloatArray
    gain: FloatArray
    low: FloatArray
    high: FloatArray
    base: FloatArray
    slope: FloatArray
    least: FloatArray
    most: FloatArray

    @classmethod
    def of(cls, users: Users, cell: Cell, weight: FloatArray | None = None) -> Problem:
        """Build the problem of a batch of cells, in no verification piece yet.

        Parameters
        ----------
        users
            The users. Shape (..., K).
        cell
            The shared system.
        weight
            Positive weights of the users' tokens; one by default. Shape (M, K).

        Returns
        -------
        Problem
            One row for each cell, the batch axes flattened; its verification time is zero until :meth:`in_piece`.
        """
        alpha = users.acceptance_rate.reshape(-1, users.num_users)
        with np.errstate(divide="ignore", invalid="ignore"):
            decay = np.minimum(-np.log(alpha), _STEEPEST) + 0.0
            gain = np.where(alpha == 1.0, 1.0, decay / (1.0 - alpha))
        return cls(
            ShareCurves.of(users, cell),
            alpha,
            np.ones_like(alpha) if weight is None else weight,
            decay,
            gain,
            np.full(alpha.shape, float(cell.min_draft_length)),
            np.full(alpha.shape, float(cell.max_draft_length)),
            *(np.zeros(len(alpha)) for _ in range(4)),
        )

    @property
    def num_users(self) -> int:
        """Number of users K."""
        return int(self.alpha.shape[-1])

    def __getitem__(self, rows: Any) -> Problem:
        """Select rows, or repeat them, with any NumPy index over the first axis."""
        return Problem(**{name: value[rows] for name, value in self.__dict__.items()})

    def in_piece(self, pieces: Pieces, index: Any) -> Problem:
        """The same cells, each in the piece of the given index.

        Parameters
        ----------
        pieces
            The cell's pieces.
        index
            Piece of each row. Shape (M,).

        Returns
        -------
        Problem
            Problem with the pieces' verification time and range.
        """
        return replace(
            self,
            high=np.minimum(self.high, pieces.high[index][:, None]),
            base=pieces.base[index],
            slope=pieces.slope[index],
            least=pieces.least[index],
            most=pieces.most[index],
        )

    def in_box(self, low: FloatArray, high: FloatArray) -> Problem:
        """The same rows with another range of draft lengths.

        Parameters
        ----------
        low, high
            Range of the draft lengths. Shape (M, K).

        Returns
        -------
        Problem
            Problem with that range.
        """
        return replace(self, low=low, high=high)

    def tokens(self, lengths: FloatArray) -> FloatArray:
        """Weighted expected tokens of each user.

        Parameters
        ----------
        lengths
            Draft lengths, real numbers allowed. Shape (M, K).

        Returns
        -------
        numpy.ndarray
            Tokens. Shape (M, K).
        """
        return self.weight * mean_tokens(self.alpha, lengths)

    def marginal_tokens(self, lengths: FloatArray) -> FloatArray:
        """Derivative of :meth:`tokens` by the length.

        Parameters
        ----------
        lengths
            Draft lengths, real numbers allowed. Shape (M, K).

        Returns
        -------
        numpy.ndarray
            Tokens per drafted token. Shape (M, K).
        """
        return np.asarray(self.weight * self.gain * np.exp(-self.decay * (lengths + 1.0)))

    def verification_time(self, lengths: FloatArray) -> FloatArray:
        """Verification time by the row's piece.

        Parameters
        ----------
        lengths
            Draft lengths, real numbers allowed. Shape (M, K).

        Returns
        -------
        numpy.ndarray
            Seconds. Shape (M,).
        """
        return np.asarray(self.base + self.slope * (lengths.sum(axis=-1) + self.num_users))

    def best_real_lengths(self, price: FloatArray) -> FloatArray:
        """Real lengths that maximise ``tokens - price * L`` user by user.

        Parameters
        ----------
        price
            Price of one drafted token, in tokens. Broadcasts to shape (M, K).

        Returns
        -------
        numpy.ndarray
            Lengths within the row's range. Shape (M, K).
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            wanted = np.log(self.weight * self.gain / price) / self.decay - 1.0
        wanted = np.where(price > 0.0, wanted, np.inf)
        return np.asarray(np.clip(np.where(np.isnan(wanted), self.low, wanted), self.low, self.high))

    def best_whole_lengths(self, price: FloatArray) -> FloatArray:
        """Whole lengths that maximise ``tokens - price * L`` user by user.

        The l-th draft adds ``weight * alpha**l`` tokens, so it is made while that exceeds its price.

        Parameters
        ----------
        price
            Price of one drafted token, in tokens. Broadcasts to shape (M, K).

        Returns
        -------
        numpy.ndarray
            Whole lengths within the row's range. Shape (M, K).
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            wanted = np.ceil(np.log(self.weight / price) / self.decay) - 1.0
        wanted = np.where(price > 0.0, wanted, np.inf)
        return np.asarray(np.clip(np.where(np.isnan(wanted), self.low, wanted), self.low, self.high))
