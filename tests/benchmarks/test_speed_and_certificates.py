"""The benchmarks of speed and endurance: their accounts add up, and they stop where they should."""

import json
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from library import ROOT

import multispin_gym as ms

pytestmark = pytest.mark.slow


def test_the_account_of_speed_adds_up(tmp_path):
    options = ["--seconds", "0.01", "--envs", "1", "4", "--users", "2", "--workers", "2", "--timesteps", "0"]
    command = [sys.executable, str(ROOT / "benchmarks" / "throughput.py"), *options, "--output", "speed.json"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    found = json.loads((tmp_path / "speed.json").read_text())
    for shares in found["stages"].values():
        assert sum(shares.values()) == pytest.approx(1.0)
        assert min(shares.values()) >= 0.0
    assert [(row["users"], row["envs"], row["tokens"]) for row in found["sizes"]] == [
        (2, 1, "expected"),
        (2, 1, "sampled"),
        (2, 4, "expected"),
        (2, 4, "sampled"),
    ]
    for row in found["sizes"]:
        assert row["user_steps_per_second"] == pytest.approx(2 * row["steps_per_second"])
        # A row keeps at least its users' three numbers for one episode.
        assert row["bytes_per_env"] > 2 * 3 * 8
    for name, rate in found["forms"].items():
        assert rate > 0.0
        assert name in printed


def test_an_endurance_run_reports_its_steps(benchmark, capsys):
    benchmark("soak").soak(2000, rows=10, num_users=2, scenario="laptops_60ms", sampled=True, mode="SameStep")
    assert "2,000 steps" in capsys.readouterr().out


def test_the_reward_bound_holds_for_sure_acceptance_without_delay(benchmark):
    cell = ms.load_scenario("laptops_60ms").cell
    bound = benchmark("soak").reward_bound(cell, 3)
    users = ms.Users(np.ones(3), 1e9, 1.0, 1e9)
    for length in range(1, cell.max_draft_length + 1):
        assert 0.0 < ms.play_round(users, cell, ms.Decision([length] * 3, [1 / 3] * 3)).goodput <= bound


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": np.array([1.0, np.nan])}, "a reward lies outside"),
        ({"rewards": np.array([1.0, 1e9])}, "a reward lies outside"),
        ({"terminations": np.array([False, True])}, "terminated"),
        ({"channel_gain_db": np.full((2, 2), np.nan, np.float32)}, "channel_gain_db lies outside"),
    ],
)
def test_an_endurance_run_stops_at_what_should_not_be(benchmark, changes, message):
    envs = gym.make_vec("multispin_gym/MultiSpin-v0", num_envs=2, num_users=2)
    envs.reset(seed=0)
    observations, rewards, terminations, truncations, infos = envs.step(envs.action_space.sample())
    if "channel_gain_db" in changes:
        observations = {**observations, **changes}
    step = (
        observations,
        changes.get("rewards", rewards),
        changes.get("terminations", terminations),
        truncations,
        infos,
    )
    with pytest.raises(SystemExit, match=message):
        benchmark("soak").check(step, envs.single_observation_space, 1e3)
