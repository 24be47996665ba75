"""Whole lengths near a relaxed optimum: the starts of the local search."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.deadline import least_deadline, token_prices
from multispin_gym.baselines.solver.local_search import WholeLengths, best_option, nearby
from multispin_gym.baselines.solver.newton import RelaxedPoint
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.baselines.solver.server import Server

# What is added to real lengths before they are cut to whole ones.
ROUNDING = (0.0, 0.25, 0.5, 0.75)
# The latency is homogeneous in the lengths, so drafts that are all longer or shorter cost little.
SCALES = (0.75, 0.85, 1.15, 1.3, 1.45, 1.6)
# Steps of halving the distance to the best lengths at the current prices.
SETTLING = 3
# How many numbers of users who opt out are tried, and how exact their deadlines are on the way.
OPTING_OUT, ROUGH = 8, 1e-3


def roundings(
    problem: Problem, server: Server, point: RelaxedPoint, prices: FloatArray, dual: FloatArray | None = None
) -> list[WholeLengths]:
    """Best of rounding at several thresholds and scales and at the relaxed prices.

    Where users may opt out, also the best with a draft for everybody and the best without some who cost the most time:
    single steps do not lead from one to the other. The rows are in a piece, whose range of lengths is kept. ``dual``
    are lengths to be taken for the best at the relaxed prices. Shapes: prices, s per token, and lengths (M, K).
    """
    linear = problem.linearised(point.lengths)
    if dual is None:
        time_price = problem.time_price_at(point.score)[:, None]
        dual = linear.best_whole_lengths(time_price * (prices + problem.slope[:, None]))
    options = [dual, *(np.floor(point.lengths + shift) for shift in ROUNDING)]
    options.extend(np.rint(scale * point.lengths) for scale in SCALES)
    every = np.clip(np.stack(options, axis=1), problem.low[:, None], problem.high[:, None])
    families = [every]
    if not problem.low.any() and problem.num_users > 1:
        families += [np.maximum(every, 1.0), _opting_out(linear, point, prices)]
    return [
        best_option(problem, server, options, nearby(point.deadline, point.lengths, prices, options))
        for options in families
    ]


@lru_cache(maxsize=256)
def numbers_opting_out(num_users: int) -> np.ndarray:
    """How many of the users are tried without a draft; kept, so that nobody writes to it."""
    return np.array(sorted({int(count) for count in np.geomspace(1, num_users, OPTING_OUT)} - {num_users}))


def _opting_out(linear: Problem, point: RelaxedPoint, prices: FloatArray) -> FloatArray:
    """Lengths for the rest when ever more of the users who cost the most time do not draft. Shape (M, C, K).

    With total power the first token's marginal share vanishes, so the relaxation never lets anybody opt out.
    """
    rank = np.argsort(np.argsort(-prices * point.lengths, axis=-1, kind="stable"), axis=-1)
    dropped = numbers_opting_out(linear.num_users)
    rows = np.repeat(np.arange(len(rank)), len(dropped))
    kept = rank[rows] >= np.tile(dropped, len(rank))[:, None]
    problem = linear[rows]
    lengths = np.where(kept, np.maximum(point.lengths[rows], 1.0), 0.0)
    for _ in range(SETTLING):
        deadline = least_deadline(problem.curves, lengths, tolerance=ROUGH)
        delay = token_prices(problem.curves, lengths, deadline) + problem.slope[:, None]
        seconds = deadline + problem.verification_time(lengths)
        time_price = problem.time_price_at(problem.tokens(lengths).sum(axis=-1) / seconds)
        wanted = problem.best_real_lengths(time_price[:, None] * delay)
        lengths = np.where(kept, 0.5 * (lengths + np.maximum(wanted, 0.5)), 0.0)
    return np.where(kept, np.maximum(np.rint(lengths), 1.0), 0.0).reshape(len(rank), len(dropped), -1)
