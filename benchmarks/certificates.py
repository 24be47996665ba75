"""The certificate beside brute force: every preset, both uplinks, every form of the verification time.

Draws cells of up to five users, tries all whole decisions of each, and compares: the certified goodput must equal the
best of them to 1e-9, the goodput that the certified decision plays must be the one that the certificate states, and no
bound may lie below. ``python benchmarks/certificates.py --help``.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _report import head, machine_text, table
from _study import Drawn, StudyInPieces, run
from brute_force import brute_force

from multispin_gym import (
    AffineVerification,
    Cell,
    TableVerification,
    Users,
    list_scenarios,
    load_scenario,
    play_round,
)
from multispin_gym.baselines import certify, relax

TOLERANCE = 1e-9
# Cells of a piece.
PIECE = 20
# A table that falls, has stairs and a tail, within what five users send.
STAIRCASE = ([2.0, 9.0, 12.0, 20.0, 33.0, 40.0], [0.040, 0.035, 0.050, 0.055, 0.054, 0.090])
FORMS = list(itertools.product(("affine", "table"), ("padded", "ragged"), ("total", "density"), (0, 1)))


@dataclass(frozen=True, kw_only=True)
class Certificates(StudyInPieces, Drawn):
    """Compare certificates with brute force; twenty cells are a piece.

    Writes certificates.json and certificates.md; fails if a certificate is wrong.
    """

    cells: int = 500
    """Cells, half of them of the presets; quick: 32."""
    output: Path = Path("results/certificates")


def preset_cells(rng: np.random.Generator, count: int) -> Iterator[tuple[str, Users, Cell]]:
    """Yield cells of all presets in turn, as they are and with users allowed to opt out."""
    presets = itertools.cycle(map(load_scenario, list_scenarios(clock=False)))
    for index, scenario in enumerate(itertools.islice(presets, count)):
        num_users = int(rng.integers(1, 6))
        cell = scenario.cell
        if index // len(list_scenarios(clock=False)) % 2:
            cell = dataclasses.replace(cell, min_draft_length=1 - min(cell.min_draft_length, 1))
        yield scenario.name, scenario.sample_users(rng, num_users), cell


def drawn_cells(rng: np.random.Generator, count: int) -> Iterator[tuple[str, Users, Cell]]:
    """Yield cells of every form in turn, with users of a wide spread."""
    for form, batching, power, least in itertools.islice(itertools.cycle(FORMS), count):
        if form == "affine":
            verification: Any = AffineVerification(rng.uniform(0.02, 0.1), rng.uniform(0.0, 1e-3), batching)
        else:
            verification = TableVerification(*STAIRCASE, batching)
        num_users = int(rng.integers(1, 6))
        users = Users(
            rng.uniform(0.02, 0.99, num_users),
            10.0 ** rng.uniform(0.8, 2.8, num_users),
            10.0 ** rng.uniform(-13.5, -9.5, num_users),
            rng.uniform(0.01, 0.03, num_users),
        )
        cell = Cell(10.0 ** rng.uniform(6, 7.3), 4e-21, 16384.0, verification, power, least, 8)
        yield f"{form}, {batching}, {power}, from {least}", users, cell


def compare(group: str, users: Users, cell: Cell) -> dict[str, Any]:
    """Numbers of one cell."""
    start = time.process_time()
    best, _ = brute_force(users, cell)
    searched = time.process_time()
    certificate = certify(users, cell, 0.0)
    certified = time.process_time()
    played = float(play_round(users, cell, certificate.decision).goodput)
    return {
        "group": group,
        "num_users": users.num_users,
        "brute_force": best,
        "error": float(certificate.goodput) / best - 1.0,
        "played_error": played / best - 1.0,
        "bound": float(certificate.upper_bound) / best - 1.0,
        "loose_bound": float(certify(users, cell, 1e-3).upper_bound) / best - 1.0,
        "relaxation_bound": float(relax(users, cell).upper_bound) / best - 1.0,
        "brute_force_seconds": searched - start,
        "certify_seconds": certified - searched,
    }


def compare_all(cells: list[tuple[str, Users, Cell]]) -> list[dict[str, Any]]:
    """Numbers of several cells."""
    return [compare(*cell) for cell in cells]


def summarise(rows: list[dict[str, Any]]) -> str:
    """Markdown table, one row a group."""
    lines = []
    for group in (*dict.fromkeys(row["group"] for row in rows), "all"):
        some = [row for row in rows if group in (row["group"], "all")]
        error = max(abs(row[name]) for row in some for name in ("error", "played_error"))
        bounds = [min(row[name] for row in some) for name in ("bound", "loose_bound", "relaxation_bound")]
        times = [sum(row[name] for row in some) for name in ("brute_force_seconds", "certify_seconds")]
        numbers = [str(len(some)), f"{error:.1e}", *(f"{bound:+.1e}" for bound in bounds)]
        lines.append([group, *numbers, f"{times[0]:.1f}", f"{times[1]:.2f}"])
    bounds = ["lowest bound, gap 0", "lowest bound, gap 1e-3", "lowest relaxed bound"]
    return table(["cells from", "cells", "largest error", *bounds, "brute force, s", "certify, s"], lines)


def failures(rows: list[dict[str, Any]]) -> list[str]:
    """What is not as it must be, one line each."""
    found = []
    for number, row in enumerate(rows):
        if max(abs(row["error"]), abs(row["played_error"])) > TOLERANCE:
            found.append(f"cell {number} ({row['group']}): goodput off by {row['error']:.2e}")
        if min(row["bound"], row["loose_bound"], row["relaxation_bound"]) < 0.0:
            found.append(f"cell {number} ({row['group']}): a bound lies below brute force")
    return found


def to_markdown(report: dict[str, Any]) -> str:
    """Write the page."""
    rows = report["cells"]
    equal = f"All {len(rows)} cells equal to {TOLERANCE:g}; no bound below brute force."
    return "\n".join(
        [
            "# The certificate beside brute force\n",
            f"`{report['command']}`\n",
            *(report["failures"] or [equal]),
            "",
            summarise(rows),
            "Errors are relative to brute force, of the certified goodput and of the decision as played. Bounds are",
            "what they lie above it: of a certificate closed to gap 0, of one stopped at 1e-3, and of the relaxation",
            "alone. Seconds are processor time over all cells of a row",
            f"({machine_text(report)}).\n",
        ]
    )


def study(options: Certificates, command: str) -> int:
    count, rng = 32 if options.quick else options.cells, np.random.default_rng(options.seed)
    cells = [*preset_cells(rng, count // 2), *drawn_cells(rng, count - count // 2)]
    pieces = {f"from {start}": (cells[start : start + PIECE],) for start in range(0, count, PIECE)}
    rows = [row for found in options.do(compare_all, pieces).values() for row in found]
    report = {**head(command), "seed": options.seed, "failures": failures(rows), "cells": rows}
    page = to_markdown(report)
    options.write({"certificates.json": report, "certificates.md": page})
    print(page)
    return 1 if report["failures"] else 0


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Certificates, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
