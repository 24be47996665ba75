"""Steps per second of the environments in which time passes, beside the one in which none does, and where they go.

Rates are taken from the processor time of the process. ``python benchmarks/clock/speed.py --help``. Writes speed.json
and prints Markdown tables.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import gymnasium as gym
import numpy as np
from _report import head, table
from _study import Study, run

from multispin_gym.envs.variants import DEADLINE, HIDDEN, MULTI_SPIN, SERVE, STALE

IDS = tuple(row.id for row in (MULTI_SPIN, DEADLINE, STALE, HIDDEN, SERVE))
ACTIONS = 16
# Stages of a step -> the functions whose time, with all that they call, is theirs; then what is within moving on.
STAGES = {
    "rounds played": [("game.py", "play")],
    "moving on": [("game.py", "advance")],
    "observations": [("game.py", "observe")],
    "info": [("shared.py", "vector_info")],
}
WITHIN = {
    "fades drawn": [("fades.py", "_draw")],
    "requests drawn": [("request_draws.py", "draw")],
    "who comes and goes": [("traffic.py", "let_go"), ("traffic.py", "admit")],
    "episodes begun anew": [("streams.py", "_start")],
    "channels and reports": [("streams.py", "_look")],
}


@dataclass(frozen=True, kw_only=True)
class Speed(Study):
    """Step every environment with random actions and with short drafts on equal shares, in several sizes.

    Writes speed.json.
    """

    num_users: int = 8
    """Users in the cell."""
    envs: tuple[int, ...] = (1, 64, 1024, 8192)
    """Numbers of rows of the native form."""
    seconds: float = 2.0
    """Time for each figure, s."""
    output: Path = Path("results/clock")


def actions_of(space: gym.spaces.Box, kind: str, num_users: int) -> list[np.ndarray[Any, Any]]:
    """Actions drawn beforehand: random ones, or drafts of a few tokens on equal shares without a cut-off."""
    space.seed(0)
    if kind == "random":
        return [space.sample() for _ in range(ACTIONS)]
    action = np.ones(space.shape, np.float32)
    action[..., :num_users], action[..., num_users : 2 * num_users] = -0.7, 0.0
    return [action] * ACTIONS


def rate(env: Any, num_rows: int, kind: str, num_users: int, seconds: float) -> float:
    """Steps per second over all rows, resets included."""
    actions = actions_of(env.action_space, kind, num_users)
    single = not hasattr(env, "num_envs")
    env.reset(seed=0)
    count, begun, start = 0, time.perf_counter(), time.process_time()
    while count == 0 or time.perf_counter() < begun + seconds:
        for action in actions:
            ended = env.step(action)[3]
            if single and ended:
                env.reset()
        count += ACTIONS
    found = count * num_rows / (time.process_time() - start)
    env.close()
    return found


def stages(num_users: int, num_envs: int, seconds: float) -> dict[str, float]:
    """Shares of the time of a step of the flagship with random actions."""
    envs = gym.make_vec(SERVE.id, num_envs=num_envs, vectorization_mode="vector_entry_point", num_users=num_users)
    actions = actions_of(envs.action_space, "random", num_users)
    envs.reset(seed=0)
    profile, begun = cProfile.Profile(), time.perf_counter()
    while time.perf_counter() < begun + seconds:
        profile.enable()
        for action in actions:
            envs.step(action)
        profile.disable()
    found = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    spent = {(Path(file).name, name): cumulative for (file, _, name), (_, _, _, cumulative, _) in found.items()}
    whole = spent["vector.py", "step"]
    return {
        stage: sum(spent.get(place, 0.0) for place in places) / whole for stage, places in (STAGES | WITHIN).items()
    }


def study(options: Speed, command: str) -> None:
    rows = []
    for env_id in IDS:
        for kind in ("random", "short drafts"):
            made = {"single": (gym.make(env_id, num_users=options.num_users), 1)}
            for count in options.envs:
                envs = gym.make_vec(
                    env_id, num_envs=count, vectorization_mode="vector_entry_point", num_users=options.num_users
                )
                made[f"native x {count}"] = (envs, count)
            rates = {
                form: rate(env, count, kind, options.num_users, options.seconds) for form, (env, count) in made.items()
            }
            rows.append({"id": env_id, "actions": kind, "steps_per_second": rates})
    shares = stages(options.num_users, 1024, options.seconds)
    options.write({"speed.json": {**head(command), "num_users": options.num_users, "rows": rows, "stages": shares}})
    forms = list(rows[0]["steps_per_second"])
    lines = [[f"`{r['id']}`", r["actions"], *(f"{r['steps_per_second'][form]:,.0f}" for form in forms)] for r in rows]
    print(table(("environment", "actions", *forms), lines, left=2))
    names = {**{stage: stage for stage in STAGES}, **{stage: f"... of which {stage}" for stage in WITHIN}}
    print(table(("stage", "share of a step"), [[names[stage], f"{share:.0%}"] for stage, share in shares.items()]))


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Speed, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
