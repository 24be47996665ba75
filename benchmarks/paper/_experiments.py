"""The paper's experiment repeated: what a mean over few draws and prompts scatters by.

The paper averages ten draws of channels and speeds, and fifty prompts of each device; its gains are ratios of means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from _cells import Guess, play, scenario_at
from _printed import PRINTED, Point, Printed
from _scoring import prompt_rates, prompt_tokens, table_i, tasks_of

from multispin_gym import Scenario, Users
from multispin_gym._validation import FloatArray
from multispin_gym.physics.acceptance import token_terms

DRAWS, PROMPTS = 10, 50


@dataclass(frozen=True)
class Design:
    """How many cells the scatter is simulated from, and what the paper's ten draws have in common.

    ``held``: data sets, mean gains and prompts stay over the ten draws, and only fades and speeds are drawn anew.
    ``paired``: points of a figure with the same number of users have their draws in common.
    """

    cells: int = 1500
    groups: int = 4000
    seed: int = 11
    held: bool = False
    paired: bool = False


def draw_blocks(scenario: Scenario, num_users: int, design: Design) -> Users:
    """Draw cells, ten after the other of one experiment. Shape (cells, K)."""
    rng = np.random.default_rng([design.seed, num_users])
    users = scenario.sample_large_scale(rng, num_users, (design.cells,))
    fade = scenario.fading.sample(rng, users.channel_gain.shape)
    rates, gains = users.acceptance_rate, users.channel_gain
    if design.held:
        rates, gains = (np.repeat(array[::DRAWS], DRAWS, axis=0)[: design.cells] for array in (rates, gains))
    return Users(rates, users.drafting_speed, gains * fade, users.transmit_power)


def realised(
    pair: str, guess: Guess, server_time: float, point: Point, schemes: tuple[str, ...], share: float, design: Design
) -> dict[str, FloatArray]:
    """Goodput of each scheme in each cell, scored with fifty prompts a device, token/s. Shape (cells,)."""
    scenario = scenario_at(pair, guess, point.bandwidth)
    users, table = draw_blocks(scenario, point.num_users, design), table_i(scenario)
    tasks = tasks_of(users.acceptance_rate, table)
    rng = np.random.default_rng([design.seed, point.num_users, 1])
    # Without scatter between prompts one stands for all.
    prompts = PROMPTS if share > 0.0 else 1
    if design.held:
        rates = np.repeat(prompt_rates(table, share, tasks[::DRAWS], prompts, rng), DRAWS, axis=0)[: design.cells]
    else:
        rates = prompt_rates(table, share, tasks, prompts, rng)
    played, terms = play(scenario, users, schemes, server_time), token_terms(rates)
    return {
        scheme: prompt_tokens(rates, entry.lengths, terms).sum(axis=-1) / entry.seconds
        for scheme, entry in played.items()
    }


def groups_of_ten(design: Design) -> np.ndarray:
    """Which cells make up one experiment each. Shape (groups, 10)."""
    if design.held:
        return np.arange(design.cells // DRAWS * DRAWS).reshape(-1, DRAWS)
    return np.random.default_rng([design.seed, 2]).integers(design.cells, size=(design.groups, DRAWS))


def repeat(
    pair: str, guess: Guess, server_time: float, shares: dict[int, float], design: Design, values: tuple[Printed, ...]
) -> FloatArray:
    """Logarithms of the values that repetitions of the experiment would print, less those of an endless one.

    ``shares`` has the share of the variance between prompts for every figure. Shape (groups, values).
    """
    groups, found = groups_of_ten(design), {}
    for place in {(value.point, shares[value.figure]) for value in values}:
        here = [value for value in values if (value.point, shares[value.figure]) == place]
        schemes = tuple({name: None for value in here for name in (value.above, value.below) if name})
        for scheme, cells in realised(pair, guess, server_time, place[0], schemes, place[1], design).items():
            found[place, scheme] = np.log(cells[groups].mean(axis=-1)) - np.log(cells.mean())
    columns = []
    for value in values:
        place = value.point, shares[value.figure]
        below = 0.0 if value.below is None else found[place, value.below]
        columns.append(found[place, value.above] - below)
    return np.stack(columns, axis=-1)


@dataclass(frozen=True, eq=False)
class Scatter:
    """What the logarithms of all printed values are off by: mean, covariance, and repetitions of the experiment.

    The mean is not zero: the ratio of means of ten draws is biased, and so is its logarithm. Shapes (values,),
    (values, values), (repetitions, values).
    """

    bias: FloatArray
    covariance: FloatArray
    errors: FloatArray


def scatter(guesses: dict[str, Guess], server_time: float, shares: dict[int, float], design: Design) -> Scatter:
    """Simulate the scatter of all printed values; what is not drawn together is independent."""
    size = len(PRINTED)
    bias, covariance, columns = np.zeros(size), np.zeros((size, size)), {}
    rng = np.random.default_rng([design.seed, 3])
    for pair, guess in guesses.items():
        index = np.array([i for i, value in enumerate(PRINTED) if value.pair == pair])
        values = tuple(PRINTED[i] for i in index)
        errors = repeat(pair, guess, server_time, shares, design, values)
        together = np.array([[_together(a, b, design) for b in values] for a in values])
        bias[index] = errors.mean(axis=0)
        covariance[np.ix_(index, index)] = np.where(together, np.cov(errors, rowvar=False), 0.0)
        # Repetitions of what is drawn apart are put together at random.
        orders = {first: rng.permutation(len(errors)) for first in set(together.argmax(axis=-1))}
        for column, first in enumerate(together.argmax(axis=-1)):
            columns[index[column]] = errors[orders[first], column]
    return Scatter(bias, covariance, np.stack([columns[i] for i in range(size)], axis=-1))


def _together(first: Printed, second: Printed, design: Design) -> bool:
    if design.paired:
        return first.point.num_users == second.point.num_users
    return (first.point, first.figure) == (second.point, second.figure)
