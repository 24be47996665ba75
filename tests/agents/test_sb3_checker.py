"""Stable-Baselines3's checker of environments."""

import os
import warnings

import gymnasium as gym
import pytest
from stable_baselines3.common.env_checker import check_env

import multispin_gym as ms
from multispin_gym.envs.variants import VARIANTS

os.environ["SDL_VIDEODRIVER"] = "dummy"


OWN = [(row.id, row.scenario) for row in VARIANTS.values()]
OTHERS = [(row.id, name) for row in VARIANTS.values() if not row.clock for name in ms.list_scenarios(clock=False)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env_id", "scenario", "render_mode"),
    [(*made, None) for made in OTHERS] + [(*made, mode) for made in OWN for mode in (None, "ansi", "rgb_array")],
)
def test_the_checker_of_stable_baselines_finds_nothing(env_id, scenario, render_mode):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(env_id, scenario=scenario, render_mode=render_mode), skip_render_check=False)
