"""The search for hyperparameters."""

import json

import pytest

from multispin_gym.agents import TrainConfig
from multispin_gym.agents.hyperparameter_files import read_hyperparameters
from multispin_gym.agents.search import SearchConfig, main, search


def test_a_study_is_reproducible_and_its_best_trial_becomes_a_hyperparameter_file(tmp_path):
    reports = [
        search(SearchConfig(output=tmp_path / name / "study.json", num_trials=2, total_timesteps=1, seed=3))
        for name in ("a", "b")
    ]
    assert reports[0] == reports[1] == json.loads((tmp_path / "a" / "study.json").read_text())
    trials = reports[0]["trials"]
    assert len(trials) == 2
    assert reports[0]["best"] == max(trials, key=lambda trial: trial["ratio"])
    text = (tmp_path / "a" / "study.toml").read_text()
    best = TrainConfig(**read_hyperparameters(text, "study.toml"))
    assert best.ppo.learning_rate == reports[0]["best"]["learning_rate"]
    assert best.policy.share_std == reports[0]["best"]["share_std"]


def test_bad_input_gives_one_line_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--scenario", "defualt"]) == 2
    assert "Did you mean 'default'?" in capsys.readouterr().err
    with pytest.raises(ValueError, match="num_trials must be a whole number"):
        SearchConfig(num_trials=0)
    assert list(tmp_path.iterdir()) == []
