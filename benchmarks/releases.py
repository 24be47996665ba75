"""Two checkouts beside each other, in one run: whether they compute the same, bit for bit, and how fast they are.

``release_probe.py``, which uses published names only, is run from a folder of its own by both interpreters: once for
digests of results, and in turns for processor times, one process at a time. Writes releases.json and releases.md;
fails if a result differs. ``python benchmarks/releases.py --help``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _report import head, machine_text, table
from _study import Study, run

from multispin_gym._validation import check_integer

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
PROBE = Path(__file__).with_name("release_probe.py")
LIBRARIES = ("multispin-gym", "gymnasium", "numpy", "scipy", "torch")
VERSIONS = f"""
import importlib.metadata, json, platform
found = {{"python": platform.python_version()}}
for name in {LIBRARIES}:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


@dataclass(frozen=True, kw_only=True)
class Releases(Study):
    """Compare the results and the speed of this checkout with those of another one.

    Writes releases.json and releases.md.
    """

    other: Path
    """The other checkout's Python, with that checkout installed."""
    repeats: int = 5
    """Times that the speed of each is measured, in turns."""
    probe: Path = PROBE
    """Script that prints, given "results" or "speed", one JSON object of digests or of seconds."""
    output: Path = Path("results/releases")

    def __post_init__(self) -> None:
        check_integer("repeats", self.repeats, low=1)


def ask(python: str, folder: Path, *arguments: str) -> dict[str, Any]:
    """Run an interpreter in a folder where it finds nothing but what is installed; return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | ONE_THREAD
    done = subprocess.run(
        [python, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        complaint = (done.stderr.strip() or "it says nothing").splitlines()[-1]
        raise RuntimeError(f"the probe failed under {python}: {complaint}")
    return dict(json.loads(done.stdout))


def compare(here: dict[str, str], other: dict[str, str]) -> dict[str, Any]:
    """Which results are equal, which differ, and which exist in one only."""
    both = [name for name in here if name in other]
    return {
        "equal": sum(here[name] == other[name] for name in both),
        "different": [name for name in both if here[name] != other[name]],
        "only_here": [name for name in here if name not in other],
        "only_in_the_other": [name for name in other if name not in here],
    }


def rates(here: list[dict[str, float]], other: list[dict[str, float]]) -> dict[str, Any]:
    """Seconds of each measurement, and their ratios turn by turn, of what is measured in both."""
    found = {}
    for name in (name for name in here[0] if name in other[0]):
        ours, theirs = ([turn[name] for turn in turns] for turns in (here, other))
        ratios = np.divide(ours, theirs)
        found[name] = {
            "here": ours,
            "other": theirs,
            "ratio": float(np.median(ratios)),
            "ratio_range": [float(ratios.min()), float(ratios.max())],
        }
    return found


def to_markdown(report: dict[str, Any]) -> str:
    """Write the page."""
    results = report["results"]
    lists = {
        "Different": results["different"],
        "Only in this checkout": results["only_here"],
        "Only in the other": results["only_in_the_other"],
    }
    here, other = (
        ", ".join(f"{name} {version}" for name, version in report[f"{side}_versions"].items())
        for side in ("here", "other")
    )
    rows = [
        [
            name,
            f"{np.median(row['here']):.4g}",
            f"{np.median(row['other']):.4g}",
            "{:.3f} ({:.3f}, {:.3f})".format(row["ratio"], *row["ratio_range"]),
        ]
        for name, row in report["speed"].items()
    ]
    return "\n".join(
        [
            "# This checkout beside another one\n",
            f"`{report['command']}`\n",
            f"{machine_text(report)}. This checkout: {here}. The other: {other}.\n",
            f"{results['equal']} results are equal bit for bit, {len(results['different'])} differ.\n",
            *(f"{title}:\n\n" + "".join(f"- {name}\n" for name in names) for title, names in lists.items() if names),
            f"Processor time on one thread, s: medians of {report['repeats']} measurements taken in turns, and the",
            "median and the range of their ratios turn by turn; below 1 this checkout is the faster one.\n",
            table(["what", "this checkout", "the other", "ratio (range)"], rows),
        ]
    )


def study(options: Releases, command: str) -> int:
    # Not resolved: a virtual environment's Python is a link to one that does not know what is installed there.
    pythons = {"here": sys.executable, "other": str(options.other.absolute())}
    turns: dict[str, list[dict[str, float]]] = {"here": [], "other": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copyfile(options.probe, folder / "probe.py")
        versions = {f"{side}_versions": ask(python, folder, "-c", VERSIONS) for side, python in pythons.items()}
        digests = {}
        for side, python in pythons.items():
            digests[side] = ask(python, folder, "probe.py", "results")
            print(f"results done: {side}", file=sys.stderr)
        for turn in range(options.repeats):
            for side, python in pythons.items():
                turns[side].append(ask(python, folder, "probe.py", "speed"))
            print(f"{turn + 1} of {options.repeats} turns done", file=sys.stderr)
    results = compare(**digests)
    measured = {"repeats": options.repeats, "results": results, "digests": digests, "speed": rates(**turns)}
    report = {**head(command), **versions, **measured}
    page = to_markdown(report)
    options.write({"releases.json": report, "releases.md": page})
    print(page)
    return 1 if results["different"] else 0


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Releases, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
