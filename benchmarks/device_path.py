"""What a round on torch tensors would cost and gain: an experiment that the library left out.

The round is written once more here over an array namespace, as the Array API standard has it, checked against the
library's own, and timed on NumPy arrays and on torch tensors (on a GPU too, where there is one), in one process.
``python benchmarks/device_path.py --help``.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from _report import table
from _study import run

import multispin_gym as ms
from multispin_gym.physics.rounds import compute_round

FIELDS = ("acceptance_rate", "drafting_speed", "channel_gain", "transmit_power")


@dataclass(frozen=True)
class DevicePath:
    """Time the round in every form, on one thread, and print a table."""

    rows: tuple[int, ...] = (1, 1024, 65_536)
    """Numbers of cells."""
    users: int = 8
    """Users in a cell."""
    seconds: float = 2.0
    """Time for each figure, s."""


def namespace_round(xp: Any, cell: ms.Cell, users: dict[str, Any], lengths: Any, shares: Any) -> tuple[Any, Any]:
    """Tokens and goodput of a round with total power and affine, ragged verification; no floating-point guards."""
    alpha = users["acceptance_rate"]
    tokens = xp.expm1((lengths + 1.0) * xp.log(alpha)) / (alpha - 1.0)
    band = shares * cell.bandwidth
    rate = band * xp.log1p(users["channel_gain"] * users["transmit_power"] / cell.noise_psd / band) / float(np.log(2.0))
    upload = xp.where(lengths > 0.0, lengths * cell.payload / rate, xp.zeros_like(rate))
    verification = cell.verification.fixed + cell.verification.per_token * (lengths.sum(-1) + lengths.shape[-1])
    arrival = lengths / users["drafting_speed"] + upload
    last = xp.amax(arrival, -1)
    return tokens, tokens.sum(-1) / (last + verification)


def seconds(work: Callable[[], Any], wait: Callable[[], Any], budget: float) -> float:
    """Seconds of one call: the best of many."""
    work()
    best, end = float("inf"), time.perf_counter() + budget
    while time.perf_counter() < end:
        wait()
        start = time.perf_counter()
        work()
        wait()
        best = min(best, time.perf_counter() - start)
    return best


def forms(
    cell: ms.Cell, users: ms.Users, decision: ms.Decision, devices: Sequence[str]
) -> Iterator[tuple[str, Callable[[], Any], Callable[[], Any]]]:
    """Yield every form of the round: its name, the round, and what waits until its device is done."""
    fields = {name: getattr(users, name) for name in FIELDS}
    parts = np.array(decision.draft_lengths, dtype=np.float64), np.array(decision.bandwidth_shares)
    expected = compute_round(users, cell, decision).goodput
    yield "library, NumPy", partial(compute_round, users, cell, decision), lambda: None
    yield "namespace, NumPy", partial(namespace_round, np, cell, fields, *parts), lambda: None
    for device, dtype in itertools.product(devices, (torch.float64, torch.float32)):
        moved = {name: torch.tensor(value, dtype=dtype, device=device) for name, value in fields.items()}
        tensors = [torch.tensor(part, dtype=dtype, device=device) for part in parts]
        goodput = namespace_round(torch, cell, moved, *tensors)[1].cpu().numpy()
        np.testing.assert_allclose(goodput, expected, rtol=1e-9 if dtype is torch.float64 else 1e-3)
        work = partial(namespace_round, torch, cell, moved, *tensors)
        yield f"namespace, torch {device} {str(dtype)[6:]}", work, _wait_for(device)


def _wait_for(device: str) -> Callable[[], Any]:
    return torch.cuda.synchronize if device == "cuda" else lambda: None


def study(options: DevicePath, command: str) -> None:
    torch.set_num_threads(1)
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    scenario = ms.load_scenario("default")
    rng = np.random.default_rng(0)
    lines = []
    for rows in options.rows:
        users = scenario.sample_users(rng, options.users, batch=(rows,))
        lengths = rng.integers(1, 13, (rows, options.users))
        decision = ms.Decision(lengths, rng.dirichlet(np.ones(options.users), rows))
        for name, work, wait in forms(scenario.cell, users, decision, devices):
            spent = seconds(work, wait, options.seconds)
            lines.append([name, f"{rows:,}", f"{1e6 * spent:.1f}", f"{1e-6 * rows / spent:.2f}"])
    print(table(["form", "cells", "us per round", "million cells/s"], lines))


def main(arguments: Sequence[str] | None = None) -> int:
    return run(DevicePath, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
