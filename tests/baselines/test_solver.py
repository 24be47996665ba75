"""The solver's parts as docs/relaxation.md has them: derivatives by difference quotients, conditions at the optimum."""

import numpy as np
import pytest

from multispin_gym import AffineVerification, Cell, Objective, TableVerification, Users
from multispin_gym.baselines import relax
from multispin_gym.baselines.solver.deadline import Tangent, least_deadline, token_prices
from multispin_gym.baselines.solver.idle_prices import idle_prices
from multispin_gym.baselines.solver.newton import solve_relaxation
from multispin_gym.baselines.solver.pieces import pieces_of
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.baselines.solver.share_curves import ShareCurves

POWERS = pytest.mark.parametrize("power", ["total", "density"])
AFFINE = AffineVerification(0.06, 1e-3, "ragged")
STAIRCASE = TableVerification([2.0, 9.0, 12.0, 20.0, 40.0], [0.040, 0.035, 0.050, 0.055, 0.090], "ragged")


def make_cell(power, verification=AFFINE, shortest=1, longest=12):
    return Cell(5e6, 4e-21, 16384.0, verification, power, shortest, longest)


def make_users(seed, shape, speed=(60.0, 300.0)):
    rng = np.random.default_rng(seed)
    return Users(rng.uniform(0.4, 0.95, shape), rng.uniform(*speed, shape), 10.0 ** rng.uniform(-12, -10, shape), 0.02)


def slopes(function, at, step):
    return (function(at + step) - function(at - step)) / (2.0 * step)


@POWERS
def test_share_curves_have_the_derivatives_that_they_say(power):
    curves = ShareCurves.of(make_users(0, (6, 5)), make_cell(power))
    theta = curves.floor * np.random.default_rng(1).uniform(1.05, 5.0, (6, 5))
    share, slope, curvature = curves.derivatives(theta, 2)
    step = 1e-5 * theta
    np.testing.assert_allclose(slope, slopes(lambda t: curves.derivatives(t, 1)[0], theta, step), rtol=1e-6)
    np.testing.assert_allclose(curvature, slopes(lambda t: curves.derivatives(t, 1)[1], theta, step), rtol=1e-6)
    z = curves.coordinate(theta)
    along = curves.along(z)
    np.testing.assert_allclose(along[0], theta, rtol=1e-12)
    np.testing.assert_allclose(along[1], slopes(lambda at: curves.along(at)[0], z, 1e-5), rtol=1e-6)
    for one, other in zip(along[2:], (share, slope, curvature), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


@POWERS
def test_tangent_is_the_deadline_to_second_order(power):
    curves = ShareCurves.of(make_users(2, (4, 5)), make_cell(power))
    rng = np.random.default_rng(3)
    lengths, direction = rng.uniform(1.0, 8.0, (4, 5)), rng.normal(size=(4, 5))

    def deadline(step):
        return least_deadline(curves, lengths + step * direction, tolerance=1e-12)

    tangent = Tangent.at(curves, lengths, deadline(0.0))
    np.testing.assert_allclose(tangent.prices, token_prices(curves, lengths, deadline(0.0)), rtol=1e-14)
    np.testing.assert_allclose((tangent.prices * lengths).sum(axis=-1), deadline(0.0), rtol=1e-12)
    np.testing.assert_allclose((tangent.prices * direction).sum(axis=-1), slopes(deadline, 0.0, 1e-4), rtol=1e-6)
    # What is left of the direction once its part along the rates, where the deadline is linear, is taken out.
    left = direction - tangent.rate * (tangent.prices * direction).sum(axis=-1, keepdims=True)
    second = (deadline(1e-3) - 2.0 * deadline(0.0) + deadline(-1e-3)) / 1e-6
    np.testing.assert_allclose((tangent.bend * left**2).sum(axis=-1), second, rtol=1e-4)


@POWERS
def test_second_derivatives_by_one_length_are_those_of_the_deadline(power):
    curves = ShareCurves.of(make_users(4, (4, 5)), make_cell(power))
    lengths = np.random.default_rng(5).uniform(1.0, 8.0, (4, 5))
    own = Tangent.at(curves, lengths, least_deadline(curves, lengths)).own_curvature()
    for user in range(5):
        unit = 1e-3 * np.eye(5)[user]
        above, here, below = (
            least_deadline(curves, lengths + shift * unit, tolerance=1e-12) for shift in (1.0, 0.0, -1.0)
        )
        np.testing.assert_allclose(own[:, user], (above - 2.0 * here + below) / 1e-6, rtol=1e-4)


@POWERS
def test_at_the_optimum_every_last_token_is_worth_its_price(power):
    users, cell = make_users(6, (8, 5)), make_cell(power)
    relaxed = relax(users, cell)
    problem = Problem.of(users, cell).in_piece(pieces_of(cell, 5), np.zeros(8, dtype=int))
    lengths = relaxed.draft_lengths
    prices = token_prices(problem.curves, lengths, least_deadline(problem.curves, lengths))
    ratio = problem.marginal_tokens(lengths) / (relaxed.goodput[:, None] * (prices + problem.slope[:, None]))
    inside = (lengths > 1.0) & (lengths < 12.0)
    assert inside.any()
    np.testing.assert_allclose(ratio[inside], 1.0, rtol=1e-4)
    assert (ratio[lengths == 1.0] <= 1.0 + 1e-6).all()
    assert (ratio[lengths == 12.0] >= 1.0 - 1e-6).all()


@POWERS
def test_where_a_stretch_of_the_table_ends_all_tokens_have_one_price_more(power):
    users, cell = make_users(7, (30, 4)), make_cell(power, STAIRCASE)
    pieces = pieces_of(cell, 4)
    problem = Problem.of(users, cell).in_piece(pieces, np.zeros(30, dtype=int))
    point, prices, _ = solve_relaxation(problem)
    worth = problem.marginal_tokens(point.lengths) - point.score[:, None] * (prices + problem.slope[:, None])
    count = point.lengths.sum(axis=-1) + 4.0
    np.testing.assert_array_less(count, pieces.most[0] + 1e-6)
    ends = np.abs(count - pieces.most[0]) < 1e-6
    assert ends.any()
    for row in np.flatnonzero(ends):
        inside = worth[row][(point.lengths[row] > 1.001) & (point.lengths[row] < 11.999)]
        np.testing.assert_allclose(inside, inside.mean(), atol=1e-4)
        assert inside.mean() > -1e-6


@POWERS
def test_the_tangent_sum_of_a_fair_optimum_has_the_same_optimum(power):
    cell = make_cell(power)
    problem = Problem.of(make_users(8, (6, 4)), cell, Objective("proportional_fair"))
    point, _, linear = solve_relaxation(problem.in_piece(pieces_of(cell, 4), np.zeros(6, dtype=int)))
    again, _, _ = solve_relaxation(linear.as_weighted_sum())
    np.testing.assert_allclose(again.score, point.score, rtol=1e-9)
    np.testing.assert_allclose(again.lengths, point.lengths, atol=1e-3)


@POWERS
def test_idle_prices_hold_in_every_direction_touch_in_one_and_follow_what_first_tokens_are_worth(power):
    users, cell = make_users(9, (5, 2), speed=(2.0, 8.0)), make_cell(power, shortest=0)
    problem = Problem.of(users, cell).in_piece(pieces_of(cell, 2), np.zeros(5, dtype=int))
    nobody = np.zeros((5, 2))
    time_price = problem.score(nobody, problem.verification_time(nobody))
    prices = idle_prices(problem, time_price)
    ratio = np.geomspace(1e-3, 1e3, 4001)
    directions = np.stack([np.ones_like(ratio), ratio], axis=-1)
    for row in range(5):
        deadline = least_deadline(problem.curves[np.full(len(ratio), row)], directions)
        looseness = deadline / (directions @ prices[row])
        assert looseness.min() >= 1.0 - 1e-9
        assert looseness.min() <= 1.0 + 1e-3
    worth = problem.marginal_tokens(nobody) / time_price[:, None] - problem.slope[:, None]
    assert (worth > 0.0).all()
    np.testing.assert_allclose(worth / prices, np.broadcast_to((worth / prices)[:, :1], (5, 2)), rtol=1e-4)
    # No draft pays here, and the prices say so.
    assert (prices > worth).all()
