"""The study file of a search: what is written after every trial, and what a search goes on from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

from multispin_gym._validation import check_number

if TYPE_CHECKING:
    import optuna

    from multispin_gym.agents.tune import SearchConfig

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


def kept_trials(config: SearchConfig) -> list[dict[str, Any]]:
    """Read the finished trials of a study that is to go on; only its number of trials may be another than before."""
    try:
        stored = json.loads(config.output.read_text(encoding="utf-8"))
        trials = [_kept(trial) for trial in stored["trials"]]
    except FileNotFoundError as error:
        raise ValueError(f"{config.output} holds no study to resume: without --resume one starts there") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{config.output} cannot be resumed: it is not a study, or damaged: {error}") from error
    for name, now in json.loads(json.dumps(_settings(config))).items():
        if name != "num_trials" and stored.get(name) != now:
            raise ValueError(f"{name} cannot change when a study is resumed: it was {stored.get(name)!r}, got {now!r}")
    if len(trials) > config.num_trials:
        raise ValueError(
            f"num_trials must be at least {len(trials)}, as many as the study has, got {config.num_trials}"
        )
    return trials


def _kept(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a trial's entry in the study file says of its parameters and of what came of it."""
    kept = {name: trial[name] for name in (*SEARCHED, "ratio", "ratios")}
    for ratio in (*kept["ratios"], *([] if kept["ratio"] is None else [kept["ratio"]])):
        check_number("ratio", ratio, low=0.0)
    return kept


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
