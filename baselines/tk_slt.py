"""Each user as if it were alone at the server (TK-SLT, arXiv 2509.04576)."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.equal_shares import equal_shares, upload_time
from multispin_gym.baselines.solver.server import drafting_server
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.decisions import check_survival
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.physics.verification import AffineVerification

_SERIES = 0.05


def _above_logarithm(y: FloatArray) -> FloatArray:
    """Compute ``y - ln(1 + y)`` for y of at least 0, to full precision."""
    series = np.zeros_like(y)
    for power in range(12, 1, -1):
        series = series * -y + 1.0 / power
    return np.asarray(np.where(y < _SERIES, y * y * series, y - np.log1p(y)))


def tk_slt_length(
    acceptance_rate: FloatArray, upload: FloatArray, drafting: FloatArray, verification: FloatArray | float
) -> FloatArray:
    """Real draft length that maximises the speed-up of a single user (TK-SLT, arXiv 2509.04576).

    With l the time of a drafted token in units of the verification time, the speed-up
    ``(1 - alpha**(g + 1)) / ((1 - alpha) (g l + 1))`` has its maximum at ``g = (z - 1) / a - 1 / l`` where
    ``a = -ln alpha`` and z > 1 solves ``z - ln z = 1 + a / l - a``, a form that neither over- nor underflows
    (model, section 4).

    The acceptance rate lies in [0, 1], the times are seconds to upload and to draft one token, and of a verification
    with the token count at its start; all broadcast. The lengths are at least 0: 0 where a drafted token costs more
    than a verification, infinite at an acceptance rate of 1 where it costs less.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        cost = (upload + drafting) / verification
        a = -np.log(acceptance_rate)
        excess = np.maximum(a * (1.0 / cost - 1.0), 0.0)
        # In y = z - 1 the equation is y - ln(1 + y) = excess; the guess is right for small and for large values.
        y = np.sqrt(2.0 * excess) + excess
        for _ in range(6):
            y = np.maximum(y - (_above_logarithm(y) - excess) * (1.0 + y) / np.maximum(y, 1e-300), 0.0)
        length = y / a - 1.0 / cost
    length = np.where(a == 0.0, np.inf, np.where(np.isfinite(a), length, 0.0))
    return np.where(cost < 1.0, np.maximum(length, 0.0), 0.0)


def tk_slt(users: Users, cell: Cell) -> Decision:
    """Equal shares, and for each user the length that is best if it were alone at the server.

    The single-user optimum (:func:`tk_slt_length`) for affine verification, whose time per token counts as part of the
    drafted token's; tables, and curves of the users' own, are searched over the whole lengths.
    """
    check_survival(users, cell)
    low, high = max(1, cell.min_draft_length), cell.max_draft_length
    upload, drafting = upload_time(users, cell), users.drafting_time
    server = drafting_server(cell, 1)
    if isinstance(server, AffineVerification) and users.survival is None:
        # One user's batch of L + 1 tokens takes fixed + per_token (L + 1), padded or ragged.
        alone = server.fixed + server.per_token
        real = tk_slt_length(users.acceptance_rate, upload, drafting + server.per_token, alone)
        floor = np.clip(np.floor(np.minimum(real, high)), low, high)
        options = np.stack([floor, np.minimum(floor + 1.0, high)])
    else:
        lengths = np.arange(low, high + 1, dtype=np.float64)
        options = np.broadcast_to(lengths.reshape(-1, *(1,) * upload.ndim), (len(lengths), *upload.shape))
    seconds = options * (upload + drafting) + server.time(options + 1.0)
    speed = users.tokens(options) / seconds
    best = np.take_along_axis(options, speed.argmax(axis=0)[None], axis=0)[0]
    return equal_shares(users, best)
