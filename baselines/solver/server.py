"""What a round waits for beside drafting and upload: the server's batch, the round trip and the downlink.

Both of the latter are constants, one for each round and one for those in which somebody drafts. So they go wherever the
verification time goes, and the searches need to know of them nowhere else. That somebody drafts shows in the number of
tokens in the batch, which is then larger than that of its users.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from multispin_gym._validation import FloatArray
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.verification import (
    AffineVerification,
    Batching,
    Verification,
    batch_tokens,
)


@dataclass(frozen=True, eq=False)
class RoundTripServer:
    """A server for batches of one number of users, which somebody's draft reaches a round trip later.

    Parameters
    ----------
    server
        What it is for batches without a draft; without a time per draft.
    num_users
        Users in the batch.
    round_trip
        What batches with a draft take longer, s.
    """

    server: Verification
    num_users: int
    round_trip: float

    @property
    def batching(self) -> Batching:
        """How tokens of the batch are counted."""
        return self.server.batching

    def of_batch(self, num_drafts: int) -> RoundTripServer:
        """The server itself: it is for batches of one number of users already."""
        return self

    def time(self, num_tokens: ArrayLike, num_drafts: int | None = None) -> FloatArray:
        """Seconds by the number of tokens in the batch, of its shape."""
        late = np.where(np.asarray(num_tokens) > self.num_users, self.round_trip, 0.0)
        return np.asarray(self.server.time(num_tokens) + late)

    def round_time(self, draft_lengths: ArrayLike) -> FloatArray:
        """Seconds by the draft lengths. Shapes: (..., K) and (...,)."""
        return self.time(batch_tokens(draft_lengths, self.batching))


Server = Verification | RoundTripServer
"""What the searches ask for the time of a batch."""


def answering_server(cell: Cell, num_users: int) -> Verification:
    """The cell's server for batches of all its users, which has answered when the downlink is over.

    It has no time per draft, and knows of no round trip.
    """
    return _later(cell.verification.of_batch(num_users), cell.downlink_time)


def drafting_server(cell: Cell, num_users: int) -> Verification:
    """The same server for batches in which somebody drafts: a round trip later."""
    return _later(answering_server(cell, num_users), cell.round_trip)


def server_of(cell: Cell, num_users: int) -> Server:
    """The same server for all batches of all users of a cell, with the round trip where somebody drafts."""
    server = answering_server(cell, num_users)
    return server if cell.round_trip == 0.0 else RoundTripServer(server, num_users, cell.round_trip)


def _later(server: Verification, seconds: float) -> Verification:
    """The same server where every batch takes some time more; without the constructor's checks of its range."""
    if seconds == 0.0:
        return server
    values = {spec.name: getattr(server, spec.name) for spec in fields(server)}
    if isinstance(server, AffineVerification):
        values["fixed"] += seconds
    else:
        values["seconds"] = tuple(time + seconds for time in server.seconds)
    later: Verification = object.__new__(type(server))
    later.__dict__.update(values)
    return later
