"""The search for whole lengths of one cell in plain loops, compiled by numba.

The decisions are those of :mod:`.whole_search`. This module needs numba and is imported by :mod:`.compiled_rows` alone.
"""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver import whole_search
from multispin_gym.baselines.solver.compiled_cell import TOLERANCE, Row, put, total_tokens, value, wait, weights_at
from multispin_gym.baselines.solver.compiled_curves import least_deadline, tangent, tokens_of
from multispin_gym.baselines.solver.compiled_duals import Duals, best_real, best_whole, judge
from multispin_gym.baselines.solver.compiled_improve import improve
from multispin_gym.baselines.solver.compiled_roundings import OPTIONS, best_of, fill, opt_out, play
from multispin_gym.baselines.solver.compiled_settling import Relaxed, settle
from multispin_gym.baselines.solver.compiling import compiled, lean

_WORTH_OPENING, _SETTLED = whole_search.WORTH_OPENING, whole_search.SETTLED


@lean
def _start(relaxed: Relaxed, high: float, lengths: FloatArray) -> None:
    """Fill in where :func:`.stationarity.starting_lengths` starts to settle."""
    users = len(lengths)
    fixed = relaxed.base + relaxed.slope * users
    put(relaxed.least, lengths)
    seconds = fixed
    for _ in range(5):
        tokens, seconds = 0.0, fixed
        for user in range(users):
            tokens += relaxed.weight[user] * tokens_of(lengths[user], relaxed.logarithm[user], relaxed.difference[user])
            seconds += (relaxed.curves.equal[user] / users + relaxed.slope) * lengths[user]
        if _ == 4:
            break
        time_price = tokens / seconds if np.isnan(relaxed.time_price) else relaxed.time_price
        for user in range(users):
            price = time_price * (relaxed.curves.equal[user] / users + relaxed.slope)
            worth = relaxed.weight[user] * relaxed.gain[user]
            lengths[user] = best_real(worth, price, relaxed.decay[user], relaxed.least[user], high)
    for user in range(users):
        longest = 0.5 * seconds / relaxed.curves.floor[user]
        lengths[user] = min(max(lengths[user], 0.5), longest)
        lengths[user] = min(max(lengths[user], relaxed.low[user]), relaxed.high[user])


@compiled
def _relax(row: Row, relaxed: Relaxed, high: float, lengths: FloatArray) -> tuple[float, float]:
    """Fill in real lengths at or near the relaxed optimum; their least deadline and score."""
    users = len(lengths)
    _start(relaxed, high, lengths)
    before = lengths.copy()
    deadline = settle(relaxed, lengths)
    settled = np.isfinite(deadline) and np.isfinite(lengths).all()
    lengths[:], deadline = (lengths if settled else before), (deadline if settled else 0.0)
    for user in range(users):
        lengths[user] = min(max(lengths[user], relaxed.low[user]), relaxed.high[user])
    deadline = least_deadline(row.curves, lengths, deadline, TOLERANCE)
    waiting = relaxed.base + relaxed.slope * (lengths.sum() + users)
    return deadline, value(row, total_tokens(row, lengths), deadline + waiting)


@lean
def _at_prices(
    relaxed: Relaxed, high: float, lengths: FloatArray, prices: FloatArray, score: float, dual: FloatArray
) -> bool:
    """Fill in the best whole lengths at a relaxed point's prices; whether the point is as good as the optimum."""
    time_price = score if np.isnan(relaxed.time_price) else relaxed.time_price
    surplus = tokens = 0.0
    for user in range(len(lengths)):
        price, weight = time_price * (prices[user] + relaxed.slope), relaxed.weight[user]
        decay, least = relaxed.decay[user], relaxed.least[user]
        dual[user] = best_whole(weight, price, decay, least, high)
        wanted = best_real(weight * relaxed.gain[user], price, decay, least, high)
        here = weight * tokens_of(lengths[user], relaxed.logarithm[user], relaxed.difference[user])
        there = weight * tokens_of(wanted, relaxed.logarithm[user], relaxed.difference[user])
        tokens += here
        surplus += there - here - price * (wanted - lengths[user])
    return surplus <= _SETTLED * tokens


@compiled
def _round(
    row: Row,
    relaxed: Relaxed,
    high: float,
    lengths: FloatArray,
    deadline: float,
    prices: FloatArray,
    dual: FloatArray,
    dropped: np.ndarray,
    known: FloatArray,
    best: FloatArray,
) -> tuple[float, float]:
    """Fill in the best of what the roundings of a relaxed point climb to; its deadline and score."""
    users, found = len(lengths), np.empty(len(lengths))
    options = np.empty((OPTIONS, users))
    fill(relaxed, lengths, high, dual, options)
    time, score = best_of(row, options, prices, deadline, best)
    for family in range(0 if users == 1 or relaxed.least.any() else 2):
        if family:
            options = np.empty((len(dropped), users))
            opt_out(relaxed, high, lengths, prices, dropped, options)
        else:
            options = np.maximum(options, 1.0)
        later, reached = best_of(row, options, prices, deadline, found)
        if reached > score:
            best[:], time, score = found, later, reached
    return improve(row, best, time, score, known)


@compiled
def common(row: Row, lengths: FloatArray) -> tuple[float, float]:
    """Fill in the best common length; its deadline and score. See :func:`.common_lengths.best_common_lengths`."""
    lengths[:] = 1.0
    deadline = least_deadline(row.curves, lengths, np.nan, TOLERANCE)
    best, highest = row.low[0], -np.inf
    for length in np.arange(row.low[0], row.high[0] + 1.0):
        lengths[:] = length
        score = value(row, total_tokens(row, lengths), length * deadline + wait(row, lengths))
        if score > highest:
            best, highest = length, score
    lengths[:] = best
    time, score = play(row, lengths, best * deadline)
    return time, score


@compiled
def _judge_at_best(row: Row, decay: FloatArray, duals: Duals, best: FloatArray, deadline: float, score: float) -> None:
    """Judge all pieces by the prices of the best lengths, or of a token for everybody where nobody drafts."""
    users, lengths = len(best), best.copy()
    prices, bend, own, weights = np.empty(users), np.empty(users), np.empty(users), np.empty(users)
    if not best.any():
        lengths[:] = 1.0
        deadline, _ = play(row, lengths, np.nan)
    tangent(row.curves, lengths, deadline, prices, bend, own)
    weights_at(row, lengths, weights)
    judge(row, duals, decay, weights, prices, score, -1, lengths)


@compiled
def _open(
    row: Row,
    extra: FloatArray,
    duals: Duals,
    index: int,
    dropped: np.ndarray,
    score: float,
    weights: FloatArray,
    known: FloatArray,
    found: FloatArray,
    scanned: bool,
) -> tuple[float, float, bool]:
    """Fill in the best lengths found from one piece; deadline, score, and whether its relaxation was solved.

    The weights become those of the weighted sum that touches the objective there.
    """
    users, high = len(found), min(row.high[0], duals.high[index])
    lengths, prices, dual = np.empty(users), np.empty(users), np.empty(users)
    bend, own = np.empty(users), np.empty(users)
    decay, gain, shortest = extra
    low, roof, base, slope = np.maximum(row.low, shortest), np.maximum(high, shortest), duals.base, duals.slope
    relaxed = Relaxed(
        row.curves,
        row.logarithm,
        row.difference,
        weights,
        decay,
        gain,
        low,
        roof,
        row.low,
        base[index],
        slope[index],
        row.time_price,
    )
    time, reached = _relax(row, relaxed, high, lengths)
    tangent(row.curves, lengths, time, prices, bend, own)
    if not _at_prices(relaxed, high, lengths, prices, reached, dual) and not scanned:
        return time, reached, False
    if row.geometric:
        weights_at(row, lengths, weights)
        _at_prices(relaxed, high, lengths, prices, reached, dual)
    if len(duals.high) > 1:
        judge(row, duals, decay, weights, prices, score, index, dual)
    time, reached = _round(row, relaxed, high, lengths, time, prices, dual, dropped, known, found)
    return time, reached, True


@compiled
def search(
    row: Row,
    extra: FloatArray,
    duals: Duals,
    dropped: np.ndarray,
    best: FloatArray,
    deadline: float,
    score: float,
    scanned: bool,
) -> tuple[float, float, bool]:
    """Improve one cell's lengths in place; deadline, score, and whether every relaxation was solved.

    The rows of ``extra`` are the users' decay and gain, and their shortest real lengths.
    """
    users = len(best)
    opened, known = np.zeros(len(duals.high), dtype=np.bool_), np.full(users, np.nan)
    weights, found = np.empty(users), np.empty(users)
    weights_at(row, best, weights)
    if len(opened) > 1:
        _judge_at_best(row, extra[0], duals, best, deadline, score)
    while True:
        index = np.argmax(np.where(opened, -np.inf, duals.excess))
        if opened[index] or not duals.excess[index] > _WORTH_OPENING * total_tokens(row, best):
            return deadline, score, True
        opened[index] = True
        time, reached, solved = _open(row, extra, duals, index, dropped, score, weights, known, found, scanned)
        if not solved:
            return deadline, score, False
        if reached > score:
            best[:], deadline, score = found, time, reached
        if (found == best).all():
            known[:] = best
