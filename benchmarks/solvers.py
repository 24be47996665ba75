"""Our solvers beside what one would otherwise write, on the same cells in one run.

Cells of the default scenario, from two users to as many as each solver can do in the time it is given. Every result is
a set of draft lengths; what it is worth is computed the same way for all. Times are processor time of the process, the
median over the cells; memory is how far the resident memory rises in a process of its own (Linux). SciPy's SLSQP
and differential evolution, brute force, and, where installed (``pip install 'multispin-gym[benchmarks]'``), cvxpy with
Clarabel and SCIP. Nothing else is timed meanwhile. Writes solvers.json, solvers.md and solvers.png.
``python benchmarks/solvers.py --help``.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import solver_peers as peers
from _report import head
from _study import Drawn, Study, draw_users, run
from brute_force import best_split, goodputs
from own_process import Solver, apart
from solver_report import draw, to_markdown

from multispin_gym import Cell, Decision, Scenario, Users, load_scenario, play_round
from multispin_gym.baselines import certify, make_controller, relax

COUNTS = (2, 3, 4, 5, 6, 8, 12, 16, 20, 32, 64, 128, 200)
BATCH = 1024
LIBRARIES = {"cvxpy": "cvxpy", "scip": "pyscipopt"}


@dataclass(frozen=True, kw_only=True)
class Solvers(Study, Drawn):
    """Time the solvers beside others on the same cells, and compare what their decisions are worth.

    Writes solvers.json, solvers.md and solvers.png.
    """

    scenario: str = "laptops_60ms"
    """A scenario with a ragged affine verification."""
    cells: int = 3
    """Cells for each number of users; quick: 1, and few users."""
    limit: float = 5.0
    """Processor time for a cell, s, after which to stop; quick: 0.5."""
    output: Path = Path("results/solvers")


def ours_relaxed(users: Users, cell: Cell) -> np.ndarray:
    return relax(users, cell).draft_lengths


def ours_heterogeneous(users: Users, cell: Cell) -> np.ndarray:
    return make_controller("heterogeneous")(users, cell).draft_lengths.astype(np.float64)


def ours_certified(users: Users, cell: Cell) -> np.ndarray:
    return certify(users, cell, time_limit=60.0).decision.draft_lengths.astype(np.float64)


RELAXED: dict[str, Solver] = {
    "relax": ours_relaxed,
    "slsqp": peers.slsqp,
    "slsqp_numeric": peers.slsqp_numeric,
    "slsqp_multistart": peers.slsqp_multistart,
    "cvxpy": peers.cvxpy,
}
WHOLE: dict[str, Solver] = {
    "heterogeneous": ours_heterogeneous,
    "certify": ours_certified,
    "brute": peers.brute,
    "evolution": peers.evolution,
    "scip": peers.scip,
}


def cells_with(scenario: Scenario, num_users: int, count: int, seed: int) -> Users:
    """Cells for one number of users; all solvers get the same."""
    return draw_users(scenario, count, [seed, num_users], num_users)


def processor_time(call: Callable[[], Any], repeats: int = 5) -> float:
    """Median processor time of a call, s, the first not counted."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return float(np.median(taken))


def total_processor_time() -> float:
    """Processor time of this process and its children, s."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def compare(scenario: Scenario, counts: tuple[int, ...], cells: int, limit: float, seed: int) -> list[dict[str, Any]]:
    """Every solver on every number of users, until one cell takes it longer than the limit."""
    rows: list[dict[str, Any]] = []
    running = {n: s for n, s in {**RELAXED, **WHOLE}.items() if n not in LIBRARIES or installed(LIBRARIES[n])}
    cell, warm = scenario.cell, cells_with(scenario, 2, 1, seed + 1)[0]
    for num_users in counts:
        users = cells_with(scenario, num_users, cells, seed)
        certificate, relaxed = certify(users, cell, time_limit=60.0 * cells), relax(users, cell)
        for name, solver in list(running.items()):
            found = apart(solver, users, cell, warm, 12.0 * max(limit, 10.0) * cells)
            if found is None:
                del running[name]
                continue
            lengths = [result[0] for result in found]
            worth = np.array([value(users[i], cell, lengths[i], name in WHOLE) for i in range(cells)])
            best = certificate.upper_bound if name in WHOLE else relaxed.goodput
            memory = [result[3] for result in found if result[3] is not None]
            row = {
                "solver": name,
                "kind": "whole" if name in WHOLE else "relaxed",
                "num_users": num_users,
                "cells": cells,
                "goodput": float(worth.mean()),
                "gap": float(np.max(best / worth - 1.0)),
                "median_gap": float(np.median(best / worth - 1.0)),
                "cpu_seconds": float(np.median([result[1] for result in found])),
                "wall_seconds": float(np.median([result[2] for result in found])),
                "memory_bytes": max(memory) if memory else None,
            }
            rows.append(row)
            print(f"K = {num_users}, {name}: gap {row['gap']:.1e}, {row['cpu_seconds']:.4f} s", file=sys.stderr)
            # Most grow with a power of the users, brute force by itself: the next is not started without hope.
            growth = scenario.cell.max_draft_length if name == "brute" else 1
            if row["cpu_seconds"] * growth > limit:
                del running[name]
    return rows


def value(users: Users, cell: Cell, lengths: np.ndarray, whole: bool) -> float:
    """Goodput of lengths: whole ones are played, real ones get their best split by bisection, token/s."""
    if not whole:
        return float(goodputs(users, cell, lengths[None], steps=60)[0])
    decision = Decision(lengths.astype(np.int64), best_split(users, cell, lengths))
    return float(play_round(users, cell, decision).goodput)


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def batched(scenario: Scenario, counts: tuple[int, ...], cells: int, seed: int) -> list[dict[str, Any]]:
    """The relaxation in a batch and alone, beside one start of SLSQP that converged."""
    rows = []
    for num_users in counts:
        many = cells_with(scenario, num_users, BATCH, seed)
        row: dict[str, Any] = {
            "num_users": num_users,
            "batch": processor_time(partial(relax, many, scenario.cell)) / BATCH,
            "batch_heterogeneous": processor_time(partial(ours_heterogeneous, many, scenario.cell), 3) / BATCH,
            "single": processor_time(partial(relax, many[0], scenario.cell), 11),
            "single_heterogeneous": processor_time(partial(ours_heterogeneous, many[0], scenario.cell), 11),
        }
        best = relax(many, scenario.cell).goodput
        for name in ("slsqp", "slsqp_numeric"):
            taken = []
            for index in range(BATCH):
                start = time.process_time()
                lengths = RELAXED[name](many[index], scenario.cell)
                seconds = time.process_time() - start
                # A start that stopped elsewhere is none that converged.
                if value(many[index], scenario.cell, lengths, whole=False) >= best[index] * (1.0 - 1e-6):
                    taken.append(seconds)
                if len(taken) == cells:
                    break
            row[name] = float(np.median(taken))
        rows.append(row)
        print(f"K = {num_users}: {row['slsqp'] / row['batch']:.0f} times in a batch", file=sys.stderr)
    return rows


def certificates(scenario: Scenario, share: float, seed: int) -> list[dict[str, Any]]:
    """How many cells are certified to a gap within a time."""
    rows = []
    for num_users, count, gap, limit in ((8, 100, 1e-6, 0.1), (20, 100, 1e-6, 1.0), (200, 20, 1e-3, 2.0)):
        users = cells_with(scenario, num_users, max(int(count * share), 2), seed)
        cpu, wall, gaps = [], [], []
        certify(users[0], scenario.cell, gap)
        for index in range(users.batch_shape[0]):
            clock, start = time.perf_counter(), time.process_time()
            certificate = certify(users[index], scenario.cell, gap, time_limit=60.0)
            cpu.append(time.process_time() - start)
            wall.append(time.perf_counter() - clock)
            gaps.append(float(certificate.gap))
        within = [g <= gap for g in gaps]
        rows.append(
            {
                "num_users": num_users,
                "cells": len(cpu),
                "gap": gap,
                "limit": limit,
                "within_cpu": int(sum(w and c <= limit for w, c in zip(within, cpu, strict=True))),
                "within_wall": int(sum(w and c <= limit for w, c in zip(within, wall, strict=True))),
                "median_cpu": float(np.median(cpu)),
                "largest_cpu": float(np.max(cpu)),
                "largest_gap": float(np.max(gaps)),
            }
        )
        print(f"K = {num_users}: {rows[-1]['within_cpu']} of {len(cpu)} within {limit} s", file=sys.stderr)
    return rows


def many_users(scenario: Scenario, counts: tuple[int, ...], seed: int) -> list[dict[str, Any]]:
    """Decisions in one cell with very many users."""
    rows = []
    for num_users in counts:
        users, cell = cells_with(scenario, num_users, 1, seed)[0], scenario.cell
        row = {
            "num_users": num_users,
            "relax": processor_time(partial(relax, users, cell), 3),
            "heterogeneous": processor_time(partial(ours_heterogeneous, users, cell), 3),
        }
        bound = float(relax(users, cell).upper_bound)
        decision = make_controller("heterogeneous")(users, cell)
        row["gap"] = bound / float(play_round(users, cell, decision).goodput) - 1.0
        rows.append(row)
    return rows


def study(options: Solvers, command: str) -> None:
    scenario, quick, seed = load_scenario(options.scenario), options.quick, options.seed
    cells, limit = (1, 0.5) if quick else (options.cells, options.limit)
    begun = time.perf_counter(), total_processor_time()
    report = {
        **head(command),
        "scenario": scenario.name,
        "seed": seed,
        "limit": limit,
        "scip_limit": peers.SCIP_SECONDS,
        "batch": batched(scenario, (4, 8) if quick else (4, 8, 16, 20, 32, 64), 3 if quick else 11, seed),
        "certificates": certificates(scenario, 0.02 if quick else 1.0, seed),
        "many_users": many_users(scenario, (1000,) if quick else (1000, 10_000, 100_000), seed),
        "comparison": compare(scenario, COUNTS[:3] if quick else COUNTS, cells, limit, seed),
    }
    report["versions"] |= {name: metadata.version(name) for name in LIBRARIES.values() if installed(name)}
    # On a busy machine the clock runs ahead of the processor time.
    report["wall_over_cpu"] = (time.perf_counter() - begun[0]) / (total_processor_time() - begun[1])
    page = to_markdown(report)
    options.write({"solvers.json": report, "solvers.md": page, "solvers.png": draw(report)})
    print(page)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Solvers, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
