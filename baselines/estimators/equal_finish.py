"""Bandwidth for rules that choose lengths only: whoever drafts finishes at the same time, as early as can be."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.baselines.solver.common_lengths import common_lengths
from multispin_gym.baselines.solver.deadline import finish_together, least_deadline
from multispin_gym.baselines.solver.share_curves import ShareCurves
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision, RoundOutcome, play_round
from multispin_gym.physics.users import Users


def finishing_together(users: Users, cell: Cell, lengths: FloatArray | IntArray) -> Decision:
    """Split the band so that all who draft finish together.

    Parameters
    ----------
    users
        The users of N cells. Shape (N, K).
    cell
        The shared system.
    lengths
        Whole draft lengths; those of absent users are taken for 0. Shape (N, K), or (B, N, K) for B choices.

    Returns
    -------
    Decision
        The lengths with their shares. Shape of ``lengths``.
    """
    if users.present is not None:
        lengths = lengths * users.present
    copies = np.tile(np.arange(lengths.shape[-2]), lengths.size // (lengths.shape[-1] * lengths.shape[-2]))
    curves = ShareCurves.of(users, cell)[copies]
    _, shares = finish_together(curves, lengths.reshape(-1, lengths.shape[-1]).astype(np.float64))
    return Decision.trusted(lengths.astype(np.int64), shares.reshape(lengths.shape))


def play_common_lengths(users: Users, cell: Cell) -> tuple[FloatArray, Decision, RoundOutcome]:
    """Play every common draft length that a cell allows.

    Parameters
    ----------
    users
        The users of N cells. Shape (N, K).
    cell
        The shared system.

    Returns
    -------
    tuple
        The C lengths, (C,); the decisions, shape (C, N, K); and what is to be expected of them.
    """
    lengths = common_lengths(cell)
    present = np.ones(users.acceptance_rate.shape) if users.present is None else users.present.astype(np.float64)
    shares = finishing_together(users, cell, present).bandwidth_shares
    drafts = (lengths[:, None, None] * present).astype(np.int64)
    decisions = Decision.trusted(drafts, np.ascontiguousarray(np.broadcast_to(shares, drafts.shape)))
    return lengths, decisions, play_round(users, cell, decisions)


def seconds_together(users: Users, cell: Cell) -> FloatArray:
    """Return the time in which one token of everybody is drafted and sent: how good the channels are as a whole.

    Parameters
    ----------
    users
        The users of N cells. Shape (N, K).
    cell
        The shared system.

    Returns
    -------
    numpy.ndarray
        Seconds; 0 where nobody is present. Shape (N,).
    """
    present = np.ones(users.acceptance_rate.shape) if users.present is None else users.present.astype(np.float64)
    return least_deadline(ShareCurves.of(users, cell), present)
