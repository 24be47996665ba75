"""How far rules are from the truly best policy where reports are old, in cells that are small enough to be solved.

``python benchmarks/clock/stale_cells.py --help``. Writes stale_cells.json and .md and prints the table.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _report import head, range_rows, table
from _stale_cell import FadeChain, StaleCell, stale_cells
from _study import StudyInPieces, run

from multispin_gym import Fading, load_scenario


@dataclass(frozen=True)
class Size:
    """A number of users, and what keeps the process of their cell small.

    Parameters
    ----------
    users, levels
        Users, and levels of each fade.
    lengths
        Draft lengths.
    parts
        Parts in which the band is shared out.
    """

    users: int
    levels: int
    lengths: tuple[int, ...]
    parts: int


SIZES = (Size(2, 4, tuple(range(11)), 20), Size(3, 3, (0, 2, 4, 6, 8, 10), 10), Size(4, 2, (0, 3, 6, 9), 8))


@dataclass(frozen=True, kw_only=True)
class StaleCells(StudyInPieces):
    """Solve small cells with old reports by policy iteration, and score rules in them.

    Users, server and band per user are those of the preset ``stale``; reports have no error, and their age is that of
    the shortest rounds. Every number of users and correlation is a piece. Writes stale_cells.json and stale_cells.md.
    """

    correlations: tuple[float, ...] = (0.95, 0.86, 0.5)
    """Correlations of the amplitude at the report with that at the beginning of the round."""
    draws: int = 5
    """Draws of users, whose mean gains then stay."""
    age: float = 0.125
    """Age of the reports, s."""
    seed: int = 0
    """Seed of the draws."""
    output: Path = Path("results/clock")


def solve(size: Size, correlation: float, options: dict[str, Any]) -> list[dict[str, Any]]:
    """Solve the cells of a size with one correlation, one for each draw."""
    scenario = load_scenario("stale")
    clock = scenario.clock
    assert clock is not None
    unfaded = dataclasses.replace(scenario, fading=Fading("none"), clock=None)
    users = unfaded.sample_users(np.random.default_rng(options["seed"]), size.users, (options["draws"],))
    band = scenario.cell.bandwidth * size.users / scenario.num_users
    cell = dataclasses.replace(scenario.cell, bandwidth=band)
    chain = FadeChain.rayleigh(size.levels, -options["age"] / math.log(correlation))
    limits = clock.cutoff_min, clock.cutoff_max
    return [
        parts(*stale_cells(users[index], cell, chain, options["age"], size.lengths, size.parts, limits))
        for index in range(options["draws"])
    ]


def parts(stale: StaleCell, known: StaleCell) -> dict[str, Any]:
    """Goodput of the best policy that sees old reports, and what part of it each rule has, the clairvoyant too."""
    best = stale.best()[1]
    reached = {
        "believes the reports": stale.rate(stale.believing()),
        "the round's ratio": stale.rate(stale.by_round()),
        "long-run price of time": stale.rate(stale.by_price()),
        "best round, levels known": known.rate(known.by_round()),
        "best policy, levels known": known.best()[1],
    }
    return {"goodput": best, "parts": {name: rate / best for name, rate in reached.items()}}


def study(options: StaleCells, command: str) -> None:
    settings = {name: getattr(options, name) for name in ("draws", "age", "seed")}
    pieces = {
        f"{size.users} users, correlation {rho:g}": (size, rho, settings)
        for size in SIZES
        for rho in options.correlations
    }
    found = options.do(solve, pieces)
    labels = list(next(iter(found.values()))[0]["parts"])
    text = "\n".join(
        [
            "# Rules beside the best policy of small cells with old reports\n",
            f"`{command}`\n",
            "Least and largest part of the long-run goodput of the best policy that sees old reports, over draws of",
            f"users. Reports are {options.age:g} s old and have no error; uploads that are late are lost.\n",
            table(["cell", *labels], range_rows(found, labels)),
        ]
    )
    options.write({"stale_cells.json": {**head(command), **settings, "cells": found}, "stale_cells.md": text})
    print(text)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(StaleCells, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
