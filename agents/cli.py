"""The command line of ``train.py``."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from multispin_gym import _command_line
from multispin_gym._validation import shown, shown_path
from multispin_gym.agents.config import TrainConfig
from multispin_gym.agents.hyperparameter_files import FORMER_KEYS, SECTIONS, build_section, hyperparameters

# What may change when a run is continued; anything else would make it another run.
RESUMABLE = (
    "total_timesteps",
    "eval_every",
    "checkpoint_every",
    "target_ratio",
    "progress",
    "resume",
    "run_dir",
    "hyperparameters",
    "seeds",
    "jobs",
    "runner",
)


def main(arguments: Sequence[str] | None = None, prog: str = "train.py") -> int:
    """Train an agent from arguments, by default the process's; exit status 0, 2 on bad input, 130 if interrupted.

    ``prog`` is how the command was called.
    """
    argv = list(sys.argv[1:] if arguments is None else arguments)
    try:
        config = parse(argv, prog)
        if config.seeds:
            return _train_seeds(config)
        from multispin_gym.agents.training.trainer import train

        result = train(config)
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        print(f"{prog}: error: {_command_line.complaint(error, 'train')}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{prog}: interrupted; --resume continues from the last checkpoint, if there is one", file=sys.stderr)
        return 130
    return _report(result)


def _train_seeds(config: TrainConfig) -> int:
    from multispin_gym.agents.training.seeds import train_seeds

    summary = train_seeds(config)
    for seed, last in summary["seeds"].items():
        note = f" ({last['stopped']})" if last["stopped"] else ""
        print(f"seed {seed}: {last['timesteps']:.0f} rounds, ratio to the reference {last['ratio']:.4f}{note}")
    ratio = summary["ratio"]
    if ratio is not None and ratio["ci95"] is not None:
        print(f"mean {ratio['mean']:.4f}, 95 % interval [{ratio['ci95'][0]:.4f}, {ratio['ci95'][1]:.4f}]")
    if summary["interrupted"]:
        seeds = " ".join(str(seed) for seed in config.seeds)
        print(f"--run-dir {config.run_dir} --seeds {seeds} --resume continues", file=sys.stderr)
    return 130 if summary["interrupted"] else 0


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


def parse(argv: list[str], prog: str = "train.py") -> TrainConfig:
    """Turn command-line arguments into a configuration.

    Flags override the hyperparameter file, which overrides the defaults; a resumed run starts from its own. A
    ``ValueError`` says that a value is out of range or given under two names, or that a resumed run would change.
    """
    argv = _rename_former_flags(argv)
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--scenario", "--run-dir", "--hyperparameters"):
        early.add_argument(flag, flag.replace("-", "_").replace("__", "--"), nargs="?")
    early.add_argument("--resume", action="store_true")
    known, _ = early.parse_known_args(argv)
    if known.resume and not {"-h", "--help"} & set(argv):
        stored = _stored(known.run_dir)
        config = _command_line.parse(TrainConfig, argv, prog, stored)
        _check_resumed(stored, config)
        return config
    scenario = known.scenario or "default"
    run_dir = known.run_dir or f"runs/{Path(scenario).stem}"
    fields = hyperparameters(scenario, known.hyperparameters)
    return _command_line.parse(TrainConfig, argv, prog, TrainConfig(scenario=scenario, run_dir=run_dir, **fields))


def _rename_former_flags(argv: list[str]) -> list[str]:
    """Return the arguments with the flags of today; a flag given under both of its names is refused."""
    flags = [argument.partition("=")[0] for argument in argv]
    keys = [flag[2:].replace("-", "_") if flag.startswith("--") else "" for flag in flags]
    for former, today in FORMER_KEYS.items():
        if former in keys and today in keys:
            former, today = former.replace("_", "-"), today.replace("_", "-")
            raise ValueError(f"--{former} is the former name of --{today}: give one of them, not both")
    return [
        f"--{FORMER_KEYS[key].replace('_', '-')}{argument[len(flag) :]}" if key in FORMER_KEYS else argument
        for argument, flag, key in zip(argv, flags, keys, strict=True)
    ]


def _stored(run_dir: str | None) -> TrainConfig:
    """Rebuild the configuration of the run that is to be continued."""
    from multispin_gym.agents.run_directory import CONFIG_FILE, RunDirectoryError, is_unused, read_spec
    from multispin_gym.agents.training.seeds import seed_directory, seeds_of

    if run_dir is None:
        raise ValueError("--resume needs --run-dir: the run to continue")
    seeds = seeds_of(run_dir)
    folders = [seed_directory(run_dir, seed) for seed in seeds] or [Path(run_dir)]
    if all(is_unused(folder) for folder in folders):
        raise RunDirectoryError(f"{run_dir} holds no run to resume: without --resume one starts there")
    spec = read_spec(next((folder for folder in folders if (folder / CONFIG_FILE).is_file()), folders[0]))
    fields = {**spec.training, "seeds": seeds}
    try:
        for name in set(SECTIONS) & set(fields):
            fields[name] = build_section(name, fields[name])
        return TrainConfig(**fields, policy=spec.policy, run_dir=run_dir, resume=True)
    except (TypeError, ValueError) as error:
        raise RunDirectoryError(
            f"{shown_path(run_dir)} cannot be resumed with training in its {CONFIG_FILE}: {error}"
        ) from error


def _check_resumed(stored: TrainConfig, config: TrainConfig) -> None:
    for entry in dataclasses.fields(TrainConfig):
        before, now = getattr(stored, entry.name), getattr(config, entry.name)
        if entry.name not in RESUMABLE and before != now:
            raise ValueError(
                f"{entry.name} cannot change when a run is resumed: it was {shown(before)}, got {shown(now)}"
            )


if __name__ == "__main__":
    sys.exit(main(prog="python -m multispin_gym.agents.cli"))
