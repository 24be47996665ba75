"""The certificate beside brute force: every preset, both uplinks, every form of the verification time.

Draws cells of up to five users, tries all whole decisions of each, and compares: the certified goodput must equal the
best of them to 1e-9, the goodput that the certified decision plays must be the one that the certificate states, and no
bound may lie below. ``python benchmarks/certificates.py --help``.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
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
from multispin_gym._files import write_atomically
from multispin_gym.baselines import certify, relax
from multispin_gym.evaluation.report import versions

TOLERANCE = 1e-9
# A table that falls, has stairs and a tail, within what five users send.
STAIRCASE = ([2.0, 9.0, 12.0, 20.0, 33.0, 40.0], [0.040, 0.035, 0.050, 0.055, 0.054, 0.090])
FORMS = list(itertools.product(("affine", "table"), ("padded", "ragged"), ("total", "density"), (0, 1)))


def preset_cells(rng: np.random.Generator, count: int) -> Iterator[tuple[str, Users, Cell]]:
    """Yield cells of all presets in turn, as they are and with users allowed to opt out."""
    presets = itertools.cycle(map(load_scenario, list_scenarios()))
    for index, scenario in enumerate(itertools.islice(presets, count)):
        num_users = int(rng.integers(1, 6))
        cell = scenario.cell
        if index // len(list_scenarios()) % 2:
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


def summarise(rows: list[dict[str, Any]]) -> str:
    """Markdown table, one row a group."""
    lines = [
        "| cells from | cells | largest error | lowest bound, gap 0 | lowest bound, gap 1e-3 | lowest relaxed bound "
        "| brute force, s | certify, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for group in (*dict.fromkeys(row["group"] for row in rows), "all"):
        some = [row for row in rows if group in (row["group"], "all")]
        error = max(abs(row[name]) for row in some for name in ("error", "played_error"))
        bounds = [min(row[name] for row in some) for name in ("bound", "loose_bound", "relaxation_bound")]
        times = [sum(row[name] for row in some) for name in ("brute_force_seconds", "certify_seconds")]
        cells = " | ".join(f"{bound:+.1e}" for bound in bounds)
        lines.append(f"| {group} | {len(some)} | {error:.1e} | {cells} | {times[0]:.1f} | {times[1]:.2f} |")
    return "\n".join(lines) + "\n"


def failures(rows: list[dict[str, Any]]) -> list[str]:
    """What is not as it must be, one line each."""
    found = []
    for number, row in enumerate(rows):
        if max(abs(row["error"]), abs(row["played_error"])) > TOLERANCE:
            found.append(f"cell {number} ({row['group']}): goodput off by {row['error']:.2e}")
        if min(row["bound"], row["loose_bound"], row["relaxation_bound"]) < 0.0:
            found.append(f"cell {number} ({row['group']}): a bound lies below brute force")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=500, help="cells, half of them of the presets")
    parser.add_argument("--seed", type=int, default=0, help="seed of the cells")
    parser.add_argument("--quick", action="store_true", help="32 cells")
    parser.add_argument("--output", type=Path, default=Path("results/certificates"), help="directory for the results")
    options = parser.parse_args()
    count = 32 if options.quick else options.cells
    rng = np.random.default_rng(options.seed)
    rows = []
    for group, users, cell in itertools.chain(preset_cells(rng, count // 2), drawn_cells(rng, count - count // 2)):
        rows.append(compare(group, users, cell))
        if len(rows) % 50 == 0:
            print(f"{len(rows)} of {count} cells", file=sys.stderr)
    command = shlex.join(["python", "benchmarks/certificates.py", *sys.argv[1:]])
    wrong = failures(rows)
    verdict = "\n".join(wrong) if wrong else f"All {count} cells equal to {TOLERANCE:g}; no bound below brute force."
    title = "# The certificate beside brute force\n"
    legend = (
        "Errors are relative to brute force, of the certified goodput and of the decision as played. Bounds are what\n"
        "they lie above it: of a certificate closed to gap 0, of one stopped at 1e-3, and of the relaxation alone.\n"
        "Seconds are processor time over all cells of a row.\n"
    )
    table = f"{title}\n`{command}`\n\n{verdict}\n\n{summarise(rows)}\n{legend}"
    report = {"command": command, "seed": options.seed, "versions": versions(), "failures": wrong, "cells": rows}
    # One cell a line.
    text = json.dumps(report).replace('{"group"', '\n{"group"') + "\n"
    write_atomically(options.output, {"certificates.json": text.encode(), "certificates.md": table.encode()})
    print(table)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
