"""Several seeds of one run: over the cores, on Ray, or one after the other."""

from __future__ import annotations

import dataclasses
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from multispin_gym._files import write_atomically
from multispin_gym.agents.config import TrainConfig
from multispin_gym.agents.run_directory import CONFIG_FILE, SUMMARY_FILE, RunDirectoryError, has_trained_nothing
from multispin_gym.runner import Interrupted, Task, pass_on_interrupt, run_tasks
from multispin_gym.statistics import mean_interval

__all__ = ["SUMMARY_FILE", "mean_interval", "seed_directory", "seeds_of", "train_seeds"]


def seed_directory(run_dir: str | Path, seed: int) -> Path:
    """Return the run directory of one of several seeds.

    Parameters
    ----------
    run_dir
        The directory of all of them.
    seed
        The seed.

    Returns
    -------
    Path
        Its directory.
    """
    return Path(run_dir) / f"seed-{seed}"


def seeds_of(run_dir: str | Path) -> tuple[int, ...]:
    """Return the seeds of a directory of several: those begun, and those asked for before a kill or an interrupt.

    Parameters
    ----------
    run_dir
        The directory of all of them.

    Returns
    -------
    tuple of int
        The seeds, in order; none if it is no such directory.
    """
    folder = Path(run_dir)
    names = [path.name.removeprefix("seed-") for path in folder.glob("seed-*")]
    seeds = {int(name) for name in names if name.isdecimal()}
    with suppress(OSError, ValueError, KeyError, TypeError):
        seeds |= {int(seed) for seed in json.loads((folder / SUMMARY_FILE).read_bytes())["asked"]}
    return tuple(sorted(seeds))


def train_seeds(config: TrainConfig) -> dict[str, Any]:
    """Train one agent per seed, each in its own directory, and summarise them in ``seeds.json``.

    With ``resume``, finished seeds are kept, unfinished ones continued and missing ones started. An interrupt lets the
    seeds under way end cleanly, and starts no more. ``seeds.json`` names all seeds from the beginning: whoever resumes
    need not.

    Parameters
    ----------
    config
        The configuration; ``seeds`` names the seeds, ``runner`` where they are trained, ``jobs`` how many at a time.

    Returns
    -------
    dict
        The summary: the last evaluation of each seed, the mean ratio with its interval, and whether it was interrupted.

    Raises
    ------
    RunDirectoryError
        If the directory of one of the seeds is in use, or cannot be resumed.
    """
    tasks = [Task(f"seed-{seed}", _train_one, (_one_seed(config, seed),)) for seed in config.seeds]
    _write(config, {})
    try:
        finished = dict(zip(config.seeds, run_tasks(tasks, runner=config.runner, jobs=config.jobs), strict=True))
    except Interrupted as stopped:
        pass_on_interrupt()
        finished = {seed: stopped.results.get(f"seed-{seed}") for seed in config.seeds}
    return _write(config, {seed: result for seed, result in finished.items() if result is not None})


def _one_seed(config: TrainConfig, seed: int) -> TrainConfig:
    folder = seed_directory(config.run_dir, seed)
    resume = config.resume and (folder / CONFIG_FILE).is_file()
    if not resume and not has_trained_nothing(folder):
        raise RunDirectoryError(f"run_dir must be a new or an empty directory; {folder} is in use")
    return dataclasses.replace(config, seed=seed, run_dir=str(folder), resume=resume, progress=False, seeds=(), jobs=0)


def _train_one(config: TrainConfig) -> dict[str, Any]:
    """Train one seed, wherever that is."""
    from multispin_gym.agents.training.trainer import train

    result = train(config)
    return {**result.evaluations[-1], "stopped": result.stopped}


def _write(config: TrainConfig, results: dict[int, Any]) -> dict[str, Any]:
    """Write the summary, and return it."""
    ordered = {str(seed): results[seed] for seed in config.seeds if seed in results}
    summary = {
        "scenario": config.scenario,
        "env_id": config.env_id,
        "num_users": config.num_users,
        "total_timesteps": config.total_timesteps,
        "asked": list(config.seeds),
        "ratio": mean_interval([result["ratio"] for result in ordered.values()]) if ordered else None,
        "seeds": ordered,
        "interrupted": len(ordered) < len(config.seeds)
        or any(result["stopped"] == "interrupted" for result in ordered.values()),
    }
    write_atomically(Path(config.run_dir), {SUMMARY_FILE: (json.dumps(summary, indent=2) + "\n").encode()})
    return summary
