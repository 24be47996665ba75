"""The long-run policy: a fixed point, above greedy, and what a search over prices of time finds."""

import dataclasses

import numpy as np
import pytest

from multispin_gym import Fading, Users, load_scenario, play_round
from multispin_gym.baselines import make_controller
from multispin_gym.baselines.heterogeneous import heterogeneous
from multispin_gym.baselines.homogeneous import homogeneous
from multispin_gym.baselines.long_run import long_run

RULES = {"heterogeneous": heterogeneous, "homogeneous": homogeneous}
SMALL = dataclasses.replace(
    load_scenario("deep_fading"),
    cell=dataclasses.replace(load_scenario("deep_fading").cell, max_draft_length=6),
    num_users=3,
)


def faded(users, scenario, samples, seed):
    """The rounds that the policy is planned on, drawn as it draws them."""
    fading = scenario.fading.sample(np.random.default_rng(seed), (samples, 1, users.num_users))
    gains = scenario.db_to_gain(scenario.gain_to_db(users.channel_gain * fading))
    return Users(users.acceptance_rate, users.drafting_speed, gains, users.transmit_power)


def long_run_goodput(rounds, cell, decision):
    outcome = play_round(rounds, cell, decision)
    return outcome.tokens.sum(axis=(0, -1)) / outcome.latency.sum(axis=0)


@pytest.mark.slow
@pytest.mark.parametrize("lengths", RULES)
def test_the_price_of_time_is_the_best_over_all_prices_of_time(lengths):
    users = SMALL.sample_large_scale(np.random.default_rng(1), 3, batch=(4,))
    found = long_run(users, SMALL, lengths, samples=64, seed=3)
    rounds = faded(users, SMALL, 64, 3)
    searched = []
    for factor in np.linspace(0.6, 1.4, 33):
        price = np.broadcast_to(factor * found.time_price, (64, 4))
        searched.append(long_run_goodput(rounds, SMALL.cell, RULES[lengths](rounds, SMALL.cell, time_price=price)))
    assert found.time_price == pytest.approx(np.max(searched, axis=0), rel=1e-4)
    greedy = long_run_goodput(rounds, SMALL.cell, RULES[lengths](rounds, SMALL.cell))
    assert found.greedy == pytest.approx(greedy, rel=1e-12)
    assert (found.time_price >= found.greedy).all()
    assert (found.residual < 1e-3).all()


def test_homogeneous_price_of_time_is_a_fixed_point():
    users = SMALL.sample_large_scale(np.random.default_rng(2), 3, batch=(5,))
    found = long_run(users, SMALL, "homogeneous", samples=128, seed=0)
    rounds = faded(users, SMALL, 128, 0)
    price = np.broadcast_to(found.time_price, (128, 5))
    reached = long_run_goodput(rounds, SMALL.cell, homogeneous(rounds, SMALL.cell, time_price=price))
    assert reached == pytest.approx(found.time_price, rel=1e-9)
    assert (found.residual <= 1e-9).all()
    assert (found.time_price > found.greedy).any()


def test_without_fading_the_policy_is_the_greedy_one():
    scenario = dataclasses.replace(SMALL, fading=Fading("none"))
    users = scenario.sample_large_scale(np.random.default_rng(0), 3)
    found = long_run(users, scenario, "homogeneous", samples=2)
    assert found.time_price.shape == ()
    assert found.time_price == pytest.approx(float(found.greedy), rel=1e-12)
    best = play_round(users, scenario.cell, homogeneous(users, scenario.cell)).goodput
    assert best == pytest.approx(float(found.time_price), rel=1e-6)


def test_prepared_controller_plays_at_each_sets_own_price_of_time():
    users = SMALL.sample_large_scale(np.random.default_rng(5), 3, batch=(4,))
    controller = make_controller("long_run", lengths="homogeneous", samples=64, seed=3)
    prepared = controller.prepare(users, SMALL)
    found = long_run(users, SMALL, "homogeneous", samples=64, seed=3)
    assert prepared.details["time_price"] == pytest.approx(found.time_price, rel=1e-12)
    assert set(prepared.details) == {"time_price", "residual", "greedy"}
    rounds = faded(users, SMALL, 10, 9)
    decision = prepared(rounds, SMALL.cell)
    expected = homogeneous(rounds, SMALL.cell, time_price=np.broadcast_to(found.time_price, (10, 4)))
    assert (decision.draft_lengths == expected.draft_lengths).all()
    unprepared = controller(rounds, SMALL.cell)
    assert (unprepared.draft_lengths == homogeneous(rounds, SMALL.cell).draft_lengths).all()
    assert (unprepared.draft_lengths != decision.draft_lengths).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lengths": "homogenous"}, "lengths must be one of heterogeneous, homogeneous.*Did you mean 'homogeneous'"),
        ({"samples": 0}, r"samples must be a whole number in \[1, inf\), got 0"),
        ({"seed": -1}, r"seed must be a whole number in \[0, inf\), got -1"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_controller("long_run", **options)
