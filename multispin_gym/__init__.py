"""Draft control in multi-user edge speculative decoding: environments, physics and scenarios.

Docstrings cite the project's page docs/model.md as "model, section N".
"""

from multispin_gym._former_names import install
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
    "expected_tokens",
    "list_scenarios",
    "load_scenario",
    "play_round",
]

install()
register_environments()
