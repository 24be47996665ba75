"""A controller of one's own, beside those that come with the package, on the same episodes.

    python examples/own_controller.py

It gives every user the draft length that would be best if it were alone, and bandwidth in proportion to what it then
has to send over its channel.
"""

import numpy as np

import multispin_gym as ms
from multispin_gym.baselines import make_controller
from multispin_gym.evaluation import evaluate
from multispin_gym.evaluation.results import EvaluationResult


def own_lengths_by_demand(users: ms.Users, cell: ms.Cell) -> ms.Decision:
    """Decide one round or a batch of rounds; arrays have shape (..., K)."""
    lengths = make_controller("tk_slt")(users, cell).draft_lengths
    seconds_per_token = cell.payload / cell.uplink.rate(cell.bandwidth / users.num_users, cell.signal(users))
    demand = lengths * seconds_per_token
    total = demand.sum(axis=-1, keepdims=True)
    return ms.Decision(lengths, demand / np.where(total > 0.0, total, 1.0))


def compare(episodes: int = 20, rounds: int = 50) -> EvaluationResult:
    """Play it beside two controllers with equal shares and one that solves the whole problem."""
    policies = {
        "uniform_best": "uniform_best",
        "tk_slt": "tk_slt",
        "own lengths, by demand": own_lengths_by_demand,
        "heterogeneous": "heterogeneous",
    }
    return evaluate(policies, "default", num_users=8, episodes=episodes, rounds=rounds, seed=1000)


if __name__ == "__main__":
    result = compare()
    for name, estimates in result.estimates.items():
        ratio = estimates["ratio_to_optimum"]
        low, high = ratio.ci95 or (ratio.mean, ratio.mean)
        print(f"{name:>24}  {ratio.mean:.3f} ({low:.3f}, {high:.3f}) of the optimum")
    print(result.speculation())
