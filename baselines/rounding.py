"""From real to whole draft lengths: local search whose moves are ranked by an optimistic estimate.

At whole lengths L with prices c = grad T(L), convexity gives ``T(L') >= T(L) + c . (L' - L)``, so what a move can gain
is at most ``d tokens - eta (c . dL + dV)``: moves that are not worth it even so are never tried.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.latency import least_deadline, token_prices
from multispin_gym.baselines.problem import Problem
from multispin_gym.verification import Verification

_TRIES = 6
# Moves tried before a row is given up: the linear estimate can put the only good one behind many.
_LAST_TRIES = 24
_PASSES = 40


@dataclass(frozen=True, eq=False)
class Whole:
    """Whole draft lengths and what they reach.

    Parameters
    ----------
    lengths
        Draft lengths, whole numbers. Shape (M, K).
    deadline
        Least deadline, s. Shape (M,).
    goodput
        Weighted tokens over the round's latency, token/s. Shape (M,).
    """

    lengths: FloatArray
    deadline: FloatArray
    goodput: FloatArray

    def better(self, other: Whole) -> Whole:
        """Row by row the one with more goodput; ties keep this one.

        Parameters
        ----------
        other
            Lengths for the same rows.

        Returns
        -------
        Whole
            The better of the two in every row.
        """
        wins = other.goodput > self.goodput
        return Whole(
            np.where(wins[:, None], other.lengths, self.lengths),
            np.where(wins, other.deadline, self.deadline),
            np.where(wins, other.goodput, self.goodput),
        )


def play_whole(problem: Problem, server: Verification, lengths: FloatArray, start: FloatArray | None = None) -> Whole:
    """Goodput of whole lengths with the best split of the band and the server's true verification time.

    Parameters
    ----------
    problem
        The rows; their verification piece is not used.
    server
        Verification of the cell.
    lengths
        Draft lengths. Shape (M, K).
    start
        A guess of the deadline, s. Shape (M,).

    Returns
    -------
    Whole
        The evaluated lengths.
    """
    deadline = least_deadline(problem.curves, lengths, start)
    seconds = deadline + server.round_time(lengths)
    return Whole(lengths, deadline, problem.tokens(lengths).sum(axis=-1) / seconds)


def improve(problem: Problem, server: Verification, whole: Whole) -> Whole:
    """Climb by single steps, exchanges and opting out until no promising move is left.

    Parameters
    ----------
    problem
        The rows; lengths stay within the cell's range ``low`` to ``high``.
    server
        Verification of the cell.
    whole
        Where the search starts.

    Returns
    -------
    Whole
        Lengths with at least the goodput of the start.
    """
    best = Whole(whole.lengths.copy(), whole.deadline.copy(), whole.goodput.copy())
    active = np.flatnonzero(whole.lengths.any(axis=-1))
    thorough = np.zeros(len(best.goodput), dtype=bool)
    for _ in range(_PASSES):
        if active.size == 0:
            break
        part = problem[active]
        here = Whole(best.lengths[active], best.deadline[active], best.goodput[active])
        moves, promising = _ranked_moves(part, server, here)
        promising[~thorough[active], _TRIES:] = False
        row, column = np.nonzero(promising)
        if row.size == 0:
            break
        trial = play_whole(part[row], server, moves[row, column], here.deadline[row])
        reached = np.full(promising.shape, -np.inf)
        reached[row, column] = trial.goodput
        winner = reached.argmax(axis=-1)
        improved = np.flatnonzero(reached.max(axis=-1) > here.goodput * (1.0 + 1e-13))
        deadlines = np.zeros(promising.shape)
        deadlines[row, column] = trial.deadline
        best.lengths[active[improved]] = moves[improved, winner[improved]]
        best.deadline[active[improved]] = deadlines[improved, winner[improved]]
        best.goodput[active[improved]] = reached[improved, winner[improved]]
        failed = np.delete(active, improved)
        active = np.concatenate([active[improved], failed[~thorough[failed]]])
        thorough[failed], thorough[active[: len(improved)]] = True, False
        active = active[best.lengths[active].any(axis=-1)]
    return best


def _ranked_moves(problem: Problem, server: Verification, here: Whole) -> tuple[FloatArray, np.ndarray]:
    """The moves of each row, shape (M, moves, K), the most promising first, and which of them can gain at all."""
    lengths, level = here.lengths, here.goodput[:, None]
    rows, num_users = lengths.shape
    cost = level * token_prices(problem.curves, lengths, here.deadline)
    now = problem.tokens(lengths)
    options, gains = [], []
    for target in (lengths + 1.0, lengths - 1.0, np.zeros_like(lengths)):
        allowed = (target >= problem.low) & (target <= problem.high) & (target != lengths)
        gain = problem.tokens(np.maximum(target, 0.0)) - now - cost * (target - lengths)
        options.append(target)
        gains.append(np.where(allowed, gain, -np.inf))
    if problem.low.any():
        options.pop(), gains.pop()
    # Exchanges pair each user's best raise with the most promising cuts.
    raises = np.argsort(-gains[0], axis=-1)[:, : min(3, num_users)]
    cuts = np.argsort(-gains[1], axis=-1)[:, : min(3, num_users)]
    moves = [_moved(lengths, np.arange(num_users)[None, :], option) for option in options]
    worth = list(gains)
    index = np.arange(rows)
    for i in range(raises.shape[1]):
        for j in range(cuts.shape[1]):
            up, down = raises[:, i], cuts[:, j]
            pair = lengths.copy()
            pair[index, up] += 1.0
            pair[index, down] -= 1.0
            moves.append(pair[:, None, :])
            worth.append(np.where(up == down, -np.inf, gains[0][index, up] + gains[1][index, down])[:, None])
    every, value = np.concatenate(moves, axis=1), np.concatenate(worth, axis=1)
    wait = server.round_time(every) - server.round_time(lengths)[:, None]
    value = value - level * wait
    order = np.argsort(-value, axis=-1)[:, :_LAST_TRIES]
    return np.take_along_axis(every, order[..., None], 1), np.take_along_axis(value, order, 1) > 0.0


def _moved(lengths: FloatArray, users: np.ndarray, target: FloatArray) -> FloatArray:
    """Every move of one user to its target, shape (M, K, K)."""
    moved = np.repeat(lengths[:, None, :], lengths.shape[1], axis=1)
    moved[:, users[0], users[0]] = target
    return moved
