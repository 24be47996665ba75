"""Rounds whose uploads may be late: expectations against simulation, plans against exhaustive search."""

import dataclasses

import numpy as np
import pytest
from lossy_cells import CELL, CELLS, SCENARIO, SMALL, draws, exhaustive, rounds_of

import multispin_gym as ms
from multispin_gym.baselines.estimators.gain_law import GainLaw
from multispin_gym.baselines.estimators.plan_search import Prices, plan_rounds
from multispin_gym.physics.rounds import play_round


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("present", [(True, True, True), (True, False, True)])
def test_expectations_are_those_of_simulated_rounds(name, present):
    rounds = rounds_of(CELLS[name], [-4, -9, -6], [3, 5, 1], [0.8, 0.9, 0.95], [27, 30, 25], present)
    lengths = np.array([[6.0, 4.0 * present[1], 0.0]])
    shares = np.array([[0.4, 0.35 * present[1], 0.25]])
    found = rounds.expect(lengths, shares, np.array([0.3]))
    users = ms.Users([0.8, 0.9, 0.95], [27, 30, 25], draws(rounds, 20_000), SCENARIO.reference_power, present)
    played = play_round(users, rounds.cell, ms.Decision(lengths[0].astype(int), shares[0], 0.3))
    assert found.in_time[0] == pytest.approx(played.verified.mean(axis=0), abs=0.01)
    assert found.tokens[0] == pytest.approx(played.tokens.mean(axis=0), rel=0.01)
    assert found.seconds[0] == pytest.approx(played.latency.mean(), rel=1e-3)


def test_a_round_without_drafts_takes_its_verification_and_one_without_users_nothing():
    rounds = rounds_of(CELL, [-4, -4], [3, 3], [0.8, 0.9], [27, 30])
    nothing, half = np.zeros((1, 2)), np.full((1, 2), 0.5)
    found = rounds.expect(nothing, half, np.array([0.5]))
    assert found.tokens[0].tolist() == [1.0, 1.0]
    assert found.seconds[0] == pytest.approx(CELL.verification.fixed + 2 * CELL.verification.per_draft)
    absent = rounds_of(CELL, [-4, -4], [3, 3], [0.8, 0.9], [27, 30], [False, False])
    assert absent.expect(nothing, half, np.array([0.5])).seconds[0] == 0.0


CASES = {
    "alone": ([-5], [4], [0.9], [28], 12.0, None),
    "poor": ([-22], [3], [0.95], [28], 9.0, None),
    "two": ([-4, -9], [3, 5], [0.81, 0.965], [27, 31], 22.0, None),
    "uneven": ([-2, -18], [1, 6], [0.93, 0.93], [26, 32], 18.0, None),
    "weighted": ([-6, -6], [4, 4], [0.93, 0.81], [30, 30], 30.0, (0.5, 2.0)),
}


@pytest.mark.parametrize("case", CASES)
def test_plans_are_as_good_as_the_best_of_all_lengths_shares_and_cutoffs(case):
    medians, spreads, alpha, speed, price, weights = CASES[case]
    rounds = rounds_of(SMALL, medians, spreads, alpha, speed)
    prices = Prices(np.array([weights or [1.0] * len(alpha)]), np.array([price]))
    plan = plan_rounds(rounds, prices, 0.05, 5.0)
    best = exhaustive(rounds, prices)
    # Value is tokens less the price of time: what is lost is counted in time at that price.
    assert best - prices.value(plan)[0] < 0.003 * price * plan.expected.seconds[0]
    again = rounds.expect(plan.lengths, plan.shares, plan.cutoff)
    assert again.tokens == pytest.approx(plan.expected.tokens, rel=1e-9)
    assert plan.shares.sum() == pytest.approx(1.0)


def test_who_cannot_be_heard_drafts_nothing_where_users_may_opt_out():
    medians, rest = [-3, -38], ([2, 0.5], [0.9, 0.9], [28, 28])
    prices = Prices(np.ones((1, 2)), np.array([20.0]))
    plan = plan_rounds(rounds_of(CELL, medians, *rest), prices, 0.05, 5.0)
    assert plan.lengths[0, 1] == 0.0
    assert plan.lengths[0, 0] > 0.0
    assert plan.expected.tokens[0, 1] == 1.0
    must = dataclasses.replace(CELL, min_draft_length=1)
    assert (plan_rounds(rounds_of(must, medians, *rest), prices, 0.05, 5.0).lengths >= 1.0).all()


def test_who_must_draft_is_planned_for_as_well():
    rounds = rounds_of(dataclasses.replace(SMALL, min_draft_length=1), [-5, -12], [3, 3], [0.9, 0.9], [28, 28])
    prices = Prices(np.ones((1, 2)), np.array([15.0]))
    plan = plan_rounds(rounds, prices, 0.05, 5.0)
    assert exhaustive(rounds, prices) - prices.value(plan)[0] < 0.003 * 15.0 * plan.expected.seconds[0]


def test_uplinks_with_a_fixed_power_are_planned_for_as_well():
    rounds = rounds_of(dataclasses.replace(CELLS["total"], max_draft_length=8), [-4, -9], [3, 5], [0.8, 0.95], [27, 31])
    prices = Prices(np.ones((1, 2)), np.array([22.0]))
    plan = plan_rounds(rounds, prices, 0.05, 5.0)
    assert exhaustive(rounds, prices) - prices.value(plan)[0] < 0.003 * 22.0 * plan.expected.seconds[0]


def test_cells_of_a_batch_are_planned_as_alone():
    parts = [
        rounds_of(CELL, [-4, -9], [3, 5], [0.8, 0.95], [27, 31]),
        rounds_of(CELL, [-12, -3], [1, 2], [0.9, 0.9], [30, 30]),
    ]
    both = dataclasses.replace(
        parts[0],
        law=GainLaw(-40.0, 1.0, np.concatenate([part.law.below for part in parts])),
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("tokens", "drafting_time", "present")
        },
    )
    rows = np.tile([0, 1], 100)
    prices = Prices(np.ones((200, 2)), np.full(200, 20.0))
    plan = plan_rounds(both[rows], prices, 0.05, 5.0)
    for index, part in enumerate(parts):
        alone = plan_rounds(part, prices[:1], 0.05, 5.0)
        assert (plan.lengths[rows == index] == alone.lengths).all()
        assert plan.cutoff[rows == index] == pytest.approx(alone.cutoff[0])
