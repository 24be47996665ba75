"""Run directories that nobody should hand in: refused in one short line that names the entry; nothing is run."""

import json

import pytest
import torch
from safetensors.torch import load, save

from multispin_gym.agents import PolicyConfig, TrainConfig, load_agent
from multispin_gym.agents.cli import main
from multispin_gym.agents.run_directory import RunDirectoryError, read_state, write_state
from multispin_gym.agents.training.state_check import check_form

TRAINING = [
    "--scenario",
    "laptops_60ms",
    "--num-users",
    "2",
    "--eval-cells",
    "4",
    "--total-timesteps",
    "32",
    "--checkpoint-every",
    "1",
]
TRAINING += ["--no-progress", "--policy.width", "4", "--policy.depth", "1", "--policy.critic-width", "4"]
TRAINING += ["--ppo.num-envs", "4", "--ppo.rollout-steps", "4", "--ppo.batch-size", "16", "--ppo.num-epochs", "1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The files of a small run, by name."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main([*TRAINING, "--run-dir", str(folder)]) == 0
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def run(trained, tmp_path):
    """A run directory of one's own."""
    (tmp_path / "run").mkdir()
    for name, data in trained.items():
        (tmp_path / "run" / name).write_bytes(data)
    return tmp_path / "run"


def refused(run, message):
    """Whether the agent of a run is refused in one short line."""
    with pytest.raises(RunDirectoryError, match=message) as refusal:
        load_agent(run)
    said = str(refusal.value)
    return said.isprintable() and len(said) < 800


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("num_users", 1e9, "num_users must be a whole number"),
        ("num_users", [1], "num_users must be one whole number"),
        ("env_id", ["x"], "env_id must be a string"),
        ("policy", 3, "policy must be a table"),
        ("policy", {"width": "wide"}, "policy.width must be"),
        (
            "policy",
            {"width": 4096, "depth": 64},
            r"policy.width x policy.width x policy.depth must lie in \[1, 16777216\]",
        ),
        (
            "policy",
            {"width": 4096, "depth": 1},
            r"do not fit its configuration: actor.*must be of shape \(4096, 7\), and is",
        ),
        ("policy", {"width": 4, "depth": 1, "critic_width": 4, "lengths": "sequential"}, "and is missing"),
        ("training", [], "training must be a table"),
        ("scenario", {}, "scenario must be a string"),
        ("scenario", "x = [" + "[" * 10_000, "the text is nested too deeply"),
    ],
)
def test_a_configuration_of_odd_values_is_refused(run, key, value, message):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, key: value}))
    assert refused(run, message)


def test_what_a_run_was_trained_with_is_checked_when_it_is_resumed(run, capsys):
    config = json.loads((run / "config.json").read_text())
    config["training"]["set"] = 3
    (run / "config.json").write_text(json.dumps(config))
    assert main(["--run-dir", str(run), "--resume"]) == 2
    assert "set must be a list of texts KEY=VALUE, got 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor.to(torch.int64), "as int64: all weights must be finite and float32"),
        (lambda tensor: tensor.to(torch.float64), "as float64: all weights must be finite and float32"),
        (lambda tensor: tensor.to(torch.float16), "as float16: all weights must be finite and float32"),
        (lambda tensor: torch.full_like(tensor, float("nan")), "as numbers that are not finite: all weights must be"),
        (lambda tensor: torch.full_like(tensor, float("inf")), "as numbers that are not finite: all weights must be"),
        (lambda tensor: torch.zeros(3, 3), r"length_head.weight must be of shape \(13, 4\), and is of shape \(3, 3\)"),
    ],
    ids=range(6),
)
def test_weights_of_another_kind_or_shape_are_refused(run, change, message):
    tensors = load((run / "policy.safetensors").read_bytes())
    tensors["length_head.weight"] = change(tensors["length_head.weight"])
    (run / "policy.safetensors").write_bytes(save(tensors))
    assert refused(run, message)


def test_complex_weights_are_refused(run):
    header = json.dumps({"log_std": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}}).encode()
    (run / "policy.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    # Earlier releases of safetensors do not know the kind.
    assert refused(run, "log_std as complex64: all weights must be finite and float32|policy.safetensors is damaged: ")


def test_weights_that_are_missing_or_too_many_are_refused(run):
    tensors = load((run / "policy.safetensors").read_bytes())
    (run / "policy.safetensors").write_bytes(save({**tensors, "one\x1b more": torch.zeros(2)}))
    assert refused(run, r"'one\\x1b more' must be missing, and is of shape \(2,\)")
    del tensors["log_std"]
    (run / "policy.safetensors").write_bytes(save(tensors))
    assert refused(run, r"log_std must be of shape \(\), and is missing")


@pytest.mark.parametrize("name", ["config.json", "policy.safetensors"])
def test_files_of_a_terabyte_are_refused_unread(run, name):
    with (run / name).open("wb") as file:
        file.truncate(2**40)
    assert refused(run, "it must have at most [0-9]+ bytes, got")


class Code:
    """Something that says when it is unpickled."""

    def __reduce__(self):
        return print, ("unpickled",)


STATES = {
    "num_timesteps must be a whole number": lambda state: {**state, "num_timesteps": 10**400},
    "num_timesteps must be a multiple of the 16 rounds": lambda state: {**state, "num_timesteps": 17},
    "num_updates must be a whole number": lambda state: {**state, "num_updates": -1},
    "policy must have the names": lambda state: {**state, "policy": {}},
    r"policy.network.log_std must be float32 of shape \(\), got int64": lambda state: {
        **state,
        "policy": {**state["policy"], "network.log_std": torch.tensor(1)},
    },
    "policy.network.log_std must be finite": lambda state: {
        **state,
        "policy": {**state["policy"], "network.log_std": torch.tensor(float("nan"))},
    },
    "policy.network.log_std must be float32": lambda state: {
        **state,
        "policy": {**state["policy"], "network.log_std": 1.5},
    },
    "optimizer must have the names": lambda state: {**state, "optimizer": {}},
    r"optimizer.param_groups must be a list of 1 entries": lambda state: with_optimizer(state, param_groups=[]),
    r"optimizer.state must have the names": lambda state: with_optimizer(state, state={0: {}}),
    r"optimizer.state\[0\].step must be at least 0": lambda state: with_moment(state, "step", torch.tensor(-1.0)),
    r"optimizer.state.0.exp_avg must be float32": lambda state: with_moment(
        state, "exp_avg", torch.zeros(1).expand(2**38)
    ),
    r"envs must be a list of 1 entries": lambda state: {**state, "envs": []},
    r"envs\[0\].game.seeded must be true in every row": lambda state: with_game(
        state, seeded=torch.zeros(4, dtype=torch.bool)
    ),
    r"the state's _episode must lie in \[0, 31\]": lambda state: with_game(state, _episode=torch.full((4,), -1)),
    r"the state's clock must lie in \[0, inf\]": lambda state: with_game(
        state, clock=torch.full((4,), -1.0, dtype=torch.float64)
    ),
    "the state's acceptance_rate must lie in": lambda state: with_game(
        state, pool_acceptance_rate=torch.full((32, 4, 2), 2.0, dtype=torch.float64)
    ),
    r"envs\[0\].game.clock must be numbers": lambda state: with_game(
        state, clock=torch.full((4,), float("nan"), dtype=torch.float64)
    ),
    r"evaluations\[0\] must have the names": lambda state: {**state, "evaluations": [{"a": 1}]},
    r"evaluations must be a list of tables, got \[3\]": lambda state: {**state, "evaluations": [3]},
    "evaluations must be a list": lambda state: {**state, "evaluations": 3},
    "its training is over, and nothing was evaluated": lambda state: {**state, "evaluations": []},
    r"episodes\[0\] must have the names": lambda state: {**state, "episodes": [{"r": 1.0}]},
    r"episodes\[0\].r must lie in": lambda state: {**state, "episodes": [{"r": float("nan"), "l": 1, "t": 0.0}]},
    "seconds must be a number": lambda state: {**state, "seconds": "x"},
    "pending_logs.a must be a number": lambda state: {**state, "pending_logs": {"a": [1]}},
    r"numpy_rng\[0\] must be 'MT19937'": lambda state: {**state, "numpy_rng": ["x", *state["numpy_rng"][1:]]},
    r"numpy_rng\[2\] must be of type int": lambda state: {
        **state,
        "numpy_rng": [*state["numpy_rng"][:2], 2.0, *state["numpy_rng"][3:]],
    },
    "torch_rng must be a Tensor": lambda state: {**state, "torch_rng": 3},
    "is damaged: .?Weights only load failed": lambda state: {**state, "more": Code()},
    "cannot be resumed|KeyError": lambda state: {name: value for name, value in state.items() if name != "seconds"},
}


def with_optimizer(state, /, **parts):
    return {**state, "optimizer": {**state["optimizer"], **parts}}


def with_moment(state, name, value):
    moments = state["optimizer"]["state"]
    return with_optimizer(state, state={**moments, 0: {**moments[0], name: value}})


def with_game(state, /, **parts):
    env = state["envs"][0]
    return {**state, "envs": [{**env, "game": {**env["game"], **parts}}]}


@pytest.mark.slow
@pytest.mark.parametrize("message", STATES)
def test_a_hostile_training_state_is_refused_and_nothing_is_written(run, message, capsys):
    write_state(run, STATES[message](read_state(run)))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main(["--run-dir", str(run), "--resume", "--total-timesteps", "32", "--no-progress"]) == 2
    printed = capsys.readouterr()
    assert "unpickled" not in printed.out
    assert printed.err.count("\n") == 1
    assert len(printed.err) < 800
    with pytest.raises(RunDirectoryError, match=message):
        raise RunDirectoryError(printed.err)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_state_without_moments_of_the_optimizer_goes_on(run):
    write_state(run, with_optimizer(read_state(run), state={}))
    assert main(["--run-dir", str(run), "--resume", "--total-timesteps", "48", "--no-progress"]) == 0


def test_a_state_of_a_terabyte_is_refused_unread(run, capsys):
    with (run / "training_state.pt").open("wb") as file:
        file.truncate(2**40)
    assert main(["--run-dir", str(run), "--resume"]) == 2
    assert f"it must have at most {2**34} bytes, got {2**40}" in capsys.readouterr().err


def test_a_form_has_numbers_where_the_other_has_them():
    check_form("x", {"a": [1.0, "b"]}, {"a": [2.0, "b"]})
    with pytest.raises(ValueError, match=r"x.a\[0\] must lie in"):
        check_form("x", {"a": [float("inf"), "b"]}, {"a": [2.0, "b"]})
    with pytest.raises(ValueError, match=r"x.a\[1\] must be 'b', got 'c'"):
        check_form("x", {"a": [1.0, "c"]}, {"a": [2.0, "b"]})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--num-users", "1000000000"], "num_users must be a whole number in [1, 100000], got 1000000000"),
        (["--eval-cells", "1e9"], "--eval-cells must be a whole number, got '1e9'"),
        (["--eval-cells", "1000000000"], "eval_cells must be a whole number in [1, 1e+06], got 1000000000"),
        (
            ["--set", "cell.max_draft_length=1e18"],
            "cell.max_draft_length must be a whole number in [1, 10000], got 1e+18",
        ),
        (["--policy.width", "4096", "--policy.depth", "64"], "policy.width x policy.width x policy.depth must lie in"),
        (["--ppo.batch-size", "1"], "error: ppo.batch_size must be a whole number in"),
        (["--runner", "nosuch"], "--runner must be one of local, processes, ray; got 'nosuch'"),
        (["--target-ratio", "x"], "--target-ratio must be of the kind that its help shows, got 'x'"),
        (["--ppo.learning-rate", "x"], "--ppo.learning-rate must be a number, got 'x'"),
        (["--hyperparameters", "none.toml"], "hyperparameters file 'none.toml' does not exist"),
    ],
)
def test_hostile_options_are_refused_in_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["--run-dir", "run", *arguments]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_widest_policy_is_bounded_with_its_depth():
    assert TrainConfig(policy=PolicyConfig(width=4096, depth=1)).policy.width == 4096
    with pytest.raises(ValueError, match=r"policy\.critic_width x policy\.critic_width x policy.depth must lie in"):
        PolicyConfig(critic_width=4096, depth=2)
