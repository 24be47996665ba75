"""The study file of a search: what is written after every trial, and what a search goes on from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

from multispin_gym._reading import read_json
from multispin_gym._toml import check_table
from multispin_gym._validation import check_list, check_number, shown, shown_path

if TYPE_CHECKING:
    import optuna

    from multispin_gym.agents.tune import SearchConfig

# Bytes.
LARGEST_STUDY = 2**26
# What a trial chooses.
SEARCHED = ("learning_rate", "num_epochs", "batch_size", "entropy_coefficient", "clip_range", "share_std")


def report_of(config: SearchConfig, study: optuna.Study) -> dict[str, Any]:
    """Return what the study file holds: settings, all finished trials in order, and the best of them."""
    import optuna

    return {
        **_settings(config),
        "trials": [
            {
                "ratio": trial.value if trial.state == optuna.trial.TrialState.COMPLETE else None,
                "ratios": trial.user_attrs["ratios"],
                **trial.params,
            }
            for trial in study.trials
        ],
        "best": {"ratio": study.best_value, **study.best_params},
    }


def _settings(config: SearchConfig) -> dict[str, Any]:
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name not in ("output", "resume")}
    versions = {name: metadata.version(name) for name in ("optuna", "stable-baselines3", "torch")}
    return {**settings, "versions": versions}


class _ChangedError(ValueError):
    """A study has other settings."""


def kept_trials(config: SearchConfig) -> list[dict[str, Any]]:
    """Read the finished trials of a study that is to go on; only its number of trials may be another than before."""
    where = shown_path(config.output)
    try:
        stored = check_table(read_json(config.output, LARGEST_STUDY), "a study")
        if "trials" not in stored:
            raise ValueError("trials is missing")
        for name, now in json.loads(json.dumps(_settings(config))).items():
            if name != "num_trials" and stored.get(name) != now:
                raise _ChangedError(
                    f"{name} cannot change when a study is resumed: it was {shown(stored.get(name))}, got {shown(now)}"
                )
        listed = check_list("trials", stored["trials"], kind="a list of tables", of=dict)
        trials = [_check_trial(f"trials[{number}]", trial, config) for number, trial in enumerate(listed)]
    except FileNotFoundError as error:
        raise ValueError(f"{where} holds no study to resume: without --resume one starts there") from error
    except _ChangedError:
        raise
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where} cannot be resumed: it is not a study, or damaged: {error}") from error
    if len(trials) > config.num_trials:
        raise ValueError(
            f"num_trials must be at least {len(trials)}, as many as the study has, got {config.num_trials}"
        )
    return trials


def _check_trial(path: str, trial: dict[str, Any], config: SearchConfig) -> dict[str, Any]:
    """Return what a trial chose and what came of it, refusing what no search writes."""
    for name in (*SEARCHED, "ratio", "ratios"):
        if name not in trial:
            raise ValueError(f"{path}.{name} is missing")
    most = len(config.training_seeds)
    ratios = check_list(f"{path}.ratios", trial["ratios"], kind="a list of at least one number", least=1)
    if len(ratios) > most:
        raise ValueError(
            f"{path}.ratios must have at most {most} entries, one for each training seed, got {len(ratios)}"
        )
    ratios = [check_number(f"{path}.ratios[{i}]", ratio, low=0.0) for i, ratio in enumerate(ratios)]
    mean = sum(ratios) / len(ratios)
    if trial["ratio"] is not None and check_number(f"{path}.ratio", trial["ratio"]) != mean:
        raise ValueError(f"{path}.ratio must be the mean {mean!r} of its ratios, got {shown(trial['ratio'])}")
    return {**{name: trial[name] for name in (*SEARCHED, "ratio")}, "ratios": ratios}


def repeat(trial: optuna.Trial, entry: Mapping[str, Any]) -> float:
    """Tell a trial what came of it before; ``entry`` is its entry in the study file."""
    import optuna

    if trial.params != {name: entry[name] for name in SEARCHED}:
        raise ValueError(f"trial {trial.number} of the study cannot be resumed: it would choose {trial.params} now")
    ratios = entry["ratios"]
    trial.set_user_attr("ratios", ratios)
    for step in range(len(ratios)):
        trial.report(sum(ratios[: step + 1]) / (step + 1), step)
    if entry["ratio"] is None:
        raise optuna.TrialPruned
    return float(entry["ratio"])
