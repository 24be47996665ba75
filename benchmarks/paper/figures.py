"""The paper's figures again, beside what it prints.

Figs. 3, 4, 6, 7 and 8, and whom the optimal split of the band favours, in the presets ``paper_llama2`` and
``paper_qwen35``; every goodput scored by the data set's mean rate (A) and by each prompt's own rate (B). Then how far
Algorithm 1 is from the certified optimum. Writes figures.json, figures.md and a picture of each.
``python benchmarks/paper/figures.py --help``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _algorithm import algorithm
from _curves import BANDS, COUNTS, LAWS, curves, order
from _printed import PAIRS, PRINTED, Printed, point_text
from _report import head
from _structure import structure
from _study import StudyInPieces, run
from figures_drawing import pictures
from figures_report import to_markdown

from multispin_gym._validation import check_integer, check_number

# Off by at most this much a value is reproduced, and by at most that much near.
REPRODUCED, NEAR = 0.05, 0.15
NAMES = {"hete": "multi_spin", "fixed": "fixed_bw_l", "cen": "cen", "p2p": "p2p"}


@dataclass(frozen=True, kw_only=True)
class Figures(StudyInPieces):
    """Compute the paper's figures with the library; each pair's curves, structure and certificates are pieces.

    Writes figures.json, figures.md, fig3.png, fig4.png, fig6.png, fig7.png, fig8.png, splits.png and algorithm.png.
    """

    draws: int = 1000
    """Cells at every point."""
    cells: int = 200
    """Cells in which Algorithm 1 is compared with the certified optimum."""
    limit: float = 5.0
    """Time for a certificate, s."""
    seed: int = 2026
    """Seed of all that is drawn."""
    output: Path = Path("results/paper")


def verdict(ours: float, printed: float) -> str:
    """Say how near a value comes to a printed one."""
    off = abs(ours / printed - 1.0)
    return "reproduced" if off <= REPRODUCED else f"within {off:.0%}" if off <= NEAR else f"not: {off:.0%} off"


def compare(value: Printed, law: str, found: dict[str, Any]) -> dict[str, Any]:
    """Set our value beside a printed one: a goodput, or Hete's ratio to another scheme."""
    entry = found["curves"][value.pair][point_text(value.point)][law]
    ours = entry[NAMES[value.above]]["goodput"] if value.below is None else entry[NAMES[value.below]]["hete_over"]
    low, high = ours["ten"]
    return {
        "value": value.key,
        "figure": value.figure,
        "law": law,
        "printed": value.value,
        "text": value.text,
        **ours,
        "inside_ten": low <= value.value <= high,
        "verdict": verdict(ours["mean"], value.value),
    }


def study(options: Figures, command: str) -> None:
    for name in ("draws", "cells"):
        check_integer(name, getattr(options, name), low=2)
    check_number("limit", options.limit, low=0.0, low_open=True)
    pieces: dict[str, Any] = {}
    parts = {
        "curves": (curves, (options.draws, options.seed)),
        "structure": (structure, (options.draws, options.seed)),
        "algorithm": (algorithm, (options.cells, options.limit, options.seed)),
    }
    for name, (function, sizes) in parts.items():
        found = options.do(function, {f"{name} {pair}": (pair, *sizes) for pair in PAIRS})
        pieces[name] = {pair: found[f"{name} {pair}"] for pair in PAIRS}
    orders = {
        pair: {law: order(pieces["curves"][pair], law, [*dict.fromkeys((*BANDS, *COUNTS))]) for law in LAWS}
        for pair in PAIRS
    }
    report = {
        **head(command),
        "draws": options.draws,
        "cells": options.cells,
        "limit": options.limit,
        "seed": options.seed,
        "reproduced_within": REPRODUCED,
        "near_within": NEAR,
        "points": len(dict.fromkeys((*BANDS, *COUNTS))),
        "bands": [point_text(point) for point in BANDS],
        "counts": [point_text(point) for point in COUNTS],
        "printed": [compare(value, law, pieces) for value in PRINTED for law in LAWS],
        "orders": orders,
        **pieces,
    }
    page = to_markdown(report)
    options.write({"figures.json": report, "figures.md": page, **pictures(report)})
    print(page)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Figures, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
