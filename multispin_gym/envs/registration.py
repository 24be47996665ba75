"""Registers the environments with Gymnasium."""

from __future__ import annotations

import gymnasium as gym

from multispin_gym.envs.variants import VARIANTS, Variant


def register_variant(variant: Variant) -> None:
    """Add a row to the family and register its id, so that it can be made, evaluated and trained in by its name.

    Episodes end by themselves, so the ids carry no step limit. The entry points are strings: modules are loaded when an
    environment is made.

    Parameters
    ----------
    variant
        The row; one that is there already is replaced.
    """
    VARIANTS[variant.id] = variant
    if variant.id not in gym.registry:
        gym.register(variant.id, entry_point=variant.single, vector_entry_point=variant.vector)


def register_environments() -> None:
    """Register the environments; called by ``import multispin_gym``."""
    for row in tuple(VARIANTS.values()):
        register_variant(row)
