"""The stationary policy with the most tokens per second over a run (model, section 6).

Decisions do not change the fading, so by renewal-reward the best stationary policy maximises ``tokens - eta * latency``
in every round, where eta is the long-run goodput that it reaches itself. Dinkelbach's iteration finds eta over a sample
of the scenario's fading law, for each set of users its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from multispin_gym._validation import FloatArray, check_choice, check_integer, check_number
from multispin_gym.baselines.heterogeneous import heterogeneous
from multispin_gym.baselines.homogeneous import homogeneous
from multispin_gym.baselines.present_users import refuse_absent, refuse_curves
from multispin_gym.baselines.protocols import Rule
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision, compute_round
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

_RULES: dict[str, Callable[..., Decision]] = {"heterogeneous": heterogeneous, "homogeneous": homogeneous}
# Cells solved at a time.
_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class LongRun:
    """The long-run goodput of the best stationary policy over a sample of the fading law.

    Parameters
    ----------
    time_price
        Tokens that a second is worth: the long-run goodput eta, token/s. Shape (...,).
    residual
        ``|mean tokens / (eta * mean latency) - 1|`` of the policy at eta, over the sample. Shape (...,).
    greedy
        Long-run goodput of maximising each round's own goodput, over the same sample, token/s. Shape (...,).
    iterations
        Dinkelbach iterations until the last set of users stood.
    """

    time_price: FloatArray
    residual: FloatArray
    greedy: FloatArray
    iterations: int


def long_run(
    users: Users,
    scenario: Scenario,
    lengths: str = "heterogeneous",
    samples: int = 256,
    seed: int = 0,
    tolerance: float = 1e-9,
) -> LongRun:
    """Find the long-run goodput that the best stationary policy reaches with each set of users.

    The users come with their mean channel gains, as :meth:`Scenario.sample_large_scale` draws them; shape (..., K).
    ``samples`` rounds are drawn from the scenario's fading law and serve every iteration. A set of users is done once
    its price of time changes by no more than ``tolerance``, relative. A value out of range is refused.
    """
    rule = _RULES[check_choice("lengths", lengths, _RULES)]
    samples = check_integer("samples", samples, low=1)
    tolerance = check_number("tolerance", tolerance, low=0.0)
    rng = np.random.default_rng(check_integer("seed", seed, low=0))
    shape = (-1, users.num_users)
    refuse_absent(users, "long_run")
    refuse_curves(users, "long_run")
    sets = {name: getattr(users, name).reshape(shape) for name in Users.FIELDS}
    fading = scenario.fading.sample(rng, (samples, 1, users.num_users))
    gains = scenario.db_to_gain(scenario.gain_to_db(sets["channel_gain"] * fading))
    time_price = _totals(rule, scenario.cell, sets, gains, np.full(len(sets["channel_gain"]), np.nan))[0]
    greedy, residual = time_price.copy(), np.full_like(time_price, np.inf)
    active, iterations = np.arange(len(time_price)), 0
    while active.size and iterations < 50:
        some = {name: value[active] for name, value in sets.items()}
        reached, imbalance = _totals(rule, scenario.cell, some, gains[:, active], time_price[active])
        better = reached > time_price[active] * (1.0 + tolerance)
        residual[active] = imbalance
        time_price[active] = np.maximum(reached, time_price[active])
        active, iterations = active[better], iterations + 1
    batch = users.batch_shape
    return LongRun(time_price.reshape(batch), residual.reshape(batch), greedy.reshape(batch), iterations)


def _totals(
    rule: Callable[..., Decision],
    cell: Cell,
    sets: dict[str, FloatArray],
    gains: FloatArray,
    time_price: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Long-run goodput over the sample at a price of time (NaN: greedy), and its distance from that price."""
    samples, rows = gains.shape[:2]
    tokens, seconds = np.zeros(rows), np.zeros(rows)
    step = max(_CHUNK // samples, 1)
    for start in range(0, rows, step):
        part = slice(start, start + step)
        gain = np.ascontiguousarray(gains[:, part])
        fixed = {n: np.ascontiguousarray(np.broadcast_to(v[part], gain.shape)) for n, v in sets.items()}
        users = Users.trusted(**{**fixed, "channel_gain": gain})
        price = None if np.isnan(time_price[0]) else np.broadcast_to(time_price[part], gain.shape[:-1])
        outcome = compute_round(users, cell, rule(users, cell, time_price=price))
        tokens[part] = outcome.tokens.sum(axis=-1).mean(axis=0)
        seconds[part] = outcome.latency.mean(axis=0)
    reached = tokens / seconds
    return reached, np.abs(reached / time_price - 1.0)


class LongRunPolicy:
    """The long-run policy before it knows whom it serves."""

    def __init__(self, lengths: str = "heterogeneous", samples: int = 256, seed: int = 0) -> None:
        self._rule = _RULES[check_choice("lengths", lengths, _RULES)]
        self._lengths = lengths
        self._samples = check_integer("samples", samples, low=1)
        self._seed = check_integer("seed", seed, low=0)

    def __call__(self, users: Users, cell: Cell) -> Decision:
        """Maximise each round's own goodput: without the law of the rounds to come that is all there is."""
        return self._rule(users, cell)

    def prepare(self, users: Users, scenario: Scenario) -> PreparedLongRun:
        """Find the price of time of each set of users, which have their mean channel gains. Shape (..., K)."""
        found = long_run(users, scenario, self._lengths, self._samples, self._seed)
        details = {"time_price": found.time_price, "residual": found.residual, "greedy": found.greedy}
        return PreparedLongRun(partial(self._rule, time_price=found.time_price), details)


@dataclass(frozen=True, eq=False)
class PreparedLongRun:
    """The long-run policy of given sets of users.

    Parameters
    ----------
    rule
        What decides a round at the sets' prices of time.
    details
        The arrays of :class:`LongRun`, by name. Shape (...,) each.
    """

    rule: Rule
    details: Mapping[str, FloatArray]
    takes_absent: ClassVar[bool] = True

    def __call__(self, users: Users, cell: Cell) -> Decision:
        """Decide rounds of these users, of their shape (..., K) or with further batch axes in front.

        The price of time is that of all of them, so that a round without some is refused with a ValueError.
        """
        refuse_absent(users, "long_run, once prepared,")
        return self.rule(users.all_present(), cell)
