from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env, data_equivalence

import multispin_gym as ms
from multispin_gym.envs.single import MultiSpinEnv

MULTI = "multispin_gym/MultiSpin-v0"
HOMOGENEOUS = "multispin_gym/MultiSpinHomogeneous-v0"
IDS = [MULTI, HOMOGENEOUS]
INFO = {
    "goodput",
    "tokens",
    "latency",
    "drafting_time",
    "upload_time",
    "verification_time",
    "draft_lengths",
    "bandwidth_shares",
}


def roll(env, steps, seed=None):
    """Play random actions of a fixed source; return everything that the environment returned."""
    rng = np.random.default_rng(1)
    history = [env.reset(seed=seed)]
    for _ in range(steps):
        action = rng.uniform(-1.0, 1.0, env.action_space.shape).astype(np.float32)
        history.append(env.step(action))
        if history[-1][3]:
            history.append(env.reset())
    return history


@pytest.mark.slow
@pytest.mark.parametrize("render_mode", [None, "ansi", "rgb_array"])
@pytest.mark.parametrize("scenario", ms.list_scenarios(clock=False))
@pytest.mark.parametrize("env_id", IDS)
def test_the_checker_of_gymnasium_finds_nothing(env_id, scenario, render_mode):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(env_id, scenario=scenario, render_mode=render_mode).unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_an_environment_is_rebuilt_from_its_specification_as_json(env_id):
    env = gym.make(env_id, scenario="deep_fading", num_users=3, num_rounds=5, sampled=True)
    rebuilt = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert rebuilt.spec.kwargs == env.spec.kwargs
    assert data_equivalence(roll(env, 12, seed=3), roll(rebuilt, 12, seed=3), exact=True)


def test_the_module_in_front_of_an_id_registers_it():
    assert gym.make(f"multispin_gym:{MULTI}", num_users=2).unwrapped.num_users == 2


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("env_id", IDS)
def test_a_seed_fixes_all_that_follows_and_other_seeds_differ(env_id, sampled):
    one, two = (gym.make(env_id, num_rounds=4, sampled=sampled) for _ in range(2))
    assert data_equivalence(roll(one, 15, seed=8), roll(two, 15, seed=8), exact=True)
    again = roll(one, 15, seed=8)
    assert data_equivalence(again, roll(two, 15, seed=8), exact=True)
    assert not data_equivalence(again, roll(two, 15, seed=9), exact=True)


def test_without_a_seed_the_environment_reports_the_one_that_it_took():
    env = gym.make(MULTI, num_rounds=4)
    history = roll(env, 10)
    seed = env.unwrapped.np_random_seed
    assert data_equivalence(history, roll(gym.make(MULTI, num_rounds=4), 10, seed=seed), exact=True)


def test_a_generator_set_by_hand_decides_the_streams():
    histories = []
    for _ in range(2):
        env = gym.make(MULTI, num_rounds=4).unwrapped
        env.np_random = np.random.default_rng(77)
        histories.append(roll(env, 10))
    assert data_equivalence(*histories, exact=True)


def test_more_episodes_than_users_are_drawn_at_once_never_repeat_users():
    env = gym.make(MULTI, scenario="laptops_60ms", num_rounds=1)
    seen = [env.reset(seed=0)[0]["drafting_speed"]] + [env.reset()[0]["drafting_speed"] for _ in range(70)]
    assert len(np.unique(np.concatenate(seen))) == 71 * 8


@pytest.mark.slow
def test_users_stay_for_an_episode_while_channels_fade_as_exponentials():
    env = gym.make(MULTI, num_rounds=2000)
    history = roll(env, 1999, seed=0)
    acceptance, gains, speeds = (
        np.array([step[0][name] for step in history])
        for name in ("acceptance_rate", "channel_gain_db", "drafting_speed")
    )
    assert (acceptance == acceptance[0]).all()
    assert (speeds == speeds[0]).all()
    linear = 10.0 ** (gains.astype(float) / 10.0)
    # An exponential law has equal mean and standard deviation, and its median lies at ln 2 of the mean.
    np.testing.assert_allclose(linear.std(axis=0) / linear.mean(axis=0), 1.0, atol=0.12)
    np.testing.assert_allclose(np.median(linear, axis=0) / linear.mean(axis=0), np.log(2.0), atol=0.08)


def test_correlated_fading_correlates_across_blocks_of_rounds_and_starts_anew_with_an_episode():
    source = ms.load_scenario("laptops_60ms")
    scenario = dataclasses.replace(source, fading=ms.Fading("rayleigh", 0.95))
    env = gym.make(MULTI, scenario=scenario, num_users=40, num_rounds=300).unwrapped
    gains = 10.0 ** (np.array([step[0]["channel_gain_db"] for step in roll(env, 299, seed=2)]).astype(float) / 10.0)
    relative = gains / gains.mean(axis=0)
    near = np.corrcoef(relative[:-1].ravel(), relative[1:].ravel())[0, 1]
    assert near == pytest.approx(0.95**2, abs=0.03)
    assert env.observation_space.contains(env.reset()[0])


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ms.list_scenarios())
def test_users_of_the_observation_give_the_reward_to_the_last_bit(scenario):
    env = gym.make(MULTI, scenario=scenario).unwrapped
    observation, _ = env.reset(seed=6)
    for _ in range(40):
        action = env.action_space.sample()
        users, decision = env.users_from_observation(observation), env.decode_action(action)
        expected = ms.play_round(users, env.cell, decision)
        shown = ms.play_round(env.users, env.cell, decision)
        observation, reward, _, _, info = env.step(action)
        assert reward == float(expected.goodput) == float(shown.goodput) == info["goodput"]
        for name in ("tokens", "drafting_time", "upload_time"):
            np.testing.assert_array_equal(info[name], getattr(expected, name))
        assert info["latency"] == float(expected.latency)
        assert info["verification_time"] == float(expected.verification_time)
        np.testing.assert_array_equal(info["draft_lengths"], decision.draft_lengths)
        np.testing.assert_array_equal(info["bandwidth_shares"], decision.bandwidth_shares)
        assert set(info) == INFO


@pytest.mark.slow
def test_sampled_tokens_are_whole_and_average_to_the_expected_ones():
    env = gym.make(MULTI, num_users=8, num_rounds=4000, sampled=True).unwrapped
    env.reset(seed=0)
    action = env.encode_action(ms.Decision([5] * 8, [1 / 8] * 8))
    tokens = np.array([env.step(action)[4]["tokens"] for _ in range(3999)])
    assert (tokens == np.floor(tokens)).all()
    assert ((tokens >= 1) & (tokens <= 6)).all()
    expected = ms.expected_tokens(env.users.acceptance_rate, 5)
    error = tokens.std(axis=0) / np.sqrt(len(tokens))
    assert (np.abs(tokens.mean(axis=0) - expected) < 4 * error).all()


def test_sampling_leaves_users_and_channels_as_they_are():
    sampled, expected = (roll(gym.make(MULTI, num_rounds=5, sampled=s), 20, seed=3) for s in (True, False))
    assert data_equivalence([step[0] for step in sampled], [step[0] for step in expected], exact=True)


@pytest.mark.parametrize("env_id", IDS)
def test_an_encoded_decision_is_played(env_id):
    env = gym.make(env_id, num_users=3)
    env.reset(seed=0)
    decision = ms.Decision([4, 4, 4], [0.2, 0.3, 0.5])
    info = env.step(env.unwrapped.encode_action(decision))[4]
    np.testing.assert_array_equal(info["draft_lengths"], decision.draft_lengths)
    np.testing.assert_allclose(info["bandwidth_shares"], decision.bandwidth_shares, rtol=1e-5)


def test_an_episode_is_truncated_after_its_rounds_and_not_played_on():
    env = gym.make(MULTI, num_rounds=3).unwrapped
    env.reset(seed=0)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]
    with pytest.raises(ResetNeeded, match="the episode is over"):
        env.step(env.action_space.sample())
    env.reset()
    assert env.step(env.action_space.sample())[3] is False


def test_scenarios_set_users_and_rounds_unless_told_otherwise():
    scenario = dataclasses.replace(ms.load_scenario("laptops_60ms"), num_users=5, num_rounds=7)
    env = gym.make(MULTI, scenario=scenario).unwrapped
    assert (env.num_users, env.num_rounds, env.scenario, env.cell) == (5, 7, scenario, scenario.cell)
    env = gym.make(MULTI, scenario=scenario, num_users=2, num_rounds=9).unwrapped
    assert (env.num_users, env.num_rounds) == (2, 9)


def test_a_scenario_file_gives_the_environment_of_the_scenario(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(ms.load_scenario("deep_fading").to_toml())
    named = roll(gym.make(MULTI, scenario="deep_fading"), 10, seed=1)
    assert data_equivalence(roll(gym.make(MULTI, scenario=str(path)), 10, seed=1), named, exact=True)


def test_users_held_from_earlier_rounds_keep_their_numbers():
    env = gym.make(MULTI, num_users=2).unwrapped
    env.reset(seed=0)
    held = env.users
    gains = held.channel_gain.copy()
    for _ in range(200):
        if env.step(env.action_space.sample())[3]:
            env.reset()
    np.testing.assert_array_equal(held.channel_gain, gains)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scenario": "defualt"}, ValueError, "Did you mean 'default'"),
        ({"num_users": 0}, ValueError, "num_users must be a whole number in"),
        ({"num_users": 2.5}, ValueError, "num_users"),
        ({"num_rounds": 0}, ValueError, "num_rounds"),
        ({"sampled": "yes"}, TypeError, "sampled must be True or False, got 'yes'"),
    ],
)
@pytest.mark.parametrize("env_id", IDS)
def test_bad_arguments_are_refused_by_name(env_id, options, error, message):
    with pytest.raises(error, match=message):
        gym.make(env_id, **options)


def test_an_unknown_reset_option_is_refused():
    with pytest.raises(ValueError, match="unknown reset option 'reset_mask'; known options: none"):
        gym.make(MULTI).reset(options={"reset_mask": None})


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros(3), r"action must have shape \(6,\), got \(3,\)"),
        (np.zeros((1, 6)), r"action must have shape \(6,\), got \(1, 6\)"),
        (np.full(6, np.nan), r"must lie in \[-1, 1\], got nan"),
    ],
)
def test_bad_actions_are_refused(action, message):
    env = gym.make(MULTI, num_users=3).unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)


def test_before_the_first_reset_there_is_nothing_to_play():
    env = gym.make(MULTI).unwrapped
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step(env.action_space.sample())
    with pytest.raises(ResetNeeded, match="call reset"):
        _ = env.users


def test_the_documented_bounds_are_those_of_the_default_scenario():
    space = gym.make(MULTI).observation_space
    rows = re.findall(r"\| `(\w+)` +\|[^|]*\|[^|]*\| +(-?[\d.]+) +\| +(-?[\d.]+) +\|", MultiSpinEnv.__doc__)
    documented = {name: (float(low), float(high)) for name, low, high in rows}
    # Written with four digits.
    exact = {name: (float(box.low[0]), float(box.high[0])) for name, box in space.items()}
    assert documented == {name: tuple(float(f"{bound:.4g}") for bound in bounds) for name, bounds in exact.items()}


def test_the_documented_info_is_what_a_step_returns():
    section = MultiSpinEnv.__doc__.partition("## Info")[2].partition("##")[0]
    documented = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^ *\| (`[^|]*)\|", section, re.MULTILINE))))
    assert documented >= INFO


@pytest.mark.slow
def test_making_the_default_environment_loads_nothing_slow():
    code = f"import sys, gymnasium, multispin_gym; gymnasium.make({MULTI!r}).reset(seed=0); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"scipy", "torch", "matplotlib", "stable_baselines3", "multispin_gym.baselines"} & set(loaded)


@pytest.mark.parametrize("env_id", [MULTI, "multispin_gym/MultiSpinHomogeneous-v0"])
def test_users_may_opt_out_in_any_scenario_on_request(env_id):
    env = gym.make(env_id, num_users=3, min_draft_length=0).unwrapped
    assert env.cell == dataclasses.replace(ms.load_scenario("default").cell, min_draft_length=0)
    env.reset(seed=4)
    nobody = env.encode_action(ms.Decision([0, 0, 0], 0.0))
    reward, info = env.step(nobody)[1], env.step(nobody)[4]
    assert reward == pytest.approx(3.0 / float(env.cell.verification.round_time([0, 0, 0])), rel=1e-12)
    assert info["draft_lengths"].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match=r"min_draft_length must be a whole number in \[0, 25\], got 26"):
        gym.make(env_id, min_draft_length=26)
    vector = gym.make_vec(env_id, num_envs=2, vectorization_mode="vector_entry_point", min_draft_length=0)
    assert vector.unwrapped.cell.min_draft_length == 0
