"""The command line of the evaluation."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from multispin_gym._command_line import complaint, parse, watched_progress
from multispin_gym._validation import MOST_USERS, check_integer
from multispin_gym.envs.variants import MULTI_SPIN, variant_of
from multispin_gym.evaluation.results import EvaluationResult
from multispin_gym.evaluation.service.result import ServiceResult
from multispin_gym.runner import Interrupted
from multispin_gym.scenarios.changes import change_scenario, read_changes
from multispin_gym.scenarios.library import load_scenario
from multispin_gym.scenarios.scenario import Scenario


@dataclass(frozen=True)
class Evaluation:
    """Play policies on the same users, channels and acceptance draws, and compare them with the optimum.

    Writes results.json, results.csv (one line per policy and episode) and results.png, and prints a table.

    Parameters
    ----------
    policies
        Controllers (multispin list controllers), such as heterogeneous, nested_polished or multi_spin; estimating
        controllers where time passes (multispin list estimators); run directories of trained agents,
        pretrained:NAME; a function of users and cell of your own, module:function or file.py:function; a policy of
        Stable-Baselines3, sb3:FILE.zip.
    allow_pickle
        Load policies of Stable-Baselines3: loading one runs whatever code is in its file.
    scenario
        Name of a preset, or path of a scenario's TOML file; None: the environment's own.
    set
        Keys of the scenario to change: KEY=VALUE, such as cell.bandwidth=5e6; may be given several times.
    num_users
        Users in the cell; none: the scenario's number; several: an evaluation each, in OUTPUT/K=2 and so on.
    episodes
        Number of episodes; episode i is seeded with seed + i.
    rounds
        Rounds per episode; None: the scenario's number, or no limit with --max-time.
    max_time
        Seconds of play after which an episode ends; how many rounds that takes depends on the policy.
    seed
        Seed of the first episode, of the resampling and of the policies that draw at random.
    sampled
        Sample accepted tokens instead of taking their expectation.
    env_id
        Environment, such as multispin_gym/MultiSpinHomogeneous-v0, where ratios are taken to the best common draft
        length, or multispin_gym/MultiSpinServe-v0, where time passes: there every policy plays its own episodes, and
        what it is paid is shown beside what users feel.
    reference
        What ratios are taken to: the certified optimum, the relaxation's upper bound, or the best common length; None:
        what fits the environment and the number of users.
    loop
        open: all policies decide on one tape of rounds; closed: the game is played for each of them; None: open where
        that is possible.
    baseline
        One of the policies, with which the others are compared as well.
    runner
        Where the work is done: in this process, over the cores, or on Ray; the result is the same.
    jobs
        Pieces of the work that are done at a time, with processes and Ray; 0: one per core.
    resume
        Go on from the finished pieces of an evaluation that was stopped; they are kept in OUTPUT/tasks with processes,
        with Ray and with this option.
    output
        Directory for the results; those of an earlier evaluation in it are replaced.
    """

    policies: tuple[str, ...] = ("server_only", "uniform_best", "homogeneous", "heterogeneous")
    allow_pickle: bool = False
    scenario: str | None = None
    set: tuple[str, ...] = ()
    num_users: tuple[int, ...] = ()
    episodes: int = 50
    rounds: int | None = None
    max_time: float | None = None
    seed: int = 1000
    sampled: bool = False
    env_id: str = MULTI_SPIN.id
    reference: Literal["certificate", "relaxation", "homogeneous"] | None = None
    loop: Literal["open", "closed"] | None = None
    baseline: str | None = None
    runner: Literal["local", "processes", "ray"] = "local"
    jobs: int = 0
    resume: bool = False
    output: Path = Path("results/evaluation")


def main(args: Sequence[str] | None = None, prog: str = "evaluate.py") -> int:
    """Run the evaluation that a command line asks for.

    Parameters
    ----------
    args
        The arguments; by default the program's.
    prog
        How the command was called.

    Returns
    -------
    int
        The exit status: 0 when all is well, 1 with one line on the error stream otherwise.
    """
    args = sys.argv[1:] if args is None else list(args)
    more = ""
    try:
        options = parse(Evaluation, args, prog)
        more = "more " if len(options.num_users) > 1 else ""
        python = ["python"] if prog.endswith(".py") else []
        return _run(options, shlex.join([*python, *prog.split(), *args]))
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        print(f"error: {complaint(error, 'report')}", file=sys.stderr)
        return 1
    except Interrupted as interrupt:
        print(f"{interrupt}; --resume goes on", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print(f"interrupted: nothing {more}was written", file=sys.stderr)
        return 130


def _run(options: Evaluation, command: str) -> int:
    """Play, write and print one evaluation for each number of users; an alarm fails the command when all is done."""
    from multispin_gym.evaluation.report import check_output

    counts = [check_integer("num_users", count, low=1, high=MOST_USERS) for count in options.num_users]
    for count in counts:
        if counts.count(count) > 1:
            raise ValueError(f"num_users must each be given once, got {count} {counts.count(count)} times")
    runs: dict[Path, int | None] = {options.output / f"K={count}": count for count in counts}
    if len(counts) < 2:
        runs = {options.output: counts[0] if counts else None}
    scenario = _scenario(options)
    for output in runs:
        check_output(output)
    played = [_evaluate(options, scenario, count, output, command) for output, count in runs.items()]
    if len(played) > 1:
        print(*(found.summary() for found, _ in played), sep="\n")
    for _, alarm in played:
        if alarm is not None:
            raise alarm
    return 0


def _scenario(options: Evaluation) -> str | Scenario | None:
    if not options.set:
        return options.scenario
    name = variant_of(options.env_id).scenario if options.scenario is None else options.scenario
    return change_scenario(load_scenario(name), read_changes(options.set))


def _evaluate(
    options: Evaluation, scenario: str | Scenario | None, num_users: int | None, output: Path, command: str
) -> tuple[EvaluationResult | ServiceResult, Exception | None]:
    """Play one evaluation, write its files and print its table."""
    from multispin_gym.evaluation.evaluator import ReferenceExceededError, evaluate

    alarm: Exception | None = None
    folder = output / "tasks" if options.resume or options.runner != "local" else None
    alike = ("rounds", "max_time", "loop", "runner", "jobs", "resume", "sampled", "env_id", "reference", "baseline")
    with watched_progress("playing") as progress:
        try:
            result = evaluate(
                options.policies,
                scenario,
                num_users,
                options.episodes,
                options.seed,
                **{name: getattr(options, name) for name in alike},
                allow_pickle=options.allow_pickle,
                folder=folder,
                progress=progress,
            )
        except ReferenceExceededError as error:
            alarm, result = error, error.result
    _show(result, output, command)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    return result, alarm


def _show(result: EvaluationResult | ServiceResult, output: Path, command: str) -> None:
    """Write an evaluation's files and print its table."""
    from rich.console import Console

    from multispin_gym.evaluation.report import save, to_table

    drawn = save(result, output, command)
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(to_table(result, console.width))
    console.print(result.speculation(), highlight=False, markup=False)
    if not drawn:
        console.print("matplotlib is not installed: results.png is skipped", highlight=False)
    console.print(f"written to {output}", highlight=False, markup=False)


if __name__ == "__main__":
    sys.exit(main(prog="python -m multispin_gym.evaluation.cli"))
