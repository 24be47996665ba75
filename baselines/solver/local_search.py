"""From real to whole draft lengths: local search whose moves are ranked by an optimistic estimate.

At whole lengths L with prices c = grad T(L), convexity gives ``T(L') >= T(L) + c . (L' - L)``, so what a move can gain
is at most ``d tokens - eta (c . dL + dV)``: moves that are not worth it even so are never tried.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.clock import UNLIMITED, Clock
from multispin_gym.baselines.solver.compiled import Packed
from multispin_gym.baselines.solver.deadline import Tangent, least_deadline
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.baselines.solver.rows import Rows
from multispin_gym.baselines.solver.server import Server
from multispin_gym.baselines.solver.switch import compiled_rows
from multispin_gym.physics.verification import batch_tokens

# Moves tried first, and at a time where none of them gains: the estimate can put the only good one behind many.
TRIES, MORE = 6, 24
PASSES = 400
# With very many users one user's token no longer matters, and a pass costs as much as the relaxation: there are fewer
# passes, and where the first moves do not gain no more than MORE others are tried.
MANY = 2000
_ALL_PASSES = 80_000
# Users whose steps up, and users whose steps down, are paired in exchanges.
PAIRS = 3


@dataclass(frozen=True, eq=False)
class WholeLengths(Rows):
    """Whole draft lengths and what they reach.

    Parameters
    ----------
    lengths
        Draft lengths, whole numbers. Shape (M, K).
    deadline
        Least deadline, s. Shape (M,).
    score
        Score by the row's objective and the true verification time. Shape (M,).
    """

    lengths: FloatArray
    deadline: FloatArray
    score: FloatArray

    def better(self, other: WholeLengths) -> WholeLengths:
        """Row by row the one with the higher score; ties keep this one."""
        wins = other.score > self.score
        return WholeLengths(
            np.where(wins[:, None], other.lengths, self.lengths),
            np.where(wins, other.deadline, self.deadline),
            np.where(wins, other.score, self.score),
        )


def play_whole(problem: Problem, server: Server, lengths: FloatArray, start: FloatArray | None = None) -> WholeLengths:
    """Score of whole lengths with the best split of the band and the server's true verification time.

    The rows' verification pieces are not used. Shapes: lengths (M, K); ``start``, a guess of the deadline, (M,), s.
    """
    deadline = least_deadline(problem.curves, lengths, start)
    return WholeLengths(lengths, deadline, problem.score(lengths, deadline + server.round_time(lengths)))


def best_option(problem: Problem, server: Server, options: FloatArray, start: FloatArray) -> WholeLengths:
    """Best of several lengths for each row, all played at once; a score of minus infinity where there is none.

    NaN in an option's first entry leaves it out. Shapes: options (M, C, K); ``start``, guesses of their deadlines, s,
    (M, C), or (M, 1) where a row's have one.
    """
    rows, choices = options.shape[:2]
    row, column = np.nonzero(~np.isnan(options[..., 0]))
    guesses = np.broadcast_to(start, (rows, choices))[row, column]
    played = play_whole(problem[row], server, options[row, column], guesses)
    score, deadline = np.full((rows, choices), -np.inf), np.zeros((rows, choices))
    score[row, column], deadline[row, column] = played.score, played.deadline
    index, best = np.arange(rows), score.argmax(axis=-1)
    return WholeLengths(options[index, best], deadline[index, best], score[index, best])


def nearby(deadline: FloatArray, lengths: FloatArray, prices: FloatArray, options: FloatArray) -> FloatArray:
    """Deadlines of other lengths by the prices at some, s: at most the least ones.

    Shapes: deadline (M,), s, lengths and prices, s per token, (M, K), options (M, C, K); result (M, C).
    """
    return np.asarray(deadline[:, None] + (prices[:, None] * (options - lengths[:, None])).sum(axis=-1))


def improve(problem: Problem, server: Server, whole: WholeLengths, clock: Clock = UNLIMITED) -> WholeLengths:
    """Climb by single steps, exchanges and opting out, within the rows' range, until no promising move is left.

    When the time is up the best so far are returned.
    """
    best = whole.copy()
    if (rows := compiled_rows()) is not None and not clock.limited:
        rows.improve(*Packed.of(problem, server).arguments, best.lengths, best.deadline, best.score)
        return best
    active = np.flatnonzero(whole.lengths.any(axis=-1))
    for _ in range(passes(problem.num_users)):
        if active.size == 0:
            break
        part, here = problem[active], best[active]
        found = _best_of(_Promising.at(part, server, here), part, server, here)
        gained = _gains(found, here)
        active = active[gained]
        best.put(active, found[gained])
        active = active[best.lengths[active].any(axis=-1)]
        if clock.over:
            break
    return best


def passes(num_users: int) -> int:
    """Return how many moves are made at most."""
    return min(PASSES, max(_ALL_PASSES // num_users, 1))


def _best_of(moves: _Promising, problem: Problem, server: Server, here: WholeLengths) -> WholeLengths:
    """The best of the first moves of each row, or of those that follow where none gains."""
    found = best_option(problem, server, *moves.options(here, slice(TRIES)))
    most = moves.worth.shape[1] if problem.num_users <= MANY else TRIES + MORE
    for first in range(TRIES, most, MORE):
        stuck = np.flatnonzero(~_gains(found, here) & (moves.worth[:, first] > -np.inf))
        if stuck.size == 0:
            break
        options = moves[stuck].options(here[stuck], slice(first, first + MORE))
        found.put(stuck, best_option(problem[stuck], server, *options))
    return found


def _gains(found: WholeLengths, here: WholeLengths) -> np.ndarray:
    """Whether scores are above others by more than rounding. Shape (M,)."""
    return np.asarray(found.score > here.score + 1e-13 * np.abs(here.score))


@dataclass(frozen=True, eq=False)
class _Promising(Rows):
    """The moves of some rows, the most promising first: single ones, and exchanges between two users.

    Parameters
    ----------
    worth
        What a move is likely to gain, tokens, C = 3K and some; minus infinity where it cannot gain. Shape (M, C).
    first, second
        Users whose drafts it changes. Shape (M, C).
    added, taken
        What it adds to the first one's draft and takes from the second one's. Shape (M, C).
    prices
        What a token of each user adds to the deadline, s. Shape (M, K).
    """

    worth: FloatArray
    first: np.ndarray
    second: np.ndarray
    added: FloatArray
    taken: FloatArray
    prices: FloatArray

    @classmethod
    def at(cls, problem: Problem, server: Server, here: WholeLengths) -> _Promising:
        """Judge all single moves, and exchanges of the most promising raises and cuts."""
        lengths, time_price = here.lengths, problem.time_price_at(here.score)[:, None]
        users, row = problem.num_users, np.arange(len(lengths))[:, None]
        tangent = Tangent.at(problem.curves, lengths, here.deadline)
        tokens, drafted = single_moves(problem, lengths)
        gain = tokens - time_price * np.tile(tangent.prices, 3) * drafted
        verified = server.round_time(lengths)[:, None]
        single = gain - time_price * (times_after(server, lengths) - verified)
        # A user who opts out goes too far for the second order to tell.
        near = np.where(np.tile(lengths, 3) + drafted > 0.0, drafted**2, 0.0)
        bend = np.tile(0.5 * time_price * tangent.own_curvature(), 3) * near
        single = np.where(single > 0.0, single - bend, -np.inf)

        pairs = min(PAIRS, users)
        index, raised = _top(gain[:, :users], pairs)
        up, raised = index.repeat(pairs, axis=-1), raised.repeat(pairs, axis=-1)
        index, cut = _top(gain[:, users : 2 * users], pairs)
        down, cut = np.tile(index, pairs), np.tile(cut, pairs)
        exchanged = _changed(lengths, up, 1.0, down, 1.0)
        both = raised + cut - time_price * (server.round_time(exchanged) - verified)
        both = _likely(np.where(up == down, -np.inf, both), _exchange_bend(tangent, up, down, time_price))

        worth = np.concatenate([single, both], axis=-1)
        index = (-worth).argsort(axis=-1)
        own, one = np.broadcast_to(np.arange(3 * users) % users, single.shape), np.ones(up.shape)
        return cls(
            worth[row, index],
            np.concatenate([own, up], axis=-1)[row, index],
            np.concatenate([own, down], axis=-1)[row, index],
            np.concatenate([drafted, one], axis=-1)[row, index],
            np.concatenate([np.zeros(single.shape), one], axis=-1)[row, index],
            tangent.prices,
        )

    def options(self, here: WholeLengths, some: slice) -> tuple[FloatArray, FloatArray]:
        """Lengths after some of the moves, NaN where one cannot gain, and guesses of their deadlines, s.

        Shapes: (M, C, K) and (M, C).
        """
        first, second, added, taken = (every[:, some] for every in (self.first, self.second, self.added, self.taken))
        lengths = _changed(here.lengths, first, added, second, taken)
        lengths[self.worth[:, some] == -np.inf] = np.nan
        row = np.arange(len(first))[:, None]
        start = here.deadline[:, None] + self.prices[row, first] * added - self.prices[row, second] * taken
        return lengths, start


def _changed(
    lengths: FloatArray, first: np.ndarray, added: FloatArray | float, second: np.ndarray, taken: FloatArray | float
) -> FloatArray:
    """Lengths after changes of up to two users' drafts. Shapes: (M, K) and (M, C); result (M, C, K)."""
    changed = np.repeat(lengths[:, None, :], first.shape[-1], axis=1)
    row, column = np.arange(len(first))[:, None], np.arange(first.shape[-1])
    changed[row, column, first] += added
    changed[row, column, second] -= taken
    return changed


def _likely(gain: FloatArray, bend: FloatArray) -> FloatArray:
    """Gains to second order; minus infinity where the move cannot gain, or not even if half the bend were all."""
    return np.where((gain > 0.0) & (gain > 0.5 * bend), gain - bend, -np.inf)


def _exchange_bend(tangent: Tangent, up: np.ndarray, down: np.ndarray, time_price: FloatArray) -> FloatArray:
    """What the curvature of the deadline takes from raising one user's draft and cutting another's."""
    own = tangent.own_curvature()
    bent = tangent.bend * tangent.rate
    a, b = (np.take_along_axis(bent, user, -1) for user in (up, down))
    c, d = (np.take_along_axis(tangent.prices, user, -1) for user in (up, down))
    mixed = tangent.middle[:, None] * c * d - a * d - b * c
    twice = np.take_along_axis(own, up, -1) + np.take_along_axis(own, down, -1) - 2.0 * mixed
    return np.asarray(0.5 * time_price * np.maximum(twice, 0.0))


def _top(values: FloatArray, count: int) -> tuple[np.ndarray, FloatArray]:
    """Indices and values of the largest entries of each row, in any order."""
    index = (-values).argpartition(min(count, values.shape[-1]) - 1, axis=-1)[:, :count]
    return index, values[np.arange(len(values))[:, None], index]


def single_moves(problem: Problem, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What each user's step up, step down and opting out add to the tokens and to its draft.

    The tokens are those of the weighted sum that touches the objective at these lengths; minus infinity where the
    row's range rules the move out. Shapes: lengths (M, K), results (M, 3K).
    """
    linear = problem.linearised(lengths)
    now = linear.tokens(lengths)
    tokens, drafted = [], []
    for target in (lengths + 1.0, lengths - 1.0, np.zeros_like(lengths)):
        allowed = (target >= problem.low) & (target <= problem.high) & (target != lengths)
        tokens.append(np.where(allowed, linear.tokens(np.maximum(target, 0.0)) - now, -np.inf))
        drafted.append(target - lengths)
    return np.concatenate(tokens, axis=-1), np.concatenate(drafted, axis=-1)


def times_after(server: Server, lengths: FloatArray) -> FloatArray:
    """Verification time after each user's step up, step down and opting out. Shape (M, 3K)."""
    server = server.of_batch(lengths.shape[-1])
    targets = np.concatenate([lengths + 1.0, lengths - 1.0, np.zeros_like(lengths)], axis=-1)
    before = np.tile(lengths, 3)
    if server.batching == "ragged":
        return server.time(batch_tokens(lengths, "ragged")[:, None] + targets - before)
    longest = lengths.max(axis=-1, keepdims=True)
    runner_up = np.where(lengths == longest, -np.inf, lengths).max(axis=-1, keepdims=True)
    alone = (lengths == longest).sum(axis=-1, keepdims=True) == 1
    others = np.where(alone & (before == longest), np.maximum(runner_up, 0.0), longest)
    return server.time(lengths.shape[-1] * (np.maximum(others, targets) + 1.0))
