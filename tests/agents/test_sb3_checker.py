"""Stable-Baselines3's checker of environments."""

import os
import warnings

import gymnasium as gym
import pytest
from stable_baselines3.common.env_checker import check_env

import multispin_gym as ms
from multispin_gym.envs.variants import VARIANTS

os.environ["SDL_VIDEODRIVER"] = "dummy"


@pytest.mark.slow
@pytest.mark.parametrize("render_mode", [None, "ansi", "rgb_array"])
@pytest.mark.parametrize("scenario", ms.list_scenarios())
@pytest.mark.parametrize("env_id", list(VARIANTS))
def test_the_checker_of_stable_baselines_finds_nothing(env_id, scenario, render_mode):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(env_id, scenario=scenario, render_mode=render_mode), skip_render_check=False)
