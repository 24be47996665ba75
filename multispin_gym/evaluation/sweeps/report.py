"""A sweep on disk and on the terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multispin_gym._files import write_atomically
from multispin_gym._reading import read_json
from multispin_gym.evaluation.report import WIDE, check_directory
from multispin_gym.evaluation.sweeps.axes import value_word
from multispin_gym.evaluation.sweeps.results import SweepResult

if TYPE_CHECKING:
    from rich.table import Table

FILES = ("sweep.csv", "sweep.png", "sweep.json")
LARGEST_SWEEP = 2**30
# Points that a table shows at most: of more, those at both ends.
LONGEST_TABLE = 60


def check_output(directory: Path) -> None:
    """Refuse a directory into which a sweep cannot be written without destroying something."""
    check_directory(directory, FILES, _is_ours, "sweep")


def _is_ours(directory: Path) -> bool:
    """Whether a sweep wrote the files in a directory; one that was killed while writing left no JSON."""
    if (directory / "sweep.json").exists():
        with contextlib.suppress(OSError, ValueError):
            data = read_json(directory / "sweep.json", LARGEST_SWEEP)
            return isinstance(data, dict) and {"scenario", "varied", "points"} <= data.keys()
        return False
    with contextlib.suppress(OSError, ValueError), (directory / "sweep.csv").open(encoding="utf-8") as file:
        return ",policy,reference,reference_goodput,goodput," in file.readline()
    return False


def save(result: SweepResult, directory: Path, command: str) -> str | None:
    """Write ``sweep.csv``, ``sweep.png`` and, last, ``sweep.json``, which vouches for the others.

    Returns
    -------
    str or None
        Why there is no picture, where there is none; an earlier one is removed then.
    """
    check_output(directory)
    contents = {"sweep.csv": result.to_csv().encode()}
    why: str | None = None
    try:
        from multispin_gym.evaluation.sweeps.figures import draw_sweep
    except ModuleNotFoundError:
        why = "matplotlib is not installed: sweep.png is skipped"
    else:
        try:
            contents["sweep.png"] = draw_sweep(result)
        except ValueError as error:
            why = f"sweep.png is skipped: {error}"
    contents["sweep.json"] = result.to_json(command).encode()
    write_atomically(directory, contents, seal="sweep.json", remove=() if why is None else ("sweep.png",))
    return why


def to_table(result: SweepResult, width: int = 120) -> Table:
    """Lay out every policy's goodput, a line for each point, and what it has over the baseline."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for axis in result.axes:
        table.add_column(escape(axis.key), justify="right" if axis.is_numeric else "left", overflow="fold")
    for name in result.policies:
        table.add_column(escape(name), justify="right", overflow="fold")
    gap = "  " if width >= WIDE or len(result.policies) <= 5 else "\n"
    left_out = max(0, len(result.points) - LONGEST_TABLE)
    first = LONGEST_TABLE // 2 if left_out else len(result.points)
    for point in result.points[:first]:
        table.add_row(*_line(result, point, gap))
    if left_out:
        table.add_row(f"… {left_out} more")
        for point in result.points[-(LONGEST_TABLE - first) :]:
            table.add_row(*_line(result, point, gap))
    return table


def caption(result: SweepResult) -> str:
    """Say what the numbers of the table are."""
    over = f", and its gain over {result.baseline} in the same rounds" if len(result.policies) > 1 else ""
    return f"Mean goodput in token/s{over}; 95 % intervals, ratios to the reference and more are in sweep.csv."


def _line(result: SweepResult, point: Mapping[str, Any], gap: str) -> Sequence[str]:
    from rich.markup import escape

    best = result.best(point)
    cells = [escape(value_word(value)) for value in point["values"].values()]
    for name in result.policies:
        measures = point["policies"][name]
        mean = f"{measures['goodput']['mean']:#.4g}".rstrip(".")
        gain = measures["gain_over_baseline"]["mean"]
        text = mean if name == result.baseline or gain is None else f"{mean}{gap}{gain:+.1%}"
        cells.append(f"[bold]{text}[/bold]" if name == best else text)
    return cells
