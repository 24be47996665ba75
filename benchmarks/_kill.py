"""One command, run in a process of its own that is killed or interrupted somewhere, and what its files come to."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from multispin_gym.agents import cli as train_cli
from multispin_gym.agents import tune
from multispin_gym.evaluation import cli as evaluate_cli

# Loaded in the process that all others are forked from: each then starts at once.
_LOADED = ("matplotlib.backends.backend_agg", "optuna", "safetensors.torch", "torch._dynamo", "tyro", __name__)
_LOADED += ("multispin_gym.agents.training.seeds", "multispin_gym.agents.training.trainer", "multispin_gym.envs.vector")
_LOADED += ("multispin_gym.evaluation.evaluator", "multispin_gym.evaluation.figures", "multispin_gym.evaluation.report")
_LOADED += ("scipy.optimize", "scipy.stats")

QUICK = """
[policy]
width = 8
critic_width = 8
[ppo]
num_envs = 8
rollout_steps = 4
batch_size = 16
num_epochs = 2
"""
# The search chooses batches of up to 2,048 rounds.
QUICK_SEARCH = QUICK.replace("num_envs = 8", "num_envs = 256").replace("rollout_steps = 4", "rollout_steps = 8")
QUICK_SEARCH = QUICK_SEARCH.replace("batch_size = 16", "batch_size = 1024")

_TRAINING = ["--hyperparameters", "quick.toml", "--run-dir", "run", "--num-users", "2", "--eval-cells", "8"]
_TRAINING += ["--total-timesteps", "128", "--eval-every", "1", "--checkpoint-every", "2", "--no-progress"]
_CLONING = ["--cloning.num-cells", "1024", "--cloning.num-epochs", "2", "--cloning.batch-size", "64"]
_SEARCH = ["--hyperparameters", "search.toml", "--output", "out/study.json", "--num-trials", "3", "--num-users", "2"]
_SEARCH += ["--total-timesteps", "1", "--training-seeds", "0"]
_EVALUATION = ["--policies", "uniform_best", "heterogeneous", "--num-users", "3", "--episodes", "8", "--rounds", "5"]
_EVALUATION += ["--output", "out", "--resume"]


@dataclass(frozen=True)
class Command:
    """A program's function, its arguments, those that resume it, and whether to disturb it at random instants too."""

    function: Callable[[list[str]], int]
    arguments: list[str]
    resume: list[str]
    anywhere: bool = True
    program: str = "train.py"

    def line(self, arguments: list[str]) -> str:
        """Return the command as it is typed."""
        return " ".join(["python", self.program, *arguments])


COMMANDS = {
    "training": Command(train_cli.main, _TRAINING, ["--run-dir", "run", "--no-progress", "--resume"]),
    "target": Command(
        train_cli.main,
        [*_TRAINING, "--target-ratio", "0.01"],
        ["--run-dir", "run", "--no-progress", "--resume", "--target-ratio", "0.01"],
        anywhere=False,
    ),
    "cloning": Command(train_cli.main, [*_TRAINING, *_CLONING], ["--run-dir", "run", "--no-progress", "--resume"]),
    "seeds": Command(
        train_cli.main,
        [*_TRAINING, "--seeds", "0", "1", "--runner", "local"],
        ["--run-dir", "run", "--no-progress", "--resume", "--seeds", "0", "1", "--runner", "local"],
        anywhere=False,
    ),
    "search": Command(tune.main, _SEARCH, [*_SEARCH, "--resume"], program="-m multispin_gym.agents.tune"),
    "evaluation": Command(evaluate_cli.main, _EVALUATION, _EVALUATION, program="evaluate.py"),
}


@dataclass(frozen=True)
class Disturbance:
    """When to kill a command, or (``gently``) interrupt it: before its n-th file takes its place, or after a time."""

    before_replace: int | None = None
    after: float | None = None
    gently: bool = False


@dataclass
class Ending:
    """How a process ended: its exit status (negative: the signal that ended it), what it said, and what it did."""

    status: int
    lines: list[str]
    seconds: float
    replaces: int


def undisturbed(name: str) -> dict[str, Any]:
    """Run a command as it is; return digests of its files, how often it put one in its place, and its seconds."""
    command = COMMANDS[name]
    with tempfile.TemporaryDirectory() as folder:
        ending = _run(command.function, command.arguments, Path(folder), Disturbance())
        if ending.status:
            raise RuntimeError(f"{name} ended with {ending.status}: {' '.join(ending.lines)}")
        return {"files": comparable(Path(folder)), "replaces": ending.replaces, "seconds": ending.seconds}


def disturb(name: str, disturbance: Disturbance, expected: dict[str, str]) -> dict[str, Any]:
    """Disturb a command, resume it, and say what came of it; ``expected`` are the digests of the undisturbed run."""
    command = COMMANDS[name]
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        ending = _run(command.function, command.arguments, where, disturbance)
        outcome, said = "ended before", ""
        if ending.status == (130 if disturbance.gently else -signal.SIGKILL):
            outcome = "resumed"
            ending = _run(command.function, command.resume, where, Disturbance())
            if _is_refusal(ending):
                outcome, said = "refused, then started anew", ending.lines[0]
                ending = _run(command.function, command.arguments, where, Disturbance())
            if _is_refusal(ending):
                return {"outcome": "refused", "details": ending.lines[0].replace(folder, ".")}
        if ending.status:
            outcome, said = f"exit status {ending.status}", " ".join(ending.lines[-3:])
        found = comparable(where)
        different = sorted(file for file in {*found, *expected} if found.get(file) != expected.get(file))
        if different and not ending.status:
            outcome, said = f"{outcome}, and other files", ", ".join(different)
        return {"outcome": outcome, "details": said.replace(folder, ".")}


def _is_refusal(ending: Ending) -> bool:
    return ending.status in (1, 2) and len(ending.lines) == 1 and "error: " in ending.lines[0]


def _run(function: Callable[[list[str]], int], arguments: list[str], folder: Path, disturbance: Disturbance) -> Ending:
    for file, text in (("quick.toml", QUICK), ("search.toml", QUICK_SEARCH)):
        (folder / file).write_text(text)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_LOADED))
    replaces = context.RawValue("i", 0)
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch, "log")
        begun, begin = context.Pipe(duplex=False)
        inside = (function, arguments, folder, log, disturbance, replaces, begin)
        process = context.Process(target=_inside, args=inside)
        process.start()
        begun.recv()
        start = time.perf_counter()
        if disturbance.after is not None:
            process.join(disturbance.after)
            if process.exitcode is None and process.pid is not None:
                os.kill(process.pid, _signal(disturbance))
        process.join()
        seconds = time.perf_counter() - start
        status = process.exitcode
        assert status is not None
        return Ending(status, log.read_text().splitlines(), seconds, replaces.value)


def _signal(disturbance: Disturbance) -> signal.Signals:
    return signal.SIGINT if disturbance.gently else signal.SIGKILL


def _inside(
    function: Callable[[list[str]], int],
    arguments: list[str],
    folder: Path,
    log: Path,
    disturbance: Disturbance,
    replaces: Any,
    begin: Connection,
) -> None:
    """Be the process: count what is put in its place, and be disturbed before the n-th."""
    place = os.replace

    def replace(*names: Any, **options: Any) -> None:
        replaces.value += 1
        if replaces.value == disturbance.before_replace:
            signal.raise_signal(_signal(disturbance))
        place(*names, **options)

    # Semaphores that the system frees when their process is killed.
    multiprocessing.set_start_method("fork", force=True)
    torch.set_num_threads(1)
    os.replace = replace
    tempfile.tempdir = str(log.parent)
    os.chdir(folder)
    with log.open("w") as file, Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            begin.send(None)
            status = function(arguments)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        except KeyboardInterrupt:
            status = 130
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def comparable(folder: Path) -> dict[str, str]:
    """Digests of all files by their names, without what tells of seconds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and "tensorboard/" not in name:
            found[name] = hashlib.sha256(_timeless(path)).hexdigest()
    return found


def _timeless(path: Path) -> bytes:
    if path.name == "training_state.pt":
        return _bytes(_without_seconds(torch.load(path, weights_only=True)))
    if path.name == "evaluations.csv":
        rows = [_without_seconds(row) for row in csv.DictReader(io.StringIO(path.read_text()))]
        return repr(rows).encode()
    if path.suffix == ".json" and path.name != "config.json":
        return repr(_without_seconds(json.loads(path.read_text()))).encode()
    return path.read_bytes()


# "t": when an episode ended.
_TIMES = ("seconds", "t", "time/fps", "time/time_elapsed")


def _without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_seconds(entry) for name, entry in value.items() if name not in _TIMES}
    return [_without_seconds(entry) for entry in value] if isinstance(value, list | tuple) else value


def _bytes(value: Any) -> bytes:
    if isinstance(value, torch.Tensor):
        return f"{value.dtype}{tuple(value.shape)}".encode() + value.contiguous().numpy().tobytes()
    if isinstance(value, dict):
        return b"{" + b",".join(repr(name).encode() + b":" + _bytes(entry) for name, entry in value.items()) + b"}"
    if isinstance(value, list | tuple):
        return b"[" + b",".join(_bytes(entry) for entry in value) + b"]"
    return repr(value).encode()
