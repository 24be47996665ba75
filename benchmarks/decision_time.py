"""How long a decision takes: an agent beside the controllers, over the number of users and the batch.

Everything is timed in one process. ``python benchmarks/decision_time.py --help``. Writes decision_time.json and
prints a Markdown table.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _report import head, table
from _study import Study, draw_users, run

from multispin_gym.agents import load_agent
from multispin_gym.baselines import make_controller
from multispin_gym.baselines.reference import MOST_USERS_CERTIFIED


@dataclass(frozen=True, kw_only=True)
class DecisionTime(Study):
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


def median_time(call: Callable[[], Any], seconds: float) -> float:
    """Median process time of a call, s."""
    call()
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < seconds:
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return float(np.median(taken))


def study(options: DecisionTime, command: str) -> None:
    torch.set_num_threads(1)
    agent = load_agent(options.agent)
    scenario = agent.spec.scenario
    policies: dict[str, Any] = {"agent": agent, **{name: make_controller(name) for name in options.controllers}}
    rows = []
    for num_users, batch in itertools.product(options.num_users, options.batches):
        users = draw_users(scenario, batch, 0, num_users)
        times = {
            name: 1e3 * median_time(partial(policy, users, scenario.cell), options.seconds) / batch
            for name, policy in policies.items()
            if name != "exact" or num_users <= MOST_USERS_CERTIFIED
        }
        rows.append({"num_users": num_users, "batch": batch, "milliseconds_per_round": times})
    options.write({"decision_time.json": {**head(command), "rows": rows}})
    lines = []
    for row in rows:
        times = row["milliseconds_per_round"]
        texts = [f"{times[name]:.3g}" if name in times else "" for name in policies]
        lines.append([str(row["num_users"]), str(row["batch"]), *texts])
    print(table(["K", "batch", *(f"{name}, ms per round" for name in policies)], lines, left=0), end="")


def main(arguments: Sequence[str] | None = None) -> int:
    return run(DecisionTime, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
