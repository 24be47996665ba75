"""Draft lengths nested under one deadline: which there are, and the best of them.

On an equal share of the band user k drafts and uploads a token in t_k seconds, so that within T seconds there are
``floor(T / t_k)`` of them, which is cut to the cell's range. As T grows these lengths grow one by one, or together
where several users' times meet. So there are at most ``K (max - min) + 1`` of them, the *members*, each of which is a
run from the front of the list of all drafted tokens, sorted by the time ``l t_k`` at which user k has its l-th. What a
member is worth takes a deadline, one scalar root. But the prices of any lengths bound all members at once, by running
sums along that list, and only those that may be the best are ever solved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.compiled import Packed
from multispin_gym.baselines.solver.deadline import token_prices
from multispin_gym.baselines.solver.local_search import WholeLengths, play_whole
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.baselines.solver.server import Server
from multispin_gym.baselines.solver.single_moves import above, climb
from multispin_gym.baselines.solver.switch import compiled_rows

# Entries, cells times drafted tokens, whose members are bounded at a time.
_ENTRIES = 2_000_000
# Members of a cell that are solved at once.
_AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class Members:
    """All lengths that are nested under one deadline, as runs of a list of drafted tokens.

    Parameters
    ----------
    token_time
        Seconds for a token on an equal share of the band. Shape (M, K).
    deadline
        Time on that share at which a member's last token is there, s: minus infinity for the member with the least
        lengths. Shape (M, P), increasing.
    user
        The user of each token in the list. Shape (M, P - 1).
    length
        That user's draft length with it. Shape (M, P - 1).
    waiting
        Verification time, s; infinite where the users' times meet and the list's run is no member. Shape (M, P).
    """

    token_time: FloatArray
    deadline: FloatArray
    user: np.ndarray
    length: FloatArray
    waiting: FloatArray

    @classmethod
    def of(cls, problem: Problem, server: Server) -> Members:
        """List the members of each cell; all cells have one range of lengths."""
        rows, num_users = problem.alpha.shape
        token_time = problem.curves.seconds_per_token(np.full(1, 1.0 / num_users))
        low, high = problem.low[0, 0], problem.high[0, 0]
        steps = np.arange(low + 1.0, high + 1.0)
        time = (token_time[:, :, None] * steps).reshape(rows, -1)
        order = np.argsort(time, axis=-1)
        user, step = np.divmod(order, max(len(steps), 1))
        start, length = np.full((rows, 1), -np.inf), steps[step] if len(steps) else np.empty((rows, 0))
        deadline = np.concatenate([start, np.take_along_axis(time, order, -1)], axis=-1)
        if server.batching == "padded":
            longest = np.maximum.accumulate(np.concatenate([np.full((rows, 1), low), length], axis=-1), axis=-1)
            tokens = num_users * (longest + 1.0)
        else:
            tokens = num_users * (low + 1.0) + np.arange(deadline.shape[-1])[None, :]
        whole = np.ones(deadline.shape, dtype=bool)
        whole[:, :-1] = deadline[:, :-1] < deadline[:, 1:]
        waiting = np.where(whole & (deadline < np.inf), server.time(tokens), np.inf)
        return cls(token_time, deadline, user, length, waiting)

    def lengths(self, problem: Problem, rows: np.ndarray, index: np.ndarray) -> FloatArray:
        """Draft lengths of some members of some cells. Shapes: (C,) each; result (C, K)."""
        time, low, high = self.token_time[rows], problem.low[rows], problem.high[rows]
        deadline = self.deadline[rows, index][:, None]
        lengths = np.clip(np.floor(np.maximum(deadline, 0.0) / time), low, high)
        # A quotient's rounding does not decide: it is the product that the list is sorted by.
        lengths = np.where((lengths < high) & ((lengths + 1.0) * time <= deadline), lengths + 1.0, lengths)
        return np.asarray(np.where((lengths > low) & (lengths * time > deadline), lengths - 1.0, lengths))

    def bounds(self, linear: Problem, rows: np.ndarray, prices: FloatArray) -> FloatArray:
        """Bound on the score of every member of some cells at prices that are valid for these cells. Shape (C, P).

        Shapes: ``linear``, the rows with the weighted sum to be bounded, and prices, s per token, (C, K).
        """
        user, length = self.user[rows], self.length[rows]
        tokens = _running(linear.tokens(linear.low), linear.gains(length, user))
        drafting = _running(prices * linear.low, np.take_along_axis(prices, user, -1))
        with np.errstate(invalid="ignore"):
            bound = linear.value(tokens, drafting + self.waiting[rows])
        return np.where(self.waiting[rows] < np.inf, bound, -np.inf)


def best_nested(problem: Problem, server: Server, polish: bool = False) -> WholeLengths:
    """The best lengths that are nested under one deadline, each with the best split of the band.

    With ``polish`` they climb by single moves until none gains.

    The verification time is the server's own at any lengths; the rows' pieces are not used.
    """
    rows, num_users = problem.alpha.shape
    server = server.of_batch(num_users)
    if rows == 0:
        return play_whole(problem, server, problem.low.copy())
    if (loops := compiled_rows()) is not None:
        best = WholeLengths(np.empty_like(problem.alpha), *np.empty((2, rows)))
        loops.scan(*Packed.of(problem, server).arguments, polish, best.lengths, best.deadline, best.score)
        return best
    tokens = num_users * max(int(problem.high[0, 0] - problem.low[0, 0]), 1)
    block = max(_ENTRIES // tokens, 1)
    parts = [_best_of_block(problem[first : first + block], server, polish) for first in range(0, rows, block)]
    return parts[0] if len(parts) == 1 else WholeLengths.joined(parts)


def _best_of_block(problem: Problem, server: Server, polish: bool) -> WholeLengths:
    members = Members.of(problem, server)
    best = play_whole(problem, server, problem.low.copy())
    # Lengths 1 / t_k take a second on equal shares, which is thus their least deadline; prices only depend on ratios.
    rates = 1.0 / members.token_time
    prices = token_prices(problem.curves, rates, np.ones(len(rates)))
    active = np.arange(len(rates))
    bounds = members.bounds(problem.linearised(rates), active, prices)
    bounds[:, 0] = -np.inf
    while True:
        active = active[bounds[active].max(axis=-1) > above(best.score[active])]
        if active.size == 0:
            return climb(problem, server, best) if polish else best
        index = _largest(bounds[active], _AT_ONCE)
        row, column = np.nonzero(bounds[active[:, None], index] > above(best.score[active])[:, None])
        cell, member = active[row], index[row, column]
        lengths = members.lengths(problem, cell, member)
        played = play_whole(problem[cell], server, lengths, (prices[cell] * lengths).sum(axis=-1))
        bounds[cell, member] = -np.inf
        score = np.full(index.shape, -np.inf)
        position = np.zeros(index.shape, dtype=np.int64)
        score[row, column], position[row, column] = played.score, np.arange(len(row))
        found = played[position[np.arange(len(active)), score.argmax(axis=-1)]]
        best.put(active, best[active].better(found))
        prices[active] = token_prices(problem.curves[active], found.lengths, found.deadline)
        tighter = members.bounds(problem[active].linearised(found.lengths), active, prices[active])
        bounds[active] = np.minimum(bounds[active], tighter)


def _largest(values: FloatArray, count: int) -> np.ndarray:
    """Indices of the largest entries of each row, in any order."""
    if values.shape[-1] <= count:
        return np.broadcast_to(np.arange(values.shape[-1]), values.shape)
    return np.argpartition(-values, count - 1, axis=-1)[:, :count]


def _running(start: FloatArray, added: FloatArray) -> FloatArray:
    """Sums along a list, from what the users start with. Shapes: (M, K) and (M, P - 1); result (M, P)."""
    return np.cumsum(np.concatenate([start.sum(axis=-1, keepdims=True), added], axis=-1), axis=-1)
