"""A first solution of the relaxation from its stationarity conditions, in two unknowns.

Given the deadline T and the multiplier nu of the band, each user's condition ``N'(L) = eta slope + nu b'(L / T)`` has
one root, on a coordinate on which it is nearly linear. Newton's method on (ln T, ln nu) then meets the budget
``sum b = 1`` and ``eta = nu sum b' x`` with ``x = L / T`` (model, section 5). All users' equations and the two joint
ones advance together, so a step costs one evaluation of each share curve, on a whole batch at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.deadline import least_deadline
from multispin_gym.baselines.solver.problem import Problem

# A length of zero would make the seconds per token infinite; no goodput sees a draft of this many tokens or seconds.
_SHORTEST, _LEAST = 1e-9, 1e-100
_STEPS = 10
# Steps of ln T and ln nu after which nothing moves any more.
_STILL = 1e-8
# Lower end of the coordinate: an SNR of exp(-20) is next to the wideband limit.
_NEAREST = -20.0
# Longest steps of ln T, ln nu and the users' coordinates.
_REACH_TIME, _REACH_MULTIPLIER, _REACH_USER = 0.7, 1.5, 1.2


def limits(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Range of the real lengths: that of the whole ones, but never quite zero.

    Parameters
    ----------
    problem
        The rows.

    Returns
    -------
    low, high : numpy.ndarray
        Limits of the lengths. Shape (M, K).
    """
    if problem.low.all():
        return problem.low, problem.high
    shortest = np.maximum(_SHORTEST / (1.0 + problem.curves.drafting_time + problem.curves.scale), _LEAST)
    return np.maximum(problem.low, shortest), np.maximum(problem.high, shortest)


def into_range(problem: Problem, lengths: FloatArray) -> FloatArray:
    """Clip lengths to their box and shift them together until the batch's tokens lie in the piece's range.

    Parameters
    ----------
    problem
        The rows.
    lengths
        Real draft lengths. Shape (M, K).

    Returns
    -------
    numpy.ndarray
        Lengths within the row's limits. Shape (M, K).
    """
    low, high = limits(problem)
    clipped = np.clip(lengths, low, high)
    count = clipped.sum(axis=-1) + problem.num_users
    target = np.clip(count, problem.least, problem.most) - problem.num_users
    off = np.flatnonzero(np.abs(target + problem.num_users - count) > 1e-12 * count)
    if off.size:
        floor, roof, wanted = low[off], high[off], target[off]
        short = (floor - lengths[off]).min(axis=-1)
        long = (roof - lengths[off]).max(axis=-1)
        for _ in range(80):
            middle = 0.5 * (short + long)
            over = np.clip(lengths[off] + middle[:, None], floor, roof).sum(axis=-1) > wanted
            short, long = np.where(over, short, middle), np.where(over, middle, long)
        clipped[off] = np.clip(lengths[off] + short[:, None], floor, roof)
    return clipped


def starting_lengths(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Real lengths at or near the relaxed optimum, from nothing but the problem.

    Parameters
    ----------
    problem
        The rows.

    Returns
    -------
    lengths : numpy.ndarray
        Lengths within the rows' limits. Shape (M, K).
    deadline : numpy.ndarray
        A guess of their least deadline, s. Shape (M,).
    """
    num_users = problem.num_users
    alone = problem.curves.seconds_per_token(np.full(1, 1.0 / num_users))
    price = alone / num_users + problem.slope[:, None]
    fixed = problem.base + problem.slope * num_users
    lengths = problem.low
    for _ in range(4):
        time_price = problem.time_price_at(
            problem.tokens(lengths).sum(axis=-1) / ((price * lengths).sum(axis=-1) + fixed)
        )
        lengths = problem.best_real_lengths(time_price[:, None] * price)
    # Nobody starts with drafts that would hold the others back: a dead channel would hide all the rest.
    seconds = _total(price * lengths) + fixed[:, None]
    lengths = np.minimum(np.maximum(lengths, 0.5), 0.5 * seconds / problem.curves.floor)
    return settle(problem, np.clip(lengths, *limits(problem)))


def settle(problem: Problem, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Approach the stationary point from some lengths.

    A few rows may not settle; they only cost the caller a longer way from what is returned.

    Parameters
    ----------
    problem
        The rows. A range of the number of tokens in the batch is met only at the end.
    lengths
        Where to start. Shape (M, K).

    Returns
    -------
    lengths : numpy.ndarray
        Lengths within the rows' limits. Shape (M, K).
    deadline : numpy.ndarray
        A guess of their least deadline, s. Shape (M,).
    """
    # A row that overflows on its way is put back to its start.
    with np.errstate(all="ignore"):
        settled, time = _iterate(problem, lengths)
    sound = np.isfinite(settled).all(axis=-1, keepdims=True) & np.isfinite(time)
    return into_range(problem, np.where(sound, settled, lengths)), np.where(sound, time, 0.0)[:, 0]


def _iterate(problem: Problem, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
    curves = problem.curves
    low, high = limits(problem)
    ends = np.stack([high, low])
    time = least_deadline(curves, lengths, tolerance=0.1)[:, None]
    alone = (low * curves.seconds_per_token(np.ones(1))).max(axis=-1, keepdims=True)
    z, gone = curves.coordinate(time / lengths), np.zeros(lengths.shape, dtype=bool)
    still = np.zeros(time.shape, dtype=bool)
    multiplier, before, reach = None, np.zeros_like(time), np.ones_like(time)
    for _ in range(_STEPS):
        bottom, top = curves.coordinate(time / ends)
        bottom = np.maximum(bottom, _NEAREST)
        here = np.where(gone, top, np.clip(z, bottom, top))
        state = _State.at(problem, time, multiplier, here, bottom, top)
        multiplier = state.multiplier
        d_time, d_multiplier = state.joint_step()
        reach = np.where(d_time * before < 0.0, 0.5 * reach, reach)
        # A row that stands is left alone, so that what it comes to does not depend on the rows beside it.
        still |= (np.abs(d_time) < _STILL) & (np.abs(d_multiplier) < _STILL)
        if still.all():
            break
        d_time = _bounded(d_time, _REACH_TIME * reach)
        d_multiplier = _bounded(d_multiplier, _REACH_MULTIPLIER * reach)
        # Who is held stays at the limit wherever the deadline moves it; who is gone keeps its place for a return.
        step = _bounded(state.user_step(d_time, d_multiplier), _REACH_USER)
        z = np.where(gone | still, z, here - np.where(state.held, np.sign(state.error), step))
        gone, before = np.where(still, gone, state.idle), d_time
        time = np.where(still, time, np.maximum(time * np.exp(d_time), alone))
        multiplier = np.where(still, multiplier, multiplier * np.exp(d_multiplier))
    return state.lengths, time


def _total(values: FloatArray) -> FloatArray:
    return np.asarray(values.sum(axis=-1, keepdims=True))


def _bounded(step: FloatArray, size: FloatArray | float) -> FloatArray:
    return np.clip(np.where(np.isfinite(step), step, 0.0), -size, size)


@dataclass(frozen=True, eq=False)
class _State:
    """The conditions at one point: residuals, and how the users follow T and nu.

    A user's token rate changes by ``own + by_time d ln T + by_multiplier d ln nu``.
    """

    multiplier: FloatArray
    lengths: FloatArray
    error: FloatArray
    held: np.ndarray
    idle: np.ndarray
    own: FloatArray
    by_time: FloatArray
    by_multiplier: FloatArray
    tilt: FloatArray
    matrix: tuple[FloatArray, ...]
    right: tuple[FloatArray, ...]

    @classmethod
    def at(
        cls,
        problem: Problem,
        time: FloatArray,
        multiplier: FloatArray | None,
        z: FloatArray,
        bottom: FloatArray,
        top: FloatArray,
    ) -> _State:
        theta, slide, share, slope, curvature = problem.curves.along(z)
        x = 1.0 / theta
        cost, bend = -slope * theta * theta, theta**3 * (curvature * theta + 2.0 * slope)
        lengths, per_token = time * x, problem.slope[:, None]
        marginal, tokens = problem.marginal_tokens(lengths), _total(problem.tokens(lengths))
        seconds = time + problem.verification_time(lengths)[:, None]
        priced = ~np.isnan(problem.time_price[:, None])
        time_price = np.where(priced, problem.time_price[:, None], tokens / seconds)
        worth, used = _total(cost * x), _total(share)
        nu = time_price / worth if multiplier is None else multiplier
        # A falling table can make tokens cheaper than free, which only says that drafts are to grow.
        price = np.maximum(time_price * per_token + nu * cost, 1e-3 * nu * cost)
        error = np.log(marginal) - np.log(price)
        held = ((z <= bottom) & (error > 0.0)) | ((z >= top) & (error < 0.0))
        # Users whose first token is not worth its price even at the least share leave at once.
        first = np.where(problem.low > 0.0, np.inf, problem.marginal_tokens(problem.low))
        idle = first <= time_price * per_token + nu * problem.curves.idle_cost
        stiff = problem.decay * time + nu * bend / price
        own = np.where(held, 0.0, error / stiff)
        by_time = np.where(held, -x, -problem.decay * lengths / stiff)
        by_multiplier = np.where(held, 0.0, -nu * cost / price / stiff)
        # A goodput changes with the lengths; a price of time does not.
        gain = np.where(priced, 0.0, marginal / tokens - per_token / seconds)
        delay = np.where(priced, 0.0, time / seconds)
        pull = (bend * x + cost) / worth - gain * time
        matrix = (
            _total(cost * by_time) / used,
            _total(cost * by_multiplier) / used,
            _total(pull * by_time) - _total(gain * lengths) + delay,
            _total(pull * by_multiplier) + 1.0,
        )
        right = (
            -np.log(used) - _total(cost * own) / used,
            np.log(time_price / (nu * worth)) - _total(pull * own),
        )
        return cls(nu, lengths, error, held, idle, own, by_time, by_multiplier, x * x * slide, matrix, right)

    def joint_step(self) -> tuple[FloatArray, FloatArray]:
        """Newton step of ln T and ln nu, the users following."""
        a, b, c, d = self.matrix
        p, q = self.right
        determinant = a * d - b * c
        return (p * d - b * q) / determinant, (a * q - c * p) / determinant

    def user_step(self, d_time: FloatArray, d_multiplier: FloatArray) -> FloatArray:
        """Step of the users' coordinates that belongs to a joint step."""
        return (self.own + self.by_time * d_time + self.by_multiplier * d_multiplier) / self.tilt
