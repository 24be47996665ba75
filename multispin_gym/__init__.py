"""Draft control in multi-user edge speculative decoding: environments, physics and scenarios.

Docstrings cite the project's page docs/model.md as "model, section N".
"""

from multispin_gym._former_names import install
from multispin_gym.envs.functions import as_policy
from multispin_gym.envs.observations import users_from_observation
from multispin_gym.envs.registration import register_environments
from multispin_gym.physics import (
    AffineVerification,
    Cell,
    Decision,
    Fading,
    Objective,
    RoundOutcome,
    TableVerification,
    Users,
    expected_tokens,
    play_round,
)
from multispin_gym.scenarios import Scenario, list_scenarios, load_scenario

__all__ = [
    "AffineVerification",
    "Cell",
    "Decision",
    "Fading",
    "Objective",
    "RoundOutcome",
    "Scenario",
    "TableVerification",
    "Users",
    "as_policy",
    "expected_tokens",
    "list_scenarios",
    "load_scenario",
    "play_round",
    "users_from_observation",
]

install()
register_environments()
