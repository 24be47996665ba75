"""Cells in which much happens: short requests, many of them, and actions that lose some."""

import dataclasses

import gymnasium as gym
import numpy as np

from multispin_gym import load_scenario
from multispin_gym.envs.variants import VARIANTS

ROWS = [row for row in VARIANTS.values() if row.clock]
IDS = [row.id for row in ROWS]
DEADLINE, STALE, HIDDEN, SERVE = IDS
ARRIVING = [DEADLINE, SERVE]
OFF = {
    "arrivals": None,
    "coherence_time": None,
    "report_age": 0,
    "report_noise_db": 0,
    "cutoff": False,
    "hidden": False,
    "episode_seconds": None,
    "round_timeout": None,
    "reward": "goodput",
    "sampled": False,
}


def lively(env_id, longest=30, **requests):
    """The scenario of an id with requests of 1 to 30 tokens, where it has requests."""
    scenario = load_scenario(VARIANTS[env_id].scenario)
    if scenario.clock.requests is None:
        return scenario
    changed = dataclasses.replace(
        scenario.clock.requests, length_levels=(0.0, 1.0), length_tokens=(1, longest), **requests
    )
    return dataclasses.replace(scenario, clock=dataclasses.replace(scenario.clock, requests=changed))


def make_vec(env_id, num_envs, **options):
    options = {"scenario": lively(env_id), "episode_seconds": 6.0, **options}
    return gym.make_vec(env_id, num_envs=num_envs, vectorization_mode="vector_entry_point", **options)


def make(env_id, **options):
    options = {"scenario": lively(env_id), "episode_seconds": 6.0, **options}
    return gym.make(env_id, **options)


def varied_actions(rng, env, num_rows):
    """Actions with short and long drafts, few that give requests up, and cut-offs that some uploads miss."""
    users, size = env.unwrapped.num_users, env.unwrapped.encode_action(no_draft(env.unwrapped.num_users)).shape[-1]
    actions = rng.uniform(-1.0, 1.0, (num_rows, size))
    actions[:, :users] -= rng.random((num_rows, 1))
    actions[:, users : 2 * users] *= 0.3
    if size >= 3 * users:
        actions[:, 2 * users : 3 * users] -= 0.9
    if size % users or users == 1:
        actions[:, -1] = np.where(rng.random(num_rows) < 0.3, 1.0, actions[:, -1])
    return np.clip(actions, -1.0, 1.0).astype(np.float32)


def no_draft(num_users):
    from multispin_gym import Decision

    return Decision(np.zeros(num_users, int), np.full(num_users, 1.0 / num_users))
