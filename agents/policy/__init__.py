"""The equivariant policy: what it sees, its networks, and the distribution of its decisions."""

from typing import TYPE_CHECKING

from multispin_gym._lazy import lazy_names

if TYPE_CHECKING:
    from multispin_gym.agents.policy.sb3_policy import EquivariantPolicy

__all__ = ["EquivariantPolicy"]

__getattr__, __dir__ = lazy_names(__name__, {"EquivariantPolicy": "sb3_policy", "Tensors": "sb3_policy"})
