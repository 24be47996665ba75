"""Evaluations in pieces: the same results however they are spread, interrupted and continued."""

import json
import os
import signal
from pathlib import Path

import pytest
from evaluations import run_evaluate, small

from multispin_gym.baselines import make_controller
from multispin_gym.evaluation import evaluate
from multispin_gym.evaluation.cli import main

NAMES = ["server_only", "random", "uniform_best", "heterogeneous", "long_run", "exact"]
QUICK = ["--policies", "tk_slt", "heterogeneous", "--num-users", "2", "--episodes", "3", "--rounds", "4"]


def numbers(result):
    """All that a result says, to the last bit."""
    return result.to_dict(), {name: policy.to_dict() for name, policy in result.policies.items()}


def tk_slt(users, cell):
    """A rule of one's own, found by its name in this module."""
    return make_controller("tk_slt")(users, cell)


def dies_once(users, cell):
    """Kill the process that asks for the first time."""
    mark = Path(os.environ["MULTISPIN_TEST_MARK"])
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return tk_slt(users, cell)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"sampled": True}, {"max_time": 0.7, "sampled": True}], ids=str)
def test_pieces_in_this_process_add_up_to_the_whole(options, tmp_path, monkeypatch):
    # Several blocks of several groups of episodes.
    monkeypatch.setattr("multispin_gym.evaluation.open_loop.MAX_EPISODES", 4)
    monkeypatch.setattr("multispin_gym.evaluation.open_loop.BLOCK_USERS", 40)
    whole = evaluate(NAMES, small(), episodes=6, **options)
    pieces = evaluate(NAMES, small(), episodes=6, folder=tmp_path, **options)
    assert numbers(pieces) == numbers(whole)


@pytest.mark.slow
def test_pieces_over_the_cores_add_up_to_the_whole(tmp_path):
    policies = {**{name: name for name in NAMES}, "mine": tk_slt}
    whole = evaluate(policies, small(), episodes=6)
    done = []
    spread = evaluate(
        policies, small(), episodes=6, runner="processes", jobs=2, progress=lambda *args: done.append(args)
    )
    assert numbers(spread) == numbers(whole)
    assert done[-1] == (10, 10)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_its_piece_done_again(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTISPIN_TEST_MARK", str(tmp_path / "died"))
    found = evaluate({"mine": dies_once}, small(), episodes=2, runner="processes", jobs=2)
    assert (tmp_path / "died").exists()
    assert found.policies["mine"].to_dict() == evaluate(["tk_slt"], small(), episodes=2).policies["tk_slt"].to_dict()


@pytest.mark.slow
def test_only_what_is_missing_is_done_when_an_evaluation_goes_on(tmp_path):
    first = evaluate(NAMES, small(), episodes=3, folder=tmp_path)
    stamps = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(stamps) == len(NAMES) + 3
    next(tmp_path.glob("policy-*")).unlink()
    again = evaluate(NAMES, small(), episodes=3, folder=tmp_path, resume=True)
    assert numbers(again) == numbers(first)
    assert sum(path.stat().st_mtime_ns != stamps[path.name] for path in tmp_path.iterdir()) == 1


@pytest.mark.slow
def test_pieces_of_another_evaluation_are_not_taken_over(tmp_path):
    evaluate(["tk_slt"], small(), episodes=3, folder=tmp_path)
    for changes in ({"episodes": 4}, {"seed": 5}, {"scenario": small(num_rounds=8)}, {"reference": "relaxation"}):
        arguments = {"scenario": small(), "episodes": 3, **changes}
        resumed = evaluate(["tk_slt"], folder=tmp_path, resume=True, **arguments)
        assert numbers(resumed) == numbers(evaluate(["tk_slt"], **arguments))


@pytest.mark.slow
def test_the_command_goes_on_and_leaves_only_its_results(tmp_path, capsys):
    out = tmp_path / "results"
    assert main([*QUICK, "--resume", "--output", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {"results.csv", "results.json", "results.png"}
    plain = tmp_path / "plain"
    assert main([*QUICK, "--output", str(plain)]) == 0
    one, other = (json.loads((folder / "results.json").read_text()) for folder in (out, plain))
    assert {**one, "command": ""} == {**other, "command": ""}
    assert (out / "results.csv").read_bytes() == (plain / "results.csv").read_bytes()
    capsys.readouterr()


@pytest.mark.slow
def test_a_local_ray_of_two_workers_gives_the_same_files_as_one_process(tmp_path):
    files = {}
    for name, extra in (("one", []), ("ray", ["--runner", "ray", "--jobs", "2"])):
        finished = run_evaluate(*QUICK, *extra, "--output", tmp_path / name)
        assert finished.returncode == 0, finished.stderr
        data = json.loads((tmp_path / name / "results.json").read_text())
        files[name] = ({**data, "command": ""}, (tmp_path / name / "results.csv").read_bytes())
    assert files["one"] == files["ray"]


def test_an_interrupted_command_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("multispin_gym.evaluation.pieces.policy_piece", interrupt)
    assert main([*QUICK, "--resume", "--output", str(tmp_path)]) == 130
    assert capsys.readouterr().err.rstrip().endswith("tasks are finished; --resume goes on")
    monkeypatch.undo()
    assert main([*QUICK, "--resume", "--output", str(tmp_path)]) == 0
    capsys.readouterr()
