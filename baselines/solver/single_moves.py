"""Climbing by the best move of one user's draft: a token more, a token less, or none at all.

At whole lengths L with prices c = grad T(L), convexity gives ``T(L') >= T(L) + c . (L' - L)``, which bounds what a move
reaches. So the best move is found exactly, and most moves are never solved.
"""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.deadline import token_prices
from multispin_gym.baselines.solver.local_search import WholeLengths, best_option, single_moves, times_after
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.physics.verification import Verification

# Moves of a cell that are solved at once.
_AT_ONCE = 8
# What a move has to gain, relative.
LEAST_GAIN = 1e-13


def climb(problem: Problem, server: Verification, whole: WholeLengths) -> WholeLengths:
    """Make the best single move of each row, within its range of lengths, again and again until none gains.

    The verification time is the server's own at any lengths; the rows' pieces are not used.
    """
    server, best = server.of_batch(problem.num_users), whole.copy()
    active = np.arange(len(best.score))
    while active.size:
        here = best[active]
        found = _best_move(problem[active], server, here)
        gained = found.score > above(here.score)
        active = active[gained]
        best.put(active, found[gained])
    return best


def above(score: FloatArray) -> FloatArray:
    """What another score has to pass to count as a gain. Shape (M,)."""
    return score + LEAST_GAIN * np.abs(score)


def _best_move(problem: Problem, server: Verification, here: WholeLengths) -> WholeLengths:
    """The best single move of each row, or the row as it is where none gains."""
    bound, best = _move_bounds(problem, server, here), here.copy()
    count = min(_AT_ONCE, bound.shape[-1])
    while True:
        rows = np.flatnonzero(bound.max(axis=-1) > above(best.score))
        if rows.size == 0:
            return best
        index = np.argpartition(-bound[rows], count - 1, axis=-1)[:, :count]
        hopeful = bound[rows[:, None], index] > above(best.score[rows])[:, None]
        bound[rows[:, None], index] = -np.inf
        moved = _moved(here.lengths[rows], index)
        # There is at least one, but not always in the first place, where an option is left out.
        options = np.where(hopeful[..., None], moved, np.nan)
        found = best_option(problem[rows], server, options, here.deadline[rows])
        best.put(rows, best[rows].better(found))


def _move_bounds(problem: Problem, server: Verification, here: WholeLengths) -> FloatArray:
    """What each single move of a row reaches at most: steps up, steps down, opting out. Shape (M, 3K)."""
    lengths = here.lengths
    gain, drafted = single_moves(problem, lengths)
    drafting = lengths.any(axis=-1)
    # Where nobody drafts a first token takes as long as on the whole band.
    prices = problem.curves.seconds_per_token(np.ones(1))
    prices[drafting] = token_prices(problem.curves[drafting], lengths[drafting], here.deadline[drafting])
    total = problem.linearised(lengths).tokens(lengths).sum(axis=-1)
    deadline = np.maximum(here.deadline[:, None] + np.tile(prices, 3) * drafted, 0.0)
    with np.errstate(invalid="ignore"):
        reached = problem.value(total[:, None] + gain, deadline + times_after(server, lengths))
    return np.where(np.isfinite(gain), reached, -np.inf)


def _moved(lengths: FloatArray, index: np.ndarray) -> FloatArray:
    """Lengths after some single moves of each row. Shapes: (M, K) and (M, C); result (M, C, K)."""
    kind, user = np.divmod(index, lengths.shape[-1])
    moved = np.repeat(lengths[:, None, :], index.shape[-1], axis=1)
    row, column = np.arange(len(lengths))[:, None], np.arange(index.shape[-1])[None, :]
    moved[row, column, user] = np.where(kind == 2, 0.0, moved[row, column, user] + np.where(kind == 0, 1.0, -1.0))
    return moved
