"""Homogeneous drafts: one length for all users, and the split of the band that lets them finish together."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.deadline import finish_together, least_deadline
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.baselines.solver.server import server_of
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users

# Entries, cells times lengths times users, that are scored at a time.
_ENTRIES = 100_000


def common_lengths(cell: Cell) -> FloatArray:
    """All draft lengths that a cell allows, increasing."""
    return np.arange(cell.min_draft_length, cell.max_draft_length + 1, dtype=np.float64)


def best_common_lengths(problem: Problem, cell: Cell) -> FloatArray:
    """The best common draft length of each row, repeated for every user. Shape (M, K).

    The best split does not depend on the length, so the deadline is the length times that of one token each
    (model, section 4), and the search over the whole lengths is exact.
    """
    ones = np.ones_like(problem.alpha)
    deadline = least_deadline(problem.curves, ones)
    lengths, server = common_lengths(cell), server_of(cell, problem.num_users)
    score = np.empty((len(ones), len(lengths)))
    # As many lengths at a time as keep the arrays small.
    some = max(_ENTRIES // max(ones.size, 1), 1)
    for first in range(0, len(lengths), some):
        part = lengths[first : first + some]
        drafts = part[:, None] * ones[:, None, :]
        seconds = part * deadline[:, None] + server.round_time(drafts)
        score[:, first : first + some] = problem.score(drafts, seconds)
    return np.asarray(lengths[score.argmax(axis=-1)][:, None] * ones)


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
