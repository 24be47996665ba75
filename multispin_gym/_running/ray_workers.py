"""Tasks on Ray: on this machine's cores, or on a cluster's."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

from multispin_gym._running.interrupts import Flag
from multispin_gym._running.loop import RETRIES, available_cores
from multispin_gym._running.outcomes import Outcome, perform_packed, unpack

_LOOK_SECONDS = 0.5


class RayFlag(Flag):
    """A worker's flag: an interrupt is an actor of a certain name, which costs nothing until there is one."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._asked = -_LOOK_SECONDS

    def is_set(self) -> bool:
        """Return whether an interrupt came, looking at most a few times a second."""
        import ray

        if not self._value and time.monotonic() - self._asked >= _LOOK_SECONDS:
            self._asked = time.monotonic()
            with contextlib.suppress(ValueError):
                ray.get_actor(self._name)
                self._value = True
        return self._value


class _Interrupt:
    """The actor that stands for an interrupt."""


def perform_on_ray(payload: bytes, flag_name: str, path: list[str]) -> bytes:
    """Do a task in a worker of Ray, which may know fewer folders of modules than the process that sent it."""
    from ray import cloudpickle

    sys.path.extend(entry for entry in path if entry not in sys.path)
    return perform_packed(payload, RayFlag(flag_name), cloudpickle.dumps)


class RayPool:
    """Runs tasks on Ray: on a cluster if Ray is told of one, or else on this machine's cores.

    Parameters
    ----------
    jobs
        Number of tasks at a time; 0 for one per core. No more are given to Ray, since what waits in its queue begins
        whatever happens meanwhile.
    most
        Number of tasks in all.
    outer
        Flag of the task that runs this, if one does.
    """

    def __init__(self, jobs: int, most: int, outer: Flag | None) -> None:
        self._ray = import_ray()
        self.flag = Flag(outer)
        self._jobs, self._most = jobs, most
        self._name = f"interrupt-{uuid.uuid4().hex}"
        self._interrupt: Any = None
        self._tasks: dict[Any, Any] = {}

    def __enter__(self) -> RayPool:
        self._started = not self._ray.is_initialized()
        self._terminate = signal.getsignal(signal.SIGTERM)
        try:
            if self._started:
                self._start()
            self._jobs = self._jobs or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        except BaseException:
            self.__exit__()
            raise
        self._remote = self._ray.remote(max_retries=RETRIES, retry_exceptions=False)(perform_on_ray)
        return self

    def _start(self) -> None:
        quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if os.environ.get("RAY_ADDRESS", "local") != "local":
            self._ray.init(**quiet)
        else:
            cores = min(self._jobs or available_cores(), self._most)
            self._ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)

    def __exit__(self, *exception: object) -> None:
        for reference in self._tasks:
            self._ray.cancel(reference, force=True)
        self._interrupt = None
        if self._started:
            self._ray.shutdown()
            with contextlib.suppress(ValueError, TypeError):  # not the main thread, or a handler of another language
                signal.signal(signal.SIGTERM, self._terminate)

    @property
    def room(self) -> bool:
        """Whether one more task can begin."""
        return len(self._tasks) < self._jobs

    @property
    def busy(self) -> bool:
        """Whether a task is under way."""
        return bool(self._tasks)

    @staticmethod
    def pack(task: Any) -> bytes:
        """Return what goes to the worker."""
        from ray import cloudpickle

        packed: bytes = cloudpickle.dumps((task.function, task.arguments))
        return packed

    def begin(self, task: Any) -> None:
        """Begin a task."""
        remote = self._remote.options(name=task.name)
        self._tasks[remote.remote(self.pack(task), self._name, sys.path)] = task

    def wait(self) -> Iterator[tuple[Any, Outcome]]:
        """Return a task that has ended, with its outcome; none if nothing happens for a while."""
        if self.flag.is_set() and self._interrupt is None:
            self._interrupt = self._ray.remote(num_cpus=0)(_Interrupt).options(name=self._name).remote()
        ready, _ = self._ray.wait(list(self._tasks), timeout=_LOOK_SECONDS)
        for reference in ready:
            try:
                outcome = unpack(self._ray.get(reference))
            except self._ray.exceptions.RayError as error:
                outcome = Outcome("failed", RuntimeError(f"its worker died {RETRIES + 1} times: {error}"))
            yield self._tasks.pop(reference), outcome


def import_ray() -> Any:
    """Return the module ``ray``."""
    try:
        import ray
    except ImportError as error:
        raise ImportError("ray is not installed: pip install 'multispin-gym[ray]'") from error
    return ray
