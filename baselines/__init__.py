"""Reference controllers: users and cell in, decision out."""

from multispin_gym.baselines.certificate import Certificate, certify
from multispin_gym.baselines.registry import (
    Controller,
    list_controllers,
    make_controller,
    register_controller,
    unregister_controller,
)
from multispin_gym.baselines.relaxation import Relaxation, relax

__all__ = [
    "Certificate",
    "Controller",
    "Relaxation",
    "certify",
    "list_controllers",
    "make_controller",
    "register_controller",
    "relax",
    "unregister_controller",
]
