"""Solvers in a process of their own, where the rise of memory is theirs alone and a failure ends nothing else."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from multispin_gym import Cell, Users

Solver = Callable[[Users, Cell], np.ndarray]


def memory_of_process(key: str) -> int:
    """A memory figure of this process, byte."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def work(solver: Solver, users: Users, cell: Cell, warm: Users, sender: Any) -> None:
    """Solve in a process of its own and send lengths, times and the rise of the peak of resident memory."""
    solver(warm, cell)
    linux = Path("/proc/self/clear_refs").exists()
    found = []
    for index in range(users.batch_shape[0]):
        if linux:
            # Resets the peak.
            Path("/proc/self/clear_refs").write_text("5")
            before = memory_of_process("VmRSS")
        wall, start = time.perf_counter(), time.process_time()
        lengths = solver(users[index], cell)
        taken = time.process_time() - start, time.perf_counter() - wall
        found.append((lengths, *taken, memory_of_process("VmHWM") - before if linux else None))
    sender.send(found)


def apart(solver: Solver, users: Users, cell: Cell, warm: Users, patience: float) -> list[Any] | None:
    """Run :func:`work`; None where it fails or takes longer than the patience, s."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(solver, users, cell, warm, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv() if receiver.poll(patience) else None
    except EOFError:
        return None
    finally:
        process.kill()
        process.join()
