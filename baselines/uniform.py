"""Equal shares and one draft length for all users: a given one, or the best."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import shown
from multispin_gym.baselines.equal_shares import equal_shares, upload_time
from multispin_gym.baselines.solver.common_lengths import common_lengths
from multispin_gym.baselines.solver.server import server_of
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.decisions import check_survival
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users

_USUAL_LENGTH = 4
_PAPERS_LENGTH = 8


def uniform_fixed(users: Users, cell: Cell, draft_length: int | None = None) -> Decision:
    """Equal shares and one given draft length, as most serving systems ship it.

    By default four tokens, or the allowed length that is nearest; a length outside the cell's range is refused with a
    ValueError.
    """
    low, high = cell.min_draft_length, cell.max_draft_length
    if draft_length is None:
        draft_length = min(max(_USUAL_LENGTH, low), high)
    if not low <= draft_length <= high:
        raise ValueError(f"draft_length must lie in [{low}, {high}], got {shown(draft_length)}")
    return equal_shares(users, np.full(1, float(draft_length)))


def fixed_bw_l(users: Users, cell: Cell) -> Decision:
    """Equal shares and eight tokens, or the nearest length that the cell allows (the paper's Fixed BW&L; section VI-A).

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system.

    Returns
    -------
    Decision
        Shape (..., K).
    """
    return uniform_fixed(users, cell, min(max(_PAPERS_LENGTH, cell.min_draft_length), cell.max_draft_length))


def uniform_best(users: Users, cell: Cell) -> Decision:
    """Equal shares and the common draft length that is best with them."""
    check_survival(users, cell)
    slowest = (users.drafting_time + upload_time(users, cell)).max(axis=-1)
    options, server = common_lengths(cell), server_of(cell, users.num_users)
    goodput = []
    for length in options:
        drafts = np.broadcast_to(length, users.acceptance_rate.shape)
        # A user in so deep a fade that its rate is zero still costs nothing when nobody drafts.
        drafting = length * slowest if length else 0.0
        tokens = users.tokens(drafts).sum(axis=-1)
        goodput.append(tokens / (drafting + server.round_time(drafts)))
    return equal_shares(users, options[np.argmax(goodput, axis=0)][..., None])
