"""The rule that maximises what a round is expected to give, over lengths, shares and the cut-off together."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, check_choice, check_number
from multispin_gym.baselines.estimators.beliefs import Seen, Weights, present_in
from multispin_gym.baselines.estimators.believing import Believer
from multispin_gym.baselines.estimators.channel_belief import ChannelBelief
from multispin_gym.baselines.estimators.estimator import Estimator
from multispin_gym.baselines.estimators.lossy_rounds import Expected, LossyRounds
from multispin_gym.baselines.estimators.plan_search import Prices, plan_rounds
from multispin_gym.baselines.estimators.upload_plans import Plan
from multispin_gym.physics.acceptance import mean_tokens
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import OBJECTIVES
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

HORIZONS = ("long_run", "round")
# Rounds whose weight the first estimate of the long run has.
_FIRST = 10.0
_PASSES = 4
# Expected tokens of a user, at least, for the weights of fairness.
_LEAST_TOKENS = 0.05


class StochasticProgramme(Estimator):
    """Plans each round for the laws of the channels, as :class:`ChannelBelief` has them.

    Users stay and their channels and reports do not depend on what is decided, but for the time that passes. So by
    renewal-reward the long-run rate ``g`` is best served by maximising ``E[tokens] - g E[T]`` in every round, up to the
    channels' memory. g is what the rule expects of its own rounds so far, in each row. With proportional fairness
    ``sum_k ln(tokens_k / T)`` a token of user k weighs 1 over the user's tokens so far, which is the gradient. The
    horizon ``"round"`` has the round's own expectations in place of those so far: the ratio of the round is maximised.
    How the programme of a round is solved, and that it is not concave, stands in
    :mod:`multispin_gym.baselines.estimators.upload_plans`.

    Parameters
    ----------
    scenario
        The scenario; its clock must have a cut-off.
    objective
        One of :data:`multispin_gym.physics.objectives.OBJECTIVES`.
    horizon
        ``"long_run"`` or ``"round"``.
    price
        Factor on the price of time, in [0.1, 10].
    belief
        What is believed of hidden acceptance rates, see :class:`Believer`.
    weights
        Weights of the users' tokens, where they are not alike: such as by the time left to deadlines.

    Attributes
    ----------
    prices, expected
        At which prices the last decision was best, and what is expected of it.
    """

    prices: Prices
    expected: Expected

    def __init__(
        self,
        scenario: Scenario,
        objective: str = "sum",
        horizon: str = "long_run",
        price: float = 1.0,
        belief: str = "posterior",
        weights: Weights | None = None,
    ) -> None:
        check_choice("objective", objective, OBJECTIVES)
        check_choice("horizon", horizon, HORIZONS)
        clock = scenario.clock
        if clock is None or not clock.cutoff:
            raise ValueError("clock.cutoff must be true: without a cut-off no upload is lost, and none is planned")
        self._price = check_number("price", price, low=0.1, high=10.0)
        self._fair, self._looks_far = objective != "sum", horizon == "long_run"
        self._scenario, self._channels, self._rates = scenario, ChannelBelief(scenario), Believer(scenario, belief)
        self._weights = weights
        limit = np.inf if clock.round_timeout is None else clock.round_timeout
        self._range = (clock.cutoff_min, float(min(clock.cutoff_max, limit)))

    def _reset(self, observation: Seen, info: Seen, rows: BoolArray | None) -> None:
        self._channels.reset(observation, info, rows)
        self._rates.reset(observation, rows)
        shape = present_in(observation).shape
        if rows is None or not hasattr(self, "_rounds"):
            self._gained: FloatArray = np.zeros(shape)
            self._took, self._rounds = np.zeros(shape[0]), np.zeros(shape[0])
        else:
            self._gained[rows], self._took[rows], self._rounds[rows] = 0.0, 0.0, 0.0

    def _decide(self, observation: Seen, info: Seen) -> Decision:
        users = self._rates.users(observation)
        rounds = LossyRounds(
            self._scenario.cell,
            self._scenario.reference_power,
            self._channels.observe(observation, info),
            _tokens(users, self._scenario.cell, observation),
            users.drafting_time,
            present_in(observation),
        )
        weights = np.ones(users.acceptance_rate.shape) if self._weights is None else self._weights(observation, users)
        plan = self._plan(rounds, weights)
        self.expected = plan.expected
        return Decision.trusted(plan.lengths.astype(np.int64), plan.shares, plan.cutoff)

    def _plan(self, rounds: LossyRounds, weights: FloatArray) -> Plan:
        """Plans for all rows: first rounds of episodes by their own rate, others by that of the rounds so far."""
        self._let_in(rounds.present)
        first = (self._rounds == 0.0) | (not self._looks_far)
        parts = [np.flatnonzero(first), np.flatnonzero(~first)]
        plans, prices = [], []
        for rows, settle in zip(parts, (True, False), strict=True):
            if rows.size:
                found = self._planned(rounds[rows], weights[rows], self._gained[rows], self._took[rows], settle)
                plans.append(found[0])
                prices.append(found[1])
        back = np.argsort(np.concatenate(parts))
        plan = Plan.joined(plans)[back]
        self.prices = Prices.joined(prices)[back]
        self._remember(plan, rounds.present, first)
        return plan

    def _planned(
        self, rounds: LossyRounds, weights: FloatArray, gained: FloatArray, took: FloatArray, settle: bool
    ) -> tuple[Plan, Prices]:
        """Plans at the prices of what rounds so far gain and take; or, by Dinkelbach's iteration, of their own."""
        if settle:
            gained = np.where(rounds.present, rounds.tokens[..., 0], 0.0)
            took = np.asarray(rounds.cell.verification.round_time(np.zeros(gained.shape), rounds.present))
        for _ in range(_PASSES if settle else 1):
            prices = self._prices(gained, took, rounds.present, weights)
            plan = plan_rounds(rounds, prices, *self._range)
            gained, took = plan.expected.tokens, plan.expected.seconds
        return plan, prices

    def _let_in(self, present: BoolArray) -> None:
        """Forget what those had who left, and give newcomers what the others have on average."""
        self._gained = np.where(present, self._gained, 0.0)
        known = self._gained > 0.0
        mean = self._gained.sum(axis=-1, keepdims=True) / np.maximum(known.sum(axis=-1, keepdims=True), 1)
        self._gained = np.where(present & ~known, np.maximum(mean, 1.0), self._gained)

    def _remember(self, plan: Plan, present: BoolArray, first: BoolArray) -> None:
        """Take a round into the means of what rounds gain and take."""
        self._rounds = np.where(first, _FIRST, self._rounds + 1.0)
        weight = np.where(present.any(axis=-1), np.where(first, 1.0, 1.0 / self._rounds), 0.0)
        self._took += weight * (plan.expected.seconds - self._took)
        change = weight[:, None] * (plan.expected.tokens - self._gained)
        self._gained += np.where(present, change, 0.0)

    def _prices(self, gained: FloatArray, took: FloatArray, present: BoolArray, weights: FloatArray) -> Prices:
        """Prices at which a plan is best that gains and takes so much. Shapes: (N, K), (N,), (N, K), (N, K)."""
        weight = np.where(present, weights, 0.0)
        if self._fair:
            total = np.where(present, gained, 0.0).sum(axis=-1)
            mean = total / np.maximum(weight.sum(axis=-1), 1e-300)
            weight = weight * mean[:, None] / np.maximum(gained, _LEAST_TOKENS)
        worth = (weight * gained).sum(axis=-1)
        return Prices(weight, self._price * worth / np.where(took > 0.0, took, 1.0))


def _tokens(users: Users, cell: Cell, observation: Seen) -> FloatArray:
    """Expected tokens of use of verified drafts of each length from 0 on. Shape (N, K, L + 1).

    What is accepted beyond a request's end is of no use: with r tokens left no draft gives more than one of r - 1.
    """
    lengths = np.arange(cell.max_draft_length + 1)
    if users.survival is not None:
        table = users.token_table
    else:
        table = mean_tokens(users.acceptance_rate[..., None], lengths.astype(np.float64))
    if "remaining_tokens" not in observation:
        return table
    last = np.maximum(np.ceil(observation["remaining_tokens"]) - 1.0, 0.0).astype(np.int64)
    return np.take_along_axis(table, np.minimum(lengths, last[..., None]), axis=-1)


def stochastic_programme(
    scenario: Scenario,
    *,
    objective: str = "sum",
    horizon: str = "long_run",
    price: float = 1.0,
    belief: str = "posterior",
) -> StochasticProgramme:
    """Most expected tokens for the expected time, over lengths, shares and cut-off: :class:`StochasticProgramme`."""
    return StochasticProgramme(scenario, objective, horizon, price, belief)
