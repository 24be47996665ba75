"""Hostile files in a forked process: whether each is refused in one line, or works; in what time and memory."""

from __future__ import annotations

import json
import os
import re
import resource
import select
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _hostile_files import KINDS, REFUSALS, Case, Kind, WrongError

MOST_SECONDS = 1.0
MOST_MEGABYTES = 300.0
LONGEST_MESSAGE = 800
_PATIENCE = 60.0
_HEADROOM = 6 * 2**30
# Where the file is refused as a whole, its keys are not known.
_OF_THE_WHOLE = re.compile(
    "the text|the file|has a key of more|must have at most .* bytes|not valid JSON|not valid TOML|it is nested|"
    "do not fit its configuration|that no evaluation wrote"
)
# Words of which one is in every refusal: what is allowed, or what is wrong with the file as a whole.
_SAYS_WHY = re.compile(
    "must|not a key|missing|needs|not valid|nested|more than|unknown key|cannot|damaged|does not|it was|there is no|"
    "lacks|fit|not of the format|given|former name|No such|Too many|too long|Is a directory|holds|exists|has no|"
    "Unrecognized|not a dotted key|not a table|its name is|if you trust|is not a run directory|takes at most"
)


def trials(
    kind_name: str, numbers: Sequence[int], seed: int, most_seconds: float = MOST_SECONDS
) -> list[dict[str, Any]]:
    """Make hostile files, have them read by a forked process, and say what came of each.

    A file that ends the process, or is not done within a minute, has failed; the others are read by another process.
    """
    found: list[dict[str, Any]] = []
    while len(found) < len(numbers):
        with tempfile.TemporaryDirectory() as place:
            lines, how = _forked(kind_name, numbers[len(found) :], seed, most_seconds, Path(place))
        found += [json.loads(line) for line in lines]
        if how:
            lost = {"kind": kind_name, "number": numbers[len(found)], "label": "", "outcome": "failed"}
            found.append({**lost, "problems": [how], "said": "", "seconds": 0.0, "megabytes": 0.0})
    return found


def _forked(
    kind_name: str, numbers: Sequence[int], seed: int, most_seconds: float, place: Path
) -> tuple[list[bytes], str]:
    """Return what a forked process says, a line for each file, and how it ended if not after the last."""
    get, put = os.pipe()
    child = os.fork()
    if not child:
        os.close(get)
        with os.fdopen(put, "w") as pipe:
            for number in numbers:
                pipe.write(f"{json.dumps(_trial(kind_name, number, seed, most_seconds, place))}\n")
                pipe.flush()
            os._exit(0)
    os.close(put)
    text = b""
    with os.fdopen(get, "rb", buffering=0) as pipe:
        while part := pipe.read(1 << 16) if select.select([pipe], [], [], _PATIENCE)[0] else b"":
            text += part
    lines = [line for line in text.splitlines(keepends=True) if line.endswith(b"\n")]
    if len(lines) == len(numbers):
        os.waitpid(child, 0)
        return lines, ""
    # Of one that has ended already this changes nothing.
    os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return lines, f"no end within {_PATIENCE:g} s, or an end with status {status}"


def _trial(kind_name: str, number: int, seed: int, most_seconds: float, place: Path) -> dict[str, Any]:
    kind, folder = KINDS[kind_name], place / str(number)
    folder.mkdir()
    for file, data in kind.beside().items():
        (folder / file).write_bytes(data)
    case = kind.case(np.random.default_rng([seed, list(KINDS).index(kind_name), number]), number, seed)
    case.put(folder / kind.file)
    found = _inside(kind, case, folder, seed, number, most_seconds)
    name = str(folder)
    problems = [problem.replace(name, ".") for problem in found["problems"]]
    found = {**found, "problems": problems, "said": found["said"].replace(name, ".")}
    shutil.rmtree(folder, ignore_errors=True)
    return {"kind": kind_name, "number": number, "label": _printable(case.label), **found}


def _printable(text: str) -> str:
    return text if text.isprintable() else repr(text)


def _inside(kind: Kind, case: Case, folder: Path, seed: int, number: int, most_seconds: float) -> dict[str, Any]:
    """Read the file and use it; return what came of it."""
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") * 1024 + _HEADROOM, resource.RLIM_INFINITY))
    before, problems, said = snapshot(folder), [], ""
    Path("/proc/self/clear_refs").write_text("5")
    memory, start = _status("VmRSS"), time.process_time()
    found: Any = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            outcome = "accepted"
            found = kind.read(folder, case)
        except REFUSALS as error:
            outcome, said = "refused", str(error)
        except WrongError as error:
            outcome, problems = "failed", [str(error)]
        except BaseException as error:
            outcome, problems = "failed", [_describe(error)]
    seconds, megabytes = time.process_time() - start, (_status("VmHWM") - memory) / 1024.0
    if outcome == "refused":
        problems += refusal_problems(said, case.key)
        if snapshot(folder) != before and not case.place:
            problems.append(f"changed: {sorted(set(snapshot(folder)) ^ set(before))}")
    if outcome != "accepted" or not case.place:
        if seconds > most_seconds and outcome == "refused":
            problems.append(f"{seconds:.1f} s until it was {outcome}")
        if megabytes > MOST_MEGABYTES:
            problems.append(f"{megabytes:.0f} MB until it was {outcome}")
    if outcome == "accepted":
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                kind.use(found, np.random.default_rng([seed, number]))
            except WrongError as error:
                problems.append(str(error))
            except BaseException as error:
                problems.append(f"in use: {_describe(error)}")
    return {
        "outcome": outcome,
        "problems": [problem[:2000] for problem in problems],
        "said": said[:400],
        "seconds": round(seconds, 4),
        "megabytes": round(megabytes, 1),
    }


def refusal_problems(said: str, key: str) -> list[str]:
    """Say what is wrong with the text of a refusal; ``key`` is the name that it has to give."""
    problems = []
    if len(said) > LONGEST_MESSAGE:
        problems.append(f"a message of {len(said)} characters")
    if not said.isprintable():
        problems.append("a message that does not print on one line")
    if key and key not in said and not _OF_THE_WHOLE.search(said):
        problems.append(f"a message without {key!r}")
    if not _SAYS_WHY.search(said):
        problems.append("a message that says not what is allowed")
    return problems


def _describe(error: BaseException) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    own = [entry for entry in traceback.extract_tb(error.__traceback__) if "_hostile" not in entry.filename]
    where = " < ".join(f"{Path(entry.filename).name}:{entry.lineno}" for entry in reversed(own[-4:] or [place]))
    return f"{type(error).__name__}: {str(error)[:300]} ({where})"


def _status(name: str) -> int:
    """Return an entry of the process's status, kB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise KeyError(name)


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            status = path.lstat()
            found[path.relative_to(folder).as_posix()] = status.st_size, status.st_mtime_ns
    return found
