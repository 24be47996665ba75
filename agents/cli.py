"""The command line of ``train.py``."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from multispin_gym.agents.config import TrainConfig
from multispin_gym.agents.hyperparameter_files import SECTIONS, build_section, default_hyperparameters, read_hyperparameters

# What may change when a run is continued; anything else would make it another run.
RESUMABLE = ("total_timesteps", "eval_every", "checkpoint_every", "target_ratio", "progress", "resume", "run_dir")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train an agent from command-line arguments.

    Parameters
    ----------
    arguments
        The arguments; by default those of the process.

    Returns
    -------
    int
        Exit status: 0, 2 on bad input, 130 if interrupted.
    """
    argv = list(sys.argv[1:] if arguments is None else arguments)
    try:
        config = parse(argv)
        from multispin_gym.agents.training import train

        result = train(config)
    except (ValueError, TypeError, OSError) as error:
        print(f"train.py: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("train.py: interrupted; --resume continues from the last checkpoint", file=sys.stderr)
        return 130
    return _report(result)


def _report(result: Any) -> int:
    last = result.evaluations[-1]
    print(
        f"{result.run_dir}: {last['timesteps']:.0f} rounds, goodput {last['goodput']:.3f} token/s, "
        f"ratio to the reference {last['ratio']:.4f} on held-out cells"
        + (f" ({result.stopped})" if result.stopped else "")
    )
    if result.stopped == "interrupted":
        print(f"--run-dir {result.run_dir} --resume continues", file=sys.stderr)
        return 130
    return 0


def parse(argv: list[str]) -> TrainConfig:
    """Turn command-line arguments into a configuration.

    Flags override the hyperparameter file, which overrides the defaults; a resumed run starts from its own.

    Parameters
    ----------
    argv
        The arguments.

    Returns
    -------
    TrainConfig
        The configuration.

    Raises
    ------
    ValueError
        If a value is out of range, or a resumed run would change.
    """
    import tyro

    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--scenario", default="default")
    early.add_argument("--run-dir", "--run_dir")
    early.add_argument("--hyperparameters")
    early.add_argument("--resume", action="store_true")
    known, _ = early.parse_known_args([argument.replace("_", "-", 1) if False else argument for argument in argv])
    stored = None
    asks_help = "-h" in argv or "--help" in argv
    if known.resume and not asks_help:
        stored = default = _stored(known.run_dir)
    else:
        fields = default_hyperparameters(known.scenario)
        if known.hyperparameters is not None and not asks_help:
            text = Path(known.hyperparameters).read_text(encoding="utf-8")
            fields.update(read_hyperparameters(text, known.hyperparameters))
        run_dir = known.run_dir or f"runs/{Path(known.scenario).stem}"
        default = TrainConfig(scenario=known.scenario, run_dir=run_dir, **fields)
    config = tyro.cli(TrainConfig, default=default, args=argv, prog="train.py")
    if stored is not None:
        _check_resumed(stored, config)
    return config


def _stored(run_dir: str | None) -> TrainConfig:
    """Rebuild the configuration of the run that is to be continued."""
    from multispin_gym.agents.run_directory import RunDirectoryError, read_spec

    if run_dir is None:
        raise ValueError("--resume needs --run-dir: the run to continue")
    spec = read_spec(Path(run_dir))
    fields = dict(spec.training)
    try:
        for name in set(SECTIONS) & set(fields):
            fields[name] = build_section(SECTIONS[name], name, fields[name])
        return TrainConfig(**fields, policy=spec.policy, run_dir=run_dir, resume=True)
    except (TypeError, ValueError) as error:
        raise RunDirectoryError(f"{run_dir} cannot be resumed: {error}") from error


def _check_resumed(stored: TrainConfig, config: TrainConfig) -> None:
    for entry in dataclasses.fields(TrainConfig):
        before, now = getattr(stored, entry.name), getattr(config, entry.name)
        if entry.name not in RESUMABLE and before != now:
            raise ValueError(f"{entry.name} cannot change when a run is resumed: it was {before!r}, got {now!r}")
