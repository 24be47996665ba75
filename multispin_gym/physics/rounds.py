"""One round of multi-user speculative decoding: the one place where a round is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from multispin_gym._arrays import extremes, max_users, sum_users
from multispin_gym._validation import LARGEST_WHOLE, FloatArray, IntArray, check_array
from multispin_gym.physics.acceptance import mean_tokens, sampled_tokens
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.users import Users

# Shares may exceed one by their own rounding, no more: a larger excess would be bandwidth from nowhere.
SHARE_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Decision:
    """Draft lengths and bandwidth shares of one round, or of a batch of rounds.

    Parameters
    ----------
    draft_lengths
        Drafted tokens per user; whole numbers, at least 0. Shape (..., K).
    bandwidth_shares
        Share of the band per user; at least 0, sum over the users at most 1. Shape (..., K); the two broadcast,
        and are stored as read-only arrays of the common shape.

    Raises
    ------
    ValueError
        If a length is negative or not whole, a share negative, the shares sum to more than one, or the shapes do
        not broadcast.
    TypeError
        If a value is not numeric.

    Examples
    --------
    >>> Decision(draft_lengths=[4, 2], bandwidth_shares=[0.3, 0.7]).draft_lengths
    array([4, 2])
    """

    draft_lengths: IntArray
    bandwidth_shares: FloatArray

    def __init__(self, draft_lengths: ArrayLike, bandwidth_shares: ArrayLike) -> None:
        lengths = check_array("draft_lengths", draft_lengths, low=0.0, high=LARGEST_WHOLE, whole=True)
        shares = check_array("bandwidth_shares", bandwidth_shares, low=0.0, high=1.0 + SHARE_TOLERANCE)
        try:
            shape = np.broadcast_shapes(lengths.shape, shares.shape)
        except ValueError:
            raise ValueError(
                f"draft_lengths {lengths.shape} and bandwidth_shares {shares.shape} do not broadcast"
            ) from None
        if not shape or shape[-1] == 0:
            raise ValueError(f"a decision needs a last axis of at least one user, got shape {shape}")
        shares = np.array(np.broadcast_to(shares, shape), order="C")
        total = shares.sum(axis=-1)
        if np.asarray(bandwidth_shares).dtype == np.float32:
            # A float32 simplex sums to one within its own rounding: scale it back rather than refuse it.
            rounding = (total > 1.0) & (total <= 1.0 + shape[-1] * np.finfo(np.float32).eps)
            shares /= np.where(rounding, total, 1.0)[..., None]
            total = shares.sum(axis=-1)
        if (total > 1.0 + SHARE_TOLERANCE).any():
            raise ValueError(f"bandwidth_shares must sum to a value in [0, 1], got {float(total.max())!r}")
        whole = np.array(np.broadcast_to(lengths, shape), np.int64, order="C")
        for array in (whole, shares):
            array.flags.writeable = False
        object.__setattr__(self, "draft_lengths", whole)
        object.__setattr__(self, "bandwidth_shares", shares)

    @classmethod
    def trusted(cls, draft_lengths: IntArray, bandwidth_shares: FloatArray) -> Decision:
        """Build a decision from arrays already known to be valid, without copies or checks.

        Parameters
        ----------
        draft_lengths
            Draft lengths. Shape (..., K).
        bandwidth_shares
            Shares of the same shape.

        Returns
        -------
        Decision
            A decision that shares memory with the arrays given.
        """
        decision = cls.__new__(cls)
        decision.__dict__.update(draft_lengths=draft_lengths, bandwidth_shares=bandwidth_shares)
        return decision


@dataclass(frozen=True, eq=False)
class RoundOutcome:
    """What came of one round, or of a batch of rounds.

    Parameters
    ----------
    tokens
        Tokens each user gains, the server's own token included; expected or sampled. Shape (..., K).
    drafting_time, upload_time
        Seconds each user drafts and uploads. Shape (..., K).
    verification_time
        Seconds of the server's forward pass. Shape (...,).
    latency
        Seconds from the start of drafting to the end of verification. Shape (...,).
    goodput
        Sum of the users' tokens over the latency, token/s. Shape (...,).
    """

    tokens: FloatArray
    drafting_time: FloatArray
    upload_time: FloatArray
    verification_time: FloatArray
    latency: FloatArray
    goodput: FloatArray

    def __getitem__(self, index: Any) -> RoundOutcome:
        """Select rounds of the batch; the user axis is kept.

        Parameters
        ----------
        index
            Any NumPy index over the batch axes.

        Returns
        -------
        RoundOutcome
            The selected rounds.
        """
        if self.latency.ndim == 0:
            raise IndexError("this is the outcome of one round: there is no batch axis to index")
        return RoundOutcome(**{name: np.asarray(value[index]) for name, value in vars(self).items()})

    @classmethod
    def trusted(cls, **fields: FloatArray) -> RoundOutcome:
        """Build an outcome in less time than the constructor of a frozen class takes.

        Parameters
        ----------
        **fields
            All fields.

        Returns
        -------
        RoundOutcome
            An outcome that shares memory with the arrays given.
        """
        outcome = cls.__new__(cls)
        outcome.__dict__.update(fields)
        return outcome


def check_lengths(draft_lengths: IntArray, cell: Cell) -> None:
    """Refuse draft lengths outside the cell's range; all drafts zero are allowed in any cell.

    Parameters
    ----------
    draft_lengths
        Draft lengths. Shape (..., K).
    cell
        The cell, whose range applies.

    Raises
    ------
    ValueError
        If a length lies outside the range in a round that drafts at all.
    """
    low, high = cell.min_draft_length, cell.max_draft_length
    outside = ((draft_lengths < low) | (draft_lengths > high)) & (draft_lengths > 0).any(axis=-1, keepdims=True)
    if outside.any():
        index = tuple(int(i) for i in np.argwhere(outside)[0])
        raise ValueError(
            f"draft_lengths must lie in [{low}, {high}] (or all be 0), got {int(draft_lengths[index])} at index {index}"
        )


def play_round(users: Users, cell: Cell, decision: Decision, *, rng: np.random.Generator | None = None) -> RoundOutcome:
    """Play one round: draft, upload, verify in one batch (model, section 2).

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system.
    decision
        Draft lengths and bandwidth shares. Shape (..., K); batch shapes broadcast.
    rng
        If given, accepted drafts are sampled, one uniform per user and round; otherwise tokens are expectations.

    Returns
    -------
    RoundOutcome
        Tokens, times and goodput. An upload without bandwidth never ends: its latency is infinite, its goodput 0.

    Raises
    ------
    ValueError
        If the numbers of users differ, the batch shapes do not broadcast, or a draft length lies outside the cell's
        range in a round that drafts at all.

    Examples
    --------
    >>> from multispin_gym import AffineVerification
    >>> cell = Cell(10e6, 3.98e-21, 16384.0, AffineVerification(0.06, 3e-4))
    >>> users = Users([0.8, 0.6], [100.0, 200.0], [1e-10, 1e-11], 0.02)
    >>> outcome = play_round(users, cell, Decision([4, 2], [0.5, 0.5]))
    >>> outcome.tokens.round(4)
    array([3.3616, 1.96  ])
    """
    lengths = decision.draft_lengths
    if lengths.shape[-1] != users.num_users:
        raise ValueError(f"the decision is for {lengths.shape[-1]} users, the cell has {users.num_users}")
    try:
        shape = np.broadcast_shapes(lengths.shape, users.acceptance_rate.shape)
    except ValueError:
        raise ValueError(
            f"the decision's batch shape {lengths.shape[:-1]} does not broadcast with the users' {users.batch_shape}"
        ) from None
    check_lengths(lengths, cell)
    uniforms = None if rng is None else rng.random(shape)
    return compute_round(users, cell, decision, uniforms)


def compute_round(users: Users, cell: Cell, decision: Decision, uniforms: FloatArray | None = None) -> RoundOutcome:
    """Compute a round from valid arguments: :func:`play_round` without its checks.

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system.
    decision
        Draft lengths and bandwidth shares. Shape (..., K).
    uniforms
        Uniform draws in [0, 1) that decide which drafts are accepted; by default tokens are expectations.

    Returns
    -------
    RoundOutcome
        Tokens, times and goodput.
    """
    lengths = decision.draft_lengths.astype(np.float64)
    alpha, terms = users.acceptance_rate, users.token_terms
    tokens = mean_tokens(alpha, lengths, terms) if uniforms is None else sampled_tokens(alpha, lengths, uniforms, terms)
    drafting = lengths * users.drafting_time
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        rate = cell.uplink.quiet_rate(decision.bandwidth_shares * cell.bandwidth, cell.signal(users))
        upload = lengths * cell.payload / rate
    if extremes(lengths)[0] == 0.0:
        upload = np.where(lengths > 0.0, upload, 0.0)
    verification = cell.verification.round_time(lengths)
    latency = max_users(drafting + upload) + verification
    if verification.shape != latency.shape:
        verification = np.array(np.broadcast_to(verification, latency.shape))
    goodput = sum_users(tokens) / latency
    return RoundOutcome.trusted(
        tokens=tokens,
        drafting_time=drafting,
        upload_time=upload,
        verification_time=verification,
        latency=latency,
        goodput=goodput,
    )
