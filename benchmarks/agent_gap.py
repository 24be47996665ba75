"""What an agent is still missing: its decisions with better shares, and with lengths changed by one draft token.

``python benchmarks/agent_gap.py --help``. Writes agent_gap.json and prints a Markdown table.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _report import head, table
from _study import StudyInPieces, run
from publish import CARD_SEED, common_reference

from multispin_gym._validation import IntArray, check_integer
from multispin_gym.agents import load_agent
from multispin_gym.agents.training.held_out import HeldOutCells
from multispin_gym.baselines import make_controller
from multispin_gym.baselines.solver.local_search import WholeLengths, best_option, play_whole
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import compute_round
from multispin_gym.physics.verification import Verification, batch_tokens

STEEPER = 5.0


@dataclass(frozen=True, kw_only=True)
class AgentGap(StudyInPieces):
    """Improve agents' decisions a little at a time and measure what each change brings; each agent is a piece.

    Writes agent_gap.json.
    """

    agents: tuple[str, ...] = (
        "pretrained:laptops_60ms",
        "pretrained:laptops_60ms-ppo",
        "pretrained:deep_fading",
        "pretrained:twenty_users",
    )
    """Agents: run directories or pretrained:NAME, in the scenario that each was trained in."""
    steps: int = 3
    """Changes of one user's length by one token, the best one each time."""
    cells: int = 256
    """Held-out cells."""
    output: Path = Path("results/agent_gap")

    def __post_init__(self) -> None:
        check_integer("steps", self.steps, low=0)
        check_integer("cells", self.cells, low=2)


def best_step(problem: Problem, cell: Cell, whole: WholeLengths) -> WholeLengths:
    """Change one user's length by one token where that helps, with the best shares for it: the best such change."""
    lengths = whole.lengths
    steps = np.concatenate([np.zeros((1, lengths.shape[1])), np.eye(lengths.shape[1]), -np.eye(lengths.shape[1])])
    options = np.clip(lengths[:, None] + steps, cell.min_draft_length, cell.max_draft_length)
    return best_option(problem, cell.verification, options, whole.deadline[:, None])


def at_an_edge(server: Verification, draft_lengths: IntArray) -> float:
    """Fraction of rounds in which one more token costs the server several times what the last one did."""
    tokens = batch_tokens(draft_lengths, server.batching)
    server = server.of_batch(draft_lengths.shape[-1])
    before, here, after = (server.time(tokens + change) for change in (-1.0, 0.0, 1.0))
    return float((after - here > STEEPER * np.abs(here - before) + 1e-12).mean())


def gap(name: str, cells: int, steps: int, reference: str) -> dict[str, float]:
    """Ratios of sums to the reference of an agent's decisions, and of the same decisions changed for the better."""
    agent = load_agent(name)
    if agent.spec.variant.action_set == "common_length":
        raise ValueError(f"agents must be trained with a draft length for each user, got {name}")
    held_out = HeldOutCells(agent.spec.scenario, agent.spec.num_users, cells, seed=CARD_SEED, reference=reference)
    users, cell = held_out.users, held_out.cell
    problem = Problem.of(users, cell)
    decision = agent(users, cell)
    closed_form = make_controller("heterogeneous")(users, cell)
    whole = play_whole(problem, cell.verification, decision.draft_lengths.astype(float))
    goodputs = {"agent": compute_round(users, cell, decision).goodput, "best shares": whole.score}
    for step in range(steps):
        whole = best_step(problem, cell, whole)
        goodputs[f"{step + 1} token{'s' if step else ''} changed"] = whole.score
    goodputs["heterogeneous"] = compute_round(users, cell, closed_form).goodput
    away = np.abs(decision.draft_lengths - closed_form.draft_lengths)
    return {
        **{key: float(goodput.sum() / held_out.reference.sum()) for key, goodput in goodputs.items()},
        "same lengths": float((away == 0).mean()),
        "lengths within 1": float((away <= 1).mean()),
        "agent at an edge": at_an_edge(cell.verification, decision.draft_lengths),
        "heterogeneous at an edge": at_an_edge(cell.verification, closed_form.draft_lengths),
    }


def study(options: AgentGap, command: str) -> None:
    reference = common_reference("own_lengths", [load_agent(name).spec.num_users for name in options.agents])
    rows = options.do(gap, {name: (name, options.cells, options.steps, reference) for name in options.agents})
    options.write({"agent_gap.json": {**head(command), "reference": reference, "agents": rows}})
    columns = list(next(iter(rows.values())))
    lines = [[name, *(f"{row[column]:.4f}" for column in columns)] for name, row in rows.items()]
    print(table(["agent", *columns], lines))


def main(arguments: Sequence[str] | None = None) -> int:
    return run(AgentGap, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
