"""Tasks that do not need each other: one after the other, over the cores, or on Ray; kept in files and resumable."""

from __future__ import annotations

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from multispin_gym._running.files import MISSING, read_result, result_file, write_result
from multispin_gym._running.interrupts import current_flag, interrupted, pass_on_interrupt
from multispin_gym._running.loop import LocalPool, Pool, work_off
from multispin_gym._running.process_workers import ProcessPool
from multispin_gym._running.ray_workers import RayPool
from multispin_gym._validation import check_choice, check_integer

__all__ = ["RUNNERS", "Interrupted", "Task", "interrupted", "pass_on_interrupt", "run_tasks"]

RUNNERS = ("local", "processes", "ray")
MOST_JOBS = 2**16
_FIT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,+=@-]{0,199}")


@dataclass(frozen=True)
class Task:
    """A call that can be made anywhere: in this process, in another one, on another machine.

    Parameters
    ----------
    name
        Its name, unlike that of any other task of the run, and the name of its file: at most 200 letters, digits and
        signs out of ``_.,+=@-``.
    function
        What to call; found by its name in its module, so that workers find it too.
    arguments
        Its arguments.
    key
        What the result depends on; by default the function's name and the arguments' text (``repr``, with arrays in
        full). Arguments that their text does not tell apart need a key.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    key: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _FIT_NAME.fullmatch(self.name):
            raise ValueError(
                "name of a task must be up to 200 letters, digits and signs out of _.,+=@- (no sign but _ first), "
                f"got {self.name!r}"
            )
        if not callable(self.function):
            raise TypeError(f"function of the task {self.name} must be callable, got {self.function!r}")
        if not isinstance(self.arguments, tuple):
            raise TypeError(f"arguments of the task {self.name} must be a tuple, got {self.arguments!r}")

    def digest(self) -> str:
        """Return what tells whether a stored result is this task's.

        Returns
        -------
        str
            SHA-256, in hexadecimal digits, of the key and the version of this package.
        """
        key = self.key
        if key is None:
            name = getattr(self.function, "__qualname__", repr(self.function))
            with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
                key = f"{getattr(self.function, '__module__', None)}.{name}{self.arguments!r}"
        return hashlib.sha256(f"{metadata.version('multispin-gym')}\n{key}".encode()).hexdigest()


class Interrupted(KeyboardInterrupt):
    """Raised by an interrupted run.

    Parameters
    ----------
    results
        Results of the tasks that are finished, by their names.
    total
        Number of tasks of the run.
    """

    def __init__(self, results: dict[str, Any], total: int) -> None:
        super().__init__(f"interrupted: {len(results)} of {total} tasks are finished")
        self.results = results


def run_tasks(
    tasks: Sequence[Task],
    *,
    runner: str = "local",
    jobs: int = 0,
    folder: Path | None = None,
    resume: bool = False,
    progress: Callable[[int, int], Any] | None = None,
) -> list[Any]:
    """Do tasks, and return their results in the order of the tasks.

    An interrupt (Ctrl-C) lets the tasks under way end, which :func:`interrupted` tells them of, and starts no more; a
    second one ends them at once. After an exception in a task, too, the tasks under way end and no others begin; what
    is finished stays in the folder. A task whose worker dies is done again, three times at most.

    Parameters
    ----------
    tasks
        The tasks; no two of one name.
    runner
        Where they are done: ``"local"`` in this process, one after the other; ``"processes"`` in processes of this
        machine; ``"ray"`` on the Ray cluster that the environment's ``RAY_ADDRESS`` names or that Ray is connected to
        already, or else on this machine. Workers need what they get pickled; how many threads numerical libraries take
        there is the caller's affair.
    jobs
        How many are done at a time; 0 means one per core, of the cluster if there is one.
    folder
        Where each result is kept as ``NAME.json`` as soon as its task is finished; made if it does not exist. Results
        must be JSON-able then, and are returned as JSON gives them back (tuples are lists), floats to the last bit,
        whether they have just been computed or come from a file. On a cluster only this process writes there.
    resume
        Keep the results in the folder whose key is that of their task, and do the other tasks; otherwise results of
        these tasks that are in the folder are removed first.
    progress
        Called with the number of finished tasks and of all tasks, as often as one is finished.

    Returns
    -------
    list
        The results.

    Raises
    ------
    ImportError
        If Ray is asked for and not installed.
    Interrupted
        If an interrupt came; it has the results of the finished tasks.
    RuntimeError
        If workers died of one and the same task again and again.
    TypeError
        If a task or its result cannot be pickled, or its result is not JSON-able though a folder is given.
    ValueError
        If the runner is unknown, the jobs are negative, or two tasks have one name.
    """
    check_choice("runner", runner, RUNNERS)
    jobs = check_integer("jobs", jobs, low=0, high=MOST_JOBS)
    tasks = list(tasks)
    _check_names(tasks)
    if resume and folder is None:
        raise ValueError("resume needs a folder: the results to keep")
    # Before any task can change an argument.
    digests = {} if folder is None else {task.name: task.digest() for task in tasks}
    results = {} if folder is None else _kept_results(Path(folder), digests, resume)
    waiting = [task for task in tasks if task.name not in results]

    def finish(task: Task, result: Any) -> None:
        if folder is not None:
            result = write_result(Path(folder), task.name, digests[task.name], result)
        results[task.name] = result

    def count() -> None:
        if progress is not None:
            progress(len(results), len(tasks))

    if results:
        count()
    try:
        if waiting:
            work_off(waiting, _pool(runner, jobs, waiting), finish, count)
    except KeyboardInterrupt as interrupt:
        raise Interrupted(results, len(tasks)) from interrupt.__cause__
    return [results[task.name] for task in tasks]


def _check_names(tasks: Sequence[Task]) -> None:
    # Some file systems do not tell small letters from capitals.
    for name, times in Counter(task.name.casefold() for task in tasks).most_common(1):
        if times > 1:
            raise ValueError(f"names of tasks must differ, in more than capitals; {name!r} is there {times} times")


def _kept_results(folder: Path, digests: dict[str, str], resume: bool) -> dict[str, Any]:
    if resume:
        found = {name: read_result(folder, name, digest) for name, digest in digests.items()}
        return {name: result for name, result in found.items() if result is not MISSING}
    for name in digests:
        result_file(folder, name).unlink(missing_ok=True)
    return {}


def _pool(runner: str, jobs: int, tasks: Sequence[Task]) -> Pool:
    outer = current_flag()
    if runner == "local":
        return LocalPool(outer)
    pool = ProcessPool(jobs, len(tasks), outer) if runner == "processes" else RayPool(jobs, len(tasks), outer)
    for task in tasks:
        try:
            pool.pack(task)
        except Exception as error:
            raise TypeError(f"{task.name}: its function and arguments must be picklable: {error}") from error
    return pool
