"""Run directories and the command line: what is written, and how bad input is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from library import ROOT, until_there_is

from multispin_gym._files import write_atomically
from multispin_gym.agents import PolicyConfig, PPOConfig, RunDirectoryError, load_agent
from multispin_gym.agents.cli import main, parse
from multispin_gym.agents.config import TrainConfig
from multispin_gym.agents.config_sections import CloningConfig
from multispin_gym.agents.hyperparameter_files import read_hyperparameters, shipped_hyperparameters
from multispin_gym.scenarios.library import load_scenario

QUICK = """
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


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "quick.toml"
    path.write_text(QUICK)
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, quick):
    run = tmp_path_factory.mktemp("runs") / "trained"
    assert run_train("--hyperparameters", quick, "--run-dir", str(run), "--num-users", "2") == 0
    return run


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def run_train(*arguments):
    return main(["--no-progress", "--eval-cells", "8", *arguments])


@pytest.mark.slow
def test_a_run_is_rebuilt_from_json_and_safetensors_alone(run):
    for path in run.iterdir():
        if path.name not in ("config.json", "policy.safetensors"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    agent = load_agent(run)
    assert (agent.name, agent.spec.num_users, agent.spec.policy.width) == ("run", 2, 8)
    config = json.loads((run / "config.json").read_text())
    assert config["training"]["total_timesteps"] == 128
    assert config["training"]["ppo"]["num_envs"] == 16
    assert {"torch", "stable-baselines3", "numpy", "python"} <= set(config["versions"])


@pytest.mark.parametrize("name", ["config.json", "policy.safetensors"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.98])
def test_a_truncated_file_gives_one_clear_error(run, name, keep):
    content = (run / name).read_bytes()
    (run / name).write_bytes(content[: int(keep * len(content))])
    with pytest.raises(RunDirectoryError, match=name):
        load_agent(run)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.98])
def test_a_truncated_training_state_cannot_be_resumed(run, keep, capsys):
    content = (run / "training_state.pt").read_bytes()
    (run / "training_state.pt").write_bytes(content[: int(keep * len(content))])
    assert run_train("--run-dir", str(run), "--resume", "--total-timesteps", "256") == 2
    assert_one_line(capsys, "training_state.pt is damaged")


def test_a_directory_without_its_files_is_refused(run, tmp_path):
    (run / "policy.safetensors").unlink()
    with pytest.raises(RunDirectoryError, match=r"holds no policy.safetensors"):
        load_agent(run)
    with pytest.raises(RunDirectoryError, match="there is no such directory"):
        load_agent(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunDirectoryError, match=r"holds no config.json"):
        load_agent(tmp_path / "empty")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "another"}, "not of the format 'multispin_gym agent'"),
        ({"format_version": 99}, "format_version must be 1 for this release, got 99"),
        ({"env_id": "CartPole-v1"}, "env_id must be one of"),
        ({"num_users": 0}, "num_users must be a whole number"),
        ({"policy": {"widht": 8}}, "unknown key policy.widht; known: .* Did you mean 'width'"),
        ({"policy": 3}, "policy must be a table"),
        ({"policy": {"width": 16}}, "do not fit its configuration"),
        ({"scenario": "name = 3"}, "cannot be read as an agent's configuration"),
        ({"scenario": None}, "cannot be read as an agent's configuration"),
        ({"training": 3}, "cannot be read as an agent's configuration"),
    ],
)
def test_a_foreign_configuration_is_refused(run, change, message):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(RunDirectoryError, match=message):
        load_agent(run)


@pytest.mark.parametrize("text", ["[]", "3", "null", '{"format": "multispin_gym agent", "format_version": 1}'])
def test_other_json_is_refused(run, text):
    (run / "config.json").write_text(text)
    with pytest.raises(RunDirectoryError, match="cannot be read as an agent's configuration"):
        load_agent(run)


def assert_one_line(capsys, message):
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("train.py: error: ")
    assert message in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scenario", "defualt"], "Did you mean 'default'?"),
        (["--num-users", "0"], "num_users must be a whole number in [1, 100000], got 0"),
        (["--num-users", "two"], "--num-users"),
        (["--total-timesteps", "0"], "total_timesteps must be a whole number in [1, 1e+15], got 0"),
        (["--seed", "-1"], "seed must be a whole number"),
        (["--nmu-users", "2"], "Unrecognized options: --nmu-users"),
        (["--env-id", "CartPole-v1"], "env_id must be one of multispin_gym/MultiSpin-v0"),
        (["--ppo.batch-size", "1000"], "ppo.batch_size must divide"),
        (["--ppo.learning-rate", "nan"], "ppo.learning_rate must lie in (0, 1]"),
        (["--policy.share-reference", "finish"], "--policy.share-reference"),
        (["--hyperparameters", "missing.toml"], "missing.toml"),
        (["--ppo.reward", "optimal"], "--ppo.reward-unit"),
        (
            ["--ppo.reward=optimum", "--ppo.reward_unit", "optimum"],
            "--ppo.reward is the former name of --ppo.reward-unit",
        ),
        (["--resume"], "--resume needs --run-dir"),
    ],
)
def test_bad_arguments_give_one_line_and_write_nothing(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run_train(*arguments) == 2
    assert_one_line(capsys, message)
    assert list(tmp_path.iterdir()) == []


def test_resuming_what_is_no_run_or_another_run_is_refused(run, tmp_path, capsys):
    assert run_train("--run-dir", str(tmp_path / "nothing"), "--resume") == 2
    assert_one_line(capsys, "nothing holds no run to resume: without --resume one starts there")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "notes.txt").write_text("mine")
    assert run_train("--run-dir", str(tmp_path / "nothing"), "--resume") == 2
    assert_one_line(capsys, "nothing is not a run directory: it holds no config.json")
    for flag, value in (("--seed", "3"), ("--num-users", "5"), ("--ppo.clip-range", "0.1")):
        assert run_train("--run-dir", str(run), "--resume", flag, value) == 2
        assert_one_line(capsys, "cannot change when a run is resumed")
    (run / "training_state.pt").unlink()
    assert run_train("--run-dir", str(run), "--resume", "--total-timesteps", "256") == 2
    assert_one_line(capsys, "holds no training_state.pt")


def test_the_command_resumes_with_the_runs_own_configuration(run, capsys):
    assert main(["--run-dir", str(run), "--resume", "--total-timesteps", "256", "--no-progress"]) == 0
    assert "256 rounds" in capsys.readouterr().out
    assert load_agent(run).spec.policy.width == 8


def test_flags_override_files_which_override_defaults(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text("total_timesteps = 77\n[ppo]\nnum_epochs = 9\nclip_range = 0.3\n")
    config = parse(["--hyperparameters", str(path), "--ppo.clip-range", "0.1", "--scenario", "laptops_60ms"])
    assert (config.total_timesteps, config.ppo.num_epochs, config.ppo.clip_range) == (77, 9, 0.1)
    assert config.ppo.num_envs == PPOConfig().num_envs
    assert config.run_dir == "runs/laptops_60ms"
    assert parse(["--run_dir", "elsewhere"]).run_dir == "elsewhere"


@pytest.mark.parametrize("flag", ["reward-unit", "reward_unit", "reward"])
def test_a_flag_and_a_key_go_by_their_former_name_too(tmp_path, flag):
    assert parse([f"--ppo.{flag}", "optimum"]).ppo.reward_unit == "optimum"
    assert parse([f"--ppo.{flag}=homogeneous", "--seed", "3"]).ppo.reward_unit == "homogeneous"
    path = tmp_path / "own.toml"
    path.write_text(f"[ppo]\n{flag.replace('-', '_')} = 'homogeneous'\n")
    assert parse(["--hyperparameters", str(path)]).ppo.reward_unit == "homogeneous"
    assert parse(["--hyperparameters", str(path), f"--ppo.{flag}", "optimum"]).ppo.reward_unit == "optimum"


def test_a_run_stored_under_a_former_name_goes_on(run, capsys):
    config = json.loads((run / "config.json").read_text())
    ppo = config["training"]["ppo"]
    ppo["reward"] = ppo.pop("reward_unit")
    (run / "config.json").write_text(json.dumps(config))
    resume = ["--run-dir", str(run), "--resume", "--total-timesteps", "256", "--no-progress"]
    assert main([*resume, "--ppo.reward", "optimum"]) == 2
    assert_one_line(capsys, "ppo cannot change when a run is resumed")
    assert main(resume) == 0
    assert "256 rounds" in capsys.readouterr().out
    ppo["reward_unit"] = ppo["reward"]
    (run / "config.json").write_text(json.dumps(config))
    assert main(resume) == 2
    assert_one_line(capsys, "ppo.reward is the former name of ppo.reward_unit: give one of them, not both")


def test_hyperparameters_ship_for_other_ways_to_train():
    cloned, mixed = (parse(["--hyperparameters", name]) for name in ("cloned", "mixed"))
    assert (cloned.cloning.num_cells, cloned.hyperparameters) == (131_072, "cloned")
    assert (mixed.ppo.num_users, mixed.cloning.num_cells) == ((4, 8, 16, 32), 0)


def test_a_scenario_of_ones_own_trains_with_the_settings_for_any(tmp_path):
    path = tmp_path / "mixed.toml"
    path.write_text(load_scenario("laptops_60ms").to_toml())
    assert parse(["--scenario", str(path)]).ppo == shipped_hyperparameters("any.toml")["ppo"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[ppo\n", "file is not valid TOML"),
        ("[pop]\n", "unknown key pop in file; .* Did you mean 'ppo'"),
        ("[ppo]\nclip = 0.2\n", "unknown key ppo.clip; .* Did you mean 'clip_range'"),
        ("ppo = 3\n", "ppo must be a table"),
        ("[ppo]\nreward = 'optimum'\nreward_unit = 'optimum'\n", "ppo.reward is the former name of ppo.reward_unit"),
        ("[ppo]\nreward = 'optimal'\n", "ppo.reward_unit must be one of .* Did you mean 'optimum'"),
        ("[policy]\nwidth = 'wide'\n", "policy.width must be"),
        ("[cloning]\nnum_cells = -1\n", "cloning.num_cells must be a whole number"),
    ],
)
def test_bad_hyperparameter_files_are_refused(text, message):
    with pytest.raises((ValueError, TypeError), match=message):
        read_hyperparameters(text, "file")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PPOConfig(num_envs=1, rollout_steps=1), "must be at least 2"),
        (lambda: PPOConfig(discount=1.5), r"ppo.discount must lie in \[0, 1\], got 1.5"),
        (lambda: PPOConfig(entropy_schedule="lniear"), "Did you mean 'linear'"),
        (lambda: PolicyConfig(depth=0), "policy.depth must be a whole number in"),
        (lambda: PolicyConfig(share_std=2.0), r"policy.share_std must lie in \[0.005, 0.5\], got 2.0"),
        (lambda: CloningConfig(learning_rate=0.0), "cloning.learning_rate must lie in"),
        (lambda: TrainConfig(env_id="MultiSpin-v1"), "env_id must be one of"),
        (lambda: TrainConfig(target_ratio=0.0), "target_ratio must lie in"),
    ],
)
def test_values_out_of_range_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_atomically(tmp_path, {"file": b"old"})
    with pytest.raises(TypeError):
        write_atomically(tmp_path, {"file": "not bytes"})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.slow
def test_ctrl_c_ends_the_command_cleanly(tmp_path, quick):
    run = tmp_path / "run"
    command = [sys.executable, str(ROOT / "train.py"), "--hyperparameters", quick, "--run-dir", str(run)]
    process = subprocess.Popen(
        [*command, "--total-timesteps", "100000000", "--num-users", "2", "--no-progress"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    until_there_is(run / "training_state.pt", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "(interrupted)" in out
    assert err.splitlines() == [f"--run-dir {run} --resume continues"]
    assert load_agent(run).spec.num_users == 2


def test_a_configuration_is_made_with_the_former_name_of_a_field_too():
    assert PPOConfig(reward="optimum") == PPOConfig(reward_unit="optimum")
    assert PPOConfig(reward_unit="optimum").reward == "optimum"
    with pytest.raises(TypeError, match="reward is the former name of reward_unit: give one of them"):
        PPOConfig(reward="optimum", reward_unit="homogeneous")
