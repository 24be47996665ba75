"""What kills and interrupts leave of a run, and what comes of it when it goes on or starts anew."""

import dataclasses
import shutil
import signal

import numpy as np
import pytest
import torch

from multispin_gym.agents import CloningConfig, PolicyConfig, PPOConfig, TrainConfig, train
from multispin_gym.agents.cli import main
from multispin_gym.agents.run_directory import (
    CONFIG_FILE,
    EVALUATIONS_FILE,
    STATE_FILE,
    SUMMARY_FILE,
    WEIGHTS_FILE,
    RunDirectoryError,
)
from multispin_gym.agents.training import cloning
from multispin_gym.agents.training.trainer import build_model, describe
from multispin_gym.baselines import make_controller
from multispin_gym.runner import Task, run_tasks
from multispin_gym.scenarios.library import load_scenario

pytestmark = pytest.mark.slow

SMALL = TrainConfig(
    num_users=2,
    total_timesteps=4 * 32,
    eval_every=1,
    eval_cells=8,
    checkpoint_every=2,
    progress=False,
    policy=PolicyConfig(width=8, critic_width=8),
    ppo=PPOConfig(num_envs=16, rollout_steps=2, batch_size=16, num_epochs=1),
)
CLONED = dataclasses.replace(SMALL, cloning=CloningConfig(num_cells=600, num_epochs=2, batch_size=100))


def at(config, path, **changes):
    return dataclasses.replace(config, run_dir=str(path), **changes)


def files(path):
    """Return a run's files, but for the curves, and for the seconds in what evaluations there are."""
    found = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
    del found[STATE_FILE]
    rows = [line.split(",") for line in found[EVALUATIONS_FILE].decode().splitlines()]
    return {**found, EVALUATIONS_FILE: [row[:1] + row[2:] for row in rows]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of an undisturbed run, and its directory."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    train(at(SMALL, path))
    return files(path), path


@pytest.fixture(scope="module")
def cloned(tmp_path_factory):
    """The files of an undisturbed run that cloned."""
    path = tmp_path_factory.mktemp("runs") / "cloned"
    train(at(CLONED, path))
    return files(path)


@pytest.mark.parametrize("name", [WEIGHTS_FILE, EVALUATIONS_FILE])
@pytest.mark.parametrize("stale", [False, True])
def test_what_follows_from_a_state_is_written_anew_when_a_finished_run_is_resumed(whole, tmp_path, name, stale):
    expected, path = whole
    run = shutil.copytree(path, tmp_path / "run")
    (run / name).unlink()
    if stale:
        train(at(SMALL, tmp_path / "shorter", total_timesteps=32))
        shutil.copy(tmp_path / "shorter" / name, run)
    for leftover in (name, STATE_FILE):
        (run / f".{leftover}.0123abcd.tmp").write_bytes(b"half")
    assert main(["--run-dir", str(run), "--resume", "--no-progress"]) == 0
    assert files(run) == expected


def test_an_interrupt_in_the_last_update_is_told_and_the_run_is_whole(whole, tmp_path, interrupt_at_file):
    # The config, three files before the first update and after the second, and then the last state.
    interrupt_at_file(8)
    result = train(at(SMALL, tmp_path / "run"))
    assert (result.stopped, result.interrupted) == ("", True)
    assert files(tmp_path / "run") == whole[0]


def test_an_interrupt_in_the_last_update_of_a_task_ends_the_tasks(tmp_path, interrupt_at_file):
    interrupt_at_file(8)
    tasks = [Task(name, train_in, (str(tmp_path / name),)) for name in ("first", "second")]
    with pytest.raises(KeyboardInterrupt, match="1 of 2 tasks are finished"):
        run_tasks(tasks)
    assert not (tmp_path / "second").exists()


def train_in(path):
    return train(at(SMALL, path)).stopped


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("left", ["nothing", "an empty directory", "a leftover", "a start", "a start with curves"])
def test_a_run_that_was_ended_before_its_first_checkpoint_starts_anew(whole, tmp_path, capsys, left, resume):
    expected, path = whole
    run = tmp_path / "run"
    if left != "nothing":
        run.mkdir()
    if left == "a leftover":
        for name in (CONFIG_FILE, SUMMARY_FILE):
            (run / f".{name}.0123abcd.tmp").write_bytes(b"{")
    if left.startswith("a start"):
        shutil.copy(path / CONFIG_FILE, run)
        (run / f".{STATE_FILE}.0123abcd.tmp").write_bytes(b"half")
    if left == "a start with curves":
        shutil.copytree(path / "tensorboard", run / "tensorboard")
    if resume and not left.startswith("a start"):
        assert main(["--run-dir", str(run), "--resume"]) == 2
        assert capsys.readouterr().err == (
            f"train.py: error: {run} holds no run to resume: without --resume one starts there\n"
        )
    elif resume:
        train(at(SMALL, run, resume=True))
        assert capsys.readouterr().err == f"{run} has no checkpoint yet: its training starts anew\n"
        assert files(run) == expected
        return
    train(at(SMALL, run))
    told = f"{run} holds the start of a run that has trained nothing: this run takes its place\n"
    assert capsys.readouterr().err == (told if left.startswith("a start") else "")
    assert files(run) == expected


@pytest.mark.parametrize("damage", ["another file", "a damaged configuration", "weights"])
def test_what_is_no_start_of_a_run_is_left_alone(whole, tmp_path, damage):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(whole[1] / CONFIG_FILE, run)
    if damage == "another file":
        (run / "notes.txt").write_text("mine")
    elif damage == "weights":
        shutil.copy(whole[1] / WEIGHTS_FILE, run)
    else:
        (run / CONFIG_FILE).write_text("{")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(RunDirectoryError, match="holds a run already"):
        train(at(SMALL, run))
    with pytest.raises(RunDirectoryError, match="cannot be"):
        train(at(SMALL, run, resume=True))
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize("again", ["resumed", "anew"])
@pytest.mark.parametrize("number", [1, 3])
def test_an_interrupt_while_cloning_ends_it_and_the_run_starts_anew(cloned, tmp_path, monkeypatch, again, number):
    calls = []

    def make_interrupting(name):
        controller = make_controller(name)

        def decide(users, cell):
            calls.append(users.num_users)
            if len(calls) == number:
                signal.raise_signal(signal.SIGINT)
            return controller(users, cell)

        return decide

    monkeypatch.setattr(cloning, "make_controller", make_interrupting)
    with pytest.raises(KeyboardInterrupt):
        train(at(CLONED, tmp_path / "run"))
    # Of the three parts of the cells; with the last, no step is made either.
    assert len(calls) == number
    assert not (tmp_path / "run" / STATE_FILE).exists()
    train(at(CLONED, tmp_path / "run", resume=again == "resumed"))
    assert files(tmp_path / "run") == cloned


def test_cloning_asks_before_every_part_of_the_cells_and_every_minibatch_whether_to_go_on():
    spec = describe(CLONED, load_scenario("laptops_60ms"))
    model = build_model(CLONED, spec)
    asked = []
    units = model.slots[0].env.units
    shown = cloning.demonstrate(spec, CLONED.cloning, units, np.random.default_rng(0), lambda: asked.append("cells"))
    cloning.clone(model.policy.network, shown, CLONED.cloning, lambda: asked.append("minibatch"), progress=False)
    assert asked == ["cells"] * 3 + ["minibatch"] * 12
    before = [parameter.clone() for parameter in model.policy.network.parameters()]
    with pytest.raises(KeyboardInterrupt):
        cloning.clone(model.policy.network, shown, CLONED.cloning, interrupt, progress=False)
    after = model.policy.network.parameters()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def interrupt():
    raise KeyboardInterrupt
