"""What drafts yield when a prompt's own acceptance rate scatters about that of its data set.

A share s of Table I's variance lies between prompts: their rates have a Beta law of the data set's mean and sqrt(s)
times its deviation. s = 0 is the mean's own rate (law A), s = 1 all of the deviation (law B).
"""

from __future__ import annotations

import numpy as np

from multispin_gym import Scenario
from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.physics.acceptance import mean_tokens


def table_i(scenario: Scenario) -> FloatArray:
    """Mean and standard deviation of the acceptance rate of each data set. Shape (tasks, 2)."""
    return np.array([(task.rate, task.deviation) for task in scenario.acceptance])


def tasks_of(rates: FloatArray, table: FloatArray) -> IntArray:
    """Data sets of users whose acceptance rates are the data sets' means."""
    return np.abs(rates[..., None] - table[:, 0]).argmin(axis=-1)


def survival(table: FloatArray, share: float, longest: int) -> FloatArray:
    """Probability ``E[alpha**i]`` that the first i drafts are accepted, i from 0. Shape (tasks, longest + 1).

    With the shapes a, b of the Beta law it is the product of ``(a + j) / (a + b + j)``; with ``c = 1 / (a + b)`` that
    of ``(mean + c j) / (1 + c j)``, which holds without scatter, too (c = 0).
    """
    mean, deviation = table.T
    variance = share * deviation**2
    spread = (variance / (mean * (1.0 - mean) - variance))[:, None]
    steps = np.arange(longest)
    factors = (mean[:, None] + spread * steps) / (1.0 + spread * steps)
    return np.concatenate([np.ones((len(table), 1)), np.cumprod(factors, axis=-1)], axis=-1)


def expected(table: FloatArray, share: float, longest: int) -> FloatArray:
    """Expected tokens of a verified draft by data set and length, the server's own included. Shape as survival."""
    return np.cumsum(survival(table, share, longest), axis=-1)


def prompt_rates(
    table: FloatArray, share: float, tasks: IntArray, prompts: int, rng: np.random.Generator
) -> FloatArray:
    """Draw the rates of several prompts for each user. Shape (*tasks.shape, prompts)."""
    mean, deviation = (np.broadcast_to(column[tasks][..., None], (*tasks.shape, prompts)) for column in table.T)
    if share == 0.0:
        return np.array(mean)
    size = mean * (1.0 - mean) / (share * deviation**2) - 1.0
    return rng.beta(mean * size, (1.0 - mean) * size)


def prompt_tokens(rates: FloatArray, lengths: IntArray, terms: tuple[FloatArray, FloatArray]) -> FloatArray:
    """Expected tokens of users' drafts, averaged over their prompts. Shapes: rates (..., K, prompts), (..., K).

    ``terms`` are those of the rates that all lengths share.
    """
    return np.asarray(mean_tokens(rates, lengths[..., None].astype(np.float64), terms).mean(axis=-1))
