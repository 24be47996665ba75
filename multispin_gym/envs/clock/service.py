"""What a round gave to requests: tokens delivered, drafts rejected and lost, requests that ended."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.envs.clock.slots import Slots
from multispin_gym.physics.rounds import Decision, RoundOutcome

BoolArray = NDArray[np.bool_]
# Expected tokens are sums of rounded numbers: a request is at its end when less than this is left of it.
_ROUNDING = 1e-9
_MASKS = ("present", "verified", "given_up", "finished", "on_time")
_AMOUNTS = (
    "drafted",
    "delivered",
    "surplus",
    "rejected",
    "lost",
    "time_to_first_token",
    "time_per_token",
    "finished_tokens",
)


@dataclass(eq=False, slots=True)
class Service:
    """What came of a round for the requests in it. Shapes (N, K) unless said otherwise.

    Drafted tokens and the server's own for each draft that it verified are delivered, surplus, rejected or lost:
    ``drafted + verified = delivered + surplus + rejected + lost``.

    Parameters
    ----------
    present
        Whose request was in the round.
    verified
        Whose draft, or request for a token, was in the server's batch.
    drafted
        Tokens drafted.
    delivered
        Tokens that requests gained.
    surplus
        Tokens accepted beyond a request's end.
    rejected
        Drafted tokens that the server looked at and refused, or that stood behind one that it refused.
    lost
        Drafted tokens that were not in by the cut-off.
    given_up
        Whose request the policy gave up before the round.
    finished, on_time
        Whose request ended, and whether on time: before its deadline, and with no more time per token than its
        objective, where there are such.
    time_to_first_token, time_per_token
        Of requests that ended, s: from the arrival to the end of the round that gave the first token, and from there to
        the end of the request for each further token; 0 for others.
    finished_tokens
        Length of requests that ended, tokens; 0 for others.
    arrived, refused, expired
        Requests that came after the round, that found the queue full, and that left because their deadline was past.
        Shapes (N,).
    waited
        How long nobody was present after the round, s. Shape (N,).
    time
        When the next round begins, s from the start of the episode. Shape (N,).
    """

    present: BoolArray
    verified: BoolArray
    drafted: FloatArray
    delivered: FloatArray
    surplus: FloatArray
    rejected: FloatArray
    lost: FloatArray
    given_up: BoolArray
    finished: BoolArray
    on_time: BoolArray
    time_to_first_token: FloatArray
    time_per_token: FloatArray
    finished_tokens: FloatArray
    arrived: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    refused: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    expired: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    waited: FloatArray = field(default_factory=lambda: np.zeros(0))
    time: FloatArray = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def none(cls, num_rows: int, num_users: int) -> Service:
        """Nothing, in N cells of K slots."""
        shape = (num_rows, num_users)
        arrays: dict[str, Any] = {name: np.zeros(shape, np.bool_) for name in _MASKS}
        arrays |= {name: np.zeros(shape) for name in _AMOUNTS}
        arrays |= {name: np.zeros(num_rows, np.int64) for name in ("arrived", "refused", "expired")}
        return cls(**arrays, waited=np.zeros(num_rows), time=np.zeros(num_rows))


SERVICE_KEYS = tuple(field.name for field in fields(Service))
"""What info says of a round where time passes."""
BETWEEN_KEYS = ("arrived", "refused", "expired", "waited", "time")
"""What it says of the time between two rounds, or before the first."""


def serve(
    slots: Slots,
    decision: Decision,
    outcome: RoundOutcome,
    given_up: BoolArray,
    time: FloatArray,
    objective: float | None = None,
) -> Service:
    """Give what came of a round to the requests.

    ``time`` is when the round began, s, shape (N,); ``objective`` the most seconds per token of who is on time.
    """
    values, present = slots.values, slots.present & ~given_up
    verified = present if outcome.verified is None else outcome.verified
    drafted = decision.draft_lengths.astype(np.float64)
    delivered = np.minimum(outcome.tokens, values["remaining"])
    lost = drafted * ~verified
    rejected = drafted - lost - np.maximum(outcome.tokens - 1.0, 0.0)
    finished = verified & (values["remaining"] - delivered <= _ROUNDING)
    end = time + outcome.latency
    first, per_token, tokens = (np.zeros(present.shape) for _ in range(3))
    on_time = finished & (values["deadline"] >= end[:, None])
    which = np.flatnonzero(finished)
    if which.size:
        ends, length, arrival, begun = (
            array.reshape(-1)[which]
            for array in (np.repeat(end, present.shape[1]), values["length"], values["arrival"], values["first_token"])
        )
        begun = np.minimum(begun, ends)
        each = (ends - begun) / np.maximum(length - 1.0, 1.0)
        for array, found in ((first, begun - arrival), (per_token, each), (tokens, length)):
            array.reshape(-1)[which] = found
        if objective is not None:
            on_time &= per_token <= objective
    return Service(
        present=present,
        verified=verified,
        drafted=drafted,
        delivered=delivered,
        surplus=outcome.tokens - delivered,
        rejected=rejected,
        lost=lost,
        given_up=given_up,
        finished=finished,
        on_time=on_time,
        time_to_first_token=first,
        time_per_token=per_token,
        finished_tokens=tokens,
    )


def settle(slots: Slots, service: Service, end: FloatArray) -> None:
    """Write a round's tokens and counts down. Shape: ``end`` (N,)."""
    verified = service.verified
    slots.count(
        service.delivered,
        np.where(verified, service.delivered + service.surplus - 1.0, 0.0),
        np.where(verified, service.drafted, 0.0),
        np.where(verified, end[:, None], np.inf),
    )
