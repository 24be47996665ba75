"""The command line of the evaluation."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from multispin_gym._command_line import parse
from multispin_gym.envs.variants import MULTI_SPIN
from multispin_gym.runner import Interrupted


@dataclass(frozen=True)
class Evaluation:
    """Play policies on the same users, channels and acceptance draws, and compare them with the optimum.

    Writes results.json, results.csv (one line per policy and episode) and results.png, and prints a table.

    Parameters
    ----------
    policies
        Controllers (server_only, random, uniform_fixed, uniform_best, tk_slt, homogeneous, heterogeneous, long_run,
        exact), run directories of trained agents, and pretrained:NAME.
    scenario
        Name of a preset, or path of a scenario's TOML file; None: the environment's own.
    num_users
        Users in the cell; None: the scenario's number.
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
        Environment, multispin_gym/MultiSpin-v0 or multispin_gym/MultiSpinHomogeneous-v0; in the second, ratios are
        taken to the best common draft length.
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
    scenario: str | None = None
    num_users: int | None = None
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


def main(args: Sequence[str] | None = None) -> int:
    """Run the evaluation that a command line asks for.

    Parameters
    ----------
    args
        The arguments; by default the program's.

    Returns
    -------
    int
        The exit status: 0 when all is well, 1 with one line on the error stream otherwise.
    """
    args = sys.argv[1:] if args is None else list(args)
    try:
        return _run(parse(Evaluation, args, "evaluate.py"), args)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        print(f"error: {package} is not installed: pip install 'multispin-gym[report]'", file=sys.stderr)
        return 1
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except Interrupted as interrupt:
        print(f"{interrupt}; --resume goes on", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130


def _run(options: Evaluation, args: Sequence[str]) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from multispin_gym.evaluation.evaluator import ReferenceExceededError, evaluate
    from multispin_gym.evaluation.report import check_output, save, to_table

    check_output(options.output)
    alarm = None
    folder = options.output / "tasks" if options.resume or options.runner != "local" else None
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("playing", total=None)
        try:
            result = evaluate(
                options.policies,
                options.scenario,
                options.num_users,
                options.episodes,
                options.seed,
                rounds=options.rounds,
                max_time=options.max_time,
                loop=options.loop,
                runner=options.runner,
                jobs=options.jobs,
                folder=folder,
                resume=options.resume,
                sampled=options.sampled,
                env_id=options.env_id,
                reference=options.reference,
                baseline=options.baseline,
                progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
        except ReferenceExceededError as error:
            alarm, result = error, error.result
    drawn = save(result, options.output, shlex.join(["python", "evaluate.py", *args]))
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(to_table(result, console.width))
    console.print(result.speculation(), highlight=False, markup=False)
    if not drawn:
        console.print("matplotlib is not installed: results.png is skipped", highlight=False)
    console.print(f"written to {options.output}", highlight=False, markup=False)
    if alarm is not None:
        raise alarm
    return 0
