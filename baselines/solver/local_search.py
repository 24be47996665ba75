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

TRIES = 6
# Moves tried before a row is given up: the linear estimate can put the only good one behind many.
LAST_TRIES = 24
PASSES = 40
# With very many users one user's token no longer matters, and a pass costs as much as the relaxation.
MANY = 2000
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

    NaN in an option's first entry leaves it out. Shapes: options (M, C, K); ``start``, guessed deadlines, (M,), s.
    """
    rows, choices = options.shape[:2]
    row, column = np.nonzero(~np.isnan(options[..., 0]))
    played = play_whole(problem[row], server, options[row, column], start[row])
    score, deadline = np.full((rows, choices), -np.inf), np.zeros((rows, choices))
    score[row, column], deadline[row, column] = played.score, played.deadline
    index, best = np.arange(rows), score.argmax(axis=-1)
    return WholeLengths(options[index, best], deadline[index, best], score[index, best])


def improve(problem: Problem, server: Server, whole: WholeLengths, clock: Clock = UNLIMITED) -> WholeLengths:
    """Climb by single steps, exchanges and opting out, within the rows' range, until no promising move is left.

    When the time is up the best so far are returned.
    """
    best = whole.copy()
    if (rows := compiled_rows()) is not None and not clock.limited:
        rows.improve(*Packed.of(problem, server).arguments, best.lengths, best.deadline, best.score)
        return best
    active = np.flatnonzero(whole.lengths.any(axis=-1))
    thorough = np.zeros(len(best.score), dtype=bool)
    for _ in range(min(PASSES, max(PASSES * MANY // problem.num_users, 1))):
        moving = np.zeros(len(best.score), dtype=bool)
        for rows, tries in ((active[~thorough[active]], TRIES), (active[thorough[active]], LAST_TRIES)):
            if rows.size:
                part, here = problem[rows], best[rows]
                found = best_option(part, server, _promising_moves(part, server, here, tries), here.deadline)
                improved = found.score > here.score + 1e-13 * np.abs(here.score)
                best.put(rows[improved], found[improved])
                moving[rows] = improved
        stuck = active[~moving[active]]
        again = stuck[~thorough[stuck]]
        thorough[active] = False
        thorough[again] = True
        active = np.concatenate([active[moving[active]], again])
        active = active[best.lengths[active].any(axis=-1)]
        if active.size == 0 or clock.over:
            break
    return best


def _promising_moves(problem: Problem, server: Server, here: WholeLengths, tries: int) -> FloatArray:
    """The most promising moves of each row, NaN where a move cannot gain. Shape (M, tries, K)."""
    lengths, time_price = here.lengths, problem.time_price_at(here.score)[:, None]
    tangent = Tangent.at(problem.curves, lengths, here.deadline)
    tokens, drafted = single_moves(problem, lengths)
    gain = tokens - time_price * np.tile(tangent.prices, 3) * drafted
    raised, cut, _ = np.split(gain, 3, axis=-1)
    verified = server.round_time(lengths)[:, None]
    single = gain - time_price * (times_after(server, lengths) - verified)
    # A user who opts out goes too far for the second order to tell.
    near = np.where(np.tile(lengths, 3) + drafted > 0.0, drafted**2, 0.0)
    bend = np.tile(0.5 * time_price * tangent.own_curvature(), 3) * near
    singles = min(tries, single.shape[-1])
    user, value = _top(_likely(single, bend), singles)
    kind, user = np.divmod(user, problem.num_users)
    moves = np.repeat(lengths[:, None, :], singles, axis=1)
    row, column = np.arange(len(lengths))[:, None], np.arange(singles)[None, :]
    moves[row, column, user] = np.where(kind == 2, 0.0, moves[row, column, user] + np.where(kind == 0, 1.0, -1.0))

    # Exchanges pair the most promising raises and cuts.
    pairs = min(PAIRS, problem.num_users)
    up, gain_up = _top(raised, pairs)
    down, gain_down = _top(cut, pairs)
    first, second = np.repeat(np.arange(pairs), pairs), np.tile(np.arange(pairs), pairs)
    exchanges = np.repeat(lengths[:, None, :], pairs * pairs, axis=1)
    column = np.arange(pairs * pairs)[None, :]
    exchanges[row, column, up[:, first]] += 1.0
    exchanges[row, column, down[:, second]] -= 1.0
    worth = gain_up[:, first] + gain_down[:, second] - time_price * (server.round_time(exchanges) - verified)
    worth = np.where(up[:, first] == down[:, second], -np.inf, worth)
    worth = _likely(worth, _exchange_bend(tangent, up[:, first], down[:, second], time_price))

    every, value = np.concatenate([moves, exchanges], axis=1), np.concatenate([value, worth], axis=1)
    index, value = _top(value, tries)
    chosen = np.take_along_axis(every, index[..., None], 1)
    return np.where(np.isfinite(value)[..., None], chosen, np.nan)


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
    index = np.argpartition(-values, min(count, values.shape[-1]) - 1, axis=-1)[:, :count]
    return index, np.take_along_axis(values, index, -1)


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
