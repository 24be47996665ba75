"""A first solution of the relaxation from its stationarity conditions, in two unknowns.

Given the deadline T and the price nu of the whole band, each user's condition ``N'(L) = eta slope + nu b'(L / T)`` has
one root, on a coordinate z on which it is nearly linear. Newton's method on (ln T, ln nu) then meets the budget
``sum b = 1`` and ``eta = nu sum b' x`` with ``x = L / T`` (model, section 5). All users' equations and the two joint
ones advance together, so a step costs one evaluation of each share curve, on a whole batch at once. The symbols are
those of ``docs/relaxation.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.deadline import FEW, least_deadline
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.baselines.solver.switch import compiled_rows

# A length of zero would make the seconds per token infinite; no goodput sees a draft of this many tokens or seconds.
_SHORTEST, _LEAST = 1e-9, 1e-100
STEPS = 10
# Steps of ln T and ln nu after which nothing moves any more.
STILL = 1e-8
# Lower end of the coordinate: an SNR of exp(-20) is next to the wideband limit.
NEAREST = -20.0
# Longest steps of ln T, ln nu and the users' coordinates.
REACH_DEADLINE, REACH_BAND_PRICE, REACH_USER = 0.7, 1.5, 1.2


def limits(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Least and largest real lengths: those of the whole ones, but never quite zero. Shape (M, K) each."""
    if problem.low.all():
        return problem.low, problem.high
    shortest = shortest_lengths(problem)
    return np.maximum(problem.low, shortest), np.maximum(problem.high, shortest)


def shortest_lengths(problem: Problem) -> FloatArray:
    """Real lengths that nobody sees, but with which the seconds per token are finite. Shape (M, K)."""
    return np.maximum(_SHORTEST / (1.0 + problem.curves.drafting_time + problem.curves.scale), _LEAST)


def into_range(problem: Problem, lengths: FloatArray) -> FloatArray:
    """Clip lengths to their limits and shift them together until the batch's tokens lie in the piece's range.

    Shape (M, K).
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
    """Real lengths at or near the relaxed optimum, from nothing but the problem, and a guess of their least deadline.

    Shapes: lengths (M, K), deadline (M,), s.
    """
    num_users = problem.num_users
    alone = problem.curves.seconds_per_token(np.full(1, 1.0 / num_users))
    delay = alone / num_users + problem.slope[:, None]
    fixed = problem.base + problem.slope * num_users
    lengths = problem.low
    for _ in range(4):
        seconds = (delay * lengths).sum(axis=-1) + fixed
        time_price = problem.time_price_at(problem.tokens(lengths).sum(axis=-1) / seconds)
        lengths = problem.best_real_lengths(time_price[:, None] * delay)
    # Nobody starts with drafts that would hold the others back: a dead channel would hide all the rest.
    longest = 0.5 * (_total(delay * lengths) + fixed[:, None]) / problem.curves.floor
    lengths = np.minimum(np.maximum(lengths, 0.5), longest)
    return settle(problem, np.clip(lengths, *limits(problem)))


def settle(problem: Problem, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Approach the stationary point from some lengths: lengths within the limits, and a guess of their deadline.

    A few rows may not settle; they only cost the caller a longer way from what is returned. A range of the number of
    tokens in the batch is met only at the end. With acceptance curves, whose derivative is no power, the lengths stay
    where they are. Shapes: lengths (M, K), deadline (M,), s.
    """
    if problem.tables is not None:
        return into_range(problem, lengths), np.zeros(len(lengths))
    # A row that overflows on its way is put back to its start.
    with np.errstate(all="ignore"):
        settled, deadline = _iterate(problem, lengths)
    sound = np.isfinite(settled).all(axis=-1, keepdims=True) & np.isfinite(deadline)
    return into_range(problem, np.where(sound, settled, lengths)), np.where(sound, deadline, 0.0)[:, 0]


def _iterate(problem: Problem, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Newton's method from some lengths: the last lengths, shape (M, K), and the last deadline, shape (M, 1)."""
    curves = problem.curves
    low, high = limits(problem)
    few = curves.density or lengths.size <= FEW
    if few and (rows := compiled_rows()) is not None:
        fields = (problem.weight, problem.decay, problem.gain, low, high, problem.low)
        users = np.stack((*curves.fields, *problem.terms, *fields), axis=1)
        settled, deadline = np.array(lengths, order="C"), np.empty(len(lengths))
        server = np.stack((problem.base, problem.slope, problem.time_price), axis=1)
        rows.settle(curves.density, users, server, settled, deadline)
        return settled, deadline[:, None]
    ends = np.stack([high, low])
    deadline = least_deadline(curves, lengths, tolerance=0.1)[:, None]
    alone = (low * curves.seconds_per_token(np.ones(1))).max(axis=-1, keepdims=True)
    z, idle = curves.coordinate(deadline / lengths), np.zeros(lengths.shape, dtype=bool)
    still = np.zeros(deadline.shape, dtype=bool)
    band_price, before, reach = None, np.zeros_like(deadline), np.ones_like(deadline)
    for _ in range(STEPS):
        bottom, top = curves.coordinate(deadline / ends)
        bottom = np.maximum(bottom, NEAREST)
        here = np.where(idle, top, np.clip(z, bottom, top))
        state = _State.at(problem, deadline, band_price, here, bottom, top)
        band_price = state.band_price
        d_deadline, d_band_price = state.joint_step()
        reach = np.where(d_deadline * before < 0.0, 0.5 * reach, reach)
        # A row that stands is left alone, so that what it comes to does not depend on the rows beside it.
        still |= (np.abs(d_deadline) < STILL) & (np.abs(d_band_price) < STILL)
        if still.all():
            break
        d_deadline = _bounded(d_deadline, REACH_DEADLINE * reach)
        d_band_price = _bounded(d_band_price, REACH_BAND_PRICE * reach)
        # Who is held stays at the limit wherever the deadline moves it; who is idle keeps its place for a return.
        step = _bounded(state.user_step(d_deadline, d_band_price), REACH_USER)
        z = np.where(idle | still, z, here - np.where(state.held, np.sign(state.error), step))
        idle, before = np.where(still, idle, state.idle), d_deadline
        deadline = np.where(still, deadline, np.maximum(deadline * np.exp(d_deadline), alone))
        band_price = np.where(still, band_price, band_price * np.exp(d_band_price))
    # Rounding does not take a length at its limit off it.
    return np.where(here >= top, low, np.minimum(state.lengths, high)), deadline


def _total(values: FloatArray) -> FloatArray:
    return np.asarray(values.sum(axis=-1, keepdims=True))


def _bounded(step: FloatArray, size: FloatArray | float) -> FloatArray:
    return np.clip(np.where(np.isfinite(step), step, 0.0), -size, size)


def band_costs(theta: FloatArray, slope: FloatArray, curvature: FloatArray) -> tuple[FloatArray, FloatArray]:
    """First two derivatives of the share by the token rate, element by element."""
    return -slope * theta * theta, theta**3 * (curvature * theta + 2.0 * slope)


def user_conditions(
    marginal: FloatArray,
    wait_price: FloatArray,
    nu: FloatArray,
    band_cost: FloatArray,
    band_bend: FloatArray,
    decay: FloatArray,
    deadline: FloatArray,
    lengths: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Error of the users' conditions and how their rates follow it, ln T and ln nu, element by element.

    ``wait_price`` is what a token in the batch costs by its verification, in tokens.
    """
    # A falling table can make tokens cheaper than free, which only says that drafts are to grow.
    price = np.maximum(wait_price + nu * band_cost, 1e-3 * nu * band_cost)
    error = np.log(marginal) - np.log(price)
    stiffness = decay * deadline + nu * band_bend / price
    return error, error / stiffness, -decay * lengths / stiffness, -nu * band_cost / price / stiffness


def solve_two(
    a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray, p: FloatArray, q: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Solve ``a x + b y = p``, ``c x + d y = q``, element by element."""
    determinant = a * d - b * c
    return (p * d - b * q) / determinant, (a * q - c * p) / determinant


@dataclass(frozen=True, eq=False)
class _State:
    """The conditions at one point: residuals, and how the users follow T and nu.

    A user's rate x changes by ``own + by_deadline d ln T + by_band_price d ln nu``, and its coordinate z by that over
    ``-tilt``. The joint step solves ``matrix (d ln T, d ln nu) = right``. Shapes: band_price, matrix and right (M, 1),
    everything else (M, K).
    """

    band_price: FloatArray
    lengths: FloatArray
    error: FloatArray
    held: np.ndarray
    idle: np.ndarray
    own: FloatArray
    by_deadline: FloatArray
    by_band_price: FloatArray
    tilt: FloatArray
    matrix: tuple[FloatArray, ...]
    right: tuple[FloatArray, ...]

    @classmethod
    def at(
        cls,
        problem: Problem,
        deadline: FloatArray,
        band_price: FloatArray | None,
        z: FloatArray,
        bottom: FloatArray,
        top: FloatArray,
    ) -> _State:
        theta, theta_by_z, share, slope, curvature = problem.curves.along(z)
        rate = 1.0 / theta
        band_cost, band_bend = band_costs(theta, slope, curvature)
        lengths, per_token = deadline * rate, problem.slope[:, None]
        marginal, tokens = problem.marginal_tokens(lengths), _total(problem.tokens(lengths))
        seconds = deadline + problem.verification_time(lengths)[:, None]
        priced = ~np.isnan(problem.time_price[:, None])
        time_price = np.where(priced, problem.time_price[:, None], tokens / seconds)
        elasticity, used = _total(band_cost * rate), _total(share)
        nu = time_price / elasticity if band_price is None else band_price
        error, own, by_deadline, by_band_price = user_conditions(
            marginal, time_price * per_token, nu, band_cost, band_bend, problem.decay, deadline, lengths
        )
        held = ((z <= bottom) & (error > 0.0)) | ((z >= top) & (error < 0.0))
        # Users whose first token is not worth its price even at the least share leave at once.
        first = np.where(problem.low > 0.0, np.inf, problem.marginal_tokens(problem.low))
        idle = first <= time_price * per_token + nu * problem.curves.idle_cost
        own = np.where(held, 0.0, own)
        by_deadline = np.where(held, -rate, by_deadline)
        by_band_price = np.where(held, 0.0, by_band_price)
        # A goodput changes with the lengths and the deadline; a price of time does not.
        growth = np.where(priced, 0.0, marginal / tokens - per_token / seconds)
        waiting = np.where(priced, 0.0, deadline / seconds)
        pull = (band_bend * rate + band_cost) / elasticity - growth * deadline
        matrix = (
            _total(band_cost * by_deadline) / used,
            _total(band_cost * by_band_price) / used,
            _total(pull * by_deadline) - _total(growth * lengths) + waiting,
            _total(pull * by_band_price) + 1.0,
        )
        right = (
            -np.log(used) - _total(band_cost * own) / used,
            np.log(time_price / (nu * elasticity)) - _total(pull * own),
        )
        tilt = rate * rate * theta_by_z
        return cls(nu, lengths, error, held, idle, own, by_deadline, by_band_price, tilt, matrix, right)

    def joint_step(self) -> tuple[FloatArray, FloatArray]:
        """Newton step of ln T and ln nu, the users following. Shape (M, 1) each."""
        return solve_two(*self.matrix, *self.right)

    def user_step(self, d_deadline: FloatArray, d_band_price: FloatArray) -> FloatArray:
        """What the users' coordinates fall by in a joint step. Shape (M, K)."""
        return (self.own + self.by_deadline * d_deadline + self.by_band_price * d_band_price) / self.tilt
