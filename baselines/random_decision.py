"""Decisions drawn at random from all that are allowed."""

from __future__ import annotations

import numpy as np

from multispin_gym.baselines.present_users import refuse_absent
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users


def random_decision(users: Users, cell: Cell, rng: np.random.Generator) -> Decision:
    """Draft lengths uniform over the allowed ones, shares uniform over the simplex. Shape (..., K)."""
    refuse_absent(users, "random_decision")
    shape = users.acceptance_rate.shape
    lengths = rng.integers(cell.min_draft_length, cell.max_draft_length, shape, endpoint=True)
    parts = rng.standard_exponential(shape)
    return Decision.trusted(lengths, parts / parts.sum(axis=-1, keepdims=True))
