"""Turn a finished run into an agent that ships: its weights, its configuration and a card with measured figures.

``python benchmarks/publish.py --help``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _report import write
from _study import run

from multispin_gym import play_round
from multispin_gym.baselines import make_controller
from multispin_gym.baselines.reference import ActionSet, Reference
from multispin_gym.evaluation.report import versions
from multispin_gym.statistics import ratio_estimate, regret_estimate

CONTROLLERS = ("uniform_best", "homogeneous", "nested_polished", "heterogeneous")
# Far from every seed that a run trains on or is evaluated with while it trains.
CARD_SEED = 3_000_000_000


@dataclass(frozen=True)
class Publish:
    """Measure a run's agent on held-out cells and write it where pretrained agents lie."""

    run: Path
    """Run directory."""
    name: str
    """Name of the agent."""
    command: str
    """The command that trained it."""
    num_users: tuple[int, ...] = (4, 8, 16, 32)
    """Numbers of users to measure it with."""
    cells: int = 512
    """Held-out cells for each of them."""
    limits: str = ""
    """What the agent is not made for."""
    output: Path = Path("agents/pretrained")
    """Where pretrained agents lie."""


def common_reference(action_set: ActionSet, counts: Sequence[int]) -> str:
    """Return the reference that fits every number of users: a table has one."""
    return Reference.of_actions(action_set, max(counts)).name


def measure(name: str | Path, num_users: int, cells: int, reference: str, seed: int = CARD_SEED) -> dict[str, Any]:
    """Mean goodput of an agent on held-out cells, its and the controllers' ratios of sums to the reference, its regret.

    The regret is that to ``nested_polished`` on the same cells, in the homogeneous environment too: there it is what
    one length for all costs as well.
    """
    from multispin_gym.agents import load_agent
    from multispin_gym.agents.training.held_out import HeldOutCells

    agent = load_agent(name)
    held_out = HeldOutCells(agent.spec.scenario, num_users, cells, agent.spec.env_id, seed, reference)
    goodput = held_out.goodput(agent.act(held_out.observation))
    ratio = ratio_estimate(goodput, held_out.reference, seed)
    played = {
        other: play_round(held_out.users, held_out.cell, make_controller(other)(held_out.users, held_out.cell)).goodput
        for other in CONTROLLERS
    }
    regret = regret_estimate(goodput, played["nested_polished"], seed)
    return {
        "num_users": num_users,
        "cells": cells,
        "seed": seed,
        "reference": held_out.reference_text,
        "goodput": float(goodput.mean()),
        "ratio_to_reference": ratio.mean,
        "ratio_to_reference_ci95": ratio.ci95,
        "lowest_decile_ratio_to_reference": float(np.quantile(goodput / held_out.reference, 0.1)),
        "regret_to_nested_polished": regret.mean,
        "regret_to_nested_polished_ci95": regret.ci95,
        **{
            f"{other}_ratio_to_reference": float(reached.sum() / held_out.reference.sum())
            for other, reached in played.items()
        },
    }


def card_text(card: dict[str, Any]) -> str:
    """Write a card as it lies beside its agent."""
    return json.dumps(card, indent=2) + "\n"


def study(options: Publish, command: str) -> None:
    from multispin_gym.agents.pretrained_agents import CARD_FILE
    from multispin_gym.agents.run_directory import CONFIG_FILE, WEIGHTS_FILE, read_spec

    spec = read_spec(options.run)
    training = spec.training
    cloned = training["cloning"]["num_cells"] > 0
    reference = common_reference(spec.variant.action_set, options.num_users)
    counts = training["cloning" if cloned else "ppo"]["num_users"]
    card = {
        "name": options.name,
        "scenario": spec.scenario.name,
        "env_id": spec.env_id,
        "trained_num_users": list(counts) or [spec.num_users],
        "seed": training["seed"],
        "total_timesteps": training["total_timesteps"],
        "start": "cloned" if cloned else "from scratch",
        "command": options.command,
        "held_out": [measure(options.run, count, options.cells, reference) for count in options.num_users],
        "limits": options.limits,
        "versions": versions(),
    }
    files = {name: (options.run / name).read_bytes() for name in (CONFIG_FILE, WEIGHTS_FILE)}
    write(options.output / options.name, {**files, CARD_FILE: card_text(card)})
    print(json.dumps(card["held_out"], indent=2))


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Publish, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
