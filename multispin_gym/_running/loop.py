"""The loop that all the runners share: begin tasks while there is room, keep what is finished, stop in order."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from multispin_gym._running.interrupts import Flag, listening
from multispin_gym._running.outcomes import Outcome, name_failure, perform

RETRIES = 3


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    ask = getattr(os, "sched_getaffinity", lambda process: range(os.cpu_count() or 1))
    return len(ask(0))


class Pool(Protocol):
    """Something that does tasks, as a context that ends with it what it has started."""

    flag: Flag

    def __enter__(self) -> Any: ...
    def __exit__(self, *exception: Any) -> None: ...

    @property
    def room(self) -> bool:
        """Whether one more task can begin."""

    @property
    def busy(self) -> bool:
        """Whether a task is under way."""

    def begin(self, task: Any) -> None:
        """Begin a task."""

    def wait(self) -> Iterable[tuple[Any, Outcome]]:
        """Return tasks that have ended, with their outcomes; none if nothing happens for a while."""


class LocalPool:
    """Does tasks in this process, one after the other."""

    def __init__(self, outer: Flag | None) -> None:
        self.flag = Flag(outer)
        self._ended: list[tuple[Any, Outcome]] = []

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass

    @property
    def room(self) -> bool:
        """Whether one more task can begin."""
        return not self._ended

    @property
    def busy(self) -> bool:
        """Whether a task is under way."""
        return bool(self._ended)

    def begin(self, task: Any) -> None:
        """Do a task."""
        self._ended.append((task, perform(task.function, task.arguments, self.flag)))

    def wait(self) -> Iterable[tuple[Any, Outcome]]:
        """Return the task that was done last, with its outcome."""
        ended, self._ended = self._ended, []
        return ended


def work_off(tasks: Iterable[Any], pool: Pool, finish: Callable[[Any, Any], None], count: Callable[[], None]) -> None:
    """Do tasks in a pool; hand over the result of each as soon as it is finished, and count it.

    Raises
    ------
    KeyboardInterrupt
        If an interrupt came.
    """
    waiting, losses = deque(tasks), Counter[str]()
    failures: list[BaseException] = []
    late_failures: list[BaseException] = []  # perhaps of the interrupt itself, which has reached a task's own processes
    with listening(pool.flag), pool:
        while True:
            while waiting and pool.room and not failures and not pool.flag.is_set():
                pool.begin(waiting.popleft())
            if not pool.busy:
                break
            for task, outcome in pool.wait():
                if outcome.told:
                    pool.flag.set()
                if outcome.kind == "lost":
                    losses[task.name] += 1
                    if losses[task.name] <= RETRIES:
                        waiting.appendleft(task)
                        continue
                    outcome = Outcome("failed", RuntimeError(_death(losses[task.name], outcome.value)))
                (late_failures if pool.flag.is_set() else failures).extend(_settle(task, outcome, finish))
                if outcome.kind == "finished":
                    count()
    if failures:
        raise failures[0]
    if pool.flag.is_set():
        raise KeyboardInterrupt from next(iter(late_failures), None)


def _settle(task: Any, outcome: Outcome, finish: Callable[[Any, Any], None]) -> Iterable[BaseException]:
    """Hand over a task's result, and yield what went wrong with the task or on the way."""
    if outcome.kind == "finished":
        try:
            finish(task, outcome.value)
        except Exception as error:
            yield name_failure(task.name, error)
    elif outcome.kind == "failed":
        yield name_failure(task.name, outcome.value)


def _death(times: int, exit_code: int | None) -> str:
    return f"its worker died {times} times, the last time with exit code {exit_code}: killed, or out of memory?"
