"""The rule that a renewal argument gives where requests end: a token is worth the time that its kind takes for one."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, IntArray, check_integer, check_number
from multispin_gym.baselines.estimators.beliefs import Seen, present_in
from multispin_gym.baselines.estimators.believing import Believer
from multispin_gym.baselines.estimators.estimator import Estimator
from multispin_gym.baselines.heterogeneous import heterogeneous
from multispin_gym.baselines.present_users import decide_present
from multispin_gym.baselines.registry import make_controller
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import Decision, play_round
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

_CELLS = 256
# Kinds are equal steps of ln(1 + _FINEST - rate), so that rates near 1 are told apart: there tokens are cheap.
_FINEST = 0.02


def kinds_of(rates: FloatArray, kinds: int) -> IntArray:
    """Return the kind, 0 to ``kinds`` - 1, of acceptance rates. Any shape."""
    level = 1.0 - np.log((1.0 + _FINEST - rates) / _FINEST) / np.log(1.0 + 1.0 / _FINEST)
    return np.asarray(np.minimum((level * kinds).astype(np.int64), kinds - 1))


def fair_seconds(scenario: Scenario, kinds: int) -> FloatArray:
    """Return the seconds per token of each kind with proportional fairness that knows the rates, (kinds,).

    They are those of cells drawn from the scenario; kinds that none of them has take those of their neighbours.
    """
    users = scenario.sample_users(np.random.default_rng(0), None, (_CELLS,))
    decision = make_controller("heterogeneous", objective="proportional_fair")(users, scenario.cell)
    outcome = play_round(users, scenario.cell, decision)
    kind = kinds_of(users.acceptance_rate, kinds).ravel()
    spent = np.bincount(kind, np.repeat(outcome.latency, users.num_users), kinds)
    gained = np.bincount(kind, outcome.tokens.ravel(), kinds)
    drawn = np.flatnonzero(gained > 0.0)
    return np.interp(np.arange(kinds), drawn, spent[drawn] / gained[drawn])


def worth_less_time(users: Users, cell: Cell, objective: Objective | None = None) -> Decision:
    """Maximise weighted tokens less the round's seconds. Shape (N, K)."""
    return heterogeneous(users, cell, objective, np.array(1.0))


class Fluid(Estimator):
    """Maximises ``sum_k v_k N_k - eta T``: v the seconds that a token of the user's kind takes, eta the users present.

    In a cell whose requests end, long-run goodput is largest, in the fluid limit, where a token weighs what its request
    would otherwise wait for it; by Little's law a second then costs as many tokens' worth as there are requests
    (docs/the-best-round.md). Kinds are ranges of what is believed of the acceptance rate. Their seconds per token are
    sums over the rounds so far, and begin with those under proportional fairness in cells of the scenario's law.

    Parameters
    ----------
    scenario
        The scenario.
    factor
        What eta is, in users present; in [0.01, 100].
    prior
        Tokens that the first guess of a kind's seconds counts for, in [1e-3, 1e6].
    kinds
        Number of kinds, in [1, 100].
    belief
        One of :data:`multispin_gym.baselines.estimators.believing.BELIEFS`.

    Raises
    ------
    ValueError
        If an option is out of range.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        factor: float = 1.0,
        prior: float = 100.0,
        kinds: int = 12,
        belief: str = "posterior",
    ) -> None:
        self._factor = check_number("factor", factor, low=0.01, high=100.0)
        self._prior = check_number("prior", prior, low=1e-3, high=1e6)
        self._believer = Believer(scenario, belief)
        self._cell = scenario.cell
        self._first = fair_seconds(scenario, check_integer("kinds", kinds, low=1, high=100))
        self._kind = np.zeros((0, 0), np.int64)
        self._spent = self._gained = np.zeros((0, self._first.size))

    def _reset(self, observation: Seen, info: Seen, rows: BoolArray | None) -> None:
        self._believer.reset(observation, rows)
        shape = np.shape(observation["drafting_speed"])
        if rows is None or self._kind.shape != shape:
            self._kind = np.zeros(shape, np.int64)
            self._gained = np.full((shape[0], self._first.size), self._prior)
            self._spent = self._gained * self._first
        else:
            self._gained[rows] = self._prior
            self._spent[rows] = self._prior * self._first

    def _decide(self, observation: Seen, info: Seen) -> Decision:
        was = (self._kind[..., None] == np.arange(self._first.size)) & info["present"][..., None]
        seconds = (info["latency"] - info["waited"])[:, None]
        self._spent += was.sum(axis=1) * seconds
        self._gained += (was * info["delivered"][..., None]).sum(axis=1)
        users = self._believer.users(observation)
        self._kind = kinds_of(self._believer.mean_rates(observation), self._first.size)
        each = np.take_along_axis(self._spent / self._gained, self._kind, axis=1)
        price = self._factor * np.maximum(present_in(observation).sum(axis=1, keepdims=True), 1.0)
        # With a second at a price of one, so that rows of different prices make one batch.
        return decide_present(worth_less_time, users, self._cell, Objective.for_cells("sum", each / price))


def mean_fluid(scenario: Scenario, *, factor: float = 1.0, prior: float = 100.0) -> Fluid:
    """The same, with the mean rate of a request's task."""
    return Fluid(scenario, factor=factor, prior=prior, belief="mean")
