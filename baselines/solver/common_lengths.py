"""The best common draft length of a cell."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.deadline import least_deadline
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.baselines.solver.server import server_of
from multispin_gym.physics.cell import Cell

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
