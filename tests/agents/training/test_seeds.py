"""Several seeds in one command."""

import json
import os
import signal
import subprocess
import sys

import pytest
from library import ROOT, until_there_is

from multispin_gym.agents import load_agent
from multispin_gym.agents.cli import main
from multispin_gym.agents.training.seeds import seeds_of
from multispin_gym.runner import Interrupted, Task, run_tasks

HYPERPARAMETERS = """
total_timesteps = 128
[policy]
width = 8
critic_width = 8
[ppo]
num_envs = 16
rollout_steps = 4
batch_size = 32
num_epochs = 1
"""


@pytest.fixture
def command(tmp_path):
    path = tmp_path / "quick.toml"
    path.write_text(HYPERPARAMETERS)
    run = ["--hyperparameters", str(path), "--run-dir", str(tmp_path / "runs")]
    return [*run, "--no-progress", "--eval-cells", "8", "--num-users", "2"]


@pytest.mark.slow
def test_seeds_trained_together_are_those_trained_alone_and_on_ray_and_are_summarised(tmp_path, command, capsys):
    assert main([*command, "--seeds", "3", "5", "--jobs", "2", "--runner", "processes"]) == 0
    out = capsys.readouterr().out
    summary = json.loads((tmp_path / "runs" / "seeds.json").read_text())
    ratios = [summary["seeds"][seed]["ratio"] for seed in ("3", "5")]
    assert summary["ratio"]["mean"] == pytest.approx(sum(ratios) / 2)
    assert f"mean {summary['ratio']['mean']:.4f}" in out
    alone = [*command, "--run-dir", str(tmp_path / "alone"), "--seed", "5"]
    assert main(alone) == 0
    together = load_agent(tmp_path / "runs" / "seed-5").network.state_dict()
    single = load_agent(tmp_path / "alone").network.state_dict()
    assert all(bool((together[name] == single[name]).all()) for name in single)
    on_ray = [*command, "--run-dir", str(tmp_path / "ray"), "--seeds", "3", "5", "--jobs", "2", "--runner", "ray"]
    assert main(on_ray) == 0
    for name in ("seed-3/config.json", "seed-3/policy.safetensors", "seed-5/policy.safetensors"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "runs" / name).read_bytes()
    capsys.readouterr()

    assert main([*command, "--seeds", "3", "5"]) == 2
    assert "seed-3 is in use" in capsys.readouterr().err
    resume = ["--run-dir", str(tmp_path / "runs"), "--resume", "--total-timesteps", "192", "--no-progress"]
    assert main([*resume, "--seeds", "3", "5", "7", "--jobs", "1"]) == 0
    later = json.loads((tmp_path / "runs" / "seeds.json").read_text())
    assert [entry["timesteps"] for entry in later["seeds"].values()] == [192, 192, 192]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runner", "target"),
    [("local", "group"), ("processes", "command"), ("ray", "group")],
)
def test_ctrl_c_ends_all_seeds_cleanly(tmp_path, command, runner, target):
    seeds = ["--seeds", "0", "1", "2", "--jobs", "1", "--runner", runner]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *command, "--total-timesteps", "100000000", *seeds],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
    )
    until_there_is(tmp_path / "runs" / "seed-0" / "training_state.pt", process)
    (os.killpg if target == "group" else os.kill)(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "seed 0" in out
    assert "(interrupted)" in out
    assert err.splitlines() == [f"--run-dir {tmp_path / 'runs'} --seeds 0 1 2 --resume continues"]
    assert not (tmp_path / "runs" / "seed-2").exists()


@pytest.mark.parametrize("seeds", [["1", "1"], ["-1"]])
def test_bad_seeds_are_refused(command, seeds, capsys):
    assert main([*command, "--seeds", *seeds]) == 2
    assert "seeds must" in capsys.readouterr().err


def without_seconds(summary):
    return {
        **summary,
        "seeds": {
            seed: {name: value for name, value in last.items() if name != "seconds"}
            for seed, last in summary["seeds"].items()
        },
    }


# The summary, the first seed's config, three files before its first update and three after its last; then the second
# seed's config.
@pytest.mark.slow
@pytest.mark.parametrize(("number", "begun"), [(4, ["seed-3"]), (7, ["seed-3"]), (9, ["seed-3", "seed-5"])])
def test_seeds_that_were_interrupted_go_on_to_all_of_them_without_being_named(
    tmp_path, command, interrupt_at_file, number, begun
):
    runs, whole = tmp_path / "runs", tmp_path / "whole"
    seeds = ["--runner", "local", "--seeds", "3", "5"]
    assert main([*command, *seeds, "--run-dir", str(whole)]) == 0
    interrupt_at_file(number)
    assert main([*command, *seeds]) == 130
    stored = json.loads((runs / "seeds.json").read_text())
    assert (stored["asked"], stored["interrupted"]) == ([3, 5], True)
    assert sorted(path.name for path in runs.glob("seed-*")) == begun
    assert main(["--run-dir", str(runs), "--resume", "--no-progress", "--runner", "local"]) == 0
    summaries = [json.loads((folder / "seeds.json").read_text()) for folder in (runs, whole)]
    assert without_seconds(summaries[0]) == without_seconds(summaries[1])
    for name in ("seed-3/policy.safetensors", "seed-5/policy.safetensors"):
        assert (runs / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.slow
def test_seeds_that_could_not_say_anything_at_their_end_go_on_to_all_of_them_without_being_named(
    tmp_path, command, monkeypatch
):
    place, placed = os.replace, []

    def replace(*names):
        placed.append(names)
        if len(placed) == 4:
            raise OSError("no space left on device")
        place(*names)

    monkeypatch.setattr(os, "replace", replace)
    assert main([*command, "--runner", "local", "--seeds", "3", "5"]) == 2
    assert [path.name for path in (tmp_path / "runs").glob("seed-*")] == ["seed-3"]
    assert main(["--run-dir", str(tmp_path / "runs"), "--resume", "--no-progress", "--runner", "local"]) == 0
    assert list(json.loads((tmp_path / "runs" / "seeds.json").read_text())["seeds"]) == ["3", "5"]


def train_in(folder, command):
    return main([*command, "--run-dir", folder, "--seeds", "3", "--runner", "local"])


@pytest.mark.slow
def test_an_interrupt_in_the_last_update_of_all_seeds_ends_the_tasks_that_they_are_one_of(
    tmp_path, command, interrupt_at_file
):
    # The summary, the config, three files before the first update, and the last state.
    interrupt_at_file(6)
    folders = [str(tmp_path / name) for name in ("first", "second")]
    tasks = [Task(f"task-{number}", train_in, (folder, command)) for number, folder in enumerate(folders)]
    with pytest.raises(Interrupted) as stopped:
        run_tasks(tasks)
    assert stopped.value.results == {"task-0": 0}


@pytest.mark.slow
def test_seeds_go_on_where_the_first_of_them_was_ended_before_it_began(tmp_path, command):
    assert main([*command, "--run-dir", str(tmp_path / "runs" / "seed-5"), "--seed", "5"]) == 0
    (tmp_path / "runs" / "seed-3").mkdir()
    (tmp_path / "runs" / "seed-3" / ".config.json.0123abcd.tmp").write_text("{")
    (tmp_path / "runs" / "seed-old").mkdir()
    assert main(["--run-dir", str(tmp_path / "runs"), "--resume", "--no-progress", "--runner", "local"]) == 0
    assert list(json.loads((tmp_path / "runs" / "seeds.json").read_text())["seeds"]) == ["3", "5"]
    assert not list(tmp_path.rglob(".*.tmp"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"asked": null}', '{"asked": ["three"]}'])
def test_a_summary_that_names_no_seeds_counts_as_none(tmp_path, text):
    (tmp_path / "seeds.json").write_text(text)
    (tmp_path / "seed-4").mkdir()
    assert seeds_of(tmp_path) == (4,)
