"""The server's verification time as a function of the batch: affine, or a measured table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from multispin_gym._arrays import max_users, sum_users
from multispin_gym._validation import (
    LARGEST,
    MOST_ENTRIES,
    SMALLEST,
    BoolArray,
    FloatArray,
    check_array,
    check_choice,
    check_number,
    check_quantity,
    shown,
)

Batching = Literal["padded", "ragged"]
BATCHINGS = ("padded", "ragged")
_FEW = 512


def batch_tokens(draft_lengths: ArrayLike, batching: str, verified: BoolArray | None = None) -> FloatArray:
    """Tokens in the server's batch, in which all users are unless ``verified`` says who is.

    Shapes: ``draft_lengths`` and ``verified`` (..., K), result (...,).
    """
    lengths = np.asarray(draft_lengths)
    if verified is not None:
        inside, drafts = lengths * verified, drafts_in(verified)
        return np.asarray(drafts * (max_users(inside) + 1.0) if batching == "padded" else sum_users(inside) + drafts)
    num_users = lengths.shape[-1]
    if batching == "padded":
        return np.asarray(num_users * (max_users(lengths) + 1.0))
    # Sums of whole numbers are exact in any order, so the faster way may depend on the size.
    total = np.add.reduce(lengths, axis=-1) if lengths.size < _FEW else sum_users(lengths)
    return np.asarray(total + float(num_users))


def drafts_in(verified: BoolArray) -> FloatArray:
    """Number of drafts in the server's batch. Shapes: (..., K) and (...,)."""
    # Several times faster on short rows than to count the booleans.
    return sum_users(verified.astype(np.float64))


@dataclass(frozen=True)
class AffineVerification:
    """Verification time ``fixed + per_draft * K + per_token * n`` for a batch of K drafts with n tokens.

    Parameters
    ----------
    fixed
        Time of an empty batch, s; in [1e-50, 1e50].
    per_token
        Time per token of the batch, s; in [0, 1e50].
    batching
        ``"padded"`` (n = K (longest draft + 1)) or ``"ragged"`` (n = sum of drafts + K).
    per_draft
        Time per draft of the batch, s; in [0, 1e50]. All users of a round are in its batch, those without a draft
        included: they get a token from the server, too. Absent users and those whose drafts are late are not.

    Raises
    ------
    ValueError
        If a value is out of range.

    Examples
    --------
    >>> AffineVerification(fixed=0.06, per_token=3e-4, batching="ragged").round_time([2, 4])
    array(0.0624)
    >>> AffineVerification(fixed=0.02, per_draft=0.01).round_time([2, 4])
    array(0.04)
    """

    fixed: float
    per_draft: float = field(default=0.0, kw_only=True)
    per_token: float = 0.0
    batching: Batching = "padded"

    def __post_init__(self) -> None:
        fixed = check_quantity("verification.fixed", self.fixed)
        object.__setattr__(self, "fixed", fixed)
        for name in ("per_token", "per_draft"):
            value = check_number(f"verification.{name}", getattr(self, name), low=0.0, high=LARGEST)
            object.__setattr__(self, name, value)
        check_choice("verification.batching", self.batching, BATCHINGS)

    def of_batch(self, num_drafts: int) -> AffineVerification:
        """The same server for batches of one number of drafts, whose time is then part of the fixed one.

        Parameters
        ----------
        num_drafts
            Drafts in the batch, which are the users of a cell; at least 0.

        Returns
        -------
        AffineVerification
            A server without a time per draft; this one where it has none.
        """
        if self.per_draft == 0.0:
            return self
        # Without the checks of the constructor: this is asked for in every round that is played.
        batch = object.__new__(AffineVerification)
        batch.__dict__.update(self.__dict__, fixed=self.fixed + self.per_draft * num_drafts, per_draft=0.0)
        return batch

    def time(self, num_tokens: ArrayLike, num_drafts: int | None = None) -> FloatArray:
        """Time of one forward pass.

        Parameters
        ----------
        num_tokens
            Tokens in the batch.
        num_drafts
            Drafts in the batch; may be left out where none of them takes a time of its own.

        Returns
        -------
        numpy.ndarray
            Seconds, of the shape of ``num_tokens``.

        Raises
        ------
        ValueError
            If the number of drafts is left out and matters.
        """
        server = self if num_drafts is None else self.of_batch(num_drafts)
        if server.per_draft != 0.0:
            raise ValueError("num_drafts is missing: verification.per_draft makes the time depend on it")
        return np.asarray(server.fixed + server.per_token * np.asarray(num_tokens, dtype=np.float64))

    def round_time(self, draft_lengths: ArrayLike, verified: BoolArray | None = None) -> FloatArray:
        """Time to verify one round.

        Parameters
        ----------
        draft_lengths
            Draft lengths, token. Shape (..., K).
        verified
            Who is in the batch; all users where it is None. Shape (..., K).

        Returns
        -------
        numpy.ndarray
            Seconds; 0 where nobody is in the batch. Shape (...,).
        """
        lengths = np.asarray(draft_lengths)
        if verified is None:
            return self.time(batch_tokens(lengths, self.batching), lengths.shape[-1])
        drafts = drafts_in(verified)
        seconds = self.fixed + self.per_draft * drafts
        if self.per_token != 0.0:
            seconds = seconds + self.per_token * batch_tokens(lengths, self.batching, verified)
        return np.where(drafts > 0.0, seconds, 0.0)


@dataclass(frozen=True)
class TableVerification:
    """Verification time interpolated in a measured table, which need not be monotone.

    Linear between the points, constant before the first, and beyond the last a straight line from that
    point with slope ``tail_per_token``.

    Parameters
    ----------
    num_tokens
        Measured batch sizes, strictly increasing, in [1e-50, 1e50]; up to a million.
    seconds
        Measured times, s; in [1e-50, 1e50], one for each batch size.
    batching
        ``"padded"`` (n = K (longest draft + 1)) or ``"ragged"`` (n = sum of drafts + K).
    tail_per_token
        Slope beyond the last point, s per token, in [0, 1e50]; by default the slope of the least-squares line
        through the whole table (0 if that falls, or for a single point).

    Raises
    ------
    ValueError
        If a value is out of range, the sizes do not increase, or the two columns differ in length.

    Examples
    --------
    >>> table = TableVerification(num_tokens=[1, 64, 128], seconds=[0.010, 0.011, 0.019])
    >>> table.time([32, 96])
    array([0.01049206, 0.015     ])
    """

    num_tokens: Sequence[float]
    seconds: Sequence[float]
    batching: Batching = "padded"
    tail_per_token: float | None = None

    def __post_init__(self) -> None:
        sizes = check_array("verification.num_tokens", self.num_tokens, low=SMALLEST, high=LARGEST)
        times = check_array("verification.seconds", self.seconds, low=SMALLEST, high=LARGEST)
        check_choice("verification.batching", self.batching, BATCHINGS)
        if sizes.ndim != 1 or sizes.shape != times.shape or not 1 <= sizes.size <= MOST_ENTRIES:
            raise ValueError(
                "verification.num_tokens and verification.seconds must be two lists of one common length of at "
                f"least 1 and at most {MOST_ENTRIES}, got shapes {sizes.shape} and {times.shape}"
            )
        if (np.diff(sizes) <= 0.0).any():
            raise ValueError(f"verification.num_tokens must strictly increase, got {shown(sizes.tolist())}")
        if self.tail_per_token is None:
            slope = float(np.polyfit(sizes, times, 1)[0]) if sizes.size > 1 else 0.0
            tail = max(slope, 0.0)
        else:
            tail = check_number("verification.tail_per_token", self.tail_per_token, low=0.0, high=LARGEST)
        object.__setattr__(self, "num_tokens", tuple(sizes.tolist()))
        object.__setattr__(self, "seconds", tuple(times.tolist()))
        object.__setattr__(self, "tail_per_token", tail)

    @cached_property
    def _columns(self) -> tuple[FloatArray, FloatArray]:
        return np.array(self.num_tokens), np.array(self.seconds)

    def of_batch(self, num_drafts: int) -> TableVerification:
        """Return this server: a table counts tokens only.

        Parameters
        ----------
        num_drafts
            Drafts in the batch.

        Returns
        -------
        TableVerification
            This server.
        """
        return self

    def time(self, num_tokens: ArrayLike, num_drafts: int | None = None) -> FloatArray:
        """Time of one forward pass.

        Parameters
        ----------
        num_tokens
            Tokens in the batch.
        num_drafts
            Drafts in the batch, which make no difference to a table.

        Returns
        -------
        numpy.ndarray
            Seconds, of the same shape.
        """
        sizes, times = self._columns
        count = np.asarray(num_tokens, dtype=np.float64)
        assert self.tail_per_token is not None
        beyond = np.maximum(count - sizes[-1], 0.0)
        return np.asarray(np.interp(count, sizes, times) + self.tail_per_token * beyond)

    def round_time(self, draft_lengths: ArrayLike, verified: BoolArray | None = None) -> FloatArray:
        """Time to verify one round.

        Parameters
        ----------
        draft_lengths
            Draft lengths, token. Shape (..., K).
        verified
            Who is in the batch; all users where it is None. Shape (..., K).

        Returns
        -------
        numpy.ndarray
            Seconds; 0 where nobody is in the batch. Shape (...,).
        """
        tokens = batch_tokens(draft_lengths, self.batching, verified)
        return self.time(tokens) if verified is None else np.where(tokens > 0.0, self.time(tokens), 0.0)


Verification = AffineVerification | TableVerification
