"""Rules where acceptance rates are hidden: what they decide, against what their definitions say."""

import dataclasses
import itertools

import gymnasium as gym
import numpy as np
import pytest
from scipy.special import betaln

import multispin_gym as ms
from multispin_gym.baselines import make_controller, make_estimator
from multispin_gym.baselines.estimators.acceptance_belief import prior_shapes
from multispin_gym.baselines.estimators.believing import BELIEFS, Believer
from multispin_gym.baselines.estimators.good_speed import best_positions
from multispin_gym.baselines.estimators.ranking import by_survival_over_cost, nested_choices

SERVE, DEADLINE = "multispin_gym/MultiSpinServe-v0", "multispin_gym/MultiSpinDeadline-v0"
SCENARIO = dataclasses.replace(ms.load_scenario("serve"), num_users=4)
EQUAL_FINISH = {"smart_spec": {}, "spec_stop": {"states": 2}, "good_speed": {"budget": 2.5}, "survival_ranking": {}}


def rounds_of(rule, env_id=SERVE, rounds=12, rows=6):
    """What a rule was shown in a crowded cell and what it decided, round by round."""
    envs = gym.make_vec(
        env_id, num_envs=rows, vectorization_mode="vector_entry_point", num_users=4, episode_seconds=1000.0
    ).unwrapped
    observation, info = envs.reset(seed=0)
    rule.reset(observation, info)
    for _ in range(rounds):
        decision = rule.decide(observation, info)
        yield observation, info, decision
        observation, _, _, _, info = envs.step(envs.encode_action(decision))


def users_of(observation, row, rates, **more):
    return ms.Users(
        acceptance_rate=rates,
        drafting_speed=observation["drafting_speed"][row].astype(float),
        channel_gain=10.0 ** (observation["reported_channel_gain_db"][row].astype(float) / 10.0),
        transmit_power=SCENARIO.reference_power,
        present=observation["present"][row] > 0.5,
        **more,
    )


def counts_by_hand(played):
    """Accepted drafts and refusals of each present request, from info: rounds in which a draft that was in failed."""
    refusals = np.zeros((6, 4))
    for observation, info, _ in played:
        refused = info["verified"] & (info["rejected"] > 0.0)
        refusals = np.where(observation["drafted_count"] > 0.0, refusals + refused, 0.0)
    return observation["accepted_count"].astype(float), refusals


@pytest.mark.parametrize("name", ["posterior_heterogeneous", "posterior_proportional_fair"])
def test_the_posterior_decides_as_the_rule_for_its_survival_curves(name):
    played = list(rounds_of(make_estimator(name, SCENARIO), rounds=30))
    accepted, refusals = counts_by_hand(played)
    assert refusals.max() > 1.0
    observation, _, decision = played[-1]
    objective = "sum" if name == "posterior_heterogeneous" else "proportional_fair"
    rule, drafts = make_controller("heterogeneous", objective=objective), np.arange(1, 26)
    prior = prior_shapes(SCENARIO)[observation["task"].astype(int)]
    first, second = prior[..., 0] + accepted, prior[..., 1] + refusals
    curve = np.exp(betaln(first[..., None] + drafts, second[..., None]) - betaln(first, second)[..., None])
    for row in range(6):
        users = users_of(observation, row, curve[row, :, 0], survival=np.minimum.accumulate(curve[row], axis=-1))
        expected = rule(users, SCENARIO.cell)
        assert decision.draft_lengths[row].tolist() == expected.draft_lengths.tolist()
        np.testing.assert_allclose(decision.bandwidth_shares[row], expected.bandwidth_shares, atol=1e-6)


@pytest.mark.parametrize("belief", BELIEFS)
def test_beliefs_are_what_they_are_called(belief):
    believer = Believer(SCENARIO, belief, seed=3)
    played = list(rounds_of(make_estimator("mean_heterogeneous", SCENARIO)))
    for observation, _, _ in played:
        users = believer.users(observation)
    accepted, refusals = counts_by_hand(played)
    prior = prior_shapes(SCENARIO)[observation["task"].astype(int)]
    law = prior[..., 0] / prior.sum(axis=-1)
    posterior = (prior[..., 0] + accepted) / (prior.sum(axis=-1) + accepted + refusals)
    here = observation["present"] > 0.5
    if belief == "sample":
        assert users.survival is None
        drawn = users.acceptance_rate[here]
        assert ((drawn >= 1e-5) & (drawn <= 1.0 - 1e-6)).all()
        assert np.abs(drawn - posterior[here]).max() > 1e-6
    else:
        expected = law if belief in ("law", "mean") else posterior
        np.testing.assert_allclose(users.acceptance_rate[here], expected[here], rtol=1e-6)
        assert (users.survival is None) == (belief in ("posterior_mean", "mean"))
        np.testing.assert_allclose(believer.mean_rates(observation)[here], users.acceptance_rate[here], rtol=1e-12)
    if users.survival is not None:
        np.testing.assert_allclose(users.survival[..., 0], users.acceptance_rate, rtol=1e-9)


@pytest.mark.parametrize("name", ["posterior_proportional_fair", "thompson", "posterior_fluid", "good_speed"])
def test_where_rates_are_seen_they_are_believed(name):
    played = list(rounds_of(make_estimator(name, SCENARIO), DEADLINE, rounds=3))
    observation, _, decision = played[-1]
    assert decision.draft_lengths[observation["present"] > 0.5].any()
    users = Believer(SCENARIO).users(observation)
    assert users.survival is None
    np.testing.assert_array_equal(users.acceptance_rate, observation["acceptance_rate"])
    np.testing.assert_array_equal(Believer(SCENARIO).mean_rates(observation), users.acceptance_rate)


@pytest.mark.parametrize("name", EQUAL_FINISH)
def test_all_who_draft_finish_together_and_nobody_else_has_a_share(name):
    drafted = 0
    for observation, _, decision in rounds_of(make_estimator(name, SCENARIO, **EQUAL_FINISH[name])):
        for row in range(6):
            outcome = ms.play_round(
                users_of(observation, row, np.full(4, 0.5)), SCENARIO.cell, decision_of(decision, row)
            )
            drafts = decision.draft_lengths[row] > 0
            assert not drafts[observation["present"][row] < 0.5].any()
            if drafts.any():
                times = (outcome.drafting_time + outcome.upload_time)[drafts]
                np.testing.assert_allclose(times, times[0], rtol=1e-6)
                assert decision.bandwidth_shares[row][drafts].sum() == pytest.approx(1.0)
                drafted += 1
    assert drafted > 20


def decision_of(decision, row):
    return ms.Decision(decision.draft_lengths[row], decision.bandwidth_shares[row])


@pytest.mark.parametrize(
    "name", ["posterior_heterogeneous", "posterior_fluid", "mean_fluid", "law_heterogeneous", *EQUAL_FINISH]
)
def test_a_row_is_decided_as_if_it_were_alone_and_begins_anew_by_itself(name):
    options = EQUAL_FINISH.get(name, {})
    whole, alone = (make_estimator(name, SCENARIO, **options) for _ in range(2))
    again = make_estimator(name, SCENARIO, **options)
    begun = np.arange(6) == 3
    for number, (observation, info, decision) in enumerate(rounds_of(whole, rounds=8)):
        mine = [{key: value[2:3] for key, value in seen.items()} for seen in (observation, info)]
        if number == 0:
            alone.reset(*mine)
        single = alone.decide(*mine)
        assert single.draft_lengths[0].tolist() == decision.draft_lengths[2].tolist()
    nothing = {key: np.zeros_like(value) for key, value in info.items()}
    again.reset(observation, nothing)
    whole.reset(observation, nothing, begun)
    first, second = (rule.decide(observation, nothing).draft_lengths for rule in (again, whole))
    assert first[begun].tolist() == second[begun].tolist()


def test_smart_spec_takes_the_best_common_length_at_its_estimate():
    memory, prior, mean = 0.8, 5.0, np.mean([task.rate for task in SCENARIO.acceptance])
    accepted, seen = np.zeros((2, 6))
    for observation, info, decision in rounds_of(make_estimator("smart_spec", SCENARIO, memory=memory, prior=prior)):
        good = np.where(info["verified"], info["drafted"] - info["rejected"], 0.0)
        bad = info["verified"] & (info["rejected"] > 0.0)
        accepted, seen = memory * accepted + good.sum(axis=1), memory * seen + (good + bad).sum(axis=1)
        rate = (accepted + prior * mean) / (seen + prior)
        for row in range(6):
            users = users_of(observation, row, np.full(4, rate[row]))
            number = users.present.sum()
            if number == 0:
                continue
            # The shares of a common length do not depend on it.
            shares = make_controller("homogeneous")(users, dataclasses.replace(SCENARIO.cell, min_draft_length=1))
            one = ms.play_round(users, SCENARIO.cell, ms.Decision(users.present.astype(int), shares.bandwidth_shares))
            draft = one.latency - one.verification_time
            ratio = [
                number * (1 - rate[row] ** (k + 1)) / (1 - rate[row]) / (k * draft + one.verification_time)
                for k in range(26)
            ]
            assert decision.draft_lengths[row].max() == np.argmax(ratio)


def test_a_budget_goes_token_by_token_to_whom_it_is_worth_most():
    rng = np.random.default_rng(0)
    rates, speeds = rng.uniform(0.2, 0.95, (20, 3)), rng.uniform(0.5, 4.0, (20, 3))
    budgets = rng.integers(0, 15, 20)
    found = best_positions(rates[..., None] ** np.arange(1, 7) / speeds[..., None], budgets, 0)
    for row in range(20):
        lengths = np.zeros(3, int)
        for _ in range(budgets[row]):
            worth = np.where(lengths < 6, rates[row] ** (lengths + 1) / speeds[row], -1.0)
            lengths[worth.argmax()] += 1
        assert found[row].tolist() == lengths.tolist()
    assert (best_positions(rates[..., None] ** np.arange(1, 7), np.zeros(20), 2) == 2).all()


def test_good_speed_keeps_moving_averages_of_rates_and_of_tokens():
    step, fast = 0.4, 0.25
    means = np.array([task.rate for task in SCENARIO.acceptance])
    rate, speed = np.ones((2, 6, 4))
    for observation, info, decision in rounds_of(
        make_estimator("good_speed", SCENARIO, budget=3.0, rate_step=step, speed_step=fast)
    ):
        good = np.where(info["verified"], info["drafted"] - info["rejected"], 0.0)
        looked = good + (info["verified"] & (info["rejected"] > 0.0))
        learnt = (1 - step) * rate + step * good / np.maximum(looked, 1.0)
        rate = np.where(looked > 0.0, learnt, rate)
        rate = np.where(observation["drafted_count"] > 0.0, rate, means[observation["task"].astype(int)])
        speed = np.where(info["verified"], (1 - fast) * speed + fast * info["tokens"], speed)
        present = observation["present"] > 0.5
        worth = np.where(present[..., None], rate[..., None] ** np.arange(1, 26) / speed[..., None], -1.0)
        expected = best_positions(worth, 3 * present.sum(axis=1), 0)
        assert decision.draft_lengths.tolist() == expected.tolist()


def test_every_budget_buys_the_most_valuable_tokens():
    rng = np.random.default_rng(1)
    value = np.sort(rng.random((5, 3, 3)), axis=-1)[..., ::-1]
    value[0, 1] = -np.inf
    choices = nested_choices(value, 0)
    assert choices.shape == (10, 5, 3)
    sums = np.concatenate([np.zeros((5, 3, 1)), np.cumsum(np.where(np.isfinite(value), value, 0.0), axis=-1)], axis=-1)
    for budget, row in itertools.product(range(10), range(5)):
        best = max(
            sum(sums[row, user, length] for user, length in enumerate(lengths))
            for lengths in itertools.product(range(4), repeat=3)
            if sum(lengths) <= budget and not (row == 0 and lengths[1])
        )
        bought = choices[budget, row]
        assert bought.sum() <= budget
        assert sum(sums[row, user, length] for user, length in enumerate(bought)) == pytest.approx(best)
    assert (nested_choices(value, 2) >= 2).all()


def test_ranking_is_close_to_the_rounds_optimum():
    cell, users = SCENARIO.cell, SCENARIO.sample_users(np.random.default_rng(2), 6, (40,))
    found = ms.play_round(users, cell, by_survival_over_cost(users, cell)).goodput
    best = ms.play_round(users, cell, make_controller("heterogeneous")(users, cell)).goodput
    assert (found <= best * (1 + 1e-9)).all()
    assert (found / best).mean() > 0.95
    curved = dataclasses.replace(users, survival=users.acceptance_rate[..., None] ** np.arange(1, 26))
    again = ms.play_round(users, cell, by_survival_over_cost(curved, cell)).goodput
    np.testing.assert_allclose(again, found, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "option", "value", "message"),
    [
        ("posterior_heterogeneous", "belief", "hope", "belief must be one of .*; got 'hope'"),
        ("thompson", "seed", -1, r"seed must be a whole number in \[0, inf\), got -1"),
        ("thompson", "objective", "all", "objective must be one of .*; got 'all'"),
        ("smart_spec", "memory", 1.5, r"memory must lie in \[0, 1\], got 1.5"),
        ("smart_spec", "prior", 0.0, r"prior must lie in \[0.001, 1e\+06\], got 0.0"),
        ("good_speed", "budget", -1.0, r"budget must lie in \[0, 1000\], got -1.0"),
        ("good_speed", "rate_step", 2.0, r"rate_step must lie in \[0, 1\], got 2.0"),
        ("good_speed", "speed_step", 2.0, r"speed_step must lie in \[0, 1\], got 2.0"),
        ("spec_stop", "bonus", "none", "bonus must be one of .*; got 'none'"),
        ("spec_stop", "states", 0, r"states must be a whole number in \[1, 16\], got 0"),
        ("spec_stop", "beta", -1.0, r"beta must lie in \[0, 1e\+06\], got -1.0"),
        ("posterior_fluid", "factor", 0.0, r"factor must lie in \[0.01, 100\], got 0.0"),
        ("posterior_fluid", "kinds", 0, r"kinds must be a whole number in \[1, 100\], got 0"),
        ("posterior_fluid", "prior", 0.0, r"prior must lie in \[0.001, 1e\+06\], got 0.0"),
    ],
)
def test_options_out_of_range_are_refused(name, option, value, message):
    with pytest.raises(ValueError, match=message):
        make_estimator(name, SCENARIO, **{option: value})
