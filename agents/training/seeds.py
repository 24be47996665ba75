"""Several seeds of one run, in parallel over the cores."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import signal
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from scipy import stats

from multispin_gym._files import write_atomically
from multispin_gym.agents.config import TrainConfig
from multispin_gym.agents.run_directory import STATE_FILE, RunDirectoryError
from multispin_gym.agents.training.callbacks import stop_flag

SUMMARY_FILE = "seeds.json"


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


def mean_interval(values: list[float]) -> dict[str, Any]:
    """Mean of a few independent values, with Student's 95 % interval.

    Parameters
    ----------
    values
        The values.

    Returns
    -------
    dict
        ``mean`` and ``ci95``; the interval of a single value is unbounded and given as None.

    Examples
    --------
    >>> [round(end, 4) for end in mean_interval([1.0, 2.0, 3.0])["ci95"]]
    [-0.4841, 4.4841]
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return {"mean": mean, "ci95": None}
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return {"mean": mean, "ci95": [mean - half, mean + half]}


def train_seeds(config: TrainConfig) -> dict[str, Any]:
    """Train one agent per seed, each in its own process and directory, and summarise them in ``seeds.json``.

    With ``resume``, finished seeds are kept, unfinished ones continued and missing ones started. An interrupt lets the
    seeds under way end cleanly, and starts no more.

    Parameters
    ----------
    config
        The configuration; ``seeds`` names the seeds, ``jobs`` how many run at a time.

    Returns
    -------
    dict
        The summary: the last evaluation of each seed, the mean ratio with its interval, and whether it was interrupted.

    Raises
    ------
    RunDirectoryError
        If the directory of one of the seeds is in use, or cannot be resumed.
    """
    runs = {seed: _one_seed(config, seed) for seed in config.seeds}
    jobs = min(config.jobs or multiprocessing.cpu_count(), len(runs))
    results: dict[int, Any] = {}
    context = multiprocessing.get_context("spawn")
    with stop_flag() as stop, ProcessPoolExecutor(jobs, mp_context=context, initializer=_listen) as pool:
        futures: dict[Future[Any], int] = {pool.submit(_train_one, run): seed for seed, run in runs.items()}
        for future in as_completed(futures):
            if stop[0]:
                pool.shutdown(wait=False, cancel_futures=True)
            if not future.cancelled() and future.result() is not None:
                results[futures[future]] = future.result()
    summary = _summarise(config, results)
    if results:
        write_atomically(Path(config.run_dir), {SUMMARY_FILE: (json.dumps(summary, indent=2) + "\n").encode()})
    return summary


def _one_seed(config: TrainConfig, seed: int) -> TrainConfig:
    folder = seed_directory(config.run_dir, seed)
    resume = config.resume and (folder / STATE_FILE).is_file()
    if not resume and folder.exists() and any(folder.iterdir()):
        raise RunDirectoryError(f"run_dir must be a new or an empty directory; {folder} is in use")
    return dataclasses.replace(config, seed=seed, run_dir=str(folder), resume=resume, progress=False, seeds=(), jobs=0)


_interrupted = False


def _listen() -> None:
    """Make a worker remember an interrupt (it reaches all processes) instead of dying from it."""

    def remember(number: int, frame: FrameType | None) -> None:
        global _interrupted
        _interrupted = True

    signal.signal(signal.SIGINT, remember)


def _train_one(config: TrainConfig) -> dict[str, Any] | None:
    """Train one seed in a worker; None if an interrupt came first."""
    global _interrupted
    if _interrupted:
        return None
    from multispin_gym.agents.training.trainer import train

    result = train(config)
    _interrupted = _interrupted or result.stopped == "interrupted"
    return {**result.evaluations[-1], "stopped": result.stopped}


def _summarise(config: TrainConfig, results: dict[int, Any]) -> dict[str, Any]:
    ordered = {str(seed): results[seed] for seed in config.seeds if seed in results}
    return {
        "scenario": config.scenario,
        "env_id": config.env_id,
        "num_users": config.num_users,
        "total_timesteps": config.total_timesteps,
        "ratio": mean_interval([result["ratio"] for result in ordered.values()]) if ordered else None,
        "seeds": ordered,
        "interrupted": len(ordered) < len(config.seeds)
        or any(result["stopped"] == "interrupted" for result in ordered.values()),
    }
