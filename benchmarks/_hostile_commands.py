"""Hostile command lines: each run as people run it, in a process of its own, refused in one line or played."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from _hostile_files import run_files
from _hostile_trial import MOST_MEGABYTES, MOST_SECONDS, refusal_problems, snapshot

_ROOT = Path(__file__).resolve().parent.parent
EVALUATE, TRAIN = (sys.executable, str(_ROOT / "evaluate.py")), (sys.executable, str(_ROOT / "train.py"))
TUNE = (sys.executable, "-m", "multispin_gym.agents.tune")
MULTISPIN = (sys.executable, "-m", "multispin_gym")
# What a command loads at most before it begins: its bare start.
_STARTS = {
    EVALUATE: "import tyro, rich.console, rich.progress, multispin_gym.evaluation.cli, "
    "multispin_gym.evaluation.report, multispin_gym.evaluation.evaluator, multispin_gym.agents.agent",
    TRAIN: "import tyro, multispin_gym.agents.cli, multispin_gym.agents.training.trainer",
    TUNE: "import tyro, optuna, multispin_gym.agents.tune, multispin_gym.agents.training.trainer",
    MULTISPIN: "import tyro, multispin_gym.commands, multispin_gym.agents.cli, multispin_gym.agents.training.trainer",
}
_PATIENCE = 120.0
# Words that stand for files made before the command is run.
_FILES = {
    "FILE": b"a file",
    "bad.toml": b"x = [[[",
    "deep.toml": b"x = " + b"[" * 10_000,
    "huge.toml": b"x = [" + b"0," * 3_000_000 + b"]",
    "users.toml": b"num_users = 1000000000\n",
    "bytes.toml": b"\xff\xfe\x00",
    "keys.toml": b".".join([b"a"] * 50_000) + b" = 1\n",
    "policy.zip": b"PK\x05\x06" + b"\0" * 18,
    "rule.py": b"def rule(users, cell):\n    return None\nnumber = 3\n",
    "broken.py": b"1 / 0\n",
    "study.json": b'{"trials": 3}',
    "taken/results.json": b"{}",
    "ours/results.csv": b"not ours\n",
    "old/x": b"",
}


@dataclass(frozen=True)
class Line:
    """A command line, and the name that its refusal gives; ``plays`` if it is a legitimate one."""

    program: tuple[str, ...]
    words: tuple[str, ...]
    key: str = ""
    plays: bool = False


def lines() -> list[Line]:
    """Return the command lines."""
    return [*_evaluations(), *_trainings(), *_searches(), *_verbs()]


def _evaluations() -> Iterator[Line]:
    quick = ("--policies", "tk_slt", "--num-users", "2", "--episodes", "2", "--rounds", "2")
    options = {
        "--num-users": ["0", "-1", "1000000000", "1e9", "nan", "inf", "x", "2.5", "9223372036854775808", "100001"],
        "--episodes": ["0", "-1", "1e12", "1000000000000", "nan", "x", "10000001"],
        "--rounds": ["0", "-1", "1000000000000", "nan", "1e3"],
        "--seed": ["-1", "1e400", "nan", "x"],
        "--max-time": ["0", "-1", "nan", "inf", "x"],
        "--env-id": ["nosuch", "", "CartPole-v1", "x" * 10_000, "\x1b[31m", "ümläut"],
        "--scenario": ["nosuch", "", "../../etc/passwd", "x.toml", "old", "FILE", "/", "bad.toml", "deep.toml"],
        "--reference": ["nosuch", ""],
        "--loop": ["nosuch"],
        "--baseline": ["nosuch", ""],
        "--runner": ["nosuch"],
        "--jobs": ["-1", "1e9", "1000000000"],
        "--output": ["FILE", "FILE/below", "taken", "ours", "/proc/nothing", "x" * 5000, "\x07/x/" + "y" * 300],
        "--policies": ["nosuch", "../../etc", "", "pretrained:nosuch", "sb3:FILE", "sb3:none.zip", "policy.zip", "old"],
    }
    for option, values in options.items():
        for value in values:
            key = {"--output": "", "--policies": "polic"}.get(option, option[2:].replace("-", "_"))
            yield Line(EVALUATE, (*quick, option, value), key)
    for name in ("huge.toml", "users.toml", "bytes.toml", "keys.toml", "a\nb.toml", "y" * 300 + ".toml"):
        yield Line(EVALUATE, (*quick, "--scenario", name))
    for policy in ("rule.py:nosuch", "rule.py:number", "rule.py:rule", "broken.py:rule", "none.py:rule", "os:system"):
        yield Line(EVALUATE, (*quick, "--policies", policy), "policy")
    yield Line(EVALUATE, (*quick, "--policies", "sb3:policy.zip", "--allow-pickle"), "policy.zip")
    yield Line(EVALUATE, (*quick, "--policies", "tk_slt", "tk_slt"), "policies")
    yield Line(EVALUATE, (*quick, "--num-users", "2", "2"), "num_users")
    yield Line(EVALUATE, (*quick, "--policies", *("nosuch" + str(number) for number in range(5000))), "policies")
    yield Line(EVALUATE, (*quick, "--nosuch", "1"), "nosuch")
    yield Line(EVALUATE, (*quick, "stray"), "stray")
    for change in _changes():
        yield Line(EVALUATE, (*quick, "--set", change), re.split(r"[.\[=\x1b]", change)[0][:20])
    for change in (
        "cell.min_draft_length=0",
        "cell.payload=1e50",
        "cell.bandwidth=1e-50",
        "cell.power=density",
        "name=ü",
    ):
        yield Line(EVALUATE, (*quick, "--set", change), plays=True)


def _changes() -> list[str]:
    return [
        "cell.max_draft_length=1e18",
        "cell.max_draft_length=1e9",
        "cell.max_draft_length=nan",
        "reference_power=1e308",
        "acceptance[0].beta=[1e308, 1e308]",
        "cell.verification.table=[]",
        "cell.verification={table = []}",
        "cell.nosuch=1",
        "cell=1",
        "acceptance[99999999999999999999].weight=1",
        "acceptance[9].weight=1",
        "num_users=1000000000",
        "distance=[" + "[" * 5000 + "]" * 5000 + "]",
        "distance=" + "1" * 100_000,
        ".".join(["a"] * 50_000) + "=1",
        "x\x1b[31m=1",
        "cell.payload={protocol = 'top_k'}",
        "nothing",
        "=",
    ]


def _trainings() -> Iterator[Line]:
    options = {
        "--num-users": ["0", "1000000000", "1e9", "nan", "100001"],
        "--total-timesteps": ["0", "-1", "1e12", "nan", "1" + "0" * 400, "1000000000000000000"],
        "--eval-cells": ["0", "1e9", "1000000000", "-1"],
        "--eval-every": ["-1", "1e400"],
        "--checkpoint-every": ["0"],
        "--seed": ["-1", "4294967296"],
        "--threads": ["0", "100000"],
        "--jobs": ["-1"],
        "--target-ratio": ["0", "nan", "-1"],
        "--env-id": ["nosuch"],
        "--scenario": ["nosuch", "bad.toml", "deep.toml", "huge.toml", "users.toml", "keys.toml", "none.toml"],
        "--hyperparameters": ["nosuch", "bad.toml", "deep.toml", "huge.toml", "bytes.toml", "keys.toml", "old"],
        "--policy.width": ["0", "4097", "1000000000", "nan"],
        "--policy.depth": ["0", "65"],
        "--policy.share-std": ["nan", "0", "1e308"],
        "--ppo.num-envs": ["0", "1000000000"],
        "--ppo.batch-size": ["1", "1000000000"],
        "--ppo.learning-rate": ["nan", "inf", "0", "1e308"],
        "--ppo.rollout-steps": ["0", "1000000000"],
        "--ppo.discount": ["1.5", "nan"],
        "--cloning.num-cells": ["-1", "1000000000000"],
        "--cloning.controller": ["nosuch"],
        "--run-dir": ["FILE", "old", "FILE/below"],
        "--set": ["cell.max_draft_length=1e18", "nothing", "cell.nosuch=1"],
    }
    for option, values in options.items():
        for value in values:
            key = "" if option in ("--run-dir", "--hyperparameters", "--set", "--scenario") else option[2:]
            words = ("--run-dir", "run", "--no-progress", option, value)
            yield Line(TRAIN, words, key.replace("-", "_").rpartition(".")[2])
    yield Line(TRAIN, ("--resume",), "run-dir")
    yield Line(TRAIN, ("--resume", "--run-dir", "old"))
    yield Line(TRAIN, ("--resume", "--run-dir", "none"))
    yield Line(TRAIN, ("--resume", "--run-dir", "agent", "--seed", "7"), "seed")
    yield Line(TRAIN, ("--seeds", "1", "1", "--run-dir", "run"), "seeds")
    yield Line(TRAIN, ("--policy.width", "4096", "--policy.depth", "64", "--run-dir", "run"), "width")
    yield Line(TRAIN, ("--num-users", "100000", "--ppo.num-envs", "1048576", "--run-dir", "run"), "num_users")
    yield Line(TRAIN, ("--nosuch",), "nosuch")


def _searches() -> Iterator[Line]:
    options = {
        "--num-trials": ["0", "nan", "1e9"],
        "--num-users": ["0", "1000000000"],
        "--total-timesteps": ["0", "1" + "0" * 400],
        "--seed": ["-1"],
        "--scenario": ["nosuch", "deep.toml"],
        "--hyperparameters": ["bad.toml", "huge.toml"],
        "--output": ["FILE/below", "old"],
    }
    for option, values in options.items():
        for value in values:
            key = "" if option in ("--output", "--scenario", "--hyperparameters") else option[2:].replace("-", "_")
            yield Line(TUNE, (option, value), key)
    yield Line(TUNE, ("--resume", "--output", "study.json"))
    yield Line(TUNE, ("--resume", "--output", "none.json"))
    yield Line(TUNE, ("--training-seeds",), "training")


def _verbs() -> Iterator[Line]:
    for verb in ("nosuch", "x" * 10_000, "\x1b[31m", "../../etc", "evalaute"):
        yield Line(MULTISPIN, (verb,), "verb")
    for words in (("list", "nosuch"), ("list", "x" * 10_000), ("list", "\x1b[31m")):
        yield Line(MULTISPIN, words, "section")
    for name in ("FILE", "x", "FILE/cell.toml", "bad.toml", "y" * 300 + ".toml", "/proc/nothing/cell.toml", "\x1b.txt"):
        yield Line(MULTISPIN, ("new", name))
    yield Line(MULTISPIN, ("evaluate", "--num-users", "1000000000"), "num_users")
    yield Line(MULTISPIN, ("train", "--eval-cells", "1e9"), "eval")
    for words in ((), ("--help",), ("--version",), ("list",), ("evaluate", "--help"), ("new", "cell é.toml")):
        yield Line(MULTISPIN, words, plays=True)
    for program in (EVALUATE, TRAIN, TUNE):
        yield Line(program, ("--help",), plays=True)


@cache
def bare_start(program: tuple[str, ...]) -> tuple[float, float]:
    """Return seconds of processor time and megabytes of a command that only loads what it needs."""
    _, _, seconds, megabytes = _run((sys.executable, "-c", _STARTS[program]), Path("/"))
    return seconds, megabytes


def run_line(number: int) -> dict[str, Any]:
    """Run a command line, and say what came of it."""
    line = lines()[number]
    seconds, megabytes = bare_start(line.program)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, data in {**_FILES, **{f"agent/{file}": data for file, data in run_files().items()}}.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(data)
        before = snapshot(folder)
        status, said, spent, held = _run((*line.program, *line.words), folder)
        changed = sorted(set(snapshot(folder)) ^ set(before))
    problems = []
    if line.plays:
        problems += [f"exit status {status}: {said[-500:]}"] if status or "Traceback" in said else []
    else:
        problems += _of_refusal(line, status, said)
        problems += [f"wrote {', '.join(changed)}"] if changed else []
        if spent - seconds > MOST_SECONDS:
            problems.append(f"{spent:.1f} s, {spent - seconds:.1f} s beyond its start")
        if held - megabytes > MOST_MEGABYTES:
            problems.append(f"{held:.0f} MB, {held - megabytes:.0f} MB beyond its start")
    program = " ".join(Path(word).name if "/" in word else word for word in line.program)
    return {
        "kind": "command",
        "number": number,
        "label": " ".join([program, *(word if len(word) < 60 else f"{word[:40]}..." for word in line.words)]),
        "outcome": "failed" if problems else "accepted" if line.plays else "refused",
        "problems": [problem.replace(name, ".") for problem in problems],
        "said": said[:400].replace(name, "."),
        "seconds": round(spent - seconds, 2),
        "megabytes": round(held - megabytes, 1),
    }


def _of_refusal(line: Line, status: int, said: str) -> list[str]:
    if status not in (1, 2):
        return [f"exit status {status}: {said[-500:]}"]
    if "usage:" in said:
        # What argparse says of a stray word comes after a line of usage.
        said = said.splitlines()[-1] + "\n"
    if said.count("\n") != 1 or "error: " not in said:
        return [f"{said.count(chr(10))} lines: {said[-500:]}"]
    return refusal_problems(said.rstrip("\n"), line.key if line.key.replace("_", "-") not in said else "")


def _run(command: tuple[str, ...], folder: Path) -> tuple[int, str, float, float]:
    """Run a command; return its status, its error stream, its processor time in s and its largest memory in MB."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as err:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=err, env=environment)
        timer = _Timer(process)
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        err.seek(0)
        said = err.read().decode(errors="replace")
    return process.returncode, said, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024.0


class _Timer:
    """Kills a process that takes too long."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        import threading

        self._timer = threading.Timer(_PATIENCE, process.kill)
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        self._timer.cancel()
