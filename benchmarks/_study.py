"""What the studies share: their options, work in pieces that do not need each other, and how they end."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from _report import write

from multispin_gym import Scenario, Users, list_scenarios, load_scenario
from multispin_gym._command_line import parse
from multispin_gym._validation import one_line
from multispin_gym.runner import Task, run_tasks

Options = TypeVar("Options")
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Study:
    """Options of what writes a report."""

    output: Path
    """Directory for the results."""

    def write(self, contents: Mapping[str, Any]) -> None:
        """Write the report's files."""
        write(self.output, contents)


@dataclass(frozen=True, kw_only=True)
class StudyInPieces(Study):
    """Options of what falls into pieces that do not need each other."""

    runner: Literal["local", "processes", "ray"] = "local"
    """Where pieces are done: one after the other here, in processes of this machine, or on Ray."""
    jobs: int = 0
    """Pieces done at a time; 0: one per core."""
    resume: bool = False
    """Keep the pieces that an interrupted run of the same study has finished."""

    def do(self, function: Callable[..., Any], pieces: Mapping[Key, tuple[Any, ...]]) -> dict[Key, Any]:
        """Call a module's function with the arguments of each piece; return the results as JSON gives them back."""
        names = [f"{index}-{re.sub(r'[^A-Za-z0-9_.]+', '-', str(key))[:100]}" for index, key in enumerate(pieces)]
        tasks = [Task(name, function, arguments) for name, arguments in zip(names, pieces.values(), strict=True)]
        settings: dict[str, Any] = {"runner": self.runner, "jobs": self.jobs, "resume": self.resume}
        results = run_tasks(tasks, folder=self._kept, progress=_report_progress, **settings)
        return dict(zip(pieces, results, strict=True))

    def write(self, contents: Mapping[str, Any]) -> None:
        """Write the report's files; the pieces, which are in them, are not kept any longer."""
        super().write(contents)
        shutil.rmtree(self._kept, ignore_errors=True)
        if self._kept.parent.is_dir() and not any(self._kept.parent.iterdir()):
            self._kept.parent.rmdir()

    @property
    def _kept(self) -> Path:
        # Several studies may write into one directory.
        return self.output / "tasks" / type(self).__name__.lower()


@dataclass(frozen=True, kw_only=True)
class OverScenarios:
    """Options of what is done in several scenarios."""

    scenarios: tuple[str, ...] = ()
    """Presets or scenario files; by default all presets without a clock."""

    def loaded(self) -> dict[str, Scenario]:
        """Return the scenarios by their names."""
        found = [load_scenario(name) for name in self.scenarios or list_scenarios(clock=False)]
        return {scenario.name: scenario for scenario in found}


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Options of what draws at random, as much as one likes."""

    seed: int = 0
    """Seed of all that is drawn."""
    quick: bool = False
    """A little of everything, to see that it works."""


def run(options: type[Options], work: Callable[[Options, str], int | None], args: Sequence[str] | None) -> int:
    """Do what a command line asks for; return the exit status.

    The work is given the options and the command, as the report shows it, and may return a status of its own.
    """
    args = sys.argv[1:] if args is None else list(args)
    path = Path(work.__code__.co_filename).resolve()
    folder = Path(__file__).resolve().parent
    script = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
    try:
        return work(parse(options, args, path.name), shlex.join(["python", f"benchmarks/{script}", *args])) or 0
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted: nothing was written", file=sys.stderr)
        return 130


def draw_users(scenario: Scenario, cells: int, seed: int | Sequence[int], num_users: int | None = None) -> Users:
    """Draw the users of several cells from a scenario."""
    return scenario.sample_users(np.random.default_rng(seed), num_users, (cells,))


def _report_progress(done: int, total: int) -> None:
    print(f"{done} of {total} pieces done", file=sys.stderr)
