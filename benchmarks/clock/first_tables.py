"""What simple rules reach in each task in which time passes, and an episode of it as a picture.

``python benchmarks/clock/first_tables.py --help``. Writes first_tables.json, a Markdown table and pictures.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _report import head, table
from _study import StudyInPieces, run

from multispin_gym import load_scenario
from multispin_gym.baselines import make_controller
from multispin_gym.envs.variants import DEADLINE, HIDDEN, SERVE, STALE, variant_of
from multispin_gym.evaluation import evaluate
from multispin_gym.evaluation.policies import make_player
from multispin_gym.evaluation.service.result import COLUMNS
from multispin_gym.evaluation.words import cell
from multispin_gym.statistics import Estimate

TASKS = tuple(row.id for row in (DEADLINE, STALE, HIDDEN, SERVE))
POLICIES: dict[str, Any] = {
    "server_only": "server_only",
    "fixed_bw_l": "fixed_bw_l",
    "mean_heterogeneous": "mean_heterogeneous",
    "mean_proportional_fair": "mean_proportional_fair",
    "heterogeneous": "heterogeneous",
    "proportional_fair": make_controller("heterogeneous", objective="proportional_fair"),
}


@dataclass(frozen=True, kw_only=True)
class FirstTables(StudyInPieces):
    """Play the simple rules in each task: those who know means and reports, and the clairvoyant ones.

    Each task is a piece. Writes first_tables.json, first_tables.md and a picture of an episode of each task.
    """

    tasks: tuple[str, ...] = TASKS
    """Ids of the environments."""
    episodes: int = 50
    """Episodes of each."""
    seed: int = 1000
    """Episode i is seeded with SEED + i."""
    picture_of: str = "mean_proportional_fair"
    """Whose episode is drawn."""
    output: Path = Path("results/clock")


def measure(env_id: str, episodes: int, seed: int) -> dict[str, Any]:
    """Play every rule in one task."""
    result = evaluate(POLICIES, env_id=env_id, episodes=episodes, seed=seed)
    return {**result.to_dict(), "baseline": None}


def lines_of(found: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and lines of a task's table."""
    rows = found["policies"].values()
    # What nobody had, such as requests that were refused, has no column.
    shown = [name for name in COLUMNS if any(row.get(name, {"mean": 0.0})["mean"] for row in rows)]
    heads = [" ".join(COLUMNS[name][:2]).format(reward=found["reward"].replace("_", " ")) for name in shown]
    lines = []
    for name, row in found["policies"].items():
        marked = f"`{name}`" + (" (clairvoyant)" if name in found["clairvoyant"] else "")
        lines.append([marked, *(_cell(row[measure], *COLUMNS[measure][2:]) for measure in shown)])
    return ["policy", *heads], lines


def _cell(estimate: dict[str, Any], form: str, interval: bool) -> str:
    """A measure as in the evaluation's own tables."""
    ends = None if estimate["ci95"] is None else tuple(estimate["ci95"])
    return cell(Estimate(float("nan") if estimate["mean"] is None else estimate["mean"], ends), form, interval)


def picture(env_id: str, policy: str, seed: int) -> bytes:
    """Draw one episode of a task."""
    from multispin_gym.evaluation.service.timeline import draw_timeline, record_episode

    variant = variant_of(env_id)
    scenario = load_scenario(variant.scenario)
    return draw_timeline(record_episode(make_player(policy, policy, variant, scenario, seed), variant, scenario, seed))


def page(found: dict[str, Any]) -> str:
    """The tables of all tasks."""
    parts = []
    for env_id, row in found.items():
        heads, lines = lines_of(row)
        parts.append(f"`{env_id}`, {row['episodes']} episodes of {row['length']}:\n\n{table(heads, lines)}")
    return "\n".join(parts)


def study(options: FirstTables, command: str) -> None:
    pieces = {env_id: (env_id, options.episodes, options.seed) for env_id in options.tasks}
    found = options.do(measure, pieces)
    contents = {
        f"{row['scenario']}.png": picture(env_id, options.picture_of, options.seed) for env_id, row in found.items()
    }
    text = page(found)
    options.write({"first_tables.json": {**head(command), "tasks": found}, "first_tables.md": text, **contents})
    print(text)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(FirstTables, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
