"""How long a decision takes: an agent beside the closed forms, over the number of users and the batch.

``python benchmarks/decision_time.py --help``. Writes decision_time.json and prints a Markdown table.
"""

from __future__ import annotations

import json
import platform
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from multispin_gym._files import write_atomically
from multispin_gym.baselines import make_controller
from multispin_gym.evaluation.evaluator import MOST_USERS_CERTIFIED
from multispin_gym.evaluation.report import versions


@dataclass(frozen=True)
class DecisionTime:
    """Time decisions on one thread: process time, which other load on the machine does not stretch, median of several.

    Writes decision_time.json.
    """

    agent: str
    """Run directory, or pretrained:NAME."""
    controllers: tuple[str, ...] = ("uniform_best", "homogeneous", "heterogeneous", "exact")
    """Controllers beside it; exact, the certificate, for up to 12 users."""
    num_users: tuple[int, ...] = (4, 8, 32, 128)
    """Numbers of users."""
    batches: tuple[int, ...] = (1, 256)
    """Rounds decided at once."""
    seconds: float = 0.5
    """Time given to each entry; at least three repetitions are made."""
    output: Path = Path("results/decision_time")
    """Directory for the results."""


def median_time(call: Callable[[], Any], seconds: float) -> float:
    """Median process time of a call, s."""
    call()
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < seconds:
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return float(np.median(taken))


def main(arguments: Sequence[str] | None = None) -> int:
    """Time the decisions that a command line asks for."""
    import torch
    import tyro

    from multispin_gym.agents import load_agent

    args = list(sys.argv[1:] if arguments is None else arguments)
    options = tyro.cli(DecisionTime, args=args)
    torch.set_num_threads(1)
    agent = load_agent(options.agent)
    scenario = agent.spec.scenario
    policies: dict[str, Any] = {"agent": agent, **{name: make_controller(name) for name in options.controllers}}
    rows = []
    print("| K | batch | " + " | ".join(f"{name}, ms per round" for name in policies) + " |")
    print("|---" * (len(policies) + 2) + "|")
    for num_users in options.num_users:
        for batch in options.batches:
            users = scenario.sample_users(np.random.default_rng(0), num_users, batch=(batch,))
            times = {}
            for name, policy in policies.items():
                if name == "exact" and num_users > MOST_USERS_CERTIFIED:
                    continue
                taken = median_time(partial(policy, users, scenario.cell), options.seconds)
                times[name] = 1e3 * taken / batch
            rows.append({"num_users": num_users, "batch": batch, "milliseconds_per_round": times})
            print(
                f"| {num_users} | {batch} | "
                + " | ".join(f"{times[name]:.3g}" if name in times else "" for name in policies)
                + " |"
            )
    report = {
        "command": shlex.join(["python", "benchmarks/decision_time.py", *args]),
        "machine": platform.processor() or platform.machine(),
        "versions": versions(),
        "rows": rows,
    }
    write_atomically(options.output, {"decision_time.json": (json.dumps(report, indent=2) + "\n").encode()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
