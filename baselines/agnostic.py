"""Controllers that know nothing, or nothing joint, of the users' differences."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.homogeneous import common_lengths
from multispin_gym.physics.acceptance import mean_tokens
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.physics.verification import AffineVerification


def equal_shares(users: Users, draft_lengths: FloatArray) -> Decision:
    """Give every user the same share of the band.

    Parameters
    ----------
    users
        The users. Shape (..., K).
    draft_lengths
        Draft lengths; broadcast to (..., K).

    Returns
    -------
    Decision
        The lengths with shares of 1 / K.
    """
    shape = users.acceptance_rate.shape
    lengths = np.ascontiguousarray(np.broadcast_to(draft_lengths, shape)).astype(np.int64)
    return Decision.trusted(lengths, np.full(shape, 1.0 / users.num_users))


def upload_time(users: Users, cell: Cell) -> FloatArray:
    """Seconds to upload one drafted token on an equal share of the band.

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system.

    Returns
    -------
    numpy.ndarray
        Seconds per token. Shape (..., K).
    """
    rate = cell.uplink.rate(np.full(1, cell.bandwidth / users.num_users), cell.signal(users))
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(cell.payload / rate)


def server_only(users: Users, cell: Cell) -> Decision:
    """Nobody drafts: plain decoding at the server, one token a round for each user.

    It lies outside the cell's action set where ``min_draft_length`` is above 0; ``play_round`` accepts it anywhere.

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system; not used.

    Returns
    -------
    Decision
        All drafts 0.
    """
    return equal_shares(users, np.zeros(1))


def uniform_fixed(users: Users, cell: Cell, draft_length: int) -> Decision:
    """Equal shares and one given draft length, as most serving systems ship it.

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system.
    draft_length
        The length for all users, token.

    Returns
    -------
    Decision
        The length with equal shares.

    Raises
    ------
    ValueError
        If the length lies outside the cell's range.
    """
    low, high = cell.min_draft_length, cell.max_draft_length
    if not low <= draft_length <= high:
        raise ValueError(f"draft_length must lie in [{low}, {high}], got {draft_length!r}")
    return equal_shares(users, np.full(1, float(draft_length)))


def uniform_best(users: Users, cell: Cell) -> Decision:
    """Equal shares and the common draft length that is best with them.

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system.

    Returns
    -------
    Decision
        One length for all users of a cell, with equal shares.
    """
    slowest = (users.drafting_time + upload_time(users, cell)).max(axis=-1)
    options = common_lengths(cell)
    goodput = []
    for length in options:
        drafts = np.broadcast_to(length, users.acceptance_rate.shape)
        # A user in so deep a fade that its rate is zero still costs nothing when nobody drafts.
        drafting = length * slowest if length else 0.0
        tokens = mean_tokens(users.acceptance_rate, drafts).sum(axis=-1)
        goodput.append(tokens / (drafting + cell.verification.round_time(drafts)))
    return equal_shares(users, options[np.argmax(goodput, axis=0)][..., None])


def tk_slt_length(
    acceptance_rate: FloatArray, upload: FloatArray, drafting: FloatArray, verification: FloatArray | float
) -> FloatArray:
    """Real draft length that maximises the speed-up of a single user (TK-SLT, arXiv 2509.04576).

    With l the time of a drafted token in units of the verification time, the speed-up
    ``(1 - alpha**(g + 1)) / ((1 - alpha) (g l + 1))`` has its maximum at ``g = (z - 1) / a - 1 / l`` where
    ``a = -ln alpha`` and z > 1 solves ``z - ln z = 1 + a / l - a``, a form that neither over- nor underflows
    (model, section 4).

    Parameters
    ----------
    acceptance_rate
        Acceptance rate, in [0, 1].
    upload, drafting
        Seconds to upload and to draft one token.
    verification
        Seconds of a verification, token count included at its start.

    Returns
    -------
    numpy.ndarray
        Real lengths, at least 0; 0 where a drafted token costs more than a verification, infinite at an acceptance
        rate of 1 where it costs less.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        cost = (upload + drafting) / verification
        a = -np.log(acceptance_rate)
        excess = np.maximum(a * (1.0 / cost - 1.0), 0.0)
        # z - 1 - ln z = excess; the guess is right for small and for large values.
        z = 1.0 + np.sqrt(2.0 * excess) + excess
        for _ in range(6):
            z = np.maximum(z - (z - 1.0 - np.log(z) - excess) * z / np.maximum(z - 1.0, 1e-300), 1.0)
        length = (z - 1.0) / a - 1.0 / cost
    length = np.where(a == 0.0, np.inf, np.where(np.isfinite(a), length, 0.0))
    return np.where(cost < 1.0, np.maximum(length, 0.0), 0.0)


def tk_slt(users: Users, cell: Cell) -> Decision:
    """Equal shares, and for each user the length that is best if it were alone at the server.

    The closed form for affine verification, whose time per token counts as part of the drafted token's; a table is
    searched over the whole lengths.

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system.

    Returns
    -------
    Decision
        Own lengths with equal shares.
    """
    low, high = max(1, cell.min_draft_length), cell.max_draft_length
    upload, drafting = upload_time(users, cell), users.drafting_time
    server = cell.verification
    if isinstance(server, AffineVerification):
        # One user's batch of L + 1 tokens takes fixed + per_token (L + 1), padded or ragged.
        alone = server.fixed + server.per_token
        real = tk_slt_length(users.acceptance_rate, upload, drafting + server.per_token, alone)
        floor = np.clip(np.floor(np.minimum(real, high)), low, high)
        options = np.stack([floor, np.minimum(floor + 1.0, high)])
    else:
        lengths = np.arange(low, high + 1, dtype=np.float64)
        options = np.broadcast_to(lengths.reshape(-1, *(1,) * upload.ndim), (len(lengths), *upload.shape))
    seconds = options * (upload + drafting) + server.time(options + 1.0)
    speed = mean_tokens(users.acceptance_rate, options) / seconds
    best = np.take_along_axis(options, speed.argmax(axis=0)[None], axis=0)[0]
    return equal_shares(users, best)


def random_decision(users: Users, cell: Cell, rng: np.random.Generator) -> Decision:
    """Draft lengths uniform over the allowed ones, shares uniform over the simplex.

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system.
    rng
        Source of the draws.

    Returns
    -------
    Decision
        A random decision.
    """
    shape = users.acceptance_rate.shape
    lengths = rng.integers(cell.min_draft_length, cell.max_draft_length, shape, endpoint=True)
    parts = rng.standard_exponential(shape)
    return Decision.trusted(lengths, parts / parts.sum(axis=-1, keepdims=True))
