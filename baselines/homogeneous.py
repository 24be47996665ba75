"""Homogeneous drafts: one length for all users, and the split of the band that lets them finish together."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.common_lengths import best_common_lengths
from multispin_gym.baselines.solver.deadline import finish_together
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users


def homogeneous(
    users: Users, cell: Cell, objective: Objective | None = None, time_price: FloatArray | None = None
) -> Decision:
    """Best common draft length with the band split so that all users finish together (model, section 4).

    Exact over common lengths. Users with slow devices or poor channels get more bandwidth. With a price of time, tokens
    that a second costs, ``tokens - time_price * latency`` is maximised instead of their ratio; it broadcasts to (...,).
    """
    problem = Problem.of(users, cell, objective, time_price)
    lengths = best_common_lengths(problem, cell)
    _, shares = finish_together(problem.curves, np.ones_like(lengths))
    shape = (*users.batch_shape, users.num_users)
    return Decision.trusted(lengths.astype(np.int64).reshape(shape), shares.reshape(shape))
