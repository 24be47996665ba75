"""Every whole decision of a cell, tried: slow, and written without the library's solvers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from scipy.special import lambertw

from multispin_gym import Cell, Users, expected_tokens

LN2 = np.log(2.0)
# Decisions looked at together.
CHUNK = 200_000


def share_needed(users: Users, cell: Cell, seconds_per_token: np.ndarray) -> np.ndarray:
    """Share of the band with which one drafted token is made and sent in the given time; infinite if none does."""
    spare = seconds_per_token - 1.0 / users.drafting_speed
    rate = np.divide(cell.payload, spare, out=np.full(spare.shape, np.inf), where=spare > 0.0)
    signal = np.broadcast_to(users.transmit_power * users.channel_gain / cell.noise_density, rate.shape)
    if cell.power == "density":
        return np.asarray(rate / np.log2(1.0 + signal / cell.bandwidth) / cell.bandwidth)
    y = rate * LN2 / signal
    possible, inner = y < 1.0, np.where((y > 0.0) & (y < 1.0), y, 0.5)
    x = -1.0 - lambertw(-inner * np.exp(-inner), -1).real / inner
    for _ in range(2):
        # Lambert's W loses half of its digits near its branch point; Newton's method brings them back.
        x = np.maximum(x - (np.log1p(x) - inner * x) / (1.0 / (1.0 + x) - inner), 1e-300)
    return np.where(possible, np.where(y > 0.0, signal / x, 0.0) / cell.bandwidth, np.inf)


def rate_on(users: Users, cell: Cell, share: float) -> np.ndarray:
    """Rate of each user on a share of the band, bit/s."""
    band = share * cell.bandwidth
    signal = users.transmit_power * users.channel_gain / cell.noise_density
    return np.asarray(band * np.log2(1.0 + signal / (band if cell.power == "total" else cell.bandwidth)))


def verification_seconds(cell: Cell, lengths: np.ndarray) -> np.ndarray:
    """Verification time of each row of draft lengths, interpolated linearly between whole batches."""
    num_users = lengths.shape[-1]
    padded = cell.verification.batching == "padded"
    tokens = num_users * (lengths.max(axis=-1) + 1.0) if padded else lengths.sum(axis=-1) + num_users
    return np.asarray(cell.verification.time(tokens, num_users))


def deadlines(users: Users, cell: Cell, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Between what the least deadline of each row lies: the whole band for one alone, and equal shares, s."""
    tau = 1.0 / users.drafting_speed
    low = (lengths * (tau + cell.payload / rate_on(users, cell, 1.0))).max(axis=-1)
    high = (lengths * (tau + cell.payload / rate_on(users, cell, 1.0 / users.num_users))).max(axis=-1)
    return low, high


def fits(users: Users, cell: Cell, lengths: np.ndarray, deadline: np.ndarray) -> np.ndarray:
    """Whether the drafts of each row are in by the deadline for some split of the band."""
    per_token = np.divide(deadline[:, None], lengths, out=np.full(lengths.shape, np.inf), where=lengths > 0.0)
    return np.asarray(share_needed(users, cell, per_token).sum(axis=-1) <= 1.0)


def goodputs(users: Users, cell: Cell, lengths: np.ndarray, steps: int = 50) -> np.ndarray:
    """Goodput of each row of lengths, real ones too, with the best split of the band; by bisection, token/s."""
    low, high = deadlines(users, cell, lengths)
    for _ in range(steps):
        middle = 0.5 * (low + high)
        inside = fits(users, cell, lengths, middle)
        low, high = np.where(inside, low, middle), np.where(inside, middle, high)
    tokens = expected_tokens(users.acceptance_rate, lengths).sum(axis=-1)
    return np.asarray(tokens / (high + verification_seconds(cell, lengths)))


def best_split(users: Users, cell: Cell, lengths: np.ndarray) -> np.ndarray:
    """Shares with which one row of lengths is finished at its least deadline."""
    if not lengths.any():
        return np.full(lengths.shape, 1.0 / lengths.size)
    tokens = expected_tokens(users.acceptance_rate, lengths).sum()
    best = tokens / goodputs(users, cell, lengths[None])[0] - verification_seconds(cell, lengths)
    per_token = np.divide(best, lengths, out=np.full(lengths.shape, np.inf), where=lengths > 0.0)
    shares = share_needed(users, cell, per_token)
    return np.asarray(shares / shares.sum())


def chunks(cell: Cell, num_users: int) -> Iterator[np.ndarray]:
    """Yield all whole decisions that the cell allows, some at a time."""
    options = range(cell.min_draft_length, cell.max_draft_length + 1)
    everything = itertools.product(options, repeat=num_users)
    while rows := list(itertools.islice(everything, CHUNK)):
        yield np.array(rows, dtype=np.float64)


def brute_force(users: Users, cell: Cell) -> tuple[float, np.ndarray]:
    """Best goodput over all whole lengths, and the lengths; decisions drop out once they are beaten for sure."""
    best, found = 0.0, np.zeros(users.num_users)
    for lengths in chunks(cell, users.num_users):
        tokens = expected_tokens(users.acceptance_rate, lengths).sum(axis=-1)
        waiting = verification_seconds(cell, lengths)
        low, high = deadlines(users, cell, lengths)
        for _ in range(60):
            best = max(best, float((tokens / (high + waiting)).max(initial=0.0)))
            hopeful = tokens / (low + waiting) >= best
            lengths, tokens, waiting, low, high = (a[hopeful] for a in (lengths, tokens, waiting, low, high))
            middle = 0.5 * (low + high)
            inside = fits(users, cell, lengths, middle)
            low, high = np.where(inside, low, middle), np.where(inside, middle, high)
        reached = tokens / (high + waiting)
        if reached.size and reached.max() >= best:
            best, found = float(reached.max()), lengths[reached.argmax()]
    return best, found
