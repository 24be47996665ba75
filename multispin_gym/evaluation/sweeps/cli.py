"""The command line of sweeps: ``multispin sweep``."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multispin_gym._command_line import complaint, parse, watched_progress
from multispin_gym._validation import check_choice, check_integer
from multispin_gym.envs.variants import variant_of
from multispin_gym.evaluation.cli import Evaluation
from multispin_gym.evaluation.sweeps.axes import read_axes
from multispin_gym.evaluation.sweeps.grid import USERS, Point, make_points
from multispin_gym.evaluation.sweeps.results import SweepResult
from multispin_gym.runner import MOST_JOBS, RUNNERS, Interrupted
from multispin_gym.scenarios.changes import changed_name, read_changes, read_key
from multispin_gym.scenarios.library import load_scenario


@dataclass(frozen=True)
class _Varied:
    """What a sweep asks for besides; a base of its own, so that it comes first on the help page."""

    vary: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sweep(Evaluation, _Varied):
    """Evaluate policies while keys of the scenario vary: at every point of a grid, on the same seeds.

    Such as: multispin sweep --vary cell.bandwidth=5e6:20e6:7 --vary num_users=4,8,12

    Writes sweep.csv (one line per point and policy), sweep.json (what evaluate says of every point) and sweep.png (for
    one key or two), and prints a table. All points are checked before the first is played. Finished points are kept:
    after an interrupt the same command with --resume goes on, and ends with the same files.

    Parameters
    ----------
    vary
        A key of the scenario's file and its values; may be given several times. KEY=A,B,C: a list of numbers or words:
        num_users=4,8,12 or cell.power=total,density, say. KEY=LOW:HIGH:COUNT: evenly spaced numbers, ends included.
        KEY=LOW:HIGH:COUNT:log: each larger than the one before by the same factor.
    policies
        Controllers (multispin list controllers), such as heterogeneous, nested_polished or multi_spin; run directories
        of trained agents, pretrained:NAME; a function of users and cell of your own, module:function or
        file.py:function; a policy of Stable-Baselines3, sb3:FILE.zip.
    num_users
        Users in the cell; none: the scenario's number; several: they are varied, after all other keys.
    env_id
        Environment of single rounds, such as multispin_gym/MultiSpinHomogeneous-v0, where ratios are taken to the best
        common draft length.
    baseline
        One of the policies, which the gains of the others are taken over; None: the first.
    resume
        Go on from the finished points of a sweep that was stopped; they are kept in OUTPUT/tasks until it is done.
    jobs
        Points that are played at a time, with processes and Ray; 0: one per core.
    output
        Directory for the results; those of an earlier sweep in it are replaced.
    """

    output: Path = Path("results/sweep")


def main(args: Sequence[str] | None = None, prog: str = "multispin sweep") -> int:
    """Run the sweep that a command line asks for.

    Parameters
    ----------
    args
        The arguments; by default the program's.
    prog
        How the command was called.

    Returns
    -------
    int
        The exit status: 0 when all is well; with one line on the error stream 2 on bad input, 1 if a policy passed a
        bound that none can pass or workers died, and 130 if interrupted.
    """
    args = sys.argv[1:] if args is None else list(args)
    try:
        options = parse(Sweep, args, prog)
        # Whether a sweep was interrupted does not show in what it wrote.
        kept = [word for word in args if word not in ("--resume", "--no-resume")]
        return _run(options, shlex.join([*prog.split(), *kept]))
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"{prog}: error: {complaint(error, 'report')}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"{prog}: error: {complaint(error, 'report')}", file=sys.stderr)
        return 1
    except Interrupted as interrupt:
        print(f"{interrupt}; --resume goes on", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130


def _run(options: Sweep, command: str) -> int:
    """Check everything, play every point, write the files and print the table."""
    from multispin_gym.evaluation.sweeps.playing import check_policies, play_points, remove_pieces
    from multispin_gym.evaluation.sweeps.report import check_output

    check_choice("runner", options.runner, RUNNERS)
    check_integer("jobs", options.jobs, low=0, high=MOST_JOBS)
    result, points = _prepare(options)
    policies = check_policies(options.policies, points, options.baseline)
    check_output(options.output)
    folder = options.output / "tasks"
    baseline = policies[0] if options.baseline is None else options.baseline
    alike = {name: getattr(options, name) for name in ("runner", "jobs", "resume")}
    with watched_progress("points") as progress:
        found = play_points(points, policies, baseline, folder=folder, progress=progress, **alike)
    played = [{"values": dict(point.values), **data} for point, data in zip(points, found, strict=True)]
    result = dataclasses.replace(result, policies=policies, baseline=baseline, points=played)
    _show(result, options.output, command)
    remove_pieces(folder)
    for place, alarm in result.alarms.items():
        raise RuntimeError(f"at {place} a policy is above the reference, which no allowed decision can be: {alarm}")
    return 0


def _prepare(options: Sweep) -> tuple[SweepResult, list[Point]]:
    """Return what is known before anything is played, and the points."""
    variant = variant_of(options.env_id)
    loaded = load_scenario(variant.scenario if options.scenario is None else options.scenario)
    changes = read_changes(options.set)
    texts, users = list(options.vary), options.num_users
    if len(users) > 1:
        texts.append(f"{USERS}={','.join(map(str, users))}")
    axes = read_axes(texts, lambda key: isinstance(read_key(loaded, key), int))
    _check_options([axis.key for axis in axes], options)
    alike = ("episodes", "seed", "rounds", "sampled", "env_id", "reference", "loop", "max_time")
    settings = {name: getattr(options, name) for name in alike}
    points = make_points(loaded, changes, axes, users[0] if len(users) == 1 else None, **settings)
    points = [Point(p.values, dataclasses.replace(p.plan, allow_pickle=options.allow_pickle)) for p in points]
    return SweepResult(changed_name(loaded, changes), axes, (), "", ()), points


def _check_options(keys: Sequence[str], options: Sweep) -> None:
    """Refuse options that overrule what is varied."""
    rulers: dict[str, dict[str, Any]] = {
        "num_users": {"--num-users": " ".join(map(str, options.num_users)) if len(options.num_users) == 1 else None},
        "num_rounds": {"--rounds": options.rounds, "--max-time": options.max_time},
    }
    for key in keys:
        for option, value in rulers.get(key, {}).items():
            if value is not None:
                raise ValueError(f"{key} is varied, and {option} {value} is given besides: choose one of them")


def _show(result: SweepResult, output: Path, command: str) -> None:
    """Write a sweep's files and print its table."""
    from rich.console import Console

    from multispin_gym.evaluation.sweeps.report import caption, save, to_table

    why = save(result, output, command)
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(result.about(), highlight=False, markup=False)
    console.print(to_table(result, console.width))
    lines = [caption(result), result.verdict()]
    if len(result.references) > 1:
        lines.append(
            f"Ratios are taken to {' or '.join(result.references)}, by the number of users: "
            "--reference relaxation makes them comparable."
        )
    lines += [] if why is None else [why]
    for line in (*lines, f"written to {output}"):
        console.print(line, highlight=False, markup=False)
