"""Heterogeneous drafts: opting out, and the structure of the paper's claim."""

import dataclasses

import numpy as np
import pytest
from reference import FORMS, brute_force, random_cell
from scipy.special import wrightomega

from multispin_gym import AffineVerification, Cell, Users, load_scenario, play_round
from multispin_gym.baselines import certify, make_controller, relax

HETEROGENEOUS = make_controller("heterogeneous")
HOMOGENEOUS = make_controller("homogeneous")
POWERS = pytest.mark.parametrize("power", ["total", "density"])


def make_cell(power="total", batching="ragged", shortest=1, longest=12, per_token=1e-3):
    verification = AffineVerification(0.08, per_token, batching)
    return Cell(10e6, 3.98e-21, 16384.0, verification, power, shortest, longest)


def random_users(seed, shape, acceptance=(0.2, 0.95), speed=(30.0, 300.0), gain_db=(-130.0, -95.0)):
    rng = np.random.default_rng(seed)
    return Users(
        rng.uniform(*acceptance, shape),
        rng.uniform(*speed, shape),
        10.0 ** (rng.uniform(*gain_db, shape) / 10.0),
        rng.uniform(0.01, 0.03, shape),
    )


@pytest.mark.slow
@pytest.mark.parametrize("shortest", [0, 1])
@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_it_lies_between_the_best_common_length_and_the_bound(form, shortest):
    rng = np.random.default_rng(0)
    for num_users in (1, 3, 9):
        cell = random_cell(rng, *form, shortest, longest=12)
        users = random_users(num_users, (25, num_users), acceptance=(0.0, 1.0), gain_db=(-145.0, -90.0))
        goodput = play_round(users, cell, HETEROGENEOUS(users, cell)).goodput
        assert (goodput >= play_round(users, cell, HOMOGENEOUS(users, cell)).goodput * (1.0 - 1e-12)).all()
        assert (goodput <= relax(users, cell).upper_bound).all()


@pytest.mark.slow
def test_nearly_all_of_the_optimum_is_reached_where_users_may_opt_out():
    scenario = load_scenario("deep_fading")
    for num_users in (2, 3, 4):
        users = scenario.sample_users(np.random.default_rng(num_users), num_users, (100,))
        goodput = play_round(users, scenario.cell, HETEROGENEOUS(users, scenario.cell)).goodput
        ratio = goodput / certify(users, scenario.cell, gap=1e-4).goodput
        assert ratio.mean() >= 0.999
        assert ratio.min() >= 0.98


def test_users_in_a_deep_fade_opt_out_where_they_may():
    cell = make_cell(shortest=0, longest=6)
    users = Users(0.8, 100.0, [1e-10, 1e-10, 1e-10, 1e-15], 0.02)
    best, lengths = brute_force(users, cell)
    decision = HETEROGENEOUS(users, cell)
    assert lengths[3] == 0
    np.testing.assert_array_equal(decision.draft_lengths, lengths)
    assert decision.bandwidth_shares[3] == 0.0
    assert float(play_round(users, cell, decision).goodput) == pytest.approx(best, rel=1e-9)


@pytest.mark.slow
@POWERS
@pytest.mark.parametrize("batching", ["padded", "ragged"])
def test_nobody_drafts_where_the_devices_are_slow_and_the_bound_says_so(power, batching):
    cell = make_cell(power, batching, shortest=0)
    users = random_users(0, (20, 4), speed=(1.0, 5.0))
    assert not HETEROGENEOUS(users, cell).draft_lengths.any()
    np.testing.assert_allclose(relax(users, cell).upper_bound, 4 / (0.08 + 4e-3), rtol=1e-9)


@pytest.mark.slow
@POWERS
@pytest.mark.parametrize("batching", ["padded", "ragged"])
def test_users_with_higher_acceptance_draft_longer_and_get_more_bandwidth(power, batching):
    cell = make_cell(power, batching, longest=16)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        alpha = np.concatenate([[0.1], np.sort(rng.uniform(0.2, 0.9, 4)), [0.97]])
        users = Users(alpha, rng.uniform(80.0, 300.0), 10.0 ** rng.uniform(-11.0, -9.5), 0.02)
        decision = HETEROGENEOUS(users, cell)
        assert (np.diff(decision.draft_lengths) >= 0).all()
        assert decision.draft_lengths[-1] > decision.draft_lengths[0]
        assert (np.diff(decision.bandwidth_shares) >= -1e-9).all()


@POWERS
def test_raising_one_acceptance_rate_lengthens_its_draft_in_relation_to_the_others(power):
    cell = make_cell(power, longest=30)
    users = random_users(2, (100, 4), acceptance=(0.4, 0.7), gain_db=(-110.0, -95.0))
    raised = users.acceptance_rate.copy()
    raised[:, 0] += 0.2
    before = relax(users, cell).draft_lengths
    after = relax(dataclasses.replace(users, acceptance_rate=raised), cell).draft_lengths
    inside = (before > 1.0).all(axis=-1) & (after > 1.0).all(axis=-1)
    assert inside.sum() > 30
    assert (after[inside, :1] / after[inside, 1:] > before[inside, :1] / before[inside, 1:]).all()


def test_the_relaxed_lengths_solve_the_closed_form_of_a_fixed_power_density():
    cell = make_cell("density", shortest=0, longest=40, per_token=0.0)
    users = random_users(8, (50, 5), acceptance=(0.5, 0.95), gain_db=(-110.0, -95.0))
    relaxed = relax(users, cell)
    lengths, shares = relaxed.draft_lengths, relaxed.bandwidth_shares
    tau, a = 1.0 / users.drafting_speed, -np.log(users.acceptance_rate)
    efficiency = np.log2(1.0 + users.transmit_power * users.channel_gain / (cell.noise_psd * cell.bandwidth))
    drafting = lengths > 1e-6
    deadline = np.where(drafting, lengths * tau + lengths * cell.payload / (shares * cell.bandwidth * efficiency), 0.0)
    deadline = deadline.max(axis=-1, keepdims=True)
    spare = deadline - tau * lengths
    time_price = relaxed.goodput[:, None]
    multiplier = time_price / (cell.payload * lengths / (efficiency * spare**2)).sum(axis=-1, keepdims=True)
    kappa = np.sqrt(multiplier * (1.0 - users.acceptance_rate) * cell.payload * deadline / (efficiency * a))
    closed = wrightomega(np.log(a / (2.0 * tau)) + np.log(kappa) + a * (deadline + tau) / (2.0 * tau)) * 2.0 * tau / a
    np.testing.assert_allclose(lengths, np.clip((deadline - closed) / tau, 0.0, 40.0), rtol=1e-4, atol=1e-4)
