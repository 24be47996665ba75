"""Hostile files and command lines: some hundreds of those that the study makes, each refused in one line or working."""

import json
import math

import pytest

pytestmark = pytest.mark.slow

# How many files of each kind, after those that are the same for all kinds.
NUMBERS = {
    "scenario": 120,
    "measured table": 30,
    "hyperparameters": 30,
    "config.json": 15,
    "policy.safetensors": 25,
    "training_state.pt": 8,
    "study of a search": 20,
    "piece of an evaluation": 5,
    "results in the output": 10,
    "Stable-Baselines3 file": 10,
}


def test_every_kind_is_here(benchmark):
    assert list(NUMBERS) == list(benchmark("_hostile_files").KINDS)


@pytest.mark.parametrize("kind", NUMBERS)
def test_hostile_files_are_refused_in_one_line_or_work(benchmark, kind):
    # How long a refusal takes is for the study to say.
    found = benchmark("_hostile_trial").trials(kind, range(5, 5 + NUMBERS[kind]), 1, most_seconds=math.inf)
    assert [entry["number"] for entry in found] == list(range(5, 5 + NUMBERS[kind]))
    assert [entry for entry in found if entry["problems"]] == []


def test_the_study_counts_what_came_of_all_and_makes_the_same_files_again(benchmark, tmp_path, capsys):
    study = benchmark("hostile_values")
    arguments = ["--files", "20", "--commands", "1", "--kinds", "scenario", "--runner", "local", "--seed", "3"]
    reports = []
    for name in ("first", "second"):
        assert study.main([*arguments, "--output", str(tmp_path / name)]) == 0
        reports.append(json.loads((tmp_path / name / "hostile_values.json").read_text()))
        assert "Nothing failed." in (tmp_path / name / "hostile_values.md").read_text()
    assert reports[0]["kinds"]["scenario"]["handed in"] == 20
    assert reports[0]["kinds"]["command"] | {"most seconds to refuse": 0, "most megabytes to refuse": 0} == {
        "handed in": 1,
        "refused": 1,
        "accepted": 0,
        "failed": 0,
        "most seconds to refuse": 0,
        "most megabytes to refuse": 0,
    }
    outcomes = [{name: report["kinds"]["scenario"][name] for name in ("refused", "accepted")} for report in reports]
    assert outcomes[0] == outcomes[1]
    assert "| scenario | 20 |" in capsys.readouterr().out


def test_a_failure_is_reported_in_full_and_fails_the_study(benchmark):
    study = benchmark("hostile_values")
    wrong = {"kind": "scenario", "number": 3, "label": "x = 1", "outcome": "accepted", "problems": ["NaN"]}
    found = study.summary([{**wrong, "said": "", "seconds": 0.0, "megabytes": 0.0}])
    assert found["kinds"]["scenario"]["failed"] == 1
    assert found["failures"][0]["problems"] == ["NaN"]


def test_a_refusal_has_one_line_a_name_and_what_is_allowed(benchmark):
    problems = benchmark("_hostile_trial").refusal_problems
    assert problems("cell.bandwidth must lie in [0, 1], got 3", "bandwidth") == []
    assert len(problems("two\nlines", "bandwidth")) == 3
    assert problems("x must be y" * 100, "") == ["a message of 1100 characters"]
