"""Small rounds of given laws, and the best of all their plans."""

import dataclasses
import itertools

import numpy as np

import multispin_gym as ms
from multispin_gym.baselines.estimators.gain_law import GainLaw
from multispin_gym.baselines.estimators.lossy_rounds import LossyRounds
from multispin_gym.physics.acceptance import expected_tokens

SCENARIO = ms.load_scenario("stale")
CELL = SCENARIO.cell
# A short menu of lengths makes exhaustive search short.
SMALL = dataclasses.replace(CELL, max_draft_length=8)


def rounds_of(cell, medians_db, spreads_db, alpha, speed, present=None):
    """One cell of users whose gains are normal in decibels, cut to cells of 1 dB."""
    from scipy.stats import norm

    ends = -40.0 + np.arange(56.0)
    below = norm.cdf((ends - np.array(medians_db)[:, None]) / np.array(spreads_db)[:, None])
    below = (below - below[:, :1]) / (below[:, -1:] - below[:, :1])
    tokens = expected_tokens(np.array(alpha)[:, None], np.arange(cell.max_draft_length + 1))
    present = np.ones(len(alpha), np.bool_) if present is None else np.array(present)
    return LossyRounds(
        cell,
        SCENARIO.reference_power,
        GainLaw(-40.0, 1.0, below[None]),
        tokens[None],
        1.0 / np.array(speed, dtype=np.float64)[None],
        present[None],
    )


def draws(rounds, count):
    """Gains drawn from the laws. Shape (count, K)."""
    levels = np.random.default_rng(0).random((count, *rounds.present.shape))
    return 10.0 ** (0.1 * np.stack([rounds.law.quantile_db(level) for level in levels])[:, 0])


CELLS = {
    "stale": CELL,
    "total": dataclasses.replace(CELL, power="total", noise_psd=1e-17, noise_power=None),
    "trip": dataclasses.replace(CELL, round_trip=0.02, downlink=1e6),
}


def exhaustive(rounds, prices, cutoffs=120, parts=33):
    """The best value of all lengths, and of shares and cut-offs on grids."""
    users, allowed = rounds.present.shape[1], range(rounds.cell.min_draft_length, rounds.cell.max_draft_length + 1)
    every = np.array(list(itertools.product(allowed, repeat=users)), dtype=np.float64)
    part = np.linspace(0.02, 0.98, parts)
    splits = np.stack([part, 1.0 - part], axis=1) if users == 2 else np.ones((1, 1))
    best = -np.inf
    for cutoff in np.geomspace(0.05, 1.2, cutoffs):
        for split in splits:
            copies = rounds[np.zeros(len(every), np.int64)]
            found = copies.expect(every, np.tile(split, (len(every), 1)), np.full(len(every), cutoff))
            value = (prices.weight * found.tokens).sum(axis=-1) - prices.time * found.seconds
            best = max(best, float(value.max()))
    return best
