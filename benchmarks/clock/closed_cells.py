"""How far rules are from the truly best policy, in closed cells that are small enough to be solved exactly.

``python benchmarks/clock/closed_cells.py --help``. Writes closed_cells.json and .md and prints the table.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _closed_cell import ClosedCell, rules
from _report import head, range_rows, table
from _study import StudyInPieces, run

from multispin_gym import load_scenario

# Number of users, and rates of the kinds, which are equally likely.
CELLS: tuple[tuple[int, tuple[float, ...]], ...] = (
    (2, (0.1, 0.95)),
    (2, (0.5, 0.9)),
    (2, (0.05, 0.6, 0.99)),
    (3, (0.1, 0.95)),
    (3, (0.5, 0.9)),
    (3, (0.05, 0.6, 0.99)),
    (4, (0.1, 0.95)),
    (4, (0.5, 0.9)),
)


@dataclass(frozen=True, kw_only=True)
class ClosedCells(StudyInPieces):
    """Solve small closed cells of two to four users by policy iteration, and score rules in them.

    Every cell is a piece. Writes closed_cells.json and closed_cells.md.
    """

    scenarios: tuple[str, ...] = ("paper_llama2", "paper_qwen35")
    """Where users, channels and times come from."""
    draws: int = 3
    """Draws of speeds and channels, which then stay."""
    mean_length: float = 211.0
    """Mean length of a request, tokens; each of them is the last with the same chance."""
    longest: int = 25
    """Longest draft."""
    seed: int = 0
    """Seed of the draws."""
    output: Path = Path("results/clock")


def solve(name: str, users: int, rates: Sequence[float], options: dict[str, Any]) -> list[dict[str, Any]]:
    """Solve the cells of one kind, one for each draw."""
    scenario = load_scenario(name)
    cell = dataclasses.replace(scenario.cell, min_draft_length=0, max_draft_length=options["longest"])
    drawn = scenario.sample_users(np.random.default_rng(options["seed"]), users, (options["draws"],))
    chances = [1.0 / len(rates)] * len(rates)
    found = []
    for index in range(options["draws"]):
        process = ClosedCell.of(drawn[index], cell, rates, chances, options["mean_length"], options["longest"])
        found.append(rules(process, rates, chances))
    return found


def study(options: ClosedCells, command: str) -> None:
    settings = {name: getattr(options, name) for name in ("draws", "mean_length", "longest", "seed")}
    pieces = {
        f"{name}, {users} users, rates {' '.join(map(str, rates))}": (name, users, rates, settings)
        for name in options.scenarios
        for users, rates in CELLS
    }
    found = options.do(solve, pieces)
    labels = list(next(iter(found.values()))[0]["parts"])
    lines = range_rows({**found, "all": [row for rows in found.values() for row in rows]}, labels)
    text = "\n".join(
        [
            "# Rules beside the best policy of small closed cells\n",
            f"`{command}`\n",
            "Least and largest part of the best long-run goodput, over draws of speeds and channels that then stay.",
            f"Requests have {options.mean_length:g} tokens on average, drafts at most {options.longest}.\n",
            table(["cell", *labels], lines),
        ]
    )
    options.write({"closed_cells.json": {**head(command), **settings, "cells": found}, "closed_cells.md": text})
    print(text)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(ClosedCells, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
