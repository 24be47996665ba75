"""Worker processes that outlive their tasks, and whose death costs only the task that they were doing."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from multispin_gym._running.interrupts import Flag
from multispin_gym._running.loop import available_cores
from multispin_gym._running.outcomes import Outcome, perform_packed, unpack

# A worker's death is noticed at once, unless a process of its own that outlives it still holds its pipe.
_LOOK_SECONDS = 1.0
# A task may have left a thread behind that keeps its process from ending.
_LEAVE_SECONDS = 10.0
_mask_signals: Callable[..., Any] = getattr(signal, "pthread_sigmask", lambda how, signals: set())
_BLOCK, _UNBLOCK = getattr(signal, "SIG_BLOCK", 0), getattr(signal, "SIG_UNBLOCK", 1)


class SharedFlag(Flag):
    """A flag in a byte that all the processes share: whoever hears an interrupt tells the others."""

    def __init__(self, byte: Any, outer: Flag | None = None) -> None:
        super().__init__(outer)
        self._byte = byte

    def set(self) -> None:
        """Say that an interrupt came."""
        self._value = True
        self._byte.value = 1

    def is_set(self) -> bool:
        """Return whether an interrupt came to any of the processes."""
        return bool(self._byte.value) or super().is_set()


class _Worker:
    def __init__(self, byte: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.task: Any = None
        self.process: SpawnProcess = context.Process(target=_work, args=(theirs, byte))
        with _no_interrupts():
            self.process.start()
        theirs.close()

    def outcome(self) -> Outcome | None:
        """Return how the task ended, None while it is under way."""
        alive = self.process.is_alive()
        try:
            # In this order, or else a result that came between the two questions would be lost.
            if self.connection.poll():
                return unpack(self.connection.recv_bytes())
        except (EOFError, OSError):
            alive = False
        return None if alive else Outcome("lost", self.end(_LEAVE_SECONDS))

    def end(self, seconds: float = 0.0) -> int | None:
        """End the process, unless it ends by itself within some time, and return its exit code."""
        self.process.join(seconds)
        self.process.kill()
        self.process.join()
        self.connection.close()
        return self.process.exitcode


class ProcessPool:
    """Runs tasks in processes of their own.

    Parameters
    ----------
    jobs
        Number of processes; 0 for one per core.
    most
        Number of tasks in all.
    outer
        Flag of the task that runs this, if one does.
    """

    def __init__(self, jobs: int, most: int, outer: Flag | None) -> None:
        self._byte: Any = multiprocessing.get_context("spawn").RawValue("b", 0)
        self.flag: Flag = SharedFlag(self._byte, outer)
        self._jobs = min(jobs or available_cores(), most)
        self._idle: list[_Worker] = []
        self._busy: list[_Worker] = []

    def __enter__(self) -> ProcessPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        for worker in self._busy:
            worker.end()
        for worker in self._idle:
            worker.connection.close()
        for worker in self._idle:
            worker.end(_LEAVE_SECONDS)

    @property
    def room(self) -> bool:
        """Whether one more task can begin."""
        return len(self._busy) < self._jobs

    @property
    def busy(self) -> bool:
        """Whether a task is under way."""
        return bool(self._busy)

    @staticmethod
    def pack(task: Any) -> bytes:
        """Return what goes to the worker."""
        return pickle.dumps((task.function, task.arguments))

    def begin(self, task: Any) -> None:
        """Begin a task."""
        worker = self._idle.pop() if self._idle else _Worker(self._byte)
        worker.task = task
        self._busy.append(worker)
        with suppress(OSError):  # the worker has died since its last task, which `wait` finds out
            worker.connection.send_bytes(self.pack(task))

    def wait(self) -> Iterator[tuple[Any, Outcome]]:
        """Return the tasks that have ended, with their outcomes; none if nothing happens for a while."""
        waited_for = [thing for worker in self._busy for thing in (worker.connection, worker.process.sentinel)]
        connection.wait(waited_for, timeout=_LOOK_SECONDS)
        for worker in tuple(self._busy):
            outcome = worker.outcome()
            if outcome is not None:
                self._busy.remove(worker)
                if outcome.kind != "lost":
                    self._idle.append(worker)
                yield worker.task, outcome


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Let no interrupt reach a process that starts, before it has said what it does with one."""
    before = _mask_signals(_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if signal.SIGINT not in before:
            _mask_signals(_UNBLOCK, {signal.SIGINT})


def _work(tasks: Connection, byte: Any) -> None:
    """Do tasks until there are no more; an interrupt ends none of them."""
    parent: Any = multiprocessing.parent_process()
    end_with_parent = threading.Thread(target=lambda: connection.wait([parent.sentinel]) and os._exit(1), daemon=True)
    end_with_parent.start()
    flag = SharedFlag(byte)
    signal.signal(signal.SIGINT, lambda number, frame: flag.set())
    _mask_signals(_UNBLOCK, {signal.SIGINT})
    while True:
        try:
            payload = tasks.recv_bytes()
        except (EOFError, OSError):
            return
        tasks.send_bytes(perform_packed(payload, flag))
