"""An evaluation on disk and on the terminal: JSON, CSV, a picture and a table."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multispin_gym._files import write_atomically
from multispin_gym._reading import read_json
from multispin_gym.evaluation import words
from multispin_gym.evaluation.results import EvaluationResult
from multispin_gym.evaluation.service import result as service
from multispin_gym.evaluation.service.result import ServiceResult
from multispin_gym.statistics import Estimate

if TYPE_CHECKING:
    from rich.table import Table

RESULTS = ("results.csv", "results.png", "results.json")
LARGEST_RESULTS = 2**26
# Characters from which on all intervals are shown, from which on a mean and its interval stand on one line, and below
# which some are left out.
WIDEST, WIDE, NARROW = 150, 130, 96
# Characters of a policy's name from which on it may be broken.
LONGEST_NAME = 32
_COLUMNS = ("policy", "episode", "seed")
_LIBRARIES = ("multispin-gym", "gymnasium", "numpy", "scipy", "stable-baselines3", "torch")


def check_output(directory: Path) -> None:
    """Refuse a directory into which results cannot be written without destroying something."""
    check_directory(directory, RESULTS, _is_ours, "evaluation")


def check_directory(directory: Path, names: Sequence[str], is_ours: Callable[[Path], bool], maker: str) -> None:
    """Refuse a directory that cannot be written, or that holds files of some names which no such command made."""
    exists = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not exists.is_dir():
        raise FileExistsError(f"output must be a directory, got the file {str(exists)!r}")
    if not os.access(exists, os.W_OK | os.X_OK):
        raise PermissionError(f"output {str(directory)!r} cannot be written: no permission in {str(exists)!r}")
    taken = [name for name in names if (directory / name).exists()]
    if taken and not is_ours(directory):
        raise FileExistsError(
            f"output {str(directory)!r} holds a {taken[0]} that no {maker} wrote: choose another directory"
        )


def _is_ours(directory: Path) -> bool:
    """Whether an evaluation wrote the results in a directory; one that was killed while writing left no JSON."""
    if (directory / "results.json").exists():
        return _is_result(directory / "results.json")
    with contextlib.suppress(OSError, ValueError), (directory / "results.csv").open(encoding="utf-8") as file:
        return file.readline().startswith(",".join(_COLUMNS))
    return False


def _is_result(path: Path) -> bool:
    try:
        data = read_json(path, LARGEST_RESULTS)
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and {"scenario", "policies", "episodes", "seed"} <= data.keys()


Result = EvaluationResult | ServiceResult


def save(result: Result, directory: str | Path, command: str = "") -> bool:
    """Write ``results.json``, ``results.csv`` and ``results.png``; none before all are made.

    ``results.json`` is written last, and an earlier one is removed first: where it stands, all files are of one
    evaluation; a write that was killed leaves none, and the next one begins anew.

    The same evaluation gives the same bytes of JSON and CSV: they hold no times of day.

    Parameters
    ----------
    result
        The evaluation.
    directory
        Where to write; made if it does not exist. Results of an earlier evaluation are replaced.
    command
        The command that made the result, for the record.

    Returns
    -------
    bool
        Whether the picture was drawn; without matplotlib it is left out, an earlier one removed.

    Raises
    ------
    FileExistsError
        If the directory holds files of these names that no evaluation wrote.
    OSError
        If the directory cannot be written.
    """
    directory = Path(directory)
    check_output(directory)
    contents = {"results.csv": to_csv(result).encode()}
    try:
        from multispin_gym.evaluation.figures import draw_result
    except ModuleNotFoundError:
        drawn = False
    else:
        contents["results.png"] = draw_result(result)
        drawn = True
    contents["results.json"] = to_json(result, command).encode()
    gone = () if drawn else ("results.png",)
    write_atomically(directory, contents, seal="results.json", remove=gone)
    return drawn


def to_json(result: Result, command: str = "") -> str:
    """Return the aggregates as the text of ``results.json``.

    Parameters
    ----------
    result
        The evaluation.
    command
        The command that made it.

    Returns
    -------
    str
        JSON, with the versions of the libraries and the machine's kind.
    """
    data: dict[str, Any] = result.to_dict()
    data["versions"] = versions()
    data["command"] = command
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def versions() -> dict[str, str]:
    """Return what a reader needs to repeat the run: Python, the platform, and the libraries that were loaded.

    Returns
    -------
    dict
        Versions by name; libraries that were not imported are left out.
    """
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for name in _LIBRARIES:
        # The package itself may run from a source tree, without metadata.
        if name.replace("-", "_") in sys.modules:
            with contextlib.suppress(metadata.PackageNotFoundError):
                found[name] = metadata.version(name)
    return found


def to_csv(result: Result) -> str:
    """Return every policy's measures, one line per policy and episode.

    Parameters
    ----------
    result
        The evaluation.

    Returns
    -------
    str
        Comma-separated values with a header; numbers are written so that reading them gives them back exactly.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*_COLUMNS, *result.server_only.per_episode()])
    for name, policy in result.policies.items():
        for episode, values in enumerate(zip(*policy.per_episode().values(), strict=True)):
            writer.writerow([name, episode, result.seed + episode, *(repr(float(value)) for value in values)])
    return buffer.getvalue()


def to_table(result: Result, width: int = 120) -> Table:
    """Lay the aggregates out for a terminal."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    if isinstance(result, ServiceResult):
        return _service_table(result, width)
    columns, caption, title = _columns(result, width), words.CAPTION, words.title(result)
    caption += "; regret to nested_polished" if "regret_to_nested_polished" in columns else ""
    table = Table(title=escape(title), box=box.SIMPLE_HEAD, caption=caption, pad_edge=False)
    table.add_column("policy", overflow="fold")
    for heading, *_ in columns.values():
        table.add_column(heading, justify="right")
    gap = "  " if width >= WIDE else "\n"
    for name, estimates in result.estimates.items():
        cells = (
            _cell(estimates[measure], form, gap) if interval else form.format(estimates[measure].mean)
            for measure, (_, form, interval) in columns.items()
        )
        table.add_row(escape(name), *cells)
    return table


# Measure -> (heading, form of its numbers, whether its interval is shown).
Columns = dict[str, tuple[str, str, bool]]


def _service_table(result: ServiceResult, width: int) -> Table:
    """Lay a task out in which time passes: as many columns as fit, and whole names unless they are very long."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    gap = "  " if width >= WIDEST else "\n"
    labels = [result.label(name, gap.strip(" ") or " ") for name in result.policies]
    table = Table(title=escape(result.title), box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("policy", overflow="fold")
    columns = {"": labels}
    # The table has margins of one character, and three characters between columns.
    left = width - 2 - min(_width(labels), LONGEST_NAME)
    for measure, (first, second, form, interval) in result.columns.items():
        cells = [words.cell(found.get(measure), form, interval, gap) for found in result.estimates.values()]
        left -= 3 + _width([first, second, *cells])
        if left < 0 and measure != "return":
            break
        table.add_column(escape(f"{first}\n{second}"), justify="right", no_wrap=True)
        columns[measure] = cells
    table.caption = service.caption(columns)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(escape(text) for text in row))
    return table


def _width(texts: Sequence[str]) -> int:
    return max(len(line) for text in texts for line in text.split("\n"))


def _columns(result: EvaluationResult, width: int) -> Columns:
    """Columns of independent rounds."""
    columns = {
        "goodput": ("goodput\ntoken/s", "{:.4g}", True),
        "ratio_to_optimum": (f"ratio to\n{result.reference}", "{:.4f}", True),
        "lowest_decile_ratio_to_optimum": ("its lowest\ndecile", "{:.4f}", False),
        "regret_to_nested_polished": ("regret", "{:+.2%}", False),
        "long_run_goodput": ("long run\ntoken/s", "{:.4g}", width >= WIDEST),
        "gain_over_server_only": ("goodput over\nserver_only", "{:+.1%}", width >= NARROW),
    }
    if result.nested_polished is None or width < NARROW:
        del columns["regret_to_nested_polished"]
    return columns


def _cell(estimate: Estimate, form: str, gap: str) -> str:
    mean = form.format(estimate.mean)
    if estimate.ci95 is None:
        return mean
    low, high = (form.format(end) for end in estimate.ci95)
    return f"{mean}{gap}[dim]({low}, {high})[/dim]"
