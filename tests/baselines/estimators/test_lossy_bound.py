"""The bound of rounds whose uploads may be late: against exhaustive search, plans, certificates and simulation."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lossy_cells import CELL, CELLS, SCENARIO, SMALL, draws, exhaustive, rounds_of
from scipy.optimize import linprog

import multispin_gym as ms
from multispin_gym.baselines import certify, relax
from multispin_gym.baselines.estimators.channel_belief import ChannelBelief
from multispin_gym.baselines.estimators.gain_law import GainLaw
from multispin_gym.baselines.estimators.lossy_bound import bound_ratios, bound_rounds
from multispin_gym.baselines.estimators.lossy_rounds import LossyRounds
from multispin_gym.baselines.estimators.plan_search import Prices, plan_rounds
from multispin_gym.baselines.estimators.product_curve import ProductCurve
from multispin_gym.baselines.estimators.separable_dual import SeparableDual
from multispin_gym.baselines.estimators.upload_choices import UploadChoices
from multispin_gym.baselines.estimators.upload_plans import Plan
from multispin_gym.physics.acceptance import expected_tokens
from multispin_gym.physics.rounds import play_round
from multispin_gym.physics.verification import AffineVerification, TableVerification

RANGE = 0.05, 1.2


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_sums_of_a_curve_are_above_products_and_equal_on_the_curve(users, seed):
    rng = np.random.default_rng(seed)
    points = np.sort(rng.random((users, 300)) ** rng.uniform(0.2, 3.0, (users, 1)), axis=1)
    curve = ProductCurve.through(points)

    def total(chances):
        return sum(curve.of(user, chances[user]) for user in range(users))

    anywhere = rng.choice([0.0, 1.0, 0.5], (users, 400)) ** rng.uniform(0.0, 2.0, (users, 400))
    assert (total(anywhere) >= anywhere.prod(axis=0) - 1e-12).all()
    assert (total(points) >= points.prod(axis=0) - 1e-12).all()
    assert total(points) == pytest.approx(points.prod(axis=0), abs=0.05)


def test_the_least_over_prices_is_that_of_the_whole_programme():
    rng = np.random.default_rng(0)
    users, choices = 3, 40
    base, terms = rng.normal(size=(users, choices)), rng.normal(size=(users, 4, choices))
    columns = np.array([[0, 1, 2, 3], [0, 1, 2, 4], [0, 1, 3, 4]])
    constant, groups = np.array([1.0, 0.3, 0.2, -0.1, 0.4]), np.array([0, 0, 1, 1, 1])
    dual = SeparableDual(base, terms, columns, constant, groups, 50.0)
    cuts = [{0}, {1, 2}, {3}]
    found, mixture = dual.least(cuts, -np.inf, 1e-7)
    rows, user = np.zeros((users * choices, 5 + users)), np.repeat(np.arange(users), choices)
    for index in range(users * choices):
        rows[index, columns[user[index]]] = terms[user[index], :, index % choices]
    rows[np.arange(users * choices), 5 + user] = -1.0
    limits = [(0.0, 50.0)] * 5 + [(None, None)] * users
    together = np.array([[0.0, 0.0, 1.0, 1.0, 1.0, *[0.0] * users]])
    whole = linprog([*constant, 1, 1, 1], rows, -base.reshape(-1), together, [1.0], bounds=limits)
    assert found == pytest.approx(whole.fun, abs=1e-6)
    assert [sum(weights.values()) for weights in mixture] == pytest.approx([1.0] * users)
    # Any prices are no better, and a value that is enough is found sooner.
    prices = np.concatenate([rng.uniform(0.0, 50.0, 2), rng.dirichlet(np.ones(3))])
    assert dual.value(prices)[0] >= found
    assert found <= dual.least([{0}, {1}, {2}], found + 1.0, 0.0)[0] <= found + 1.0


@pytest.mark.parametrize("name", CELLS)
def test_tables_of_choices_are_never_too_low(name):
    rounds = rounds_of(dataclasses.replace(CELLS[name], max_draft_length=6), [-4, -9], [3, 5], [0.8, 0.95], [27, 31])
    choices = UploadChoices(rounds, 24, 2.0)
    drafted, lower = choices.drafted(), choices.prices()
    most, least = choices.in_by(0.4)
    edges = np.array([0.1, 0.25, 0.4])
    fine = np.linspace(0.1, 0.4, 3001)
    spent = choices.spent(choices.table(lambda user, chance: chance), np.ones(2), edges)
    for choice in (10, 70, 100, 143):
        length, upper = drafted[choice], choices.shares[choice % 24]
        for user in range(2):
            both = np.full((1, 2), float(length))
            chance = rounds.in_by(both, np.full((1, 2), upper), fine[None])[0, user]
            assert most[user, choice] == pytest.approx(chance[-1], abs=1e-12)
            low = rounds.in_by(both, np.full((1, 2), lower[choice]), fine[None])[0, user, -1]
            assert least[user, choice] == pytest.approx(low, abs=1e-12)
            exact = [np.trapezoid(chance[part], fine[part]) for part in (slice(0, 1501), slice(1500, 3001))]
            assert (spent[user, :, choice] >= np.array(exact) - 1e-6).all()
            assert spent[user, :, choice] == pytest.approx(exact, abs=2e-3)
            # Later by no more than a step of the time of a token, which is of a hundredth or so.
            law = choices.law(user, choice, fine)
            assert (law >= chance - 1e-12).all()
            assert (law <= rounds.in_by(both, np.full((1, 2), upper), 1.02 * fine[None])[0, user] + 1e-12).all()
    assert spent[:, :, -2:].tolist() == [[[0.0, pytest.approx(0.15)]] * 2] * 2
    assert (most[:, -2:] == [0.0, 1.0]).all()
    assert choices.law(0, choices.count - 1, edges).tolist() == [1.0, 1.0, 1.0]
    assert choices.law(0, choices.count - 2, edges).tolist() == [0.0, 0.0, 0.0]


RAGGED = AffineVerification(fixed=0.03, per_draft=0.005, per_token=0.002, batching="ragged")
MUST = dataclasses.replace(SMALL, min_draft_length=1)
TOKENS = dataclasses.replace(SMALL, verification=RAGGED)
TOTAL = dataclasses.replace(CELLS["total"], max_draft_length=8)
CASES = {
    "alone": (SMALL, [-5], [4], [0.9], [28], 12.0, None, 0.005),
    "poor": (SMALL, [-22], [3], [0.95], [28], 9.0, None, 0.005),
    "must": (MUST, [-24], [3], [0.95], [28], 5.0, None, 0.02),
    "two": (SMALL, [-4, -9], [3, 5], [0.81, 0.965], [27, 31], 22.0, None, 0.03),
    "weighted": (SMALL, [-6, -6], [4, 4], [0.93, 0.81], [30, 30], 30.0, (0.5, 2.0), 0.03),
    "ragged": (TOKENS, [-3, -8], [2, 4], [0.9, 0.8], [29, 35], 25.0, None, 0.08),
    "total": (TOTAL, [-4, -9], [3, 5], [0.8, 0.95], [27, 31], 22.0, None, 0.03),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_bound_is_above_exhaustive_search_and_not_far(case):
    cell, medians, spreads, alpha, speed, price, weights, far = CASES[case]
    rounds = rounds_of(cell, medians, spreads, alpha, speed)
    prices = Prices(np.array([weights or [1.0] * len(alpha)]), np.array([price]))
    plan = plan_rounds(rounds, prices, *RANGE)
    bound = bound_rounds(rounds, prices, plan, *RANGE, boxes=50, shares=64)[0]
    best = max(exhaustive(rounds, prices, 20, 11), prices.value(plan)[0])
    seconds = price * plan.expected.seconds[0]
    # The quadrature of expectations is good to this part.
    assert -1e-4 * seconds < bound - best < far * seconds


def stale_round(num_users, after=2):
    """A round as it is believed to be after some others."""
    scenario = dataclasses.replace(SCENARIO, num_users=num_users)
    id_ = "multispin_gym/MultiSpinStale-v0"
    envs = gym.make_vec(id_, 1, vectorization_mode="vector_entry_point", scenario=scenario).unwrapped
    observation, info = envs.reset(seed=0)
    belief = ChannelBelief(scenario)
    belief.reset(observation, info)
    for _ in range(after):
        belief.observe(observation, info)
        decision = ms.Decision(np.full((1, num_users), 5), np.full((1, num_users), 1.0 / num_users), np.array([0.3]))
        observation, _, _, _, info = envs.step(envs.encode_action(decision))
    law = belief.observe(observation, info)
    tokens = expected_tokens(observation["acceptance_rate"].astype(float)[..., None], np.arange(26))
    speed = observation["drafting_speed"].astype(float)
    return LossyRounds(CELL, SCENARIO.reference_power, law, tokens, 1.0 / speed, np.ones((1, num_users), np.bool_))


@pytest.mark.slow
def test_the_bound_of_a_round_of_the_task_is_near_its_plan():
    rounds, cutoffs = stale_round(8), (0.35, 0.45)
    prices = Prices(np.ones((1, 8)), np.array([78.0]))
    plan = plan_rounds(rounds, prices, *cutoffs)
    bound = bound_rounds(rounds, prices, plan, *cutoffs, boxes=16, shares=64)[0]
    gap = (bound - prices.value(plan)[0]) / (78.0 * plan.expected.seconds[0])
    assert 0.0 < gap < 0.035
    # A plan of a very different kind leads to a bound, too.
    some = np.full((1, 8), 2.0), np.full((1, 8), 0.125), np.array([0.2])
    other = Plan(*some, rounds.expect(*some))
    assert bound_rounds(rounds, prices, other, *cutoffs, boxes=1, shares=16)[0] > prices.value(plan)[0]


@pytest.mark.slow
def test_ratios_of_any_plan_are_below_their_bound():
    rounds = rounds_of(SMALL, [-4, -9, -6], [3, 5, 2], [0.81, 0.965, 0.9], [27, 31, 25], [True, True, False])
    weight = np.array([[1.0, 0.7, 0.0]])
    plan = plan_rounds(rounds, Prices(weight, np.array([12.0])), *RANGE)
    bound = bound_ratios(rounds, weight, plan, *RANGE, boxes=24, shares=32)[0]
    rng = np.random.default_rng(0)
    copies, count = rounds[np.zeros(4000, np.int64)], 4000
    lengths = rng.integers(0, 9, (count, 3)) * np.array([1.0, 1.0, 0.0])
    part = rng.random(count)
    shares = np.stack([part, 1.0 - part, np.zeros(count)], axis=1)
    found = copies.expect(lengths, shares, np.exp(rng.uniform(*np.log(RANGE), count)))
    ratios = (weight * found.tokens).sum(axis=1) / found.seconds
    own = (weight * plan.expected.tokens).sum() / plan.expected.seconds[0]
    assert ratios.max() < bound < 1.05 * max(own, ratios.max())


def certain(users, cell):
    """Laws that are points, up to a hundredth of a decibel."""
    gain_db = 10.0 * np.log10(users.channel_gain)
    first = np.floor(gain_db.min()) - 1.0
    ends = first + 0.01 * np.arange(int((1.0 - first) / 0.01))
    law = GainLaw(first, 0.01, (ends > gain_db[:, None]).astype(float)[None])
    tokens = expected_tokens(users.acceptance_rate[:, None], np.arange(cell.max_draft_length + 1))
    present = np.ones((1, users.num_users), np.bool_)
    return LossyRounds(cell, SCENARIO.reference_power, law, tokens[None], 1.0 / users.drafting_speed[None], present)


@pytest.mark.slow
def test_with_certain_channels_the_bound_is_that_of_the_relaxation():
    cell = dataclasses.replace(CELL, max_draft_length=12)
    gains = 10.0 ** np.array([-0.3, -0.9])
    users = ms.Users([0.85, 0.95], [27.0, 31.0], gains, SCENARIO.reference_power)
    best = certify(users, cell)
    played = play_round(users, cell, best.decision)
    rounds, cutoff = certain(users, cell), np.array([1.01 * (played.latency - played.verification_time)])
    lengths, shares = best.decision.draft_lengths[None].astype(float), best.decision.bandwidth_shares[None]
    plan = Plan(lengths, shares, cutoff, rounds.expect(lengths, shares, cutoff))
    bound = bound_ratios(rounds, np.ones((1, 2)), plan, 0.17, 0.26, boxes=60, shares=64)[0]
    assert best.goodput < bound
    assert bound == pytest.approx(float(relax(users, cell).goodput), rel=0.005)


def test_what_plans_reach_in_simulated_rounds_is_below_the_bound():
    rounds = rounds_of(SMALL, [-4, -9], [3, 5], [0.8, 0.95], [27, 30])
    prices = Prices(np.ones((1, 2)), np.array([22.0]))
    plan = plan_rounds(rounds, prices, *RANGE)
    users = ms.Users([0.8, 0.95], [27, 30], draws(rounds, 20_000), SCENARIO.reference_power)
    decision = ms.Decision(plan.lengths[0].astype(int), plan.shares[0], float(plan.cutoff[0]))
    played = play_round(users, rounds.cell, decision)
    value = played.tokens.sum(axis=-1) - 22.0 * played.latency
    bound = bound_rounds(rounds, prices, plan, *RANGE, boxes=24, shares=48)[0]
    deviation = value.std() / np.sqrt(value.size)
    assert value.mean() < bound + 3.0 * deviation
    assert bound - value.mean() < 0.05 * 22.0 * plan.expected.seconds[0]


def test_rounds_without_users_take_the_downlink_alone():
    rounds = rounds_of(CELLS["trip"], [-4, -4], [3, 3], [0.8, 0.9], [27, 30], [False, False])
    prices = Prices(np.zeros((1, 2)), np.array([20.0]))
    nothing = np.zeros((1, 2)), np.zeros((1, 2)), np.array([0.5])
    plan = Plan(*nothing, rounds.expect(*nothing))
    assert bound_rounds(rounds, prices, plan, *RANGE)[0] == prices.value(plan)[0] < 0.0
    assert bound_ratios(rounds, prices.weight, plan, *RANGE)[0] == 0.0


def test_arguments_out_of_range_are_refused():
    rounds = rounds_of(SMALL, [-4, -9], [3, 5], [0.8, 0.95], [27, 30])
    prices = Prices(np.ones((1, 2)), np.array([22.0]))
    plan = plan_rounds(rounds, prices, *RANGE)
    table = TableVerification(num_tokens=[1, 64], seconds=[0.01, 0.02])
    tabled = dataclasses.replace(rounds, cell=dataclasses.replace(SMALL, verification=table))
    short = dataclasses.replace(plan, lengths=plan.lengths[:, :1])
    for changes, message in (
        ({"rounds": tabled}, "verification must be affine, got TableVerification"),
        ({"first": 0.0}, "first must lie in"),
        ({"last": 0.01}, "last must lie in"),
        ({"precision": 2.0}, r"precision must lie in \[0, 1\]"),
        ({"boxes": 0}, "boxes must be"),
        ({"shares": 1}, "shares must be"),
        ({"plan": short}, r"plan must be of shape \(1, 2\), got \(1, 1\)"),
        ({"prices": Prices(-prices.weight, prices.time)}, "weight must be finite, at least 0, and of shape"),
        ({"prices": Prices(prices.weight, np.array([np.inf]))}, "prices.time must be finite, at least 0, and of shape"),
    ):
        given = {"rounds": rounds, "prices": prices, "plan": plan, "first": 0.05, "last": 1.2} | changes
        with pytest.raises(ValueError, match=message):
            bound_rounds(**given)
