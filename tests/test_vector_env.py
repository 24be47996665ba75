from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import multispin_gym as ms

MULTI = "multispin_gym/MultiSpin-v0"
HOMOGENEOUS = "multispin_gym/MultiSpinHomogeneous-v0"
MODES = ["NextStep", "SameStep", "Disabled"]


def native(env_id=MULTI, num_envs=3, **options):
    return gym.make_vec(env_id, num_envs=num_envs, vectorization_mode="vector_entry_point", **options)


def stepwise(env_id=MULTI, num_envs=3, autoreset_mode="NextStep", **options):
    """Gymnasium's own vector environment over single environments."""
    singles = [lambda: gym.make(env_id, **options)] * num_envs
    return SyncVectorEnv(singles, autoreset_mode=AutoresetMode(autoreset_mode))


def assert_equal_play(one, other, mode, steps, seed, rng):
    """Play both with the same actions, resets included, and compare everything they return."""
    assert one.single_observation_space == other.single_observation_space
    assert one.action_space == other.action_space
    assert data_equivalence(one.reset(seed=seed), other.reset(seed=seed), exact=True)
    done = np.zeros(one.num_envs, dtype=bool)
    for _ in range(steps):
        if mode == "Disabled" and done.any():
            assert data_equivalence(
                one.reset(options={"reset_mask": done.copy()}),
                other.reset(options={"reset_mask": done.copy()}),
                exact=True,
            )
        actions = rng.uniform(-1.2, 1.2, one.action_space.shape).astype(np.float32)
        step = one.step(actions)
        assert data_equivalence(step, other.step(actions), exact=True)
        done = step[2] | step[3]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("env_id", [MULTI, HOMOGENEOUS])
@pytest.mark.parametrize("scenario", ms.list_scenarios())
def test_rows_equal_single_environments_to_the_last_bit(scenario, env_id, sampled, mode):
    options = {"scenario": scenario, "num_users": 3, "num_rounds": 7, "sampled": sampled}
    one = native(env_id, autoreset_mode=mode, **options)
    other = stepwise(env_id, autoreset_mode=mode, **options)
    assert_equal_play(one, other, mode, steps=20, seed=11, rng=np.random.default_rng(5))
