"""Stable-Baselines3 and TorchRL make the environments by their ids, and draw them."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv
from torchrl.envs.libs.gym import GymWrapper
from torchrl.envs.utils import check_env_specs

from multispin_gym.agents import PPOConfig, SB3VecEnv, TrainConfig, make_training_env
from multispin_gym.agents.training.trainer import build_model, describe
from multispin_gym.envs.variants import VARIANTS
from multispin_gym.scenarios.library import load_scenario
from multispin_gym.wrappers import VectorDictAction, VectorScaledObservation

IDS = list(VARIANTS)


def check_drawn(envs):
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
    check_drawn(make_vec_env(env_id, n_envs=2))


@pytest.mark.slow
def test_stable_baselines_makes_and_draws_them_in_processes_of_their_own():
    check_drawn(make_vec_env(f"multispin_gym:{IDS[0]}", n_envs=2, vec_env_cls=SubprocVecEnv))


@pytest.mark.slow
def test_a_learner_takes_an_id():
    model = PPO("MultiInputPolicy", IDS[0], n_steps=8, batch_size=8, n_epochs=1, seed=0)
    model.learn(16)
    assert model.get_env().render().shape == (720, 1280, 3)


class FirstUpdate(BaseCallback):
    """Ends the training when the first update is about to begin."""

    def _on_step(self):
        return True

    def _on_rollout_end(self):
        raise InterruptedError(self.num_timesteps)


def test_a_plain_learner_updates_after_as_many_rounds_as_rows_times_steps():
    model = PPO("MultiInputPolicy", make_training_env("laptops_60ms", num_users=2), n_steps=4, batch_size=32)
    with pytest.raises(InterruptedError, match=r"^32$"):
        model.learn(10**7, FirstUpdate())
    # With its own number of steps a learner that is told nothing waits for so many.
    defaults = PPO("MultiInputPolicy", make_training_env("laptops_60ms", num_users=2))
    assert defaults.n_envs * defaults.n_steps == defaults.rollout_buffer.buffer_size * 8 == 16_384


def test_the_trainers_rows_are_its_own():
    model = build_model(TrainConfig(num_users=2), describe(TrainConfig(num_users=2), load_scenario("laptops_60ms")))
    assert model.n_envs == PPOConfig().num_envs == 1024
    assert model.n_envs * model.n_steps == 4096


def test_observations_are_scaled_where_a_plain_learner_asks_for_it():
    raw, scaled = (
        make_training_env("laptops_60ms", num_users=3, num_envs=5, scaled_observations=s) for s in (False, True)
    )
    spaces = raw.observation_space
    for env in (raw, scaled):
        env.seed(3)
    before, after = raw.reset(), scaled.reset()
    for _ in range(2):
        for key, box in spaces.items():
            assert scaled.observation_space[key].low.tolist() == [-1.0] * 3
            expected = 2.0 * (before[key] - box.low.astype(float)) / (box.high.astype(float) - box.low) - 1.0
            np.testing.assert_allclose(after[key], expected, atol=1e-6)
        actions = np.zeros((5, 6), np.float32)
        (before, rewards, _, _), (after, same, _, _) = raw.step(actions), scaled.step(actions)
        np.testing.assert_array_equal(rewards, same)


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
    hidden = VARIANTS[env_id].clock and {"hidden": False}
    base = gym.make(env_id, num_users=3, num_rounds=4, optimum=optimum, **(hidden or {}))
    env = GymWrapper(base).auto_register_info_dict()
    check_env_specs(env)
    rollout = env.rollout(3)
    assert set(base.reset(seed=0)[1]) <= set(rollout["next"].keys())
    played = rollout["next"]
    # A step lasts until somebody is there again, its round does not.
    seconds = played["latency"] - played["waited"] if VARIANTS[env_id].clock else played["latency"]
    assert (played["tokens"].sum(-1) / seconds).tolist() == pytest.approx(played["goodput"].tolist())
    assert not rollout["goodput"][0]


@pytest.mark.slow
@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
def test_torchrl_wraps_scaled_vector_environments_in_both_modes_that_it_takes(mode):
    native = gym.make_vec(IDS[0], num_envs=3, num_users=2, num_rounds=4, autoreset_mode=mode)
    env = GymWrapper(VectorScaledObservation(native))
    env.set_seed(0)
    rollout = env.rollout(6, break_when_any_done=False)
    assert rollout.shape == (3, 6)
    assert rollout["next", "truncated"][..., 0].nonzero()[:, 1].tolist() == [3, 3, 3]
    shown = rollout["channel_gain_db"][:, :4]
    assert (shown.abs() <= 1.0).all()
    assert shown.unique().numel() > 20
    assert VectorDictAction(native).autoreset_mode is mode
