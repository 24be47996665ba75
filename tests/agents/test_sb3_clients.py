"""Stable-Baselines3 and TorchRL make the environments by their ids, and draw them."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv
from torchrl.envs.libs.gym import GymWrapper
from torchrl.envs.utils import check_env_specs

from multispin_gym.agents import SB3VecEnv
from multispin_gym.envs.variants import VARIANTS

IDS = list(VARIANTS)


def wrapped(envs):
    assert isinstance(envs, DummyVecEnv | SubprocVecEnv)
    assert envs.render_mode == "rgb_array"
    envs.seed(0)
    envs.reset()
    before = envs.get_images()
    envs.step(np.zeros((2, *envs.action_space.shape), np.float32))
    after = envs.get_images()
    assert [frame.shape for frame in (*before, *after)] == [(720, 1280, 3)] * 4
    assert all((old != new).any() for old, new in zip(before, after, strict=True))
    # Two pictures, side by side in a square.
    assert envs.render().shape == (1440, 1280, 3)
    envs.close()


@pytest.mark.parametrize("env_id", IDS)
def test_stable_baselines_makes_and_draws_environments_by_their_ids(env_id):
    wrapped(make_vec_env(env_id, n_envs=2))


@pytest.mark.slow
def test_stable_baselines_makes_and_draws_them_in_processes_of_their_own():
    wrapped(make_vec_env(f"multispin_gym:{IDS[0]}", n_envs=2, vec_env_cls=SubprocVecEnv))


@pytest.mark.slow
def test_a_learner_takes_an_id():
    model = PPO("MultiInputPolicy", IDS[0], n_steps=8, batch_size=8, n_epochs=1, seed=0)
    model.learn(16)
    assert model.get_env().render().shape == (720, 1280, 3)


@pytest.mark.parametrize("mode", ["rgb_array", "ansi", None])
def test_the_adapter_of_the_native_vector_environment_draws_its_rows(mode):
    native = gym.make_vec(IDS[0], num_envs=2, num_users=2, autoreset_mode=AutoresetMode.SAME_STEP, render_mode=mode)
    envs = SB3VecEnv(native)
    envs.reset()
    images = envs.get_images()
    if mode != "rgb_array":
        assert images == [None, None]
        return
    for image, expected in zip(images, native.render(), strict=True):
        np.testing.assert_array_equal(image, expected)
    assert envs.render().shape == (1440, 1280, 3)


@pytest.mark.slow
@pytest.mark.parametrize("optimum", [False, True])
@pytest.mark.parametrize("env_id", IDS)
def test_torchrl_registers_every_key_of_info(env_id, optimum):
    base = gym.make(env_id, num_users=3, num_rounds=4, optimum=optimum)
    env = GymWrapper(base).auto_register_info_dict()
    check_env_specs(env)
    rollout = env.rollout(3)
    assert set(base.reset(seed=0)[1]) <= set(rollout["next"].keys())
    played = rollout["next"]
    assert (played["tokens"].sum(-1) / played["latency"]).tolist() == pytest.approx(played["goodput"].tolist())
    assert not rollout["goodput"][0]
