"""What is decided in a round: draft lengths, shares of the band and, where there are such, a cut-off and who goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from multispin_gym._validation import LARGEST_WHOLE, BoolArray, FloatArray, IntArray, check_array, check_mask
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.users import Users

# Shares may exceed one by their own rounding, no more: a larger excess would be bandwidth from nowhere.
SHARE_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Decision:
    """Draft lengths, bandwidth shares and perhaps a cut-off of one round, or of a batch of rounds.

    Parameters
    ----------
    draft_lengths
        Drafted tokens per user; whole numbers, at least 0. Shape (..., K).
    bandwidth_shares
        Share of the band per user; at least 0, sum over the users at most 1. Shape (..., K); the two broadcast,
        and are stored as read-only arrays of the common shape.
    cutoff
        Seconds from the start of the round after which the server waits for no draft any more; positive, infinite or
        None for no cut-off. It broadcasts to the batch shape (...,), in which it is stored.
    give_up
        Whose request is given up before the round, and which empty places are held empty after it, as booleans, in
        tasks that leave that to the policy; None for nobody's. It broadcasts to the shape (..., K), in which it is
        stored.

    Raises
    ------
    ValueError
        If a length is negative or not whole, a share negative, the shares sum to more than one, a cut-off is not
        positive, or the shapes do not broadcast.
    TypeError
        If a value is not numeric, or ``give_up`` is not boolean.

    Examples
    --------
    >>> Decision(draft_lengths=[4, 2], bandwidth_shares=[0.3, 0.7]).draft_lengths
    array([4, 2])
    """

    draft_lengths: IntArray
    bandwidth_shares: FloatArray
    cutoff: FloatArray | None = None
    give_up: BoolArray | None = None

    def __init__(
        self,
        draft_lengths: ArrayLike,
        bandwidth_shares: ArrayLike,
        cutoff: ArrayLike | None = None,
        give_up: ArrayLike | None = None,
    ) -> None:
        lengths = check_array("draft_lengths", draft_lengths, low=0.0, high=LARGEST_WHOLE, whole=True)
        shares = check_array("bandwidth_shares", bandwidth_shares, low=0.0, high=1.0 + SHARE_TOLERANCE)
        try:
            shape = np.broadcast_shapes(lengths.shape, shares.shape)
        except ValueError:
            raise ValueError(
                f"draft_lengths {lengths.shape} and bandwidth_shares {shares.shape} do not broadcast"
            ) from None
        if not shape or shape[-1] == 0:
            raise ValueError(f"a decision needs a last axis of at least one user, got shape {shape}")
        shares = np.array(np.broadcast_to(shares, shape), order="C")
        total = shares.sum(axis=-1)
        if np.asarray(bandwidth_shares).dtype == np.float32:
            # A float32 simplex sums to one within its own rounding: scale it back rather than refuse it.
            rounding = (total > 1.0) & (total <= 1.0 + shape[-1] * np.finfo(np.float32).eps)
            shares /= np.where(rounding, total, 1.0)[..., None]
            total = shares.sum(axis=-1)
        if (total > 1.0 + SHARE_TOLERANCE).any():
            raise ValueError(f"bandwidth_shares must sum to a value in [0, 1], got {float(total.max())!r}")
        whole = np.array(np.broadcast_to(lengths, shape), np.int64, order="C")
        for array in (whole, shares):
            array.flags.writeable = False
        object.__setattr__(self, "draft_lengths", whole)
        object.__setattr__(self, "bandwidth_shares", shares)
        # What copies the fields copies those there are: without a cut-off the class says so.
        if cutoff is not None:
            seconds = check_array("cutoff", cutoff, low=0.0, low_open=True, infinite=True)
            object.__setattr__(self, "cutoff", _broadcast("cutoff", seconds, shape[:-1], "batch shape"))
        if give_up is not None:
            object.__setattr__(self, "give_up", _broadcast("give_up", check_mask("give_up", give_up), shape, "shape"))

    @classmethod
    def trusted(
        cls,
        draft_lengths: IntArray,
        bandwidth_shares: FloatArray,
        cutoff: FloatArray | None = None,
        give_up: BoolArray | None = None,
    ) -> Decision:
        """Build a decision from arrays already known to be valid, without copies or checks.

        Parameters
        ----------
        draft_lengths
            Draft lengths. Shape (..., K).
        bandwidth_shares
            Shares of the same shape.
        cutoff
            Cut-offs, s. Shape (...,). None for none.
        give_up
            Whose request is given up. Shape (..., K). None for nobody's.

        Returns
        -------
        Decision
            A decision that shares memory with the arrays given.
        """
        decision = cls.__new__(cls)
        decision.__dict__.update(draft_lengths=draft_lengths, bandwidth_shares=bandwidth_shares)
        if cutoff is not None:
            decision.__dict__["cutoff"] = cutoff
        if give_up is not None:
            decision.__dict__["give_up"] = give_up
        return decision


def _broadcast(name: str, values: NDArray[Any], shape: tuple[int, ...], of: str) -> NDArray[Any]:
    """Values of part of a decision in the decision's own shape, read-only."""
    try:
        whole = np.array(np.broadcast_to(values, shape), order="C")
    except ValueError:
        raise ValueError(f"{name} {values.shape} does not broadcast to the decision's {of} {shape}") from None
    whole.flags.writeable = False
    return whole


def check_lengths(draft_lengths: IntArray, cell: Cell, present: BoolArray | None = None) -> None:
    """Refuse draft lengths outside the cell's range; all drafts zero are allowed in any cell.

    Parameters
    ----------
    draft_lengths
        Draft lengths. Shape (..., K).
    cell
        The cell, whose range applies.
    present
        Whose lengths count; by default everybody's. Shape (..., K), which broadcasts.

    Raises
    ------
    ValueError
        If a length lies outside the range in a round that drafts at all.
    """
    low, high = cell.min_draft_length, cell.max_draft_length
    outside, drafting = (draft_lengths < low) | (draft_lengths > high), draft_lengths > 0
    if present is not None:
        outside, drafting = outside & present, drafting & present
    outside = outside & drafting.any(axis=-1, keepdims=True)
    if outside.any():
        index = tuple(int(i) for i in np.argwhere(outside)[0])
        length = int(np.broadcast_to(draft_lengths, outside.shape)[index])
        raise ValueError(f"draft_lengths must lie in [{low}, {high}] (or all be 0), got {length} at index {index}")


def check_survival(users: Users, cell: Cell) -> None:
    """Refuse users whose acceptance curves do not reach the cell's longest draft.

    Parameters
    ----------
    users
        The users, with curves or without.
    cell
        The cell, whose range applies.

    Raises
    ------
    ValueError
        If there are curves with fewer entries than the cell has tokens in its longest draft.
    """
    if users.survival is not None and users.survival.shape[-1] < cell.max_draft_length:
        raise ValueError(
            f"users.survival must have an entry for each draft up to max_draft_length = {cell.max_draft_length}, got "
            f"{users.survival.shape[-1]}"
        )
