"""``multispin render``: the pictures are those of the environment, in a file that is whole or not there."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

from multispin_gym import load_scenario
from multispin_gym.baselines import make_controller
from multispin_gym.commands import main
from multispin_gym.rendering import render_episode

OWN = """
from multispin_gym import Decision
import numpy as np

class Planner:
    def __init__(self):
        self.length = 1
    def prepare(self, users, scenario):
        self.length = 2 + users.num_users
        return self
    def __call__(self, users, cell):
        return Decision(np.full(users.acceptance_rate.shape, self.length), 1.0 / users.num_users)

planner = Planner()

def alike(users, cell):
    return Decision(np.full(users.acceptance_rate.shape, 3), 1.0 / users.num_users)

def interrupted(users, cell):
    raise KeyboardInterrupt

def too_long(users, cell):
    return Decision(np.full(users.acceptance_rate.shape, 999), 1.0 / users.num_users)
"""


def picture(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def render(tmp_path, *words, name="x.png"):
    assert main(["render", *words, "-o", str(tmp_path / name)]) == 0
    return picture(tmp_path / name)


def test_a_picture_is_the_environments_after_the_same_reset(tmp_path, capsys):
    env = gym.make("multispin_gym/MultiSpin-v0", num_users=3, optimum=True, sampled=True, render_mode="rgb_array")
    env.reset(seed=5)
    total = env.unwrapped.scenario.num_rounds
    for _ in range(total):
        decision = make_controller("uniform_best")(env.unwrapped.users, env.unwrapped.cell)
        env.step(env.unwrapped.encode_action(decision))
    words = ["--policy", "uniform_best", "--num-users", "3", "--seed", "5", "--sampled", "--rounds", str(total)]
    words += ["--optimum", "bound"]
    assert (render(tmp_path, *words) == env.render()).all()
    assert capsys.readouterr().out == f"uniform_best, {total} rounds: written to {tmp_path / 'x.png'}\n"


@pytest.mark.slow
def test_a_trained_agent_acts_on_what_it_would_observe(tmp_path):
    from multispin_gym.agents import load_agent

    scenario = dataclasses.replace(load_scenario("laptops_60ms"), num_users=4)
    agent = load_agent("pretrained:laptops_60ms")
    *_, expected = render_episode(scenario, agent, 7, 1, optimum="certificate")
    words = ["--scenario", "laptops_60ms", "--policy", "pretrained:laptops_60ms", "--num-users", "4", "--seed", "7"]
    assert (render(tmp_path, *words) == expected).all()


def test_options_change_the_picture_that_they_are_about(tmp_path):
    usual = render(tmp_path, "--num-users", "2")
    found = [
        render(tmp_path, "--num-users", "2", *words)
        for words in (
            ["--seed", "1"],
            ["--dark"],
            ["--sampled"],
            ["--optimum", "none"],
            ["--set", "cell.bandwidth=1e6"],
        )
    ]
    assert all((usual != other).any() for other in found)
    # Two numbers after the decimal point do not tell a bound from the optimum that it bounds; another file may.
    assert render(tmp_path, "--num-users", "2", "--optimum", "bound").shape == usual.shape == (720, 1280, 3)


def test_a_film_has_the_users_before_the_first_round_and_every_round(tmp_path):
    assert main(["render", "--num-users", "2", "--rounds", "3", "-o", str(tmp_path / "x.gif")]) == 0
    with Image.open(tmp_path / "x.gif") as image:
        assert image.n_frames == 4
        assert image.info["duration"] == 500


def test_own_rules_are_drawn_and_told_whom_they_serve(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_rules.py").write_text(OWN)
    scenario = dataclasses.replace(load_scenario("default"), num_users=2)
    for name, length in (("planner", 4), ("alike", 3)):
        fixed = make_controller("uniform_fixed", draft_length=length)
        *_, expected = render_episode(scenario, fixed, 0, 1, optimum="certificate")
        assert (render(tmp_path, "--policy", f"own_rules.py:{name}", "--num-users", "2") == expected).all()


def test_plans_over_many_rounds_are_drawn(tmp_path):
    assert render(tmp_path, "--policy", "long_run", "--num-users", "2").any()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "x.bmp"], "ending must be one of .png, .gif, .mp4; got '.bmp'"),
        (["-o", "folder.png"], "output must be a file, got the directory 'folder.png'"),
        (["-o", "x.png", "--num-users", "0"], "num_users must be a whole number in [1, 100000], got 0"),
        (["-o", "x.png", "--rounds", "0"], "rounds must be a whole number in [1, "),
        (["-o", "x.png", "--seed", "-1"], "seed must be a whole number in [0, inf), got -1"),
        (["-o", "x.gif", "--fps", "0"], "fps must lie in (0, inf), got 0"),
        (["-o", "x.png", "--optimum", "best"], "optimum must be one of certificate, bound, none; got 'best'"),
        (["-o", "x.png", "--scenario", "defualt"], "Did you mean 'default'?"),
        (["-o", "x.png", "--policy", "heterogenous"], "Did you mean 'heterogeneous'?"),
        (["-o", "x.png", "--set", "cell.bandwith=1"], "Did you mean 'bandwidth'?"),
        (["-o", "x.png", "--policy", "own_rules.py:too_long"], "draft_lengths must lie in [1, 25]"),
        (["-o", "x.png/deeper/y.png", "--num-users", "2"], "x.png"),
    ],
)
def test_bad_input_gives_one_line_and_no_file(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_rules.py").write_text(OWN)
    (tmp_path / "folder.png").mkdir()
    if "deeper" in words[1]:
        (tmp_path / "x.png").write_text("in the way")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main(["render", *words]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("multispin render: error: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert [name for name in sorted(path.name for path in tmp_path.iterdir()) if name != "__pycache__"] == before


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_rules.py").write_text(OWN)
    assert main(["render", "--policy", "own_rules.py:interrupted", "-o", "x.png"]) == 130
    assert capsys.readouterr().err == "multispin render: interrupted: nothing was written\n"
    assert not (tmp_path / "x.png").exists()
