"""Search for hyperparameters: ``python -m multispin_gym.agents.search --help``."""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multispin_gym._command_line import parse
from multispin_gym._validation import check_integer
from multispin_gym.agents.config import TrainConfig
from multispin_gym.agents.hyperparameter_files import hyperparameters
from multispin_gym.scenario_library import load_scenario

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class SearchConfig:
    """Search PPO's hyperparameters with optuna's tree-structured Parzen estimator.

    The study is reproducible: the sampler and every trial are seeded, and a trial's budget is a number of rounds.

    Parameters
    ----------
    output
        File for the study: every trial's parameters and score, and the best as a hyperparameter file beside it.
    scenario
        Name of a preset, or path of a scenario file.
    num_trials
        Trials.
    total_timesteps
        Rounds of each trial.
    seed
        Seed of the sampler and of the trials' training.
    """

    output: Path = Path("results/search.json")
    scenario: str = "default"
    num_trials: int = 20
    total_timesteps: int = 200_000
    seed: int = 0

    def __post_init__(self) -> None:
        check_integer("num_trials", self.num_trials, low=1)
        check_integer("total_timesteps", self.total_timesteps, low=1)
        check_integer("seed", self.seed, low=0, high=2**32 - 1)


def suggest(trial: optuna.Trial, base: TrainConfig) -> TrainConfig:
    """Let a trial choose the hyperparameters that are searched.

    Parameters
    ----------
    trial
        The trial.
    base
        The configuration that holds everything else.

    Returns
    -------
    TrainConfig
        The configuration to train with.
    """
    ppo = dataclasses.replace(
        base.ppo,
        learning_rate=trial.suggest_float("learning_rate", 5e-4, 2e-2, log=True),
        num_epochs=trial.suggest_int("num_epochs", 1, 8),
        batch_size=trial.suggest_categorical("batch_size", [256, 512, 1024, 2048]),
        entropy_coefficient=trial.suggest_float("entropy_coefficient", 1e-4, 5e-2, log=True),
        clip_range=trial.suggest_float("clip_range", 0.1, 0.4),
    )
    policy = dataclasses.replace(base.policy, share_std=trial.suggest_float("share_std", 0.01, 0.2, log=True))
    return dataclasses.replace(base, ppo=ppo, policy=policy)


def search(config: SearchConfig) -> dict[str, Any]:
    """Run a study and write it down.

    Parameters
    ----------
    config
        What to search, and for how long.

    Returns
    -------
    dict
        The study: settings, trials in order, and the best of them.
    """
    import optuna

    from multispin_gym.agents.run_directory import write_atomically
    from multispin_gym.agents.training import train

    load_scenario(config.scenario)
    fields = {**hyperparameters(config.scenario), "total_timesteps": config.total_timesteps}
    base = TrainConfig(scenario=config.scenario, seed=config.seed, eval_every=0, progress=False, **fields)

    def objective(trial: optuna.Trial) -> float:
        with tempfile.TemporaryDirectory() as folder:
            tried = dataclasses.replace(suggest(trial, base), run_dir=folder, checkpoint_every=2**30)
            return train(tried).evaluations[-1]["ratio"]

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=config.seed))
    # The configuration in use is the first trial: the search can only improve on it.
    study.enqueue_trial({name: _current(base, name) for name in _SEARCHED})
    study.optimize(objective, n_trials=config.num_trials)
    report = {
        "scenario": config.scenario,
        "seed": config.seed,
        "total_timesteps": config.total_timesteps,
        "versions": {"optuna": optuna.__version__},
        "trials": [{"ratio": trial.value, **trial.params} for trial in study.trials],
        "best": {"ratio": study.best_value, **study.best_params},
    }
    config.output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(config.output, (json.dumps(report, indent=2) + "\n").encode())
    write_atomically(config.output.with_suffix(".toml"), _to_toml(study.best_params).encode())
    return report


_SEARCHED = ("learning_rate", "num_epochs", "batch_size", "entropy_coefficient", "clip_range", "share_std")


def _current(base: TrainConfig, name: str) -> Any:
    return getattr(base.policy if name == "share_std" else base.ppo, name)


def _to_toml(best: dict[str, Any]) -> str:
    ppo = "".join(f"{name} = {value!r}\n" for name, value in best.items() if name != "share_std")
    return f"[policy]\nshare_std = {best['share_std']!r}\n\n[ppo]\n{ppo}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Search from the command line.

    Parameters
    ----------
    arguments
        The arguments; by default those of the process.

    Returns
    -------
    int
        Exit status: 0, or 2 on bad input.
    """
    args = sys.argv[1:] if arguments is None else arguments
    try:
        report = search(parse(SearchConfig, args, "python -m multispin_gym.agents.search"))
    except (ValueError, TypeError, OSError) as error:
        print(f"search: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(json.dumps(report["best"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
