"""What plain Stable-Baselines3 reaches with few rounds: SAC and PPO, with and without a discount.

``python benchmarks/plain_recipes.py --help``. Writes plain_recipes.json and plain_recipes.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from _held_out import load_example, over_seeds, play_controllers, played, reached
from _report import head, machine_text, table
from _study import StudyInPieces, run

from multispin_gym._validation import check_integer


class Training(NamedTuple):
    """A recipe of ``examples/sb3_training.py``, its discount, and how many rounds it is given."""

    recipe: str
    gamma: float
    rounds: int


TRAININGS = (
    Training("sac", 0.0, 10_000),
    Training("ppo_native", 0.0, 50_000),
    Training("ppo_native", 0.0, 100_000),
    Training("ppo_native", 0.99, 50_000),
    Training("ppo_defaults", 0.0, 10_000),
    Training("ppo_defaults", 0.99, 10_000),
)


@dataclass(frozen=True, kw_only=True)
class PlainRecipes(StudyInPieces):
    """Train plain Stable-Baselines3 with every recipe and seed, and play it on held-out episodes.

    Each training is a piece. Writes plain_recipes.json and plain_recipes.md.
    """

    scenario: str = "default"
    """Name of a preset, or path of a scenario file."""
    num_users: int | None = None
    """Users in the cell; None: the scenario's number."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds."""
    episodes: int = 50
    """Held-out episodes."""
    shorter: int = 1
    """Divide the rounds of all trainings by this, to try the study."""
    runner: Literal["local", "processes", "ray"] = "processes"
    output: Path = Path("results/plain_recipes")

    def __post_init__(self) -> None:
        check_integer("shorter", self.shorter, low=1)


def train(
    training: Training, seed: int, scenario: str, num_users: int | None, shorter: int, episodes: int
) -> dict[str, Any]:
    """Train once; return the goodput in each held-out episode, token/s, and the training's process time, s."""
    example = load_example("sb3_training")
    start = time.process_time()
    recipe, gamma, rounds = training
    model = example.train(scenario, num_users, rounds // shorter, seed, recipe, gamma)
    seconds = time.process_time() - start
    return {"played": played(model, scenario, num_users, episodes), "seconds": seconds}


def to_markdown(report: dict[str, Any]) -> str:
    """Write the page."""
    rows = []
    for entry in report["trainings"]:
        ratio, goodput = entry["ratio"], entry["goodput"]
        rows.append(
            [
                f"`{entry['recipe']}`",
                f"{entry['gamma']:g}",
                f"{entry['rounds']:,}",
                f"{goodput['median']:.1f}",
                "{median:.3f} ({least:.3f}, {most:.3f})".format(**ratio),
                f"{entry['seconds']['median']:.0f}",
            ]
        )
    for name, found in report["controllers"].items():
        rows.append([f"`{name}`", "", "", f"{found['goodput']:.1f}", f"{found['ratio']:.3f}", ""])
    return "\n".join(
        [
            "# Plain Stable-Baselines3\n",
            f"`{report['command']}`\n",
            f"Scenario `{report['scenario']}`, {len(report['seeds'])} training seeds, {report['episodes']} held-out",
            "episodes. Goodput: the median over the seeds, token/s. Ratio: the sum of the goodput of all rounds over",
            "that of the certified optimum, median (least, most). Time: processor time of a training, s, on one",
            f"thread. {machine_text(report)}.\n",
            table(["recipe", "gamma", "rounds", "token/s", "ratio to the optimum", "processor time, s"], rows),
            "The recipes are those of [examples/sb3_training.py](../../../examples/sb3_training.py): `sac` and",
            "`ppo_defaults` are the library's defaults with observations scaled to [-1, 1]; `ppo_native` plays 128",
            "cells at a time, with a narrower first policy and a learning rate that falls.\n",
        ]
    )


def study(options: PlainRecipes, command: str) -> None:
    # The longest first, so that no process ends alone with one of them.
    where = (options.scenario, options.num_users, options.shorter, options.episodes)
    pieces = {(training, seed): (training, seed, *where) for training in TRAININGS for seed in options.seeds}
    found = options.do(train, pieces)
    controllers = play_controllers(options.scenario, options.num_users, options.episodes)
    optimum = controllers.pop("optimum")
    trainings = []
    for training in TRAININGS:
        seeds = {
            str(seed): {
                **reached(found[training, seed]["played"], optimum),
                "seconds": found[training, seed]["seconds"],
            }
            for seed in options.seeds
        }
        shown = {name: over_seeds(seeds, name) for name in ("goodput", "ratio", "seconds")}
        rounds = training.rounds // options.shorter
        trainings.append({"recipe": training.recipe, "gamma": training.gamma, "rounds": rounds, **shown, "runs": seeds})
    report = {
        **head(command),
        "scenario": options.scenario,
        "seeds": list(options.seeds),
        "episodes": options.episodes,
        "trainings": trainings,
        "controllers": {name: reached(goodput, optimum) for name, goodput in controllers.items()},
    }
    page = to_markdown(report)
    options.write({"plain_recipes.json": report, "plain_recipes.md": page})
    print(page)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(PlainRecipes, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
