"""Interrupts that let the work under way end: who hears them, and how a task learns of them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Flag:
    """Whether an interrupt came; also once it came to the run around this one, where a task runs tasks itself."""

    def __init__(self, outer: Flag | None = None) -> None:
        self._outer = outer
        self._value = False

    def set(self) -> None:
        """Say that an interrupt came."""
        self._value = True

    def is_set(self) -> bool:
        """Return whether an interrupt came."""
        if not self._value and self._outer is not None and self._outer.is_set():
            self.set()
        return self._value


_current: Flag | None = None


def current_flag() -> Flag | None:
    """Return the flag of the task under way, None outside tasks."""
    return _current


@contextmanager
def telling(flag: Flag) -> Iterator[None]:
    """Make the functions below speak of a flag."""
    global _current
    before, _current = _current, flag
    try:
        yield
    finally:
        _current = before


def interrupted() -> bool:
    """Tell a task whether an interrupt came, so that it shall end early.

    A task that ends early for it raises ``KeyboardInterrupt``, unless what it returns is a result to keep.

    Returns
    -------
    bool
        Whether an interrupt came to the run that the task is part of; false outside :func:`run_tasks`.
    """
    return _current is not None and _current.is_set()


def pass_on_interrupt() -> None:
    """Tell the run that an interrupt came: for a task that handles the signal itself, and returns all the same."""
    if _current is not None:
        _current.set()


@contextmanager
def listening(flag: Flag) -> Iterator[None]:
    """Set a flag on the first interrupt, and interrupt at once on the second; only the main thread can hear them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = False

    def handle(number: int, frame: FrameType | None) -> None:
        # Not the flag's own state: a worker that heard the same interrupt may have set it already.
        nonlocal heard
        if heard:
            raise KeyboardInterrupt
        heard = True
        flag.set()

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if previous is None else previous)
