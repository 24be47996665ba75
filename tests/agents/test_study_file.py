"""The study file of a search: what goes on from it is what would have come, and what does not fit is refused."""

import dataclasses
import json

import optuna
import pytest

from multispin_gym.agents.config import TrainConfig
from multispin_gym.agents.study_file import SEARCHED, kept_trials, repeat, report_of
from multispin_gym.agents.tune import SearchConfig, suggest


def score(trial):
    """Give a trial two ratios that its parameters decide, as two trainings would, or give it up after the first."""
    ratios = []
    for step in range(2):
        ratios.append(1.0 / (1.0 + abs(trial.params["clip_range"] - 0.3) + step / trial.params["batch_size"]))
        trial.set_user_attr("ratios", ratios)
        trial.report(sum(ratios) / len(ratios), step)
        if step == 0 and trial.should_prune():
            raise optuna.TrialPruned
    return sum(ratios) / 2


def ask_and_tell(study, entries):
    """Let a study have a trial for each entry, which is repeated, or scored if there is none."""
    for entry in entries:
        trial = study.ask()
        suggest(trial, TrainConfig())
        try:
            study.tell(trial, score(trial) if entry is None else repeat(trial, entry))
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)


def new_study(seed=3):
    return optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(n_startup_trials=5, seed=seed),
        pruner=optuna.pruners.MedianPruner(),
    )


@pytest.fixture(scope="module")
def whole():
    """A study of twelve trials, more than enough for the sampler to learn and for trials to be given up."""
    study = new_study()
    ask_and_tell(study, [None] * 12)
    return study


@pytest.fixture
def config(tmp_path, whole):
    """A search with its study file."""
    config = SearchConfig(output=tmp_path / "study.json", num_trials=12, seed=3)
    config.output.write_text(json.dumps(report_of(config, whole)))
    return config


@pytest.mark.parametrize("count", [1, 5, 11, 12])
def test_a_study_goes_on_as_it_would_have_done(config, whole, count):
    entries = kept_trials(config)
    assert any(entry["ratio"] is None for entry in entries[6:])
    study = new_study()
    ask_and_tell(study, [*entries[:count], *[None] * (12 - count)])
    assert report_of(config, study) == report_of(config, whole)
    assert [trial.state for trial in study.trials] == [trial.state for trial in whole.trials]


def test_more_trials_may_be_asked_for_and_fewer_not(config):
    assert len(kept_trials(dataclasses.replace(config, num_trials=20))) == 12
    with pytest.raises(ValueError, match="num_trials must be at least 12, as many as the study has, got 11"):
        kept_trials(dataclasses.replace(config, num_trials=11))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scenario", "deep_fading"),
        ("num_users", 4),
        ("hyperparameters", "cloned"),
        ("total_timesteps", 5),
        ("training_seeds", (0,)),
        ("seed", 4),
    ],
)
def test_other_settings_are_refused(config, name, value):
    with pytest.raises(ValueError, match=f"{name} cannot change when a study is resumed: it was"):
        kept_trials(dataclasses.replace(config, **{name: value}))


def test_other_versions_are_refused(config):
    stored = json.loads(config.output.read_text())
    stored["versions"]["optuna"] = "0.1"
    config.output.write_text(json.dumps(stored))
    with pytest.raises(ValueError, match="versions cannot change when a study is resumed"):
        kept_trials(config)


def test_no_study_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="holds no study to resume: without --resume one starts there"):
        kept_trials(SearchConfig(output=tmp_path / "study.json"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"\xff" + data,
        lambda data: b"[]",
        lambda data: b"3",
        lambda data: b"[" * 100_000,
        lambda data: data.replace(b'"trials"', b'"trails"'),
        lambda data: data.replace(b'"clip_range"', b'"clip"'),
        lambda data: data.replace(b'"ratios": [', b'"ratios": 3, "more": ['),
        lambda data: data.replace(b'"ratios": [', b'"ratios": ["a", '),
        lambda data: data.replace(b'"ratio": ', b'"ratio": "much", "other": '),
        lambda data: data.replace(b'"ratio": ', b'"ratio": NaN, "other": '),
        lambda data: data.replace(b'"ratio": ', b'"ratio": 0.5, "other": ', 1),
        lambda data: data.replace(b'"ratios": [', b'"ratios": [0.1, 0.2, 0.3, ', 1),
        lambda data: data.replace(b'"ratios": [', b'"ratios": [], "more": [', 1),
        lambda data: data.replace(b'"trials": [', b'"trials": [3, '),
        lambda data: data + b" " * 2**26,
    ],
)
def test_a_damaged_study_is_refused_in_one_line(config, damage):
    config.output.write_bytes(damage(config.output.read_bytes()))
    with pytest.raises(ValueError, match="cannot be resumed: it is not a study, or damaged"):
        kept_trials(config)


def test_a_trial_that_would_choose_otherwise_now_is_refused(config):
    entries = kept_trials(config)
    entries[1][SEARCHED[0]] *= 2.0
    with pytest.raises(ValueError, match="trial 1 of the study cannot be resumed: it would choose"):
        ask_and_tell(new_study(), entries)
