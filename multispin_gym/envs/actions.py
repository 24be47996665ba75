"""The action space, and the codec between actions and decisions."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from multispin_gym._arrays import Float32Array, has_nan, sum_users
from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision

# Fixed for the version of the environments' ids: shares of two users differ by a factor of at most exp(12).
SHARE_SHARPNESS = 6.0
# Arrays without axes: a ufunc takes them in half the time that it needs for a Python number.
_LOW, _HIGH = np.array(-1.0, np.float32), np.array(1.0, np.float32)
_SHARPNESS = np.array(SHARE_SHARPNESS)


class ActionCodec:
    """The canonical action: a box of length entries and share logits.

    The first entries choose draft lengths: [-1, 1] is cut into equal bins, one for each allowed length. There
    are K of them, or a single one for all users where they draft a common length. The last K entries are logits of the
    bandwidth shares: a softmax of ``6 * entry`` over the users who upload. Users without a draft get no bandwidth.

    Parameters
    ----------
    cell
        The cell, whose draft lengths are allowed.
    num_users
        Number of users K.
    common_length
        Whether one length entry serves all users.

    Attributes
    ----------
    num_length_entries
        Number of length entries: K, or 1.
    size
        Number of entries of an action.
    space
        The action space.
    """

    admits = False
    """Whether actions say whose request is given up."""

    def __init__(self, cell: Cell, num_users: int, *, common_length: bool = False) -> None:
        self.cell = cell
        self.num_users = num_users
        self.common_length = common_length
        self.num_length_entries = 1 if common_length else num_users
        self.size = self.num_length_entries + num_users
        self.space = spaces.Box(-1.0, 1.0, (self.size,), np.float32)
        self._bins_per_unit = np.array(0.5 * cell.num_draft_lengths)
        self._last_bin = np.array(cell.num_draft_lengths - 1)
        self._least_length = np.array(cell.min_draft_length)

    def decode(self, action: ArrayLike) -> Decision:
        """Turn actions into the decisions that they stand for.

        Parameters
        ----------
        action
            Actions; entries outside [-1, 1] are clipped to it. Shape (..., 2 K), or (..., K + 1) with a common length.

        Returns
        -------
        Decision
            Draft lengths within the cell's range, and shares that sum to 1 (to 0 where nobody drafts). Shape (..., K).

        Raises
        ------
        ValueError
            If the last axis has the wrong length or an entry is NaN.
        TypeError
            If the action is not numeric.
        """
        array = np.asarray(action)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"action must be an array of numbers, got {action!r}")
        if array.ndim == 0 or array.shape[-1] != self.size:
            raise ValueError(f"action must have a last axis of length {self.size}, got shape {array.shape}")
        return self.decode_trusted(array)

    def decode_trusted(self, action: NDArray[Any]) -> Decision:
        """Decode actions of a shape known to be right.

        Parameters
        ----------
        action
            Actions; see :meth:`decode`.

        Returns
        -------
        Decision
            The decisions. Shape (..., K).

        Raises
        ------
        ValueError
            If an entry is NaN.
        """
        # Clipping keeps NaN and leaves no infinity.
        clipped = np.minimum(np.maximum(action, _LOW), _HIGH)
        if has_nan(clipped):
            index = tuple(int(i) for i in np.argwhere(np.isnan(action))[0])
            raise ValueError(f"action must lie in [-1, 1], got nan at index {index}")
        # The two halves are copied apart, which makes them contiguous: that decides the speed of all that follows.
        lengths = self._bins(clipped[..., : self.num_length_entries].astype(np.float64))
        logits = clipped[..., self.num_length_entries :].astype(np.float64)
        logits *= _SHARPNESS
        weights = np.exp(logits, out=logits)
        if self.cell.min_draft_length == 0:
            weights *= lengths > 0
            total = sum_users(weights)
            total[total == 0.0] = 1.0
        else:
            total = sum_users(weights)
        weights /= total[..., None]
        return Decision.trusted(lengths, weights)

    def _bins(self, entries: FloatArray) -> IntArray:
        """Return the draft lengths, one for each user, of clipped entries; overwrites the entries."""
        entries += _HIGH
        entries *= self._bins_per_unit
        lengths = entries.astype(np.int64)
        # An entry of 1 lies at the upper end of the last bin.
        np.minimum(lengths, self._last_bin, out=lengths)
        lengths += self._least_length
        return np.repeat(lengths, self.num_users, axis=-1) if self.common_length else lengths

    def encode(self, decision: Decision) -> Float32Array:
        """Turn decisions into actions, so that :meth:`decode` gives the decisions back.

        Draft lengths come back exactly. Shares come back within 1e-5 relative where they sum to 1 and only users
        without a draft have none; otherwise they come back in the same proportions, summing to 1. Shares below
        ``exp(-12)`` of the largest are raised to that.

        Parameters
        ----------
        decision
            The decisions. Shape (..., K).

        Returns
        -------
        numpy.ndarray
            Actions in [-1, 1], float32. Shape (..., 2 K), or (..., K + 1) with a common length.

        Raises
        ------
        ValueError
            If the decision is for another number of users, or no action stands for it: a length outside the cell's
            range, unequal lengths where there is one for all, a draft without bandwidth, or a request that is given up
            where no action does so.
        """
        lengths, shares = decision.draft_lengths, decision.bandwidth_shares
        self._check_decision(lengths, shares)
        if decision.give_up is not None and decision.give_up.any() and not self.admits:
            raise ValueError("give_up must be False for everybody to be an action here: no action gives requests up")
        with np.errstate(divide="ignore"):
            log_shares = np.log(shares)
        uploads = lengths > 0
        top = np.max(log_shares, axis=-1, keepdims=True, where=uploads, initial=-np.inf)
        bottom = np.min(log_shares, axis=-1, keepdims=True, where=uploads, initial=np.inf)
        top, bottom = np.where(uploads.any(axis=-1, keepdims=True), (top, bottom), 0.0)
        # The softmax is blind to a common shift: centre the range of the logits in the box.
        bottom = np.maximum(bottom, top - 2.0 * SHARE_SHARPNESS)
        logits = (log_shares - 0.5 * (top + bottom)) / SHARE_SHARPNESS
        logits = np.where(uploads, logits, -1.0)
        entries = (2.0 * (lengths - self.cell.min_draft_length) + 1.0) / self.cell.num_draft_lengths - 1.0
        action = np.concatenate([entries[..., : self.num_length_entries], logits], axis=-1)
        encoded: Float32Array = np.clip(action, -1.0, 1.0).astype(np.float32)
        return encoded

    def _check_decision(self, lengths: IntArray, shares: FloatArray) -> None:
        """Refuse a decision for which there is no action."""
        if lengths.shape[-1] != self.num_users:
            raise ValueError(f"the decision is for {lengths.shape[-1]} users, the environment has {self.num_users}")
        low, high = self.cell.min_draft_length, self.cell.max_draft_length
        outside = (lengths < low) | (lengths > high)
        if outside.any():
            index = tuple(int(i) for i in np.argwhere(outside)[0])
            hint = " (no action lets a user draft nothing here)" if lengths[index] == 0 else ""
            raise ValueError(
                f"draft_lengths must lie in [{low}, {high}] to be an action, got {int(lengths[index])} at index "
                f"{index}{hint}"
            )
        if self.common_length and (lengths != lengths[..., :1]).any():
            index = tuple(int(i) for i in np.argwhere((lengths != lengths[..., :1]).any(axis=-1))[0])
            raise ValueError(
                f"draft_lengths must be equal for all users in the homogeneous environment, got "
                f"{lengths[index].tolist()!r}"
            )
        starved = (lengths > 0) & (shares <= 0.0)
        if starved.any():
            index = tuple(int(i) for i in np.argwhere(starved)[0])
            raise ValueError(
                f"bandwidth_shares must be positive for users with a draft to be an action, got 0 at index {index}"
            )
