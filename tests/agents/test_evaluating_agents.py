"""Agents in the evaluation: by name, by directory and as objects."""

import dataclasses
import json
import shutil

import gymnasium as gym
import numpy as np
import pytest
from evaluations import run_evaluate, small

from multispin_gym.agents import load_agent
from multispin_gym.agents.run_directory import read_weights, write_weights
from multispin_gym.commands import main as multispin
from multispin_gym.envs.variants import MULTI_SPIN
from multispin_gym.evaluation import evaluate
from multispin_gym.evaluation.cli import main

QUICK = ["--num-users", "3", "--episodes", "4", "--rounds", "3"]


def test_a_trained_agent_has_what_it_is_rewarded_with_in_the_environment(run_directory):
    scenario, name = small(), str(run_directory)
    result = evaluate([name], scenario, episodes=4, seed=2)
    envs = gym.make_vec(MULTI_SPIN.id, num_envs=4, scenario=scenario)
    agent = load_agent(run_directory).in_cell(scenario.cell, scenario.reference_power)
    observation, _ = envs.reset(seed=2)
    total = np.zeros(4)
    for _ in range(scenario.num_rounds):
        observation, reward, *_ = envs.step(agent.act(observation))
        total += reward
    assert (result.policies[name].goodput == total / scenario.num_rounds).all()


def test_an_agent_is_told_the_cell_and_the_reference_power_that_it_plays_in(run_directory):
    scenario = small()
    cell = dataclasses.replace(scenario.cell, bandwidth=0.3 * scenario.cell.bandwidth, payload=9000.0)
    elsewhere = dataclasses.replace(scenario, cell=cell, reference_power=50.0 * scenario.reference_power)
    agent = load_agent(run_directory)
    told = evaluate({"agent": agent}, elsewhere, episodes=4).policies["agent"].goodput
    # Called as a controller, the agent sees received powers in W and the cell itself.
    seen = evaluate({"agent": lambda users, cell: agent(users, cell)}, elsewhere, episodes=4)
    assert told == pytest.approx(seen.policies["agent"].goodput, rel=1e-3)
    assert told != pytest.approx(evaluate({"agent": agent}, scenario, episodes=4).policies["agent"].goodput, rel=1e-3)


def test_an_agent_of_other_draft_lengths_chooses_among_those_that_both_allow(run_directory):
    scenario = small()
    shorter = dataclasses.replace(scenario, cell=dataclasses.replace(scenario.cell, max_draft_length=5))
    assert evaluate({"agent": load_agent(run_directory)}, shorter, episodes=2).policies["agent"].goodput.min() > 0.0
    none = dataclasses.replace(
        scenario, cell=dataclasses.replace(scenario.cell, min_draft_length=13, max_draft_length=14)
    )
    with pytest.raises(ValueError, match=r"policy '.*': the agent was trained for draft lengths in \[1, 12\], none of"):
        evaluate([str(run_directory)], none, episodes=2)


@pytest.mark.slow
def test_without_torch_the_controllers_are_evaluated_and_an_agent_is_refused(tmp_path, run_directory):
    blocked = ("torch", "stable_baselines3", "tensorboard")
    done = run_evaluate("--policies", "tk_slt", "random", *QUICK, "--output", tmp_path / "r", without=blocked)
    assert (done.returncode, done.stderr) == (0, "")
    assert "torch" not in json.loads((tmp_path / "r" / "results.json").read_text())["versions"]
    done = run_evaluate("--policies", run_directory, *QUICK, "--output", tmp_path / "s", without=blocked)
    assert done.returncode == 1
    assert "is a trained agent and needs" in done.stderr
    assert "pip install 'multispin-gym[train]'" in done.stderr
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_an_agent_is_evaluated_beside_controllers_under_the_name_that_was_given(run_directory, tmp_path):
    assert main(["--policies", "random", str(run_directory), *QUICK, "--output", str(tmp_path)]) == 0
    data = json.loads((tmp_path / "results.json").read_text())
    assert list(data["policies"]) == ["random", str(run_directory)]
    assert 0.0 < data["policies"][str(run_directory)]["ratio_to_optimum"]["mean"] < 1.0
    assert "torch" in data["versions"]


@pytest.mark.parametrize("damage", ["empty", "truncated weights", "truncated configuration", "foreign"])
def test_a_damaged_run_directory_is_refused_with_one_line(damage, run_directory, tmp_path, capsys):
    broken = shutil.copytree(run_directory, tmp_path / "broken")
    if damage == "empty":
        for path in broken.iterdir():
            path.unlink()
    elif damage == "foreign":
        (broken / "config.json").write_text('{"model": "GPT-2"}')
    else:
        name = "policy.safetensors" if "weights" in damage else "config.json"
        content = (broken / name).read_bytes()
        (broken / name).write_bytes(content[: len(content) // 2])
    assert main(["--policies", str(broken), "--output", str(tmp_path / "r")]) == 1
    error = capsys.readouterr().err
    assert str(broken) in error
    assert error.count("\n") == 1
    assert not (tmp_path / "r").exists()


def test_an_agent_trained_anew_in_its_directory_is_played_anew(run_directory, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(run_directory, run)
    arguments = {"policies": [str(run)], "scenario": small(), "episodes": 2, "folder": tmp_path / "tasks"}
    before = evaluate(**arguments)
    write_weights(run, {name: -value for name, value in read_weights(run).items()})
    after = evaluate(**arguments, resume=True)
    assert (after.policies[str(run)].goodput != before.policies[str(run)].goodput).any()


def test_an_agent_that_does_not_fit_a_point_of_a_sweep_is_refused_before_the_first(tmp_path, capsys, run_directory):
    # Trained with up to 12 drafted tokens: lengths from 20 on are none of its own.
    words = ["--vary", "cell.min_draft_length=1,20", "--set", "cell.max_draft_length=30", "--num-users", "2"]
    words += ["--scenario", "laptops_60ms", "--policies", str(run_directory), "--output", str(tmp_path / "out")]
    assert multispin(["sweep", *words]) == 2
    assert "multispin sweep: error: at cell.min_draft_length=20: policy " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
