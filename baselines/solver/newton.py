"""Newton's method for the relaxation, from any start to the optimum.

Expected tokens are concave in the lengths and the round latency is convex, so the goodput is quasi-concave and every
stationary point is its global optimum (model, section 5). At it ``N'(L_k) = eta (slope + c_k)``: all users' last
tokens are worth their price at the goodput eta.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.deadline import Tangent, least_deadline
from multispin_gym.baselines.solver.idle_prices import idle_prices
from multispin_gym.baselines.solver.problem import Problem
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
class RelaxedPoint:
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
        """Evaluate the relaxed objective.

        Parameters
        ----------
        problem
            The rows.
        lengths
            Real draft lengths. Shape (M, K).
        start
            A guess of the deadline, s. Shape (M,).

        Returns
        -------
        RelaxedPoint
            The evaluated point.
        """
        deadline = least_deadline(problem.curves, lengths, start)
        seconds = deadline + problem.verification_time(lengths)
        return cls(lengths, deadline, problem.score(lengths, seconds))

    def __getitem__(self, rows: np.ndarray) -> RelaxedPoint:
        """Select rows."""
        return RelaxedPoint(self.lengths[rows], self.deadline[rows], self.score[rows])

    def put(self, rows: np.ndarray, other: RelaxedPoint) -> None:
        """Overwrite rows in place with those of another point.

        Parameters
        ----------
        rows
            Indices of the rows.
        other
            A point with one row for each index.
        """
        for name, value in other.__dict__.items():
            getattr(self, name)[rows] = value


def solve_relaxation(
    problem: Problem, start: FloatArray | None = None, tolerance: float = 1e-9
) -> tuple[RelaxedPoint, FloatArray, Problem]:
    """Maximise the score over real draft lengths, for a batch of rows.

    The stationarity conditions give the start, and for most rows the optimum. From there projected Newton on
    ``tokens - eta * latency``, with eta the goodput of the current point, which makes it quadratic in the ratio too.
    The Hessian is diagonal plus rank two, so a step costs O(K). A step that does not raise the goodput is halved, then
    replaced by the ascent direction to the best lengths at the current prices. For proportional fairness the weighted
    sum that touches the geometric mean is solved again and again until it touches at its own solution.

    Parameters
    ----------
    problem
        The rows.
    start
        Real lengths near the optimum. Shape (M, K).
    tolerance
        Relative gap between the score and its bound at the point's own prices at which a row stops.

    Returns
    -------
    point : RelaxedPoint
        The optimum of each row.
    prices : numpy.ndarray
        Token prices there, s per token, valid for the row's cell. Shape (M, K).
    linear : Problem
        The rows with the weighted sum that touches the objective there.
    """
    if problem.objective.total.linear:
        return *_solve_weighted(problem, start, tolerance), problem
    lengths = starting_lengths(problem)[0] if start is None else into_range(problem, start)
    for _ in range(_REWEIGHTINGS):
        linear = problem.linearised(lengths)
        point, prices = _solve_weighted(linear.as_weighted_sum(), lengths, tolerance)
        moved = np.abs(point.lengths - lengths).max(initial=0.0)
        lengths = point.lengths
        if moved < _UNMOVED:
            break
    return RelaxedPoint.at(problem, lengths, point.deadline), prices, problem.linearised(lengths)


def _solve_weighted(problem: Problem, start: FloatArray | None, tolerance: float) -> tuple[RelaxedPoint, FloatArray]:
    lengths, deadline = starting_lengths(problem) if start is None else (into_range(problem, start), None)
    point = RelaxedPoint.at(problem, lengths, deadline)
    prices = np.empty_like(problem.alpha)
    moving = _rest(problem, point, prices, np.arange(len(prices)), surely=True)
    active = moving
    for step in range(_STEPS if active.size else 0):
        part, here = problem[active], point[active]
        newton, ascent, prices[active], gap = _newton_step(part, here)
        running = np.flatnonzero(gap > tolerance)
        if running.size == 0:
            break
        active = active[running]
        if step < _RESTARTS:
            part, here = part[running], here[running]
            again = RelaxedPoint.at(part, *settle(part, here.lengths))
            better = again.score > here.score
            point.put(active[better], again[better])
            continue
        moved, improved = _shortened(part[running], here[running], newton[running], ascent[running])
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
    price = idle_prices(part, time_price)
    if surely:
        worth = np.where(part.high > 0.0, part.marginal_tokens(nothing[resting]), 0.0)
        pays = (worth > time_price[:, None] * (price + part.slope[:, None]) * (1.0 + _ROUNDED)).any(axis=-1)
        part, price, resting = part[~pays], price[~pays], resting[~pays]
    prices[rows[resting]] = price
    point.put(rows[resting], RelaxedPoint.at(part, limits(part)[0]))
    return np.delete(rows, resting)


def _newton_step(problem: Problem, point: RelaxedPoint) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Newton direction, ascent direction, token prices and the relative gap at those prices."""
    lengths, time_price = point.lengths, problem.time_price_at(point.score)[:, None]
    tangent = Tangent.at(problem.curves, lengths, point.deadline)
    price = time_price * (tangent.prices + problem.slope[:, None])
    marginal = problem.marginal_tokens(lengths)
    # Along the ray through the point the deadline has no curvature: tokens must give some, however flat they are.
    least = _FLATTEST * time_price * (tangent.bend + tangent.prices)
    diagonal = np.maximum(problem.decay * marginal, least)
    hessian = _Curvature(diagonal, tangent, time_price)
    newton, multiplier = _feasible_newton(problem, lengths, marginal - price, hessian)

    price = price + multiplier[:, None]
    wanted = np.clip(problem.best_real_lengths(price), *limits(problem))
    tokens = problem.tokens(lengths)
    count = lengths.sum(axis=-1) + problem.num_users
    with np.errstate(invalid="ignore"):
        slack = np.where(multiplier > 0.0, problem.most - count, problem.least - count) * multiplier
    surplus = (problem.tokens(wanted) - tokens - price * (wanted - lengths)).sum(axis=-1)
    gap = (surplus + np.where(multiplier == 0.0, 0.0, slack)) / tokens.sum(axis=-1)
    return newton, wanted - lengths, tangent.prices, gap


@dataclass(frozen=True, eq=False)
class _Curvature:
    """Minus the Hessian of ``tokens - eta T``: diagonal plus eta times the curvature of the deadline."""

    diagonal: FloatArray
    tangent: Tangent
    time_price: FloatArray

    def solve(self, right: FloatArray, free: np.ndarray) -> FloatArray:
        """Solve for the free users by the Woodbury identity with a 2 by 2 system."""
        tangent, time_price = self.tangent, self.time_price[:, 0]
        inverse = np.where(free, 1.0 / (self.diagonal + self.time_price * tangent.bend), 0.0)
        bent = tangent.bend * tangent.rate
        first, second = bent * inverse, tangent.prices * inverse
        a = (bent * first).sum(-1) - tangent.middle / time_price
        b = (bent * second).sum(-1) - 1.0 / time_price
        d = (tangent.prices * second).sum(-1)
        p, q = (first * right).sum(-1), (second * right).sum(-1)
        determinant = a * d - b * b
        left = ((d * p - b * q) / determinant)[:, None]
        other = ((a * q - b * p) / determinant)[:, None]
        return np.asarray(inverse * right - first * left - second * other)


def _feasible_newton(
    problem: Problem, lengths: FloatArray, gradient: FloatArray, hessian: _Curvature
) -> tuple[FloatArray, FloatArray]:
    """Newton direction over the users not held at a bound, and the multiplier of the batch's range."""
    multiplier = np.zeros(len(lengths))
    low, high = limits(problem)
    at_low, at_high = lengths <= low, lengths >= high
    ranged = bool(np.isfinite(problem.least).any() or np.isfinite(problem.most).any())
    for _ in range(4 if ranged else 1):
        pull = gradient - multiplier[:, None]
        free = ~((at_low & (pull < 0.0)) | (at_high & (pull > 0.0)))
        step = hessian.solve(np.where(free, gradient, 0.0), free)
        if not ranged:
            return step, multiplier
        shift = hessian.solve(np.where(free, 1.0, 0.0), free)
        count = (lengths + step).sum(axis=-1) + problem.num_users
        excess = np.maximum(count - problem.most, 0.0) + np.minimum(count - problem.least, 0.0)
        give = shift.sum(axis=-1)
        multiplier = np.where(give > 0.0, excess / np.where(give > 0.0, give, 1.0), 0.0)
    return step - multiplier[:, None] * shift, multiplier


def _shortened(
    problem: Problem, point: RelaxedPoint, newton: FloatArray, ascent: FloatArray
) -> tuple[RelaxedPoint, np.ndarray]:
    """Best of ever shorter steps along both directions, and which rows improved."""
    best = RelaxedPoint(*(value.copy() for value in point.__dict__.values()))
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
