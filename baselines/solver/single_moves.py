"""Climbing by moves of one user's draft each: a token more, a token less, or none at all.

At whole lengths L with prices c = grad T(L), convexity gives ``T(L') >= T(L) + c . (L' - L)``, which bounds what a move
reaches: most moves need never be solved to know that they do not gain. While there is far to go, the most promising
moves of several users are made at once; the climb ends only where no single move gains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.deadline import Tangent
from multispin_gym.baselines.solver.local_search import WholeLengths, best_option, nearby, single_moves, times_after
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.baselines.solver.server import Server

# Moves of a cell that are solved at once.
_AT_ONCE = 16
# What a move has to gain, relative.
LEAST_GAIN = 1e-13


def climb(problem: Problem, server: Server, whole: WholeLengths) -> WholeLengths:
    """Improve each row, within its range of lengths, until no single move gains.

    The verification time is the server's own at any lengths; the rows' pieces are not used.
    """
    server, best = server.of_batch(problem.num_users), whole.copy()
    active = np.arange(len(best.score))
    while active.size:
        part, here = problem[active], best[active]
        moves = _Moves.at(part, server, here)
        options = moves.together(here.lengths)
        found = best_option(part, server, options, nearby(here.deadline, here.lengths, moves.prices, options))
        stuck = np.flatnonzero(~(found.score > above(here.score)))
        if stuck.size:
            found.put(stuck, _best_move(part[stuck], server, here[stuck], moves.bound[stuck], moves.prices[stuck]))
        gained = found.score > above(here.score)
        active = active[gained]
        best.put(active, found[gained])
    return best


def above(score: FloatArray) -> FloatArray:
    """What another score has to pass to count as a gain. Shape (M,)."""
    return score + LEAST_GAIN * np.abs(score)


@dataclass(frozen=True, eq=False)
class _Moves:
    """All single moves of some rows: first each user's step up, then steps down, then opting out.

    Parameters
    ----------
    bound
        Score that a move reaches at most; minus infinity where the row's range rules it out. Shape (M, 3K).
    likely
        Tokens that it gains, at the price of time, to second order. Shape (M, 3K).
    drafted
        What it adds to the user's draft. Shape (M, 3K).
    prices
        What a token of each user adds to the deadline, s. Shape (M, K).
    """

    bound: FloatArray
    likely: FloatArray
    drafted: FloatArray
    prices: FloatArray

    @classmethod
    def at(cls, problem: Problem, server: Server, here: WholeLengths) -> _Moves:
        """Judge all moves from some lengths."""
        lengths = here.lengths
        tokens, drafted = single_moves(problem, lengths)
        # Where nobody drafts a first token takes as long as on the whole band.
        prices, bend = problem.curves.seconds_per_token(np.ones(1)), np.zeros_like(lengths)
        drafting = np.flatnonzero(lengths.any(axis=-1))
        if drafting.size:
            curves = problem.curves if drafting.size == len(lengths) else problem.curves[drafting]
            tangent = Tangent.at(curves, lengths[drafting], here.deadline[drafting])
            prices[drafting], bend[drafting] = tangent.prices, tangent.own_curvature()
        total = problem.linearised(lengths).tokens(lengths).sum(axis=-1, keepdims=True)
        after = times_after(server, lengths)
        added = np.tile(prices, 3) * drafted
        with np.errstate(invalid="ignore"):
            reached = problem.value(total + tokens, np.maximum(here.deadline[:, None] + added, 0.0) + after)
        near = np.where(np.tile(lengths, 3) + drafted > 0.0, 0.5 * drafted * drafted, 0.0)
        waiting = after - server.round_time(lengths)[:, None]
        seconds = added + np.tile(bend, 3) * near + waiting
        likely = tokens - problem.time_price_at(here.score)[:, None] * seconds
        return cls(np.where(tokens > -np.inf, reached, -np.inf), likely, drafted, prices)

    def together(self, lengths: FloatArray) -> FloatArray:
        """Lengths after the 1, 2, 4, ... most likely moves of as many users, NaN where so many do not gain.

        Shapes: (M, K); result (M, C, K).
        """
        rows, num_users = lengths.shape
        kinds = self.likely.reshape(rows, 3, num_users)
        row, user = np.arange(rows)[:, None], np.arange(num_users)
        kind = kinds.argmax(axis=1)
        worth, drafted = kinds[row, kind, user], self.drafted.reshape(kinds.shape)[row, kind, user]
        order = (-worth).argsort(axis=-1)
        rank = np.empty_like(order)
        rank[row, order] = user
        count = 2 ** np.arange((num_users - 1).bit_length() + 1)
        gaining = (worth > 0.0).sum(axis=-1)
        made = rank[:, None, :] < np.minimum(count, gaining[:, None])[..., None]
        moved = lengths[:, None, :] + np.where(made, drafted[:, None, :], 0.0)
        return np.where((count < 2 * gaining[:, None])[..., None], moved, np.nan)


def _best_move(
    problem: Problem, server: Server, here: WholeLengths, bound: FloatArray, prices: FloatArray
) -> WholeLengths:
    """The best single move of each row, or the row as it is where none gains; the bounds are used up."""
    best, count = here.copy(), min(_AT_ONCE, bound.shape[-1])
    while True:
        rows = np.flatnonzero(bound.max(axis=-1) > above(best.score))
        if rows.size == 0:
            return best
        index = np.argpartition(-bound[rows], count - 1, axis=-1)[:, :count]
        hopeful = bound[rows[:, None], index] > above(best.score[rows])[:, None]
        bound[rows[:, None], index] = -np.inf
        options = np.where(hopeful[..., None], _moved(here.lengths[rows], index), np.nan)
        start = nearby(here.deadline[rows], here.lengths[rows], prices[rows], options)
        found = best_option(problem[rows], server, options, start)
        best.put(rows, best[rows].better(found))


def _moved(lengths: FloatArray, index: np.ndarray) -> FloatArray:
    """Lengths after some single moves of each row. Shapes: (M, K) and (M, C); result (M, C, K)."""
    kind, user = np.divmod(index, lengths.shape[-1])
    moved = np.repeat(lengths[:, None, :], index.shape[-1], axis=1)
    row, column = np.arange(len(lengths))[:, None], np.arange(index.shape[-1])[None, :]
    moved[row, column, user] = np.where(kind == 2, 0.0, moved[row, column, user] + np.where(kind == 0, 1.0, -1.0))
    return moved
