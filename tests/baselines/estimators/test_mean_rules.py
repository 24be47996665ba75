"""Estimating controllers: what they believe where something is hidden, and that they decide by it alone."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest

import multispin_gym as ms
from multispin_gym.baselines import believed_users, list_estimators, make_controller, make_estimator
from multispin_gym.baselines.estimators import estimator_summaries

SERVE, DEADLINE = "multispin_gym/MultiSpinServe-v0", "multispin_gym/MultiSpinDeadline-v0"
RULES = {
    "mean_heterogeneous": make_controller("heterogeneous"),
    "mean_proportional_fair": make_controller("heterogeneous", objective="proportional_fair"),
    "mean_homogeneous": make_controller("homogeneous"),
    "mean_uni_bw": make_controller("uni_bw"),
    "mean_multi_spin": make_controller("multi_spin"),
}


def seen_in(env_id, rounds=12, num_envs=16):
    """Observations of a crowded cell, and the environment that showed them."""
    envs = gym.make_vec(
        env_id, num_envs=num_envs, vectorization_mode="vector_entry_point", num_users=4, episode_seconds=1000.0
    )
    observation, info = envs.reset(seed=0)
    for _ in range(rounds):
        observation, _, _, _, info = envs.step(np.full(envs.action_space.shape, -0.9, np.float32))
    return envs.unwrapped, observation, info


def test_users_are_those_of_the_environment_where_nothing_is_hidden():
    envs, observation, _ = seen_in(DEADLINE)
    believed, true = believed_users(envs.scenario, observation), envs.users
    assert true.present.any()
    assert not true.present.all()
    assert (believed.present == true.present).all()
    for name in ms.Users.FIELDS:
        assert getattr(believed, name)[true.present] == pytest.approx(getattr(true, name)[true.present], rel=1e-6)


@pytest.mark.parametrize("name", RULES)
def test_decisions_are_those_for_users_with_the_mean_rate_of_their_task(name):
    envs, observation, info = seen_in(SERVE)
    scenario = envs.scenario
    estimator = make_estimator(name, scenario)
    estimator.reset(observation, info)
    found = estimator.decide(observation, info)
    assert found.draft_lengths.shape == (16, 4)
    rates = [task.rate for task in scenario.acceptance]
    for row in range(16):
        here = np.flatnonzero(observation["present"][row])
        absent = np.setdiff1d(np.arange(4), here)
        assert not found.draft_lengths[row, absent].any()
        assert not found.bandwidth_shares[row, absent].any()
        if here.size == 0:
            continue
        users = ms.Users(
            acceptance_rate=[rates[int(task)] for task in observation["task"][row, here]],
            drafting_speed=observation["drafting_speed"][row, here],
            channel_gain=10.0 ** (observation["reported_channel_gain_db"][row, here].astype(float) / 10.0),
            transmit_power=scenario.reference_power,
        )
        expected = RULES[name](users, scenario.cell)
        assert found.draft_lengths[row, here].tolist() == expected.draft_lengths.tolist()
        assert found.bandwidth_shares[row, here] == pytest.approx(expected.bandwidth_shares, abs=1e-9)


def test_what_was_accepted_so_far_and_the_round_before_change_nothing():
    envs, observation, info = seen_in(SERVE)
    estimator = make_estimator("mean_heterogeneous", envs.scenario)
    first = estimator.decide(observation, info)
    forgotten = {key: np.zeros_like(observation[key]) for key in ("accepted_count", "drafted_count")}
    second = estimator.decide({**observation, **forgotten}, {})
    assert (first.draft_lengths == second.draft_lengths).all()
    assert (first.bandwidth_shares == second.bandwidth_shares).all()


def test_rates_that_are_observed_are_believed_rather_than_a_guess():
    envs, observation, _ = seen_in(DEADLINE)
    guess = np.full(observation["acceptance_rate"].shape, 0.5)
    assert (
        believed_users(envs.scenario, observation, guess).acceptance_rate
        == believed_users(envs.scenario, observation).acceptance_rate
    ).all()


def test_what_cannot_be_believed_is_refused():
    envs, observation, _ = seen_in(SERVE, rounds=0)
    with pytest.raises(ValueError, match="acceptance_rate is missing: the observation shows none"):
        believed_users(envs.scenario, observation)
    with pytest.raises(ValueError, match="the observation must have channel_gain_db or reported_channel_gain_db, "):
        believed_users(envs.scenario, {"drafting_speed": observation["drafting_speed"]}, 0.5)


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"got 'mean_heterogenous'. Did you mean 'mean_heterogeneous'\?"):
        make_estimator("mean_heterogenous", ms.load_scenario("serve"))


def test_options_that_an_estimator_does_not_have_are_refused():
    with pytest.raises(TypeError, match="estimator 'mean_heterogeneous' takes no options; got 'weights'"):
        make_estimator("mean_heterogeneous", ms.load_scenario("serve"), weights=1.0)


def test_every_estimator_has_a_line_of_its_own():
    lines = estimator_summaries()
    assert list(lines) == list_estimators()
    assert len(set(lines.values())) == len(lines)
    assert all(line and "\n" not in line for line in lines.values())


def test_without_tasks_among_the_observations_rates_are_those_observed():
    scenario = dataclasses.replace(ms.load_scenario("deadline"), num_users=3)
    env = gym.make(DEADLINE, scenario=scenario)
    observation, info = env.reset(seed=3)
    seen = {key: value[None] for key, value in observation.items() if key != "task"}
    found = make_estimator("mean_heterogeneous", scenario).decide(seen, info)
    expected = make_controller("heterogeneous")(env.unwrapped.users, scenario.cell)
    assert found.draft_lengths[0].tolist() == expected.draft_lengths.tolist()


def test_a_scenario_goes_by_its_name_too():
    _, observation, info = seen_in(SERVE)
    decided = []
    for scenario in ("serve", ms.load_scenario("serve")):
        rule = make_estimator("mean_uni_bw", scenario)
        rule.reset(observation, info)
        decided.append(rule.decide(observation, info))
    np.testing.assert_array_equal(decided[0].draft_lengths, decided[1].draft_lengths)
    with pytest.raises(ValueError, match="serv"):
        make_estimator("mean_uni_bw", "serv")
