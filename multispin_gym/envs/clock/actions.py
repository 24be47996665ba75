"""Actions where time passes: lengths and shares, who is given up, and a cut-off."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from multispin_gym._arrays import Float32Array, has_nan
from multispin_gym._validation import FloatArray
from multispin_gym.envs.actions import ActionCodec
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.scenarios.clock import Clock

_NO_CUTOFF = np.float32(1.0)


class ClockActionCodec(ActionCodec):
    """The canonical action with what a clock adds to it, in this order.

    K entries, where the policy decides on admission: above 0 the request of a slot is given up, and an empty slot is
    held empty, so that who waits goes on waiting; and one entry, where there is a cut-off: the logarithm of
    [``cutoff_min``, ``cutoff_max``] mapped to [-1, 1], at 1 no cut-off.

    Parameters
    ----------
    cell
        The cell, whose draft lengths are allowed.
    num_users
        Slots K.
    clock
        Whether there is a cut-off, its range, and whether requests can be given up.
    """

    def __init__(self, cell: Cell, num_users: int, clock: Clock) -> None:
        super().__init__(cell, num_users)
        self._of_round = self.size
        self.admits, self._cuts = clock.admission, clock.cutoff
        self.size += (num_users if clock.admission else 0) + (1 if clock.cutoff else 0)
        self.space = spaces.Box(-1.0, 1.0, (self.size,), np.float32)
        low, high = math.log(clock.cutoff_min), math.log(clock.cutoff_max)
        self._middle, self._half = 0.5 * (high + low), 0.5 * (high - low)

    def decode_trusted(self, action: NDArray[Any]) -> Decision:
        """Decode actions of a shape known to be right.

        Parameters
        ----------
        action
            Actions. Shape (..., size).

        Returns
        -------
        Decision
            The decisions, with their cut-off and whom they give up, where there is such a thing. Shape (..., K).

        Raises
        ------
        ValueError
            If an entry is NaN.
        """
        decision = super().decode_trusted(action[..., : self._of_round])
        if self._cuts:
            entry = np.minimum(np.maximum(action[..., -1], -1.0), 1.0).astype(np.float64)
            if has_nan(entry):
                raise ValueError(f"action must lie in [-1, 1], got nan at index {self.size - 1}")
            cutoff = np.where(entry >= 1.0, np.inf, np.exp(self._middle + self._half * entry))
            vars(decision)["cutoff"] = cutoff
        if self.admits:
            vars(decision)["give_up"] = action[..., self._of_round : self._of_round + self.num_users] > 0.0
        return decision

    def encode(self, decision: Decision) -> Float32Array:
        """Turn decisions into actions; see :meth:`ActionCodec.encode`.

        Parameters
        ----------
        decision
            The decisions. Shape (..., K). A cut-off beyond the range comes back as the nearest in it.

        Returns
        -------
        numpy.ndarray
            Actions in [-1, 1], float32. Shape (..., size).

        Raises
        ------
        ValueError
            If no action stands for a decision.
        """
        action = super().encode(decision)
        parts = [action]
        if self.admits:
            shape = (*action.shape[:-1], self.num_users)
            parts.append(np.where(np.zeros(shape) if decision.give_up is None else decision.give_up, 1.0, -1.0))
        if self._cuts:
            cutoff = np.inf if decision.cutoff is None else decision.cutoff
            parts.append(np.broadcast_to(self._entry(cutoff), action.shape[:-1])[..., None])
        return np.concatenate(parts, axis=-1, dtype=np.float32)

    def _entry(self, cutoff: ArrayLike) -> Float32Array:
        seconds: FloatArray = np.asarray(cutoff, dtype=np.float64)
        finite = np.where(np.isfinite(seconds), seconds, 1.0)
        entry = np.clip((np.log(finite) - self._middle) / self._half, -1.0, np.nextafter(_NO_CUTOFF, np.float32(0.0)))
        return np.where(np.isfinite(seconds), entry, _NO_CUTOFF).astype(np.float32)
