"""Newton's method for the relaxation, from any start to the optimum.

Expected tokens are concave in the lengths and the round latency is convex, so the goodput is quasi-concave and every
stationary point is its global optimum (model, section 5). At it ``N'(L_k) = eta (slope + c_k)``: all users' last
tokens are worth their price at the goodput eta. The symbols are those of ``docs/relaxation.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.clock import UNLIMITED, Clock
from multispin_gym.baselines.solver.deadline import Tangent, least_deadline
from multispin_gym.baselines.solver.idle_prices import idle_prices
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.baselines.solver.rows import Rows
from multispin_gym.baselines.solver.stationarity import into_range, limits, settle, starting_lengths

_STEPS = 40
# How often a row that is not done is settled anew before the slower, surer steps.
_RESTARTS = 2
# Proportional fairness: how often the weights are renewed, and the change of the lengths below which they stand.
_REWEIGHTINGS = 30
_UNMOVED = 1e-7
# How far a token's worth may lie above its price by rounding alone, relative.
_ROUNDED = 1e-9
# Least curvature of the tokens in units of that of the latency.
_FLATTEST = 1e-10


@dataclass(frozen=True, eq=False)
class RelaxedPoint(Rows):
    """A point of the relaxation and what Newton's method needs of it.

    Parameters
    ----------
    lengths
        Real draft lengths. Shape (M, K).
    deadline
        Least deadline T(L), s. Shape (M,).
    score
        Score by the row's objective and verification piece. Shape (M,).
    """

    lengths: FloatArray
    deadline: FloatArray
    score: FloatArray

    @classmethod
    def at(cls, problem: Problem, lengths: FloatArray, start: FloatArray | None = None) -> RelaxedPoint:
        """Evaluate the score of real lengths (M, K); ``start`` is a guess of their deadline, s, of shape (M,)."""
        deadline = least_deadline(problem.curves, lengths, start)
        seconds = deadline + problem.verification_time(lengths)
        return cls(lengths, deadline, problem.score(lengths, seconds))


def solve_relaxation(
    problem: Problem, start: FloatArray | None = None, tolerance: float = 1e-9, clock: Clock = UNLIMITED
) -> tuple[RelaxedPoint, FloatArray, Problem]:
    """Maximise the score over real draft lengths, for a batch of rows.

    The stationarity conditions give the start, and for most rows the optimum. From there projected Newton on
    ``tokens - eta * latency``, with eta the goodput of the current point, which makes it quadratic in the ratio too.
    The Hessian is diagonal plus rank two, so a step costs O(K). A step that does not raise the goodput is halved, then
    replaced by the ascent direction to the best lengths at the current prices. A row stops where the bound on its score
    at the point's own prices is within the relative ``tolerance``. Where the objective is no weighted sum, the one that
    touches it is solved again and again until it touches at its own solution. When the time is up it ends where it is.

    Returns the optimum of each row, token prices there that are valid for the row's cell, s per token, and the rows
    with the weighted sum that touches the objective there. Shapes: start and prices (M, K).
    """
    if problem.objective.total.linear:
        return *_solve_weighted(problem, start, tolerance, clock), problem
    lengths = starting_lengths(problem)[0] if start is None else into_range(problem, start)
    for _ in range(_REWEIGHTINGS):
        linear = problem.linearised(lengths)
        point, prices = _solve_weighted(linear.as_weighted_sum(), lengths, tolerance, clock)
        moved = np.abs(point.lengths - lengths).max(initial=0.0)
        lengths = point.lengths
        if moved < _UNMOVED or clock.over:
            break
    return RelaxedPoint.at(problem, lengths, point.deadline), prices, problem.linearised(lengths)


def _solve_weighted(
    problem: Problem, start: FloatArray | None, tolerance: float, clock: Clock
) -> tuple[RelaxedPoint, FloatArray]:
    """Solve rows whose objective is a weighted sum; see :func:`solve_relaxation`."""
    lengths, deadline = starting_lengths(problem) if start is None else (into_range(problem, start), None)
    point = RelaxedPoint.at(problem, lengths, deadline)
    prices = np.empty_like(problem.alpha)
    moving = _rest(problem, point, prices, np.arange(len(prices)), surely=True)
    active = moving
    for step in range(_STEPS if active.size else 0):
        part, here = problem[active], point[active]
        directions = _Directions.at(part, here)
        prices[active] = directions.tangent.prices
        running = np.flatnonzero(directions.gap > tolerance)
        if running.size == 0 or clock.over:
            break
        active = active[running]
        if step < _RESTARTS and problem.tables is None:
            part, here = part[running], here[running]
            again = RelaxedPoint.at(part, *settle(part, here.lengths))
            better = again.score > here.score
            point.put(active[better], again[better])
            continue
        newton, ascent = directions.newton(part)[running], directions.ascent[running]
        moved, improved = _damped_step(part[running], here[running], newton, ascent)
        point.put(active, moved)
        active = active[improved]
    _rest(problem, point, prices, moving, surely=False)
    return point, prices


def _rest(problem: Problem, point: RelaxedPoint, prices: FloatArray, rows: np.ndarray, surely: bool) -> np.ndarray:
    """Let nobody draft, in place, in those of some rows that are no better for it, and return the others.

    With ``surely`` that is done only where no draft can pay.
    """
    possible = (problem.low[rows] == 0.0).all(axis=-1) & (problem.least[rows] <= problem.num_users)
    if not possible.any():
        return rows
    nothing, part = np.zeros((len(rows), problem.num_users)), problem[rows]
    alone = part.score(nothing, part.verification_time(nothing))
    resting = np.flatnonzero(possible & (alone >= point.score[rows]))
    if resting.size == 0:
        return rows
    part = part[resting]
    time_price = part.time_price_at(alone[resting])
    idle = idle_prices(part, time_price)
    if surely:
        worth = np.where(part.high > 0.0, part.marginal_tokens(nothing[resting]), 0.0)
        pays = (worth > time_price[:, None] * (idle + part.slope[:, None]) * (1.0 + _ROUNDED)).any(axis=-1)
        part, idle, resting = part[~pays], idle[~pays], resting[~pays]
    prices[rows[resting]] = idle
    point.put(rows[resting], RelaxedPoint.at(part, limits(part)[0]))
    return np.delete(rows, resting)


@dataclass(frozen=True, eq=False)
class _Curvature:
    """Minus the Hessian of ``tokens - eta T``: diagonal plus eta times the curvature of the deadline.

    Shapes: diagonal (M, K), time_price (M, 1).
    """

    diagonal: FloatArray
    tangent: Tangent
    time_price: FloatArray

    def solve(self, right: FloatArray, free: np.ndarray) -> FloatArray:
        """Solve for the free users by the Woodbury identity with a 2 by 2 system. Shapes: (M, K)."""
        tangent, time_price = self.tangent, self.time_price[:, 0]
        inverse = np.where(free, 1.0 / (self.diagonal + self.time_price * tangent.bend), 0.0)
        bent = tangent.bend * tangent.rate
        inverse_bent, inverse_prices = bent * inverse, tangent.prices * inverse
        yy = (bent * inverse_bent).sum(-1) - tangent.middle / time_price
        yc = (bent * inverse_prices).sum(-1) - 1.0 / time_price
        cc = (tangent.prices * inverse_prices).sum(-1)
        yg, cg = (inverse_bent * right).sum(-1), (inverse_prices * right).sum(-1)
        determinant = yy * cc - yc * yc
        on_bent = ((cc * yg - yc * cg) / determinant)[:, None]
        on_prices = ((yy * cg - yc * yg) / determinant)[:, None]
        return np.asarray(inverse * right - inverse_bent * on_bent - inverse_prices * on_prices)


def _feasible_newton(
    problem: Problem, lengths: FloatArray, gradient: FloatArray, hessian: _Curvature
) -> tuple[FloatArray, FloatArray]:
    """Newton direction over the users not held at a limit, and the price of a token in the batch where its range binds.

    Shapes: direction (M, K); price, tokens per token, (M,), above zero at the upper end of the range and below zero at
    the lower one.
    """
    count_price = np.zeros(len(lengths))
    low, high = limits(problem)
    at_low, at_high = lengths <= low, lengths >= high
    ranged = bool(np.isfinite(problem.least).any() or np.isfinite(problem.most).any())
    for _ in range(4 if ranged else 1):
        pull = gradient - count_price[:, None]
        free = ~((at_low & (pull < 0.0)) | (at_high & (pull > 0.0)))
        step = hessian.solve(np.where(free, gradient, 0.0), free)
        if not ranged:
            return step, count_price
        shift = hessian.solve(np.where(free, 1.0, 0.0), free)
        count = (lengths + step).sum(axis=-1) + problem.num_users
        excess = np.maximum(count - problem.most, 0.0) + np.minimum(count - problem.least, 0.0)
        give = shift.sum(axis=-1)
        count_price = np.where(give > 0.0, excess / np.where(give > 0.0, give, 1.0), 0.0)
    return step - count_price[:, None] * shift, count_price


@dataclass(frozen=True, eq=False)
class _Directions:
    """Where to go from a point, and how far it is from the optimum at most.

    Parameters
    ----------
    tangent
        The deadline near the point.
    lengths, gradient
        The point's lengths, and the derivative of ``tokens - eta * latency`` there. Shape (M, K).
    hessian
        Minus its second derivatives.
    ascent
        Ascent direction. Shape (M, K).
    gap
        Relative gap at the point's prices. Shape (M,).
    """

    tangent: Tangent
    lengths: FloatArray
    gradient: FloatArray
    hessian: _Curvature
    ascent: FloatArray
    gap: FloatArray

    @classmethod
    def at(cls, problem: Problem, point: RelaxedPoint) -> _Directions:
        """Look around from a point."""
        lengths, time_price = point.lengths, problem.time_price_at(point.score)[:, None]
        tangent = Tangent.at(problem.curves, lengths, point.deadline)
        price = time_price * (tangent.prices + problem.slope[:, None])
        marginal = problem.marginal_tokens(lengths)
        # Along the ray through the point the deadline has no curvature: tokens must give some, however flat they are.
        least = _FLATTEST * time_price * (tangent.bend + tangent.prices)
        diagonal = np.maximum(problem.curvature(lengths), least)
        hessian, gradient = _Curvature(diagonal, tangent, time_price), marginal - price
        count_price = np.zeros(len(lengths))
        if np.isfinite(problem.least).any() or np.isfinite(problem.most).any():
            count_price = _feasible_newton(problem, lengths, gradient, hessian)[1]
        price = price + count_price[:, None]
        wanted = np.clip(problem.best_real_lengths(price), *limits(problem))
        tokens = problem.tokens(lengths)
        count = lengths.sum(axis=-1) + problem.num_users
        with np.errstate(invalid="ignore"):
            slack = np.where(count_price > 0.0, problem.most - count, problem.least - count) * count_price
        surplus = (problem.tokens(wanted) - tokens - price * (wanted - lengths)).sum(axis=-1)
        gap = (surplus + np.where(count_price == 0.0, 0.0, slack)) / tokens.sum(axis=-1)
        return cls(tangent, lengths, gradient, hessian, wanted - lengths, gap)

    def newton(self, problem: Problem) -> FloatArray:
        """Newton direction over the users not held at a limit. Shape (M, K)."""
        return _feasible_newton(problem, self.lengths, self.gradient, self.hessian)[0]


def _damped_step(
    problem: Problem, point: RelaxedPoint, newton: FloatArray, ascent: FloatArray
) -> tuple[RelaxedPoint, np.ndarray]:
    """First of ever shorter steps, along one direction and then the other, that raises the score.

    Rows without one stay where they are; also returns which rows moved.
    """
    best = point.copy()
    waiting = np.arange(len(point.deadline))
    for direction in (newton, ascent):
        for halvings in range(12):
            part, here = problem[waiting], point[waiting]
            lengths = into_range(part, here.lengths + 0.5**halvings * direction[waiting])
            trial = RelaxedPoint.at(part, lengths, here.deadline)
            better = trial.score > here.score
            best.put(waiting[better], trial[better])
            waiting = waiting[~better]
            if waiting.size == 0:
                return best, np.ones(len(point.deadline), dtype=bool)
    improved = np.ones(len(point.deadline), dtype=bool)
    improved[waiting] = False
    return best, improved
