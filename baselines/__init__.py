"""Reference controllers: users and cell in, decision out."""

from multispin_gym.baselines.certificate import Certificate, certify
from multispin_gym.baselines.closed_form import best_common_length
from multispin_gym.baselines.estimators import believed_users, list_estimators, make_estimator
from multispin_gym.baselines.registry import (
    Controller,
    list_controllers,
    make_controller,
    register_controller,
    unregister_controller,
)
from multispin_gym.baselines.relaxation import Relaxation, relax
from multispin_gym.baselines.rival_protocols import ProtocolOutcome, cen_spin, p2p_spin

__all__ = [
    "Certificate",
    "Controller",
    "ProtocolOutcome",
    "Relaxation",
    "believed_users",
    "best_common_length",
    "cen_spin",
    "certify",
    "list_controllers",
    "list_estimators",
    "make_controller",
    "make_estimator",
    "p2p_spin",
    "register_controller",
    "relax",
    "unregister_controller",
]
