"""Tasks for the tests of the runner, in a module that workers import quickly."""

import fcntl
import math
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np

from multispin_gym import Decision
from multispin_gym.runner import Task, interrupted, pass_on_interrupt, run_tasks

locks = []


def note(folder, name):
    """Leave a trace of one execution."""
    with open(Path(folder) / f"{name}.runs", "a") as file:
        file.write(f"{os.getpid()}\n")


def runs(folder, name):
    """Number of executions that left a trace."""
    path = Path(folder) / f"{name}.runs"
    return len(path.read_text().splitlines()) if path.exists() else 0


def hold_lock(folder, name):
    """Hold a lock for as long as the process lives."""
    locks.append(open(Path(folder) / f"{name}.lock", "w"))  # noqa: SIM115
    fcntl.flock(locks[-1], fcntl.LOCK_EX)


def say_begun(folder, name):
    """Leave the process's number in a file that is there with it or not at all."""
    path = Path(folder) / f"{name}.begun"
    path.with_suffix(".new").write_text(str(os.getpid()))
    path.with_suffix(".new").rename(path)


def draw(seed):
    """Numbers that show the last bit, and those that JSON does not know."""
    values = np.random.default_rng(seed).normal(size=50)
    return {"sines": np.sin(values).tolist(), "odd": [math.nan, math.inf, -math.inf, -0.0, 5e-324], "seed": seed}


def counted(folder, name, value):
    note(folder, name)
    return value


def after(path, value):
    """Wait for a file, which another task writes."""
    while not Path(path).exists():
        time.sleep(0.005)
    return value


def write(path):
    Path(path).write_text("")
    return "written"


def die_once(folder, name):
    note(folder, name)
    if runs(folder, name) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return runs(folder, name)


def die(folder, name):
    note(folder, name)
    os._exit(3)


def die_later(folder, name):
    """Leave a thread behind that ends the process once it is told to."""
    note(folder, name)
    hold_lock(folder, name)
    threading.Thread(target=lambda: after(Path(folder) / "go", os._exit)(3), daemon=True).start()
    return "done"


class AwkwardError(Exception):
    """Cannot be unpickled: pickle calls it with its message."""

    def __init__(self, left, right):
        super().__init__(f"{left} and {right}")


class ComesNotBack:
    """Can be pickled, and not be unpickled."""

    def __reduce__(self):
        return fail, ("ValueError",)


def fail(kind):
    raise {
        "ValueError": ValueError("no good"),
        "KeyError": KeyError("missing"),
        "OSError": FileNotFoundError(2, "No such file", "data.csv"),
        "Awkward": AwkwardError(1, 2),
    }[kind]


def return_function():
    return lambda: None


def come_not_back():
    return ComesNotBack()


def watch(folder, name, how):
    """Say that it began, and wait for an interrupt; then end as told."""
    note(folder, name)
    hold_lock(folder, name)
    say_begun(folder, name)
    while not interrupted():
        time.sleep(0.005)
    (Path(folder) / f"{name}.told").write_text("")
    if how == "leave":
        raise KeyboardInterrupt
    if how == "fail":
        fail("OSError")
    while how == "stay":
        time.sleep(0.005)
    return "ended in order"


def watch_inside(folder, name, how):
    """Run a task that watches."""
    return run_tasks([Task("inside", watch, (folder, name, how))])


def handle_alone(folder, name):
    """Handle the signal like a training: end in order, and pass it on."""
    heard = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    note(folder, name)
    say_begun(folder, name)
    while not heard:
        time.sleep(0.005)
    signal.signal(signal.SIGINT, previous)
    pass_on_interrupt()
    return "ended in order"


def python_path():
    return sys.path


def three_drafts(users, cell):
    """A controller: three drafts each, equal shares."""
    return Decision(np.full(users.acceptance_rate.shape, 3), 1.0 / users.num_users)
