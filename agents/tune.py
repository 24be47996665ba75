"""Search for hyperparameters: ``python -m multispin_gym.agents.tune --help``."""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multispin_gym._command_line import complaint, parse
from multispin_gym._files import write_atomically
from multispin_gym._validation import check_integer, shown
from multispin_gym.agents.config import TrainConfig
from multispin_gym.agents.config_sections import PolicyConfig, PPOConfig
from multispin_gym.agents.hyperparameter_files import (
    hyperparameter_text,
    hyperparameters,
    shipped_hyperparameters,
)
from multispin_gym.agents.study_file import SEARCHED, kept_trials, repeat, report_of
from multispin_gym.scenarios.library import load_scenario

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class SearchConfig:
    """Search PPO's hyperparameters with optuna's tree-structured Parzen estimator.

    The study is reproducible: the sampler and every training are seeded, and a trial's budget is a number of rounds. A
    trial's score is the mean ratio to the reference over its seeds; it is given up after a seed with which it is below
    the median of the earlier trials.

    Parameters
    ----------
    output
        File for the study: every trial's parameters and scores, written after each. The best is written beside it as a
        hyperparameter file.
    scenario
        Name of a preset, or path of a scenario file.
    num_users
        Users in the cell; by default the scenario's own number.
    hyperparameters
        TOML file of the first trial, which also holds what is not searched, or "cloned" or "mixed"; by default the
        file that ships for any scenario.
    num_trials
        Trials.
    total_timesteps
        Rounds of each training.
    training_seeds
        Seeds that each trial trains with.
    seed
        Seed of the sampler.
    resume
        Go on with the interrupted or killed study in ``output``, to the trials that it would have had undisturbed.
    """

    output: Path = Path("results/search.json")
    scenario: str = "default"
    num_users: int | None = None
    hyperparameters: str | None = None
    num_trials: int = 20
    total_timesteps: int = 200_000
    training_seeds: tuple[int, ...] = (0, 1)
    seed: int = 0
    resume: bool = False

    def __post_init__(self) -> None:
        check_integer("num_trials", self.num_trials, low=1)
        check_integer("total_timesteps", self.total_timesteps, low=1)
        check_integer("seed", self.seed, low=0, high=2**32 - 1)
        if not self.training_seeds:
            raise ValueError("training_seeds must name at least one seed, got ()")
        for seed in self.training_seeds:
            check_integer("training_seeds", seed, low=0, high=2**32 - 1)


def suggest(trial: optuna.trial.BaseTrial, base: TrainConfig) -> TrainConfig:
    """Let a trial choose the hyperparameters that are searched; ``base`` holds everything else."""
    ppo = dataclasses.replace(
        base.ppo,
        learning_rate=trial.suggest_float("learning_rate", 2e-3, 2e-2, log=True),
        num_epochs=trial.suggest_int("num_epochs", 2, 4),
        batch_size=trial.suggest_categorical("batch_size", [256, 512, 1024, 2048]),
        entropy_coefficient=trial.suggest_float("entropy_coefficient", 3e-3, 1e-1, log=True),
        clip_range=trial.suggest_float("clip_range", 0.15, 0.5),
    )
    policy = dataclasses.replace(base.policy, share_std=trial.suggest_float("share_std", 0.02, 0.2, log=True))
    return dataclasses.replace(base, ppo=ppo, policy=policy)


def search(config: SearchConfig) -> dict[str, Any]:
    """Run a study and write it down after every trial: its settings, its trials in order, and the best of them.

    With ``resume`` the trials in the study file are not trained again: the sampler chooses them once more and is told
    what came of them, so it goes on as it would have. A scenario, a hyperparameter file or a study that is unknown,
    damaged or does not fit gives a ``ValueError``.
    """
    import optuna

    load_scenario(config.scenario)
    _check_output(config.output)
    base = _base(config)
    kept = kept_trials(config) if config.resume else []
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(n_startup_trials=5, seed=config.seed),
        pruner=optuna.pruners.MedianPruner(),
    )
    # The configuration in use is the first trial: the search can only improve on it.
    study.enqueue_trial({name: getattr(_section(base, name), name) for name in SEARCHED})
    for number in range(config.num_trials):
        trial = study.ask()
        tried = suggest(trial, base)
        try:
            ratio = repeat(trial, kept[number]) if number < len(kept) else score(trial, tried, config.training_seeds)
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, ratio)
        if number >= len(kept):
            _write(config, study, base)
            print(f"{number + 1} of {config.num_trials} trials are finished", file=sys.stderr)
    # Also where nothing was left to try: a search may have been killed between its two files.
    return _write(config, study, base)


def _check_output(output: Path) -> None:
    """Refuse a file that cannot be written, before anything is trained."""
    if output.is_dir():
        raise IsADirectoryError(f"output must be a file, got the directory {shown(str(output))}")
    there = next(place for place in output.absolute().parents if place.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"output must lie in a directory, got {shown(str(output))} below a file")


def _base(config: SearchConfig) -> TrainConfig:
    shipped = shipped_hyperparameters("any.toml")
    fields = shipped if config.hyperparameters is None else hyperparameters(config.scenario, config.hyperparameters)
    fields = {**fields, "total_timesteps": config.total_timesteps, "num_users": config.num_users}
    return TrainConfig(scenario=config.scenario, eval_every=0, checkpoint_every=2**30, progress=False, **fields)


def _section(config: TrainConfig, name: str) -> PolicyConfig | PPOConfig:
    return config.policy if name == "share_std" else config.ppo


def score(trial: optuna.Trial, config: TrainConfig, seeds: Sequence[int]) -> float:
    """Train with each seed in turn, as long as the trial is worth it; return the mean ratio to the reference over them.

    The trial is told the mean after every seed, and keeps the ratio of each. ``optuna.TrialPruned`` ends it after any
    seed but the last with which the mean is below the median of the earlier trials. A training that hears an interrupt
    does not count: it raises ``KeyboardInterrupt``.
    """
    import optuna

    from multispin_gym.agents.training.trainer import train

    ratios: list[float] = []
    for step, seed in enumerate(seeds):
        with tempfile.TemporaryDirectory() as folder:
            result = train(dataclasses.replace(config, seed=seed, run_dir=folder))
        if result.interrupted:
            raise KeyboardInterrupt
        ratios.append(result.evaluations[-1]["ratio"])
        trial.set_user_attr("ratios", ratios)
        trial.report(sum(ratios) / len(ratios), step)
        if step + 1 < len(seeds) and trial.should_prune():
            raise optuna.TrialPruned
    return sum(ratios) / len(ratios)


def _write(config: SearchConfig, study: optuna.Study, base: TrainConfig) -> dict[str, Any]:
    import optuna

    report = report_of(config, study)
    best = suggest(optuna.trial.FixedTrial(study.best_params), base)
    where = f"{config.output.as_posix()} has all of them and the settings"
    comment = f"# The best trial in the scenario {config.scenario}: {where}.\n"
    contents = {
        config.output.name: (json.dumps(report, indent=2) + "\n").encode(),
        config.output.with_suffix(".toml").name: (comment + hyperparameter_text(best)).encode(),
    }
    write_atomically(config.output.parent, contents)
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Search from arguments, by default the process's; exit status 0, 2 on bad input, 130 if interrupted."""
    args = sys.argv[1:] if arguments is None else arguments
    try:
        report = search(parse(SearchConfig, args, "python -m multispin_gym.agents.tune"))
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        print(f"search: error: {complaint(error, 'search')}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("search: interrupted; --resume goes on after the last finished trial", file=sys.stderr)
        return 130
    print(json.dumps(report["best"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
