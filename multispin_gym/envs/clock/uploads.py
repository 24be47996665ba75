"""Uploads over channels that change while they last."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.envs.clock.streams import ClockStreams
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users


def upload_times(streams: ClockStreams, users: Users, cell: Cell, decision: Decision) -> FloatArray:
    """How long uploads last whose rates follow the channel, from one instant of its grid to the next.

    An upload begins when its user has drafted. Between two instants it has the rate of the earlier one, as everything
    else that looks at the channel; the share of the band stays the same.

    Parameters
    ----------
    streams
        The cells' clocks and channels; drawn on until the round's time limit.
    users
        The users of the round. Shape (N, K).
    cell
        The shared system.
    decision
        Draft lengths, shares of the band and the time limit, which must be finite. Shape (N, K).

    Returns
    -------
    numpy.ndarray
        Seconds; 0 for who drafts nothing, infinite for who is not in by the limit. Shape (N, K).
    """
    assert decision.cutoff is not None
    spacing = streams.spacing
    drafts = decision.draft_lengths > 0
    now = streams.time[:, None] + decision.draft_lengths * users.drafting_time
    limit = streams.time + decision.cutoff
    last = streams.look_ahead(limit)[:, None]
    instants = np.minimum((now / spacing).astype(np.int64), last)
    left, spent = decision.draft_lengths * cell.payload, np.zeros(now.shape)
    upload, under_way = np.where(drafts, np.inf, 0.0), drafts
    while (under_way := under_way & (now <= limit[:, None])).any():
        there = Users.trusted(**{**vars(users), "channel_gain": streams.gain_at(instants)})
        end = (instants + 1) * spacing
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            rate = cell.uplink.quiet_rate(decision.bandwidth_shares * cell.bandwidth, cell.signal(there))
            needed = left / rate
            width = np.maximum(end - now, 0.0)
            ends = under_way & (needed <= width)
            left = left - rate * width
        upload = np.where(ends, spent + needed, upload)
        under_way, spent, now = under_way & ~ends, spent + width, np.maximum(now, end)
        instants = np.minimum(instants + 1, last)
    return upload
