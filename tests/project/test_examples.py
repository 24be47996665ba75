"""The examples in other libraries: what they play is what the environment plays, and what they train gets better."""

import importlib.util
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
import yaml
from library import ROOT
from reference import brute_force
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize
from torchrl.envs.utils import check_env_specs

import multispin_gym as ms
from multispin_gym.agents import make_training_env
from multispin_gym.baselines import certify
from multispin_gym.evaluation import as_policy, evaluate

pytestmark = pytest.mark.slow


@pytest.fixture
def example(monkeypatch):
    """Load an example by name; warnings that its library raises while loading are that library's business."""

    def load(name):
        spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spec.loader.exec_module(module)
        return module

    return load


def test_controllers_rank_as_they_should_in_a_thousand_cells(example):
    goodput = example("controllers_in_parallel").mean_goodput
    names = ("uniform_fixed", "uniform_best", "homogeneous", "heterogeneous")
    found = [goodput(name, num_envs=60, rounds=3) for name in names]
    assert found == sorted(found)
    assert found[0] < 0.95 * found[-1]


def test_a_torchrl_rollout_holds_the_rewards_of_the_rounds_that_its_actions_play(example):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = example("torchrl_rollout").make_env(num_envs=3, num_users=2)
        env.set_seed(7)
        torch.manual_seed(0)
        rollout = env.rollout(130, break_when_any_done=False)
    access = gym.make("multispin_gym/MultiSpin-v0", num_users=2).unwrapped
    observation = {name: rollout[name].numpy() for name in access.observation_space}
    users = access.users_from_observation(observation)
    outcome = ms.play_round(users, access.cell, access.decode_action(rollout["action"].numpy()))
    rewards = rollout["next", "reward"].squeeze(-1).numpy()
    np.testing.assert_allclose(rewards, outcome.goodput, rtol=1e-6)
    ends = np.flatnonzero(rollout["next", "truncated"].squeeze(-1).numpy()[0])
    assert ends.tolist() == [99]


def test_ppo_in_one_file_learns(example, capsys):
    module = example("ppo_single_file")
    history = module.train(module.Args(num_users=2, num_envs=256, total_timesteps=60_000, learning_rate=3e-3))
    assert history[-1] > 1.3 * history[0]
    assert f"{history[-1]:6.1f} token/s" in capsys.readouterr().out


def test_a_controller_of_ones_own_gains_by_splitting_the_band_by_demand(example):
    result = example("own_controller").compare(episodes=4, rounds=10)
    ratio = {name: estimates["ratio_to_optimum"].mean for name, estimates in result.estimates.items()}
    assert ratio["tk_slt"] < ratio["own lengths, by demand"] < ratio["heterogeneous"] <= 1.0


def test_the_decision_for_ones_own_cell_is_the_best_of_all(example):
    module = example("own_cell")
    certificate = certify(module.USERS, module.CELL)
    goodput, _ = brute_force(module.USERS, module.CELL)
    assert certificate.goodput == pytest.approx(goodput, rel=1e-9)
    assert certificate.upper_bound == pytest.approx(goodput, rel=1e-6)


def ratio(policy, num_users):
    """Ratio of a policy to the relaxation's bound, on the same episodes for all."""
    result = evaluate({"policy": policy}, "laptops_60ms", num_users, episodes=4, rounds=25, reference="relaxation")
    return result.estimates["policy"]["ratio_to_optimum"].mean


def test_plain_ppo_over_many_rows_passes_the_best_common_length_with_equal_shares():
    env = make_training_env("laptops_60ms", num_users=4, num_envs=128, scaled_observations=True)
    settings = {"n_steps": 8, "batch_size": 256, "learning_rate": 3e-3, "policy_kwargs": {"log_std_init": -1.0}}
    model = PPO("MultiInputPolicy", env, gamma=0.0, seed=0, device="cpu", **settings)
    before = ratio(model, 4)
    model.learn(15 * 1024)
    assert ratio(model, 4) > ratio("uniform_best", 4) > before + 0.1


@pytest.mark.parametrize("recipe", ["sac", "ppo_defaults"])
def test_plain_recipes_see_scaled_observations_without_a_discount(example, recipe):
    model = example("sb3_training").RECIPES[recipe]("laptops_60ms", 2, seed=0)
    assert model.gamma == 0.0
    assert {(box.low.min(), box.high.max()) for box in model.observation_space.values()} == {(-1.0, 1.0)}


def test_statistics_of_processes_of_their_own_go_with_the_model(example):
    model = example("sb3_training").RECIPES["ppo_normalised"]("laptops_60ms", 2, seed=0)
    envs = model.get_env()
    assert isinstance(envs, VecNormalize)
    model.n_steps = model.rollout_buffer.buffer_size = 64
    model.learn(128)
    assert envs.obs_rms["channel_gain_db"].mean.max() < -60.0
    found = ratio(model, 2)
    envs.obs_rms["channel_gain_db"].mean[:] = 0.0
    assert ratio(model, 2) != found
    envs.close()


def test_the_zoos_file_has_the_hyperparameters_of_the_example(example):
    text = (ROOT / "examples" / "rl_zoo3" / "ppo.yml").read_text()
    (settings,) = yaml.safe_load(text).values()
    model = example("sb3_training").RECIPES["ppo"]("laptops_60ms", 2, seed=0)
    for name in ("gamma", "n_steps", "n_envs", "batch_size", "learning_rate"):
        assert getattr(model, name) == settings[name]
    assert settings["policy_kwargs"] == "dict({})".format(
        ", ".join(f"{key}={model.policy_kwargs[key]}" for key in ["log_std_init"])
    )
    module, _, wrapper = settings["env_wrapper"].rpartition(".")
    assert getattr(sys.modules[module], wrapper) is ms.wrappers.ScaledObservation


def test_torchrl_trains_from_its_parts(example):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = example("torchrl_ppo")
        check_env_specs(module.make_env("laptops_60ms", 2))
        policy, untrained = (module.train("laptops_60ms", 2, rounds) for rounds in (2_048, 1))
    assert ratio(as_policy(policy), 2) > ratio(as_policy(untrained), 2)
