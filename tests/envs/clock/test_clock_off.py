"""With everything about time switched off, each of the four environments is MultiSpin-v0, bit for bit."""

import gymnasium as gym
import numpy as np
import pytest
from clock_games import IDS, OFF, ROWS

PLAIN = "multispin_gym/MultiSpin-v0"
SCENARIOS = {**{row.id: row.scenario for row in ROWS}}


def same(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        if key.startswith("final"):
            continue
        assert (type(value), np.asarray(value).dtype) == (type(other[key]), np.asarray(other[key]).dtype), key
        np.testing.assert_array_equal(value, other[key], err_msg=key)


@pytest.mark.parametrize("options", [{}, {"sampled": True, "num_users": 3, "num_rounds": 7}], ids=str)
@pytest.mark.parametrize("env_id", IDS)
def test_the_single_environment_is_the_one_without_a_clock(env_id, options):
    clock = gym.make(env_id, **{**OFF, **options})
    plain = gym.make(PLAIN, scenario=SCENARIOS[env_id], **options)
    assert clock.observation_space == plain.observation_space
    assert clock.action_space == plain.action_space
    for seed in (3, None):
        for one, other in zip(clock.reset(seed=seed), plain.reset(seed=seed), strict=True):
            same(one, other)
        plain.action_space.seed(0)
        ended = False
        while not ended:
            action = plain.action_space.sample()
            one, other = clock.step(action), plain.step(action)
            assert one[1:4] == other[1:4]
            same(one[0], other[0])
            same(one[4], other[4])
            ended = one[3]


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("env_id", IDS)
def test_the_vector_environment_is_the_one_without_a_clock(env_id, mode):
    options = {"num_envs": 3, "vectorization_mode": "vector_entry_point", "autoreset_mode": mode, "num_rounds": 5}
    clock = gym.make_vec(env_id, **OFF, **options)
    plain = gym.make_vec(PLAIN, scenario=SCENARIOS[env_id], **options)
    assert clock.observation_space == plain.observation_space
    for one, other in zip(clock.reset(seed=3), plain.reset(seed=3), strict=True):
        same(one, other)
    for _ in range(12):
        action = plain.action_space.sample()
        one, other = clock.step(action), plain.step(action)
        for part in (0, 4):
            same(one[part], other[part])
        for part in (1, 2, 3):
            np.testing.assert_array_equal(one[part], other[part])
    assert clock.unwrapped.state().keys() == plain.unwrapped.state().keys()


@pytest.mark.parametrize("env_id", IDS)
def test_a_scenario_that_says_nothing_of_time_is_played_without_a_clock(env_id):
    clock, plain = gym.make(env_id, scenario="laptops_60ms"), gym.make(PLAIN, scenario="laptops_60ms")
    assert clock.observation_space == plain.observation_space
    for one, other in zip(clock.reset(seed=0), plain.reset(seed=0), strict=True):
        same(one, other)
