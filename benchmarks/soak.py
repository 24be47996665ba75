"""A hundred million steps with resets: no NaN, rewards and observations within their bounds, no growth of memory.

All in one process, whose memory is watched. ``python benchmarks/soak.py --help``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from _study import run

import multispin_gym as ms

MULTI = "multispin_gym/MultiSpin-v0"
ACTIONS = 64
# What the allocator may keep besides; a leak of one byte a step would exceed it many times over.
ALLOWANCE = 4_000_000


@dataclass(frozen=True)
class Soak:
    """Step vector environments of two presets a long time; stop at the first value that should not be."""

    steps: int = 100_000_000
    """Environment steps over all runs."""
    rows: int = 1024
    """Rows of the vector environment."""
    users: int = 8
    """Users in a cell."""


def resident_bytes() -> int:
    """Memory of this process that is in use (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def reward_bound(cell: ms.Cell, num_users: int) -> float:
    """Goodput that no round passes: all drafts of the greatest length accepted, in the fastest verification."""
    counts = np.arange(num_users, num_users * (cell.max_draft_length + 1) + 1)
    return float(num_users * (cell.max_draft_length + 1) / np.min(cell.verification.time(counts, num_users)))


def check(step: tuple[Any, ...], space: gym.spaces.Dict, bound: float) -> None:
    """Stop at the first value out of bounds; NaN is out of any."""
    observations, rewards, terminations, _, _ = step
    if not (rewards.min() >= 0.0 and rewards.max() <= bound):
        raise SystemExit(f"a reward lies outside [0, {bound:g}]: {rewards.min():g} .. {rewards.max():g}")
    if terminations.any():
        raise SystemExit("an episode was terminated")
    for name, box in space.items():
        values = observations[name]
        if not (values.min() >= box.low[0] and values.max() <= box.high[0]):
            raise SystemExit(f"{name} lies outside its bounds: {values.min():g} .. {values.max():g}")


def soak(steps: int, rows: int, num_users: int, scenario: str, sampled: bool, mode: str) -> None:
    """Step a vector environment, watching what it returns and how large the process is."""
    envs = gym.make_vec(
        MULTI, num_envs=rows, num_users=num_users, scenario=scenario, sampled=sampled, autoreset_mode=mode
    )
    bound = reward_bound(envs.unwrapped.cell, num_users)
    envs.action_space.seed(0)
    actions = [envs.action_space.sample() for _ in range(ACTIONS)]
    envs.reset(seed=0)
    # Users are drawn for up to 32 episodes at a time: until they are drawn again, buffers come to their size.
    warm = 35 * envs.unwrapped.num_rounds
    for index in range(warm):
        envs.step(actions[index % ACTIONS])
    before, start, largest = resident_bytes(), time.perf_counter(), 0.0
    for index in range(-(-steps // rows)):
        step = envs.step(actions[index % ACTIONS])
        check(step, envs.single_observation_space, bound)
        largest = max(largest, float(step[1].max()))
    spent, grown = time.perf_counter() - start, resident_bytes() - before
    print(
        f"{scenario}, {mode}, {'sampled' if sampled else 'expected'} tokens: {steps:,} steps in {spent:.0f} s, "
        f"largest reward {largest:.1f} of at most {bound:.1f} token/s, memory grown by {grown / 1e3:.0f} kB"
    )
    if grown > ALLOWANCE:
        raise SystemExit(f"memory grew by {grown:,} bytes")


def endure(options: Soak, command: str) -> None:
    if not Path("/proc/self/statm").exists():
        raise OSError("the process's memory is read from /proc, which this system does not have")
    runs = [
        ("default", False, "NextStep"),
        ("default", True, "SameStep"),
        ("deep_fading", True, "NextStep"),
        ("deep_fading", False, "SameStep"),
    ]
    for scenario, sampled, mode in runs:
        soak(options.steps // len(runs), options.rows, options.users, scenario, sampled, mode)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Soak, endure, arguments)


if __name__ == "__main__":
    sys.exit(main())
