from __future__ import annotations

import math

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import data_equivalence

import multispin_gym as ms
from multispin_gym.wrappers import DictAction, ScaledObservation, VectorDictAction, VectorScaledObservation

MULTI = "multispin_gym/MultiSpin-v0"
HOMOGENEOUS = "multispin_gym/MultiSpinHomogeneous-v0"


def decision(lengths, shares):
    return {"draft_lengths": np.array(lengths), "bandwidth_shares": np.array(shares, dtype=np.float32)}


def test_a_dictionary_is_played_as_the_decision_that_it_holds():
    env, plain = DictAction(gym.make(MULTI, num_users=3)), gym.make(MULTI, num_users=3).unwrapped
    env.reset(seed=0)
    plain.reset(seed=0)
    step = env.step(decision([4, 1, 12], [0.5, 0.2, 0.3]))
    expected = plain.step(plain.encode_action(ms.Decision([4, 1, 12], [0.5, 0.2, 0.3])))
    assert step[1] == pytest.approx(expected[1], rel=1e-5)
    assert data_equivalence(step[0], expected[0], exact=True)
    assert step[4]["draft_lengths"].tolist() == [4, 1, 12]
    np.testing.assert_allclose(step[4]["bandwidth_shares"], [0.5, 0.2, 0.3], rtol=1e-5)


def test_shares_are_divided_by_their_sum_over_those_who_upload():
    env = DictAction(gym.make(MULTI, num_users=3, scenario="deep_fading"))
    env.reset(seed=0)
    shares = env.step(decision([2, 0, 2], [0.9, 0.7, 0.3]))[4]["bandwidth_shares"]
    np.testing.assert_allclose(shares, [0.75, 0.0, 0.25], rtol=1e-5)


def test_shares_of_nothing_are_equal_and_a_lone_zero_is_the_least_share_there_is():
    env = DictAction(gym.make(MULTI, num_users=2))
    env.reset(seed=0)
    np.testing.assert_allclose(env.step(decision([1, 1], [0, 0]))[4]["bandwidth_shares"], 0.5, rtol=1e-5)
    shares = env.step(decision([1, 1], [1, 0]))[4]["bandwidth_shares"]
    assert shares[1] / shares[0] == pytest.approx(math.exp(-12.0), rel=1e-5)


@pytest.mark.parametrize("env_id", [MULTI, HOMOGENEOUS])
@pytest.mark.parametrize("scenario", ["laptops_60ms", "deep_fading"])
def test_every_sampled_dictionary_is_played(env_id, scenario):
    env = DictAction(gym.make(env_id, num_users=3, scenario=scenario))
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(50):
        action = env.action_space.sample()
        _, reward, _, _, info = env.step(action)
        np.testing.assert_array_equal(info["draft_lengths"], np.broadcast_to(action["draft_lengths"], 3))
        weights = action["bandwidth_shares"] * (info["draft_lengths"] > 0)
        np.testing.assert_allclose(info["bandwidth_shares"], weights / (weights.sum() or 1.0), rtol=1e-4)
        assert reward > 0.0


@pytest.mark.parametrize("env_id", [MULTI, HOMOGENEOUS])
def test_a_batch_of_dictionaries_is_played_row_by_row(env_id):
    envs = VectorDictAction(gym.make_vec(env_id, num_envs=4, num_users=3))
    single = DictAction(gym.make(env_id, num_users=3))
    envs.reset(seed=2)
    single.reset(seed=5)
    actions = envs.action_space.sample()
    observations, rewards, *_ = envs.step(actions)
    row = single.step({name: array[3] for name, array in actions.items()})
    assert rewards[3] == row[1]
    for name, array in row[0].items():
        np.testing.assert_array_equal(observations[name][3], array)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ({"draft_lengths": [1, 1]}, "bandwidth_shares is missing"),
        ({"draft_length": [1, 1], "bandwidth_shares": [0.5, 0.5]}, "Did you mean 'draft_lengths'"),
        ({"draft_lengths": [1, 1], "bandwidth_shares": [0.5, -0.1]}, "bandwidth_shares must lie in"),
        ({"draft_lengths": [1, 1], "bandwidth_shares": [0.5, math.nan]}, "bandwidth_shares must lie in"),
        ({"draft_lengths": [1, 1, 1], "bandwidth_shares": [0.5, 0.5]}, r"draft_lengths must .* got shape \(3,\)"),
        ({"draft_lengths": [1, 26], "bandwidth_shares": [0.5, 0.5]}, "got 26 at index"),
    ],
)
def test_bad_dictionaries_are_refused(action, message):
    env = DictAction(gym.make(MULTI, num_users=2))
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)


@pytest.mark.parametrize("scenario", ms.list_scenarios())
def test_scaled_observations_are_the_place_between_the_bounds(scenario):
    env = ScaledObservation(gym.make(MULTI, scenario=scenario))
    plain = gym.make(MULTI, scenario=scenario)
    scaled, _ = env.reset(seed=0)
    raw, _ = plain.reset(seed=0)
    assert env.observation_space.contains(scaled)
    for name, (low, high) in env.unwrapped.scenario.observation_bounds.items():
        place = (raw[name].astype(float) - low) / (high - low)
        np.testing.assert_allclose(scaled[name], 2.0 * place - 1.0, atol=1e-6)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_a_batch_of_observations_is_scaled_row_by_row_last_ones_included(mode):
    options = {"num_users": 3, "num_rounds": 2}
    envs = VectorScaledObservation(gym.make_vec(MULTI, num_envs=2, autoreset_mode=mode, **options))
    single = ScaledObservation(gym.make(MULTI, **options))
    observations, _ = envs.reset(seed=1)
    expected, _ = single.reset(seed=2)
    for _ in range(2):
        assert envs.observation_space.contains(observations)
        assert data_equivalence({name: array[1] for name, array in observations.items()}, expected, exact=True)
        actions = envs.action_space.sample()
        observations, _, _, _, infos = envs.step(actions)
        expected = single.step(actions[1])[0]
    if mode == "SameStep":
        assert data_equivalence(infos["final_obs"][1], expected, exact=True)
        observations, expected = {name: array[1] for name, array in observations.items()}, single.reset()[0]
        assert data_equivalence(observations, expected, exact=True)


def test_wrapped_environments_are_rebuilt_from_their_specification_as_json():
    env = ScaledObservation(DictAction(gym.make(MULTI, num_users=2)))
    rebuilt = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(rebuilt, ScaledObservation)
    assert rebuilt.action_space == env.action_space
    assert data_equivalence(env.reset(seed=0), rebuilt.reset(seed=0), exact=True)


def test_other_environments_are_refused():
    with pytest.raises(TypeError, match="for MultiSpin environments"):
        DictAction(gym.make("CartPole-v1"))


def test_scaling_a_flat_observation_is_refused_with_the_order_that_works():
    flat = gym.wrappers.FlattenObservation(gym.make(MULTI, num_users=2))
    with pytest.raises(TypeError, match=r"needs a Dict of boxes, got Box.*FlattenObservation\(ScaledObservation\(env"):
        ScaledObservation(flat)
    flat_rows = gym.wrappers.vector.FlattenObservation(gym.make_vec(MULTI, num_envs=2, num_users=2))
    with pytest.raises(TypeError, match="put the scaling next to the environment"):
        VectorScaledObservation(flat_rows)
    env = gym.wrappers.FlattenObservation(ScaledObservation(gym.make(MULTI, num_users=2)))
    assert env.observation_space.contains(env.reset(seed=0)[0])


@pytest.mark.parametrize("mode", list(gym.vector.AutoresetMode))
@pytest.mark.parametrize("wrapper", [VectorScaledObservation, VectorDictAction])
def test_vector_wrappers_keep_the_autoreset_mode_and_the_render_modes(wrapper, mode):
    envs = wrapper(gym.make_vec(MULTI, num_envs=2, num_users=2, autoreset_mode=mode, render_mode="rgb_array"))
    assert envs.metadata["autoreset_mode"] is mode
    assert envs.metadata["render_modes"] == ["ansi", "rgb_array", "human"]
    assert envs.render_mode == "rgb_array"
    envs.reset(seed=0)
    assert [frame.shape for frame in envs.render()] == [(720, 1280, 3)] * 2
