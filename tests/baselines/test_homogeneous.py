"""Homogeneous drafts: against brute force over the length, a general solver, and the structure of the paper's claim."""

import dataclasses
import math

import numpy as np
import pytest
from reference import FORMS, random_cell, rate_on, verification_seconds, within
from scipy.optimize import brentq, minimize

from multispin_gym import AffineVerification, Cell, Users, play_round
from multispin_gym.baselines import make_controller

HOMOGENEOUS = make_controller("homogeneous")
POWERS = pytest.mark.parametrize("power", ["total", "density"])
EVERY_FORM = pytest.mark.parametrize("form", FORMS, ids="-".join)
BOTH_MINIMA = pytest.mark.parametrize("shortest", [0, 1])


def plain_cell(power, longest=12):
    verification = AffineVerification(0.08, 1e-3, "ragged")
    return Cell(10e6, 3.98e-21, 16384.0, verification, power, max_draft_length=longest)


def random_users(seed, shape, acceptance=(0.2, 0.95), gain_db=(-130.0, -95.0)):
    rng = np.random.default_rng(seed)
    return Users(
        rng.uniform(*acceptance, shape),
        rng.uniform(30.0, 300.0, shape),
        10.0 ** (rng.uniform(*gain_db, shape) / 10.0),
        rng.uniform(0.01, 0.03, shape),
    )


def expected(alpha, length):
    """Expected tokens of all users at one whole length, as the plain sum of powers."""
    return math.fsum(rate**i for rate in alpha.tolist() for i in range(length + 1))


def equal_finish(users, cell):
    """Seconds per token and shares with which all users finish together, by two nested scalar root searches.

    Only rates on given shares are computed, never their inverse in closed form.
    """
    signal = (users.transmit_power * users.channel_gain / cell.noise_psd).tolist()
    speed, everybody = users.drafting_speed.tolist(), range(users.num_users)

    def seconds(k, share):
        band = share * cell.bandwidth
        noise_band = band if cell.power == "total" else cell.bandwidth
        return 1.0 / speed[k] + cell.payload * math.log(2.0) / (band * math.log1p(signal[k] / noise_band))

    def share_for(k, theta):
        if seconds(k, 1.0) >= theta:
            return 1.0
        return math.exp(brentq(lambda x: seconds(k, math.exp(x)) - theta, -60.0, 0.0, xtol=1e-15, rtol=1e-15))

    low = max(seconds(k, 1.0) for k in everybody)
    high = max(seconds(k, 1.0 / users.num_users) for k in everybody) * (1.0 + 1e-12)
    theta = low
    if users.num_users > 1:
        theta = brentq(lambda t: sum(share_for(k, t) for k in everybody) - 1.0, low, high, xtol=1e-18, rtol=1e-14)
    return theta, np.array([share_for(k, theta) for k in everybody])


def best_common(users, cell):
    """Goodput, length and shares of the best common length."""
    theta, shares = equal_finish(users, cell)
    found = []
    for length in range(cell.min_draft_length, cell.max_draft_length + 1):
        seconds = length * theta + float(verification_seconds(cell, np.full(users.num_users, float(length))))
        found.append((expected(users.acceptance_rate, length) / seconds, length, shares))
    return max(found, key=lambda entry: entry[0])


def least_deadline_by_slsqp(users, cell, lengths):
    """Least deadline over the shares by a general solver that knows only the rates."""
    scale = (lengths * 2.0 / users.drafting_speed).max()

    def slack(x):
        shares, deadline = np.maximum(x[:-1], 1e-12), x[-1] * scale
        return (
            rate_on(users, cell, shares * cell.bandwidth) * (deadline - lengths / users.drafting_speed) / cell.payload
            - lengths
        )

    results = []
    for seed in range(2):
        shares = np.random.default_rng(seed).dirichlet(np.full(users.num_users, 3.0))
        seconds = (
            lengths / users.drafting_speed + lengths * cell.payload / rate_on(users, cell, shares * cell.bandwidth)
        ).max()
        solved = minimize(
            lambda x: x[-1],
            np.append(shares, seconds / scale),
            jac=lambda x: np.append(np.zeros(len(x) - 1), 1.0),
            constraints=[
                within([(1e-9, 1.0)] * users.num_users + [(0.0, None)]),
                {"type": "ineq", "fun": slack},
                {"type": "ineq", "fun": lambda x: 1.0 - x[:-1].sum()},
            ],
            method="SLSQP",
            options={"ftol": 1e-15, "maxiter": 500},
        )
        shares = solved.x[:-1] / solved.x[:-1].sum()
        results.append(
            (
                lengths / users.drafting_speed + lengths * cell.payload / rate_on(users, cell, shares * cell.bandwidth)
            ).max()
        )
    return min(results)


@pytest.mark.slow
@EVERY_FORM
@BOTH_MINIMA
@pytest.mark.parametrize("num_users", [1, 2, 5])
def test_the_optimum_is_that_of_brute_force_over_the_length(form, shortest, num_users):
    cell = random_cell(np.random.default_rng(num_users), *form, shortest)
    users = random_users(num_users, (4, num_users))
    decision = HOMOGENEOUS(users, cell)
    goodput = play_round(users, cell, decision).goodput
    for row in range(4):
        best, length, shares = best_common(users[row], cell)
        assert goodput[row] == pytest.approx(best, rel=1e-9)
        np.testing.assert_array_equal(decision.draft_lengths[row], length)
        if length:
            np.testing.assert_allclose(decision.bandwidth_shares[row], shares, rtol=1e-8)


@pytest.mark.slow
@EVERY_FORM
@BOTH_MINIMA
def test_a_general_solver_over_the_shares_finds_the_same_optimum(form, shortest):
    cell = random_cell(np.random.default_rng(7), *form, shortest)
    users = random_users(7, (4,))
    found = []
    for length in range(cell.min_draft_length, cell.max_draft_length + 1):
        lengths = np.full(4, float(length))
        seconds = least_deadline_by_slsqp(users, cell, lengths) if length else 0.0
        seconds += verification_seconds(cell, lengths)
        found.append(expected(users.acceptance_rate, length) / seconds)
    goodput = float(play_round(users, cell, HOMOGENEOUS(users, cell)).goodput)
    assert goodput == pytest.approx(max(found), rel=1e-6)


@POWERS
def test_all_users_finish_together_on_the_whole_band(power):
    users = random_users(0, (50, 6), gain_db=(-150.0, -90.0))
    cell = plain_cell(power)
    decision = HOMOGENEOUS(users, cell)
    outcome = play_round(users, cell, decision)
    finish = outcome.drafting_time + outcome.upload_time
    np.testing.assert_allclose(finish, np.broadcast_to(finish[:, :1], finish.shape), rtol=1e-9)
    np.testing.assert_allclose(decision.bandwidth_shares.sum(axis=-1), 1.0, rtol=1e-12)


@POWERS
def test_slower_devices_get_more_bandwidth(power):
    speed = np.array([40.0, 60.0, 90.0, 200.0, 300.0])
    users = Users(0.7, speed, 1e-11, 0.02)
    shares = HOMOGENEOUS(users, plain_cell(power)).bandwidth_shares
    assert (np.diff(shares) < 0.0).all()


@POWERS
def test_poorer_channels_get_more_bandwidth(power):
    users = Users(0.7, 100.0, np.geomspace(1e-13, 1e-9, 5), 0.02)
    shares = HOMOGENEOUS(users, plain_cell(power)).bandwidth_shares
    assert (np.diff(shares) < 0.0).all()


@POWERS
def test_weaker_users_get_more_bandwidth_whoever_else_is_there(power):
    cell = plain_cell(power)
    users = random_users(3, (200, 5))
    weaker = dataclasses.replace(
        users,
        drafting_speed=users.drafting_speed * [[0.8, 1, 1, 1, 1]],
        channel_gain=users.channel_gain * [[0.5, 1, 1, 1, 1]],
    )
    before, after = HOMOGENEOUS(users, cell).bandwidth_shares, HOMOGENEOUS(weaker, cell).bandwidth_shares
    assert (after[:, 0] > before[:, 0]).all()
    assert (after[:, 1:] < before[:, 1:]).all()


def test_the_acceptance_rate_moves_the_length_but_not_the_split():
    cell = plain_cell("total", longest=20)
    easy = random_users(1, (100, 4), acceptance=(0.9, 0.99))
    hard = dataclasses.replace(easy, acceptance_rate=easy.acceptance_rate - 0.5)
    first, second = HOMOGENEOUS(easy, cell), HOMOGENEOUS(hard, cell)
    np.testing.assert_allclose(first.bandwidth_shares, second.bandwidth_shares, rtol=1e-12)
    assert (first.draft_lengths >= second.draft_lengths).all()
    assert (first.draft_lengths > second.draft_lengths).any()
