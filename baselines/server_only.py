"""Plain decoding at the server."""

from __future__ import annotations

import numpy as np

from multispin_gym.baselines.equal_shares import equal_shares
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users


def server_only(users: Users, cell: Cell) -> Decision:
    """Nobody drafts: the server decodes one token a round for each user.

    It lies outside the cell's action set where ``min_draft_length`` is above 0; ``play_round`` accepts it anywhere.
    """
    return equal_shares(users, np.zeros(1))
