"""Environments in which time passes, for whoever brings a learner of their own."""

import json
import warnings

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env

from multispin_gym.agents import TrainConfig, make_training_env
from multispin_gym.agents.run_directory import AgentSpec
from multispin_gym.envs.variants import VARIANTS
from multispin_gym.evaluation.cli import main

SERVE = "multispin_gym/MultiSpinServe-v0"
IDS = [row.id for row in VARIANTS.values() if row.clock]
REFUSED = "env_id must be one of multispin_gym/MultiSpin-v0, .*, in which agents can be trained; got "


@pytest.mark.parametrize("render_mode", [None, "ansi", "rgb_array"])
@pytest.mark.parametrize("env_id", IDS)
def test_the_checker_of_stable_baselines_finds_nothing(env_id, render_mode):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(env_id, num_users=3, render_mode=render_mode), skip_render_check=False)


@pytest.mark.parametrize("env_id", IDS)
def test_stable_baselines_makes_them_by_their_ids(env_id):
    envs = make_vec_env(env_id, n_envs=2, env_kwargs={"episode_seconds": 3.0})
    envs.seed(0)
    observation = envs.reset()
    assert all(values.shape[0] == 2 for values in observation.values())
    ends = 0
    for _ in range(40):
        _, _, dones, infos = envs.step(np.full((2, *envs.action_space.shape), -0.5, np.float32))
        ends += dones.sum()
        assert all(info["TimeLimit.truncated"] for info, done in zip(infos, dones, strict=True) if done)
    assert ends >= 2


@pytest.mark.parametrize("env_id", IDS)
def test_training_in_one_and_loading_an_agent_of_one_give_one_error(env_id):
    with pytest.raises(ValueError, match=REFUSED + f"'{env_id}'$"):
        TrainConfig(env_id=env_id)
    with pytest.raises(ValueError, match=REFUSED + f"'{env_id}'$"):
        make_training_env("serve", env_id=env_id)


def test_an_agent_that_says_it_was_trained_in_one_is_refused(run_directory):
    fields = json.loads((run_directory / "config.json").read_text())
    with pytest.raises(ValueError, match=REFUSED + f"'{IDS[0]}'$"):
        AgentSpec.from_json(json.dumps({**fields, "env_id": IDS[0]}))


def test_an_agent_that_needs_what_is_hidden_is_refused_in_one_line(tmp_path, capsys):
    args = ["--env-id", SERVE, "--policies", "pretrained:laptops_60ms", "--episodes", "2", "--max-time", "2"]
    assert main([*args, "--output", str(tmp_path / "r")]) == 1
    error = capsys.readouterr().err
    lacks = "error: policy 'pretrained:laptops_60ms': the observation lacks acceptance_rate, channel_gain_db"
    assert error.startswith(lacks)
    assert error.count("\n") == 1
    assert not (tmp_path / "r").exists()
