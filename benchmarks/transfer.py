"""What an agent is worth in a cell that it was not trained in, beside the controllers.

Every change is applied to the scenario that the agent was trained on. Ratios are to the relaxation's upper bound in the
changed cell, which whole draft lengths may not reach: how much can be had ``heterogeneous`` shows.
``python benchmarks/transfer.py --help``. Writes transfer.json and prints a Markdown table.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _report import head, table
from _study import Drawn, StudyInPieces, draw_users, run

from multispin_gym import AffineVerification, Scenario, Users, play_round
from multispin_gym.agents import load_agent
from multispin_gym.baselines import make_controller
from multispin_gym.baselines.reference import Reference

CONTROLLERS = ("uniform_best", "homogeneous", "nested_polished", "heterogeneous")


@dataclass(frozen=True, kw_only=True)
class Transfer(StudyInPieces, Drawn):
    """Play agents in cells that differ from the one they were trained in; each agent is a piece.

    Writes transfer.json.
    """

    agents: tuple[str, ...]
    """Run directories, or pretrained:NAME."""
    cells: int = 512
    """Cells drawn for each change; quick: 8."""
    seed: int = 4711
    output: Path = Path("results/transfer")


def _cell(**changes: Any) -> Callable[[Scenario], Scenario]:
    return lambda scenario: dataclasses.replace(scenario, cell=dataclasses.replace(scenario.cell, **changes))


def _scaled(field: str, factor: float) -> Callable[[Scenario], Scenario]:
    return lambda scenario: _cell(**{field: factor * getattr(scenario.cell, field)})(scenario)


def _server(factor: float) -> Callable[[Scenario], Scenario]:
    def change(scenario: Scenario) -> Scenario:
        server = scenario.cell.verification
        if not isinstance(server, AffineVerification):
            raise ValueError(f"the server's time must be affine to be scaled, got {server!r}")
        slower = dataclasses.replace(server, fixed=factor * server.fixed, per_token=factor * server.per_token)
        return _cell(verification=slower)(scenario)

    return change


def _all_accept(low: float, high: float) -> Callable[[Users], Users]:
    """Move acceptance rates linearly into another range."""

    def change(users: Users) -> Users:
        old = users.acceptance_rate
        rate = low + (high - low) * (old - old.min()) / (old.max() - old.min())
        return Users(rate, users.drafting_speed, users.channel_gain, users.transmit_power)

    return change


def _same(users: Users) -> Users:
    return users


CHANGES: dict[str, tuple[int | None, Callable[[Scenario], Scenario], Callable[[Users], Users]]] = {
    "as trained": (None, lambda scenario: scenario, _same),
    "K = 2": (2, lambda scenario: scenario, _same),
    "K = 4": (4, lambda scenario: scenario, _same),
    "K = 16": (16, lambda scenario: scenario, _same),
    "K = 32": (32, lambda scenario: scenario, _same),
    "bandwidth / 4": (None, _scaled("bandwidth", 0.25), _same),
    "bandwidth x 4": (None, _scaled("bandwidth", 4.0), _same),
    "payload / 8": (None, _scaled("payload", 0.125), _same),
    "payload x 8": (None, _scaled("payload", 8.0), _same),
    "server 3 x faster": (None, _server(1.0 / 3.0), _same),
    "server 3 x slower": (None, _server(3.0), _same),
    "acceptance 0.1 .. 0.5": (None, lambda scenario: scenario, _all_accept(0.1, 0.5)),
    "acceptance 0.8 .. 0.98": (None, lambda scenario: scenario, _all_accept(0.8, 0.98)),
    "no fading": (
        None,
        lambda scenario: dataclasses.replace(scenario, fading=dataclasses.replace(scenario.fading, model="none")),
        _same,
    ),
    "fixed power density": (None, _cell(power="density"), _same),
    "lengths 1 .. 6": (None, _cell(max_draft_length=6), _same),
}


def transfer(name: str, cells: int, seed: int) -> dict[str, dict[str, float]]:
    """Ratios of sums to the upper bound, of an agent and of the controllers, after each change."""
    agent = load_agent(name)
    rows: dict[str, dict[str, float]] = {}
    for change, (num_users, change_scenario, change_users) in CHANGES.items():
        scenario = change_scenario(agent.spec.scenario)
        users = change_users(draw_users(scenario, cells, seed, num_users or agent.spec.num_users))
        bound = Reference("relaxation").goodput(users, scenario.cell)
        policies = {"agent": agent, **{controller: make_controller(controller) for controller in CONTROLLERS}}
        rows[change] = {
            label: float(play_round(users, scenario.cell, policy(users, scenario.cell)).goodput.sum() / bound.sum())
            for label, policy in policies.items()
        }
    return rows


def study(options: Transfer, command: str) -> None:
    cells = 8 if options.quick else options.cells
    agents = options.do(transfer, {name: (name, cells, options.seed) for name in options.agents})
    options.write({"transfer.json": {**head(command), "agents": agents}})
    for name, rows in agents.items():
        lines = []
        for change, row in rows.items():
            regret = 1.0 - row["agent"] / row["nested_polished"]
            ratios = [f"{row[controller]:.4f}" for controller in CONTROLLERS]
            lines.append([change, f"{row['agent']:.4f}", f"{regret:+.2%}", *ratios])
        print(table([name, "agent", "regret to nested_polished", *CONTROLLERS], lines))


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Transfer, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
