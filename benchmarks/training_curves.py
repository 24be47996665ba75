"""Draw the learning curves that training.py has written.

``python benchmarks/training_curves.py --help``. Writes curves.png.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _report import picture, write
from _study import run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4
_SEED, _HOMOGENEOUS, _AGNOSTIC = "#1f5fa8", "#c2410c", "#777777"


@dataclass(frozen=True)
class Curves:
    """Draw how far agents are from the reference while they train, beside the controllers.

    Writes curves.png beside training.json.
    """

    directory: Path = Path("results/training")
    """Directory of training.json."""


def draw(report: dict[str, Any]) -> bytes:
    """Draw one panel per row of the report; return a PNG picture."""
    from matplotlib.figure import Figure

    rows = [(name, row) for name, starts in report["scenarios"].items() for row in starts.values()]
    lines = math.ceil(len(rows) / COLUMNS)
    figure = Figure(figsize=(3.1 * min(COLUMNS, len(rows)), 2.5 * lines + 0.5), layout="constrained")
    panels = figure.subplots(lines, min(COLUMNS, len(rows)), sharey=True, squeeze=False)
    for axes in panels.flat[len(rows) :]:
        axes.set_visible(False)
    for axes, (name, row) in zip(panels.flat, rows, strict=False):
        _draw_row(axes, name, row)
    for axes in panels[:, 0]:
        axes.set_ylabel("1 - ratio to the reference")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return picture(figure, dpi=130)


def _draw_row(axes: Axes, name: str, row: dict[str, Any]) -> None:
    for index, curve in enumerate(row["curves"].values()):
        rounds = [point["timesteps"] / 1e3 for point in curve]
        gaps = [1.0 - point["ratio"] for point in curve]
        axes.plot(rounds, gaps, color=_SEED, linewidth=0.9, label=None if index else "agents, one line per seed")
    controllers = {key: 1.0 - value["mean"] for key, value in row["controllers"].items()}
    blind = min(value for key, value in controllers.items() if key in ("uniform_fixed", "uniform_best", "tk_slt"))
    axes.axhline(controllers["homogeneous"], color=_HOMOGENEOUS, linestyle="--", linewidth=1.0, label="homogeneous")
    axes.axhline(blind, color=_AGNOSTIC, linestyle=":", linewidth=1.2, label="best with equal shares")
    axes.set(yscale="log", ylim=(2e-3, 1.0), title=f"{name}, K = {row['num_users']}", xlabel="thousand rounds")
    axes.title.set_fontsize(9)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def study(options: Curves, command: str) -> None:
    report = json.loads((options.directory / "training.json").read_text())
    write(options.directory, {"curves.png": draw(report)})


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Curves, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
