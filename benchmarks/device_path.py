"""What a round on torch tensors would cost and gain: an experiment that the library left out.

The round is written once more here over an array namespace, as the Array API standard has it, checked against the
library's own, and timed on NumPy arrays and on torch tensors (on a GPU too, where there is one).
``python benchmarks/device_path.py --help``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import multispin_gym as ms
from multispin_gym.physics.rounds import compute_round


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 1024, 65_536], help="numbers of cells")
    parser.add_argument("--users", type=int, default=8, help="users in a cell")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each figure, s")
    options = parser.parse_args()
    torch.set_num_threads(1)
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    scenario = ms.load_scenario("default")
    cell, rng = scenario.cell, np.random.default_rng(0)
    print(f"{'cells':>7}  {'form':<30}  {'us per round':>12}  {'million cells/s':>15}")
    for rows in options.rows:
        users = scenario.sample_users(rng, options.users, batch=(rows,))
        lengths = rng.integers(1, 13, (rows, options.users))
        decision = ms.Decision(lengths, rng.dirichlet(np.ones(options.users), rows))
        fields = {name: getattr(users, name) for name in ("acceptance_rate", "drafting_speed", "channel_gain")}
        fields["transmit_power"] = users.transmit_power
        expected = compute_round(users, cell, decision).goodput
        floats, shares = lengths.astype(np.float64), np.array(decision.bandwidth_shares)
        forms: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "library, NumPy": (lambda u=users, d=decision: compute_round(u, cell, d), lambda: None),
            "namespace, NumPy": (lambda f=fields, n=floats, w=shares: namespace_round(np, cell, f, n, w), lambda: None),
        }
        for device in devices:
            for dtype in (torch.float64, torch.float32):
                moved = {name: torch.tensor(value, dtype=dtype, device=device) for name, value in fields.items()}
                parts = [torch.tensor(x, dtype=dtype, device=device) for x in (floats, shares)]
                wait = torch.cuda.synchronize if device == "cuda" else lambda: None
                goodput = namespace_round(torch, cell, moved, *parts)[1].cpu().numpy()
                np.testing.assert_allclose(goodput, expected, rtol=1e-9 if dtype is torch.float64 else 1e-3)
                work = lambda m=moved, p=parts: namespace_round(torch, cell, m, *p)  # noqa: E731
                forms[f"namespace, torch {device} {str(dtype)[6:]}"] = (work, wait)
        for name, (work, wait) in forms.items():
            spent = seconds(work, wait, options.seconds)
            print(f"{rows:>7}  {name:<30}  {1e6 * spent:>12.1f}  {1e-6 * rows / spent:>15.2f}")


if __name__ == "__main__":
    main()
