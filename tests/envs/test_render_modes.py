"""Every environment shows itself as text, as pictures and in a window."""

import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pygame
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import AddRenderObservation, HumanRendering

import multispin_gym as ms
from multispin_gym.envs.variants import VARIANTS
from multispin_gym.rendering import draw_round, draw_users

IDS = list(VARIANTS)
MODES = ["ansi", "rgb_array", "human"]
SHAPE = (720, 1280, 3)


def shown():
    """What the window shows."""
    return pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)


@pytest.mark.parametrize("env_id", IDS)
def test_every_environment_lists_the_three_modes(env_id):
    single, vector = gym.make(env_id), gym.make_vec(env_id, num_envs=2)
    for env in (single, vector):
        assert env.metadata["render_modes"] == MODES
        assert env.metadata["render_fps"] == 4
    assert type(vector.unwrapped).metadata["render_modes"] == MODES


@pytest.mark.parametrize("env_id", IDS)
def test_an_unknown_mode_is_warned_of_and_shows_nothing(env_id):
    for make in (gym.make, gym.make_vec):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            env = make(env_id, num_users=2, render_mode="rgb_aray")
            env.reset(seed=0)
            env.step(env.action_space.sample())
        said = " ".join(str(warning.message) for warning in caught)
        assert "render_mode must be one of ansi, rgb_array, human; got 'rgb_aray'" in said
        assert "Did you mean 'rgb_array'" in said
        with pytest.warns(UserWarning, match="shows nothing without a render mode"):
            assert env.unwrapped.render() is None


def test_a_window_passes_the_checker():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(IDS[0], num_users=2, render_mode="human")
        env.reset(seed=0)
        check_env(gym.make(IDS[0], num_users=2).unwrapped)
        env.close()


def test_a_picture_is_drawn_from_the_users_the_decision_and_the_outcome():
    env = gym.make(IDS[0], num_users=4, num_rounds=3, optimum=True, render_mode="rgb_array").unwrapped
    env.reset(seed=1)
    frame = env.render()
    assert (frame.shape, frame.dtype) == (SHAPE, np.uint8)
    np.testing.assert_array_equal(frame, draw_users(env.users, "round 1 of 3 is about to be played"))
    action, users = env.action_space.sample(), env.users
    decision = env.decode_action(action)
    *_, info = env.step(action)
    outcome = ms.play_round(users, env.cell, decision)
    expected = draw_round(users, decision, outcome, "round 1 of 3", optimum=info["optimum"])
    np.testing.assert_array_equal(env.render(), expected)
    assert (expected != draw_round(users, decision, outcome, "round 1 of 3")).any()


def test_weighted_goodput_is_compared_with_the_optimum_that_is_weighted_too():
    weights = [1.0, 3.0]
    env = gym.make(IDS[0], num_users=2, optimum=True, weights=weights, render_mode="rgb_array").unwrapped
    env.reset(seed=1)
    users, action = env.users, env.action_space.sample()
    *_, reward, _, _, info = env.step(action)[:5]
    outcome = ms.play_round(users, env.cell, env.decode_action(action))
    expected = draw_round(
        users, env.decode_action(action), outcome, "round 1 of 100", optimum=info["optimum"], value=reward
    )
    np.testing.assert_array_equal(env.render(), expected)


@pytest.mark.parametrize("env_id", IDS)
def test_the_pictures_of_a_batch_are_those_of_its_rows(env_id):
    envs = gym.make_vec(env_id, num_envs=2, num_users=3, num_rounds=2, render_mode="rgb_array")
    single = gym.make(env_id, num_users=3, num_rounds=2, render_mode="rgb_array")
    envs.reset(seed=4)
    single.reset(seed=5)
    np.testing.assert_array_equal(envs.render()[1], single.render())
    for _ in range(2):
        actions = envs.action_space.sample()
        envs.step(actions)
        single.step(actions[1])
        np.testing.assert_array_equal(envs.render()[1], single.render())


def test_rows_that_were_not_reset_go_on_showing_their_rounds():
    envs = gym.make_vec(IDS[0], num_envs=2, num_users=2, render_mode="ansi")
    envs.reset(seed=0)
    envs.step(envs.action_space.sample())
    envs.reset(options={"reset_mask": np.array([True, False])})
    first, second = envs.render()
    assert "is about to be played" in first
    assert second.startswith("MultiSpin  round 1 of 100  ")


def test_a_window_shows_each_round_as_it_is_played():
    env, plain = (gym.make(IDS[0], num_users=2, render_mode=mode) for mode in ("human", "rgb_array"))
    for each in (env, plain):
        each.reset(seed=0)
    np.testing.assert_array_equal(shown(), plain.render())
    action = env.action_space.sample()
    for each in (env, plain):
        each.step(action)
    np.testing.assert_array_equal(shown(), plain.render())
    assert env.render() is None
    env.close()
    env.close()
    assert pygame.display.get_surface() is None


def test_the_window_of_a_batch_shows_its_first_rows():
    envs = gym.make_vec(IDS[0], num_envs=5, num_users=2, num_rounds=1, render_mode="human")
    envs.reset(seed=0)
    before = shown()
    assert before.shape == SHAPE
    quarters = [before[y : y + 360, x : x + 640] for y in (0, 360) for x in (0, 640)]
    assert all((quarters[0] != other).any() for other in quarters[1:])
    assert all(quarter.std() > 10.0 for quarter in quarters)
    envs.step(envs.action_space.sample())
    assert (shown() != before).any()
    assert envs.render() is None
    envs.step(envs.action_space.sample())
    envs.close()
    assert pygame.display.get_surface() is None


def test_gymnasiums_window_and_pixel_wrappers_work_over_pictures():
    env = HumanRendering(gym.make(IDS[0], num_users=2, render_mode="rgb_array"))
    env.reset(seed=0)
    env.step(env.action_space.sample())
    np.testing.assert_array_equal(shown(), env.env.render())
    env.close()
    pixels = AddRenderObservation(gym.make(IDS[0], num_users=2, render_mode="rgb_array"))
    observation, _ = pixels.reset(seed=0)
    assert pixels.observation_space.contains(observation)


def test_a_list_of_pictures_is_collected_by_gymnasium():
    env = gym.make(IDS[0], num_users=2, render_mode="rgb_array_list")
    env.reset(seed=0)
    for _ in range(2):
        env.step(env.action_space.sample())
    assert [frame.shape for frame in env.render()] == [SHAPE] * 3


WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import gymnasium, multispin_gym
env = gymnasium.make("multispin_gym/MultiSpin-v0", render_mode={mode!r})
{act}
"""


def run(mode, act, missing=()):
    code = WITHOUT.format(mode=mode, act=act, missing=missing)
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)


def test_pictures_load_their_library_when_the_first_is_drawn():
    act = "env.reset(seed=0); print('PIL' in sys.modules); env.render(); print('PIL' in sys.modules)"
    act += "; print({'pygame', 'matplotlib'} & set(sys.modules))"
    assert run("rgb_array", act).stdout.split("\n")[:3] == ["False", "True", "set()"]


@pytest.mark.parametrize(("mode", "missing"), [("rgb_array", "PIL"), ("human", "pygame")])
def test_without_the_library_one_error_says_how_to_get_it(mode, missing):
    finished = run(mode, "env.reset(seed=0); env.render()", (missing,))
    assert finished.returncode == 1
    last = finished.stderr.strip().splitlines()[-1]
    assert last == (
        f"ImportError: drawing needs {missing}, which is not installed: pip install 'multispin-gym[render]'"
    )


def test_a_window_greets_nobody_on_standard_output():
    assert run("human", "env.reset(seed=0); env.close()").stdout == ""
