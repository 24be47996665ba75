"""Draft control in multi-user edge speculative decoding: environments, physics and scenarios.

Docstrings cite the project's page docs/model.md as "model, section N".
"""

from multispin_gym.acceptance import expected_tokens
from multispin_gym.cell import Cell
from multispin_gym.fading import Fading
from multispin_gym.objectives import Objective
from multispin_gym.registration import register_environments
from multispin_gym.rounds import Decision, RoundOutcome, play_round
from multispin_gym.scenario import Scenario
from multispin_gym.scenario_library import list_scenarios, load_scenario
from multispin_gym.users import Users
from multispin_gym.verification import AffineVerification, TableVerification

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

register_environments()
