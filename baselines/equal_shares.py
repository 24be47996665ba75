"""The same share of the band for every user, and what an upload takes on it."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.present_users import refuse_absent
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users


def equal_shares(users: Users, draft_lengths: FloatArray) -> Decision:
    """Draft lengths, which broadcast to (..., K), with shares of 1 / K."""
    refuse_absent(users, "a rule of equal shares")
    shape = users.acceptance_rate.shape
    lengths = np.ascontiguousarray(np.broadcast_to(draft_lengths, shape)).astype(np.int64)
    return Decision.trusted(lengths, np.full(shape, 1.0 / users.num_users))


def upload_time(users: Users, cell: Cell) -> FloatArray:
    """Seconds to upload one drafted token on an equal share of the band. Shape (..., K)."""
    rate = cell.uplink.rate(np.full(1, cell.bandwidth / users.num_users), cell.signal(users))
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(cell.payload / rate)
