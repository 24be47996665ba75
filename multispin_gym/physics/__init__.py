"""One round of a cell: users, uplink, verification, expected and sampled tokens, payloads, objectives.

Knows nothing of scenarios, controllers or environments; every function takes arrays of shape ``(..., K)``.
"""

from multispin_gym.physics.acceptance import expected_tokens
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.fading import Fading
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.path_loss import PathLoss
from multispin_gym.physics.protocols import payload_bits
from multispin_gym.physics.rounds import Decision, RoundOutcome, play_round
from multispin_gym.physics.uplink import DensityUplink, TotalPowerUplink
from multispin_gym.physics.users import Users
from multispin_gym.physics.verification import AffineVerification, TableVerification

__all__ = [
    "AffineVerification",
    "Cell",
    "Decision",
    "DensityUplink",
    "Fading",
    "Objective",
    "PathLoss",
    "RoundOutcome",
    "TableVerification",
    "TotalPowerUplink",
    "Users",
    "expected_tokens",
    "payload_bits",
    "play_round",
]
