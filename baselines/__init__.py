"""Reference controllers: users and cell in, decision out."""

from multispin_gym.baselines.heterogeneous import Relaxation, relax
from multispin_gym.baselines.registry import Controller, list_controllers, make_controller

__all__ = ["Controller", "Relaxation", "list_controllers", "make_controller", "relax"]
