"""Registers the environments with Gymnasium."""

from __future__ import annotations

import gymnasium as gym

ENVIRONMENTS = {
    "multispin_gym/MultiSpin-v0": (
        "multispin_gym.envs.single:MultiSpinEnv",
        "multispin_gym.envs.vector:MultiSpinVectorEnv",
    ),
    "multispin_gym/MultiSpinHomogeneous-v0": (
        "multispin_gym.envs.homogeneous:MultiSpinHomogeneousEnv",
        "multispin_gym.envs.homogeneous:MultiSpinHomogeneousVectorEnv",
    ),
}


def register_environments() -> None:
    """Register the environments; called by ``import multispin_gym``.

    Episodes end by themselves, after the scenario's number of rounds, so the ids carry no step limit. The entry
    points are strings: modules are loaded when an environment is made.
    """
    for name, (single, vector) in ENVIRONMENTS.items():
        if name not in gym.registry:
            gym.register(name, entry_point=single, vector_entry_point=vector)
