"""What rounds are paid, by name, from what info says; and when episodes end."""

import dataclasses
import math

import gymnasium as gym
import numpy as np
import pytest
from clock_games import ARRIVING, DEADLINE, HIDDEN, IDS, SERVE, STALE, lively, make, make_vec, varied_actions

GUARANTEED = 7.0


def paid(name, info, row, lengths):
    """A round's reward in plain Python."""
    seconds = float(info["latency"][row] - info["waited"][row])
    total = 0.0
    for user in range(info["tokens"].shape[1]):
        tokens = float(info["delivered"][row, user])
        if name == "goodput":
            total += tokens / seconds if seconds > 0.0 else 0.0
        elif name == "tokens":
            total += tokens
        elif name == "requests_on_time":
            total += bool(info["on_time"][row, user])
        elif name == "tokens_on_time":
            total += lengths[row, user] if info["on_time"][row, user] else 0.0
        elif name == "guaranteed_rate":
            total += min(tokens, GUARANTEED * seconds)
        elif info["present"][row, user]:
            total += math.log((tokens or 0.5) / seconds)
    return total


@pytest.mark.parametrize(
    "name", ["goodput", "tokens", "requests_on_time", "tokens_on_time", "guaranteed_rate", "proportional_fair"]
)
@pytest.mark.parametrize("env_id", IDS)
def test_a_round_is_paid_what_its_name_says(env_id, name):
    scenario = lively(env_id)
    scenario = dataclasses.replace(scenario, clock=dataclasses.replace(scenario.clock, guaranteed_rate=GUARANTEED))
    if env_id == STALE and name.endswith("on_time"):
        with pytest.raises(ValueError, match=f"requests is missing: reward = '{name}' needs it"):
            make(env_id, scenario=scenario, reward=name)
        return
    envs = make_vec(env_id, 20, scenario=scenario, reward=name, episode_seconds=1e6, num_users=4)
    envs.reset(seed=2)
    rng, total = np.random.default_rng(0), 0.0
    for _ in range(30):
        lengths = envs.unwrapped.state()["slot_length"]
        _, rewards, _, _, info = envs.step(varied_actions(rng, envs, 20))
        expected = [paid(name, info, row, lengths) for row in range(20)]
        np.testing.assert_allclose(rewards, expected, rtol=1e-9, atol=1e-12)
        total += np.abs(rewards).sum()
    assert total > 0.0


def test_weights_count_the_tokens_of_slots():
    plain, weighted = (make_vec(STALE, 5, num_users=2, weights=weights) for weights in (None, [1.0, 3.0]))
    for envs in (plain, weighted):
        envs.reset(seed=0)
    actions = varied_actions(np.random.default_rng(0), plain, 5)
    _, rewards, *_, info = weighted.step(actions)
    np.testing.assert_allclose(rewards, info["delivered"] @ [1.0, 3.0])
    np.testing.assert_allclose(plain.step(actions)[1], info["delivered"].sum(axis=1))


def test_requests_without_a_deadline_are_on_time_whenever_they_end():
    envs = make_vec(HIDDEN, 20, reward="requests_on_time")
    envs.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        _, rewards, *_, info = envs.step(varied_actions(rng, envs, 20))
        np.testing.assert_array_equal(info["on_time"], info["finished"])
        np.testing.assert_array_equal(rewards, info["finished"].sum(axis=1))


def test_a_request_is_on_time_if_it_ends_by_its_deadline():
    envs = make_vec(DEADLINE, 100, episode_seconds=1e6)
    envs.reset(seed=0)
    rng, late, timely = np.random.default_rng(0), 0, 0
    for _ in range(60):
        state = envs.unwrapped.state()
        info = envs.step(varied_actions(rng, envs, 100))[4]
        end = (state["time"] + info["latency"] - info["waited"])[:, None]
        np.testing.assert_array_equal(info["on_time"], info["finished"] & (state["slot_deadline"] >= end))
        whole = np.where(info["finished"], end - state["slot_arrival"], 0.0)
        parts = info["time_to_first_token"] + info["time_per_token"] * np.maximum(state["slot_length"] - 1.0, 0.0)
        many = info["finished"] & (state["slot_length"] > 1.0)
        np.testing.assert_allclose(parts[many], whole[many], rtol=1e-9)
        timely, late = timely + info["on_time"].sum(), late + (info["finished"] & ~info["on_time"]).sum()
    assert timely > 50
    assert late > 50


@pytest.mark.parametrize("env_id", IDS)
def test_an_episode_ends_with_the_first_round_that_ends_after_its_seconds(env_id):
    ways = {}
    for name in ("episode_seconds", "max_time"):
        env = gym.make(env_id, scenario=lively(env_id), **{name: 3.0})
        info, rng = env.reset(seed=0)[1], np.random.default_rng(0)
        times, ended = [info["time"]], False
        while not ended:
            assert times[-1] < 3.0
            _, _, terminated, ended, info = env.step(varied_actions(rng, env, 1)[0])
            times.append(info["time"])
            assert not terminated
        assert times[-1] >= 3.0
        ways[name] = times
    assert ways["episode_seconds"] == ways["max_time"]


@pytest.mark.parametrize("env_id", IDS)
def test_a_number_of_rounds_ends_episodes_too(env_id):
    for seconds in (1e6, None):
        env = make(env_id, num_rounds=3, episode_seconds=seconds)
        env.reset(seed=0)
        ends = [env.step(varied_actions(np.random.default_rng(0), env, 1)[0])[3] for _ in range(3)]
        assert ends == [False, False, True]


def test_where_the_clock_has_no_end_episodes_last_the_scenarios_rounds():
    env = make(STALE, episode_seconds=None)
    env.reset(seed=0)
    ends = [env.step(np.zeros(17, np.float32))[3] for _ in range(100)]
    assert ends == [False] * 99 + [True]


@pytest.mark.parametrize("env_id", ARRIVING)
def test_an_episode_in_which_nobody_comes_ends_at_its_end(env_id):
    env = make(env_id, load=1e-6, episode_seconds=2.0)
    observation, info = env.reset(seed=0)
    assert not observation["present"].any()
    assert info["time"] == info["waited"] == info["latency"] == 2.0
    _, reward, _, ended, info = env.step(env.action_space.sample())
    assert (reward, ended, info["latency"], info["arrived"]) == (0.0, True, 0.0, 0)


def test_the_optimum_of_a_round_is_of_those_present():
    envs = make_vec(DEADLINE, 10, num_users=3, optimum=True, load=0.3, sampled=False)
    assert np.isnan(envs.reset(seed=0)[1]["optimum"]).all()
    rng = np.random.default_rng(0)
    for _ in range(5):
        info = envs.step(varied_actions(rng, envs, 10))[4]
        assert (info["optimum"] >= info["goodput"] * (1.0 - 1e-9)).all()
        assert (info["optimum"][info["present"].any(axis=1)] > 0.0).all()


def test_a_clairvoyant_plays_by_the_truth():
    env = make(SERVE)
    env.reset(seed=0)
    users = env.unwrapped.users
    assert users.present.any()
    assert users.acceptance_rate[users.present].max() <= 1.0
    mean = env.unwrapped._game.mean_users
    np.testing.assert_array_equal(mean.drafting_speed[0], users.drafting_speed)


def test_a_request_with_an_objective_is_on_time_if_its_tokens_come_as_quickly():
    scenario = lively(DEADLINE, time_per_token_objective=0.12)
    envs = make_vec(DEADLINE, 50, scenario=scenario, episode_seconds=1e6)
    envs.reset(seed=4)
    rng, met, missed = np.random.default_rng(0), 0, 0
    for _ in range(60):
        deadlines = envs.unwrapped.state()["slot_deadline"]
        info = envs.step(varied_actions(rng, envs, 50))[4]
        end = (info["time"] - info["waited"])[:, None]
        quick = info["time_per_token"] <= 0.12
        np.testing.assert_array_equal(info["on_time"], info["finished"] & quick & (deadlines >= end))
        met += int(info["on_time"].sum())
        missed += int((info["finished"] & ~quick & (deadlines >= end)).sum())
    assert met > 20
    assert missed > 20
