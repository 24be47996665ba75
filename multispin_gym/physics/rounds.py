"""One round of multi-user speculative decoding: the one place where a round is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multispin_gym._arrays import extremes, max_users, sum_users
from multispin_gym._validation import BoolArray, FloatArray, check_kind
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.decisions import Decision, check_lengths, check_survival
from multispin_gym.physics.users import Users

__all__ = ["Decision", "RoundOutcome", "check_lengths", "compute_round", "play_round"]


@dataclass(frozen=True, eq=False)
class RoundOutcome:
    """What came of one round, or of a batch of rounds.

    Parameters
    ----------
    tokens
        Tokens each user gains, the server's own token included; expected or sampled. 0 for who is absent or late. Shape
        (..., K).
    drafting_time, upload_time
        Seconds each user drafts and uploads, cut off or not. Shape (..., K).
    verification_time
        Seconds of the server's forward pass; 0 where nobody is in its batch. Shape (...,).
    latency
        Seconds from the start of drafting to the end of verification, and of the downlink where the cell has one. Shape
        (...,).
    goodput
        Sum of the users' tokens over the latency, token/s; 0 for a round that takes no time. Shape (...,).
    verified
        Who was in the server's batch: present, and in by the cut-off. Shape (..., K). None where everybody was because
        neither users nor decision say otherwise.
    downlink_time
        Seconds in which what comes back is received, the end of the latency. Shape (...,). None where the cell counts
        none.
    """

    tokens: FloatArray
    drafting_time: FloatArray
    upload_time: FloatArray
    verification_time: FloatArray
    latency: FloatArray
    goodput: FloatArray
    verified: BoolArray | None = None
    downlink_time: FloatArray | None = None

    def __post_init__(self) -> None:
        # What copies the fields copies those there are; of the others the class knows that they are None.
        for name in ("verified", "downlink_time"):
            if getattr(self, name) is None:
                self.__dict__.pop(name, None)

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
    def trusted(cls, **fields: NDArray[Any]) -> RoundOutcome:
        """Build an outcome in less time than the constructor of a frozen class takes.

        Parameters
        ----------
        **fields
            All fields, of those that may be None only the others.

        Returns
        -------
        RoundOutcome
            An outcome that shares memory with the arrays given.
        """
        outcome = cls.__new__(cls)
        outcome.__dict__.update(fields)
        return outcome


def play_round(users: Users, cell: Cell, decision: Decision, *, rng: np.random.Generator | None = None) -> RoundOutcome:
    """Play one round: draft, upload, verify in one batch (model, section 2; who is absent or late: section 9).

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system.
    decision
        Draft lengths and bandwidth shares. Shape (..., K); batch shapes broadcast. Whose request it gives up is absent.
    rng
        If given, accepted drafts are sampled, one uniform per user and round; otherwise tokens are expectations.

    Returns
    -------
    RoundOutcome
        Tokens, times and goodput. An upload without bandwidth never ends: unless there is a cut-off the latency is
        infinite, the goodput 0.

    Raises
    ------
    TypeError
        If users, cell or decision are something else.
    ValueError
        If the numbers of users differ, the batch shapes do not broadcast, a draft length of somebody present lies
        outside the cell's range in a round that drafts at all, or users' acceptance curves end before that range.

    Examples
    --------
    >>> from multispin_gym import AffineVerification
    >>> cell = Cell(10e6, 3.98e-21, 16384.0, AffineVerification(0.06, 3e-4))
    >>> users = Users([0.8, 0.6], [100.0, 200.0], [1e-10, 1e-11], 0.02)
    >>> outcome = play_round(users, cell, Decision([4, 2], [0.5, 0.5]))
    >>> outcome.tokens.round(4)
    array([3.3616, 1.96  ])
    """
    check_kind("users", users, Users)
    check_kind("cell", cell, Cell)
    check_kind("decision", decision, Decision)
    lengths = decision.draft_lengths
    if lengths.shape[-1] != users.num_users:
        raise ValueError(f"the decision is for {lengths.shape[-1]} users, the cell has {users.num_users}")
    try:
        shape = np.broadcast_shapes(lengths.shape, users.acceptance_rate.shape)
    except ValueError:
        raise ValueError(
            f"the decision's batch shape {lengths.shape[:-1]} does not broadcast with the users' {users.batch_shape}"
        ) from None
    if decision.give_up is not None:
        users = users.without(decision.give_up)
        shape = np.broadcast_shapes(shape, users.acceptance_rate.shape)
    check_survival(users, cell)
    check_lengths(lengths, cell, users.present)
    uniforms = None if rng is None else rng.random(shape)
    return compute_round(users, cell, decision, uniforms)


def compute_round(
    users: Users,
    cell: Cell,
    decision: Decision,
    uniforms: FloatArray | None = None,
    upload_time: FloatArray | None = None,
) -> RoundOutcome:
    """Compute a round from valid arguments: :func:`play_round` without its checks.

    Parameters
    ----------
    users
        The users, whose curves, if any, reach as far as the lengths. Shape (..., K).
    cell
        The shared system.
    decision
        Draft lengths and bandwidth shares. Shape (..., K).
    uniforms
        Uniform draws in [0, 1) that decide which drafts are accepted; by default tokens are expectations.
    upload_time
        Seconds that each user's upload lasts, where that is known, as on a channel that changes meanwhile; by default
        as its rate on the users' channel gains says. Shape (..., K).

    Returns
    -------
    RoundOutcome
        Tokens, times and goodput.
    """
    whole = users.present is None and decision.cutoff is None and upload_time is None
    if not (whole and cell.ends_with_verification):
        return _compute_incomplete(users, cell, decision, uniforms, upload_time)
    lengths = decision.draft_lengths.astype(np.float64)
    tokens = users.tokens(lengths, uniforms)
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


def _upload_time(users: Users, cell: Cell, shares: FloatArray, lengths: FloatArray) -> FloatArray:
    """Seconds that uploads of drafts last on the users' channels. Shape (..., K)."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        rate = cell.uplink.quiet_rate(shares * cell.bandwidth, cell.signal(users))
        return np.asarray(lengths * cell.payload / rate)


def _compute_incomplete(
    users: Users, cell: Cell, decision: Decision, uniforms: FloatArray | None, upload_time: FloatArray | None
) -> RoundOutcome:
    """Compute a round in which not everybody need be verified, or which is not over with verification."""
    present, cutoff = users.present, decision.cutoff
    lengths = decision.draft_lengths.astype(np.float64)
    if present is not None:
        lengths = lengths * present
    drafting, drafts = lengths * users.drafting_time, lengths > 0.0
    if upload_time is None:
        upload_time = _upload_time(users, cell, decision.bandwidth_shares, lengths)
    upload = np.where(drafts, upload_time, 0.0)
    arrival = drafting + upload
    if cell.round_trip > 0.0:
        arrival += drafts * cell.round_trip
    start, verified = max_users(arrival), present
    if cutoff is not None:
        # Whoever has no draft is in at once, so only those who draft can be late.
        in_time = arrival <= cutoff[..., None]
        start, verified = np.minimum(start, cutoff), in_time if present is None else in_time & present
    tokens = users.tokens(lengths, uniforms)
    fields: dict[str, NDArray[Any]] = {}
    if verified is not None:
        if verified.shape != tokens.shape:
            verified = np.broadcast_to(verified, tokens.shape)
        fields["verified"] = verified
        tokens = tokens * verified
    gained, verification = sum_users(tokens), cell.verification.round_time(lengths, verified)
    latency = start + verification
    if cell.downlink is not None:
        # Whoever is verified has a token at least.
        fields["downlink_time"] = np.where(gained > 0.0, cell.downlink_time, 0.0)
        latency = latency + fields["downlink_time"]
    same = verification.shape == latency.shape
    verification = verification if same else np.array(np.broadcast_to(verification, latency.shape))
    # A round with nobody in it takes no time.
    goodput = np.divide(gained, latency, out=np.zeros(latency.shape), where=latency > 0.0)
    return RoundOutcome.trusted(
        tokens=tokens,
        drafting_time=drafting,
        upload_time=upload,
        verification_time=verification,
        latency=latency,
        goodput=goodput,
        **fields,
    )
