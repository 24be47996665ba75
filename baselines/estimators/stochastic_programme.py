"""The rule that maximises what a round is expected to give, over lengths, shares and the cut-off together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import BoolArray, FloatArray, check_choice, check_number
from multispin_gym.baselines.estimators.beliefs import Seen, present_in, task_rates
from multispin_gym.baselines.estimators.channel_belief import ChannelBelief
from multispin_gym.baselines.estimators.lossy_rounds import LossyRounds
from multispin_gym.baselines.estimators.plan_search import Prices, plan_rounds
from multispin_gym.baselines.estimators.upload_plans import Plan
from multispin_gym.physics.acceptance import expected_tokens
from multispin_gym.physics.objectives import OBJECTIVES
from multispin_gym.physics.rounds import Decision
from multispin_gym.scenarios.scenario import Scenario

HORIZONS = ("long_run", "round")
# Rounds whose weight the first estimate of the long run has.
_FIRST = 10.0
_PASSES = 3
# Expected tokens of a user, at least, for the weights of fairness.
_LEAST_TOKENS = 0.05


class MeanRates:
    """Expected tokens of drafts of every length, for users with the mean rate of their task or the rate seen.

    Parameters
    ----------
    scenario
        The scenario.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario

    def reset(self, observation: Seen, info: Seen, rows: NDArray[np.bool_] | None = None) -> None:
        """Begin new episodes; nothing is remembered."""

    def tokens(self, observation: Seen, info: Seen) -> FloatArray:
        """Expected tokens of a verified draft of each length from 0 on. Shape (N, K, L + 1)."""
        rates = observation.get("acceptance_rate")
        rates = task_rates(self._scenario, observation) if rates is None else np.asarray(rates, dtype=np.float64)
        if rates is None:
            raise ValueError("acceptance_rate is missing: the observation shows neither rates nor tasks")
        return expected_tokens(rates[..., None], np.arange(self._scenario.cell.max_draft_length + 1.0))


class StochasticProgramme:
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
    """

    def __init__(self, scenario: Scenario, objective: str, horizon: str, price: float) -> None:
        check_choice("objective", objective, OBJECTIVES)
        check_choice("horizon", horizon, HORIZONS)
        clock = scenario.clock
        if clock is None or not clock.cutoff:
            raise ValueError("clock.cutoff must be true: without a cut-off no upload is lost, and none is planned")
        self._price = check_number("price", price, low=0.1, high=10.0)
        self._fair, self._looks_far = objective != "sum", horizon == "long_run"
        self._scenario, self._channels, self._rates = scenario, ChannelBelief(scenario), MeanRates(scenario)
        limit = np.inf if clock.round_timeout is None else clock.round_timeout
        self._range = (clock.cutoff_min, float(min(clock.cutoff_max, limit)))

    def reset(self, observation: Seen, info: Seen, rows: NDArray[np.bool_] | None = None) -> None:
        """Begin new episodes.

        Parameters
        ----------
        observation, info
            What is seen. Entries of shape (N, K).
        rows
            Which of the batch begin anew; None: all. Shape (N,).
        """
        self._channels.reset(observation, info, rows)
        self._rates.reset(observation, info, rows)
        shape = present_in(observation).shape
        if rows is None or not hasattr(self, "_rounds"):
            self._gained: FloatArray = np.zeros(shape)
            self._took, self._rounds = np.zeros(shape[0]), np.zeros(shape[0])
        else:
            self._gained[rows], self._took[rows], self._rounds[rows] = 0.0, 0.0, 0.0

    def decide(self, observation: Seen, info: Seen) -> Decision:
        """Decide a round.

        Parameters
        ----------
        observation
            What is seen. Entries of shape (N, K).
        info
            What is known of the round before.

        Returns
        -------
        Decision
            The decision. Shape (N, K).
        """
        scenario, present = self._scenario, present_in(observation)
        rounds = LossyRounds(
            scenario.cell,
            scenario.reference_power,
            self._channels.observe(observation, info),
            self._rates.tokens(observation, info),
            1.0 / np.asarray(observation["drafting_speed"], dtype=np.float64),
            present,
        )
        plan = self._plan(rounds)
        return Decision.trusted(plan.lengths.astype(np.int64), plan.shares, plan.cutoff)

    def _plan(self, rounds: LossyRounds) -> Plan:
        present = rounds.present
        new = present & (self._gained == 0.0)
        begun = np.flatnonzero((self._rounds == 0.0) | (not self._looks_far))
        if begun.size:
            plan = self._settled(rounds[begun])
            self._gained[begun], self._took[begun] = plan.expected.tokens, plan.expected.seconds
            self._rounds[begun] = _FIRST
            if begun.size == len(present):
                return plan
        self._gained[~present] = 0.0
        known = present & (self._gained > 0.0)
        mean = self._gained.sum(axis=-1, keepdims=True) / np.maximum(known.sum(axis=-1, keepdims=True), 1)
        self._gained = np.where(new & ~known, np.maximum(mean, 1.0), self._gained)
        plan = plan_rounds(rounds, self._prices(self._gained, self._took, present), *self._range)
        self._rounds += 1.0
        weight = np.where(present.any(axis=-1), 1.0 / self._rounds, 0.0)
        self._took += weight * (plan.expected.seconds - self._took)
        self._gained += np.where(present, weight[:, None] * (plan.expected.tokens - self._gained), 0.0)
        return plan

    def _settled(self, rounds: LossyRounds) -> Plan:
        """Plans that are best at their own expectations: the ratio of the round, by Dinkelbach's iteration."""
        gained = np.where(rounds.present, rounds.tokens[..., 0], 0.0)
        took = np.asarray(rounds.cell.verification.round_time(np.zeros(gained.shape), rounds.present))
        for _ in range(_PASSES):
            plan = plan_rounds(rounds, self._prices(gained, took, rounds.present), *self._range)
            gained, took = plan.expected.tokens, plan.expected.seconds
        return plan

    def _prices(self, gained: FloatArray, took: FloatArray, present: BoolArray) -> Prices:
        """Prices at which a plan is best that gains and takes so much. Shapes: (N, K), (N,), (N, K)."""
        total = gained.sum(axis=-1)
        time = self._price * total / np.where(took > 0.0, took, 1.0)
        if not self._fair:
            return Prices(present.astype(np.float64), time)
        mean = total / np.maximum(present.sum(axis=-1), 1)
        return Prices(np.where(present, mean[:, None] / np.maximum(gained, _LEAST_TOKENS), 0.0), time)


def stochastic_programme(
    scenario: Scenario, *, objective: str = "sum", horizon: str = "long_run", price: float = 1.0
) -> StochasticProgramme:
    """Most expected tokens over expected time, lengths, shares and cut-off together; see :class:`StochasticProgramme`."""
    return StochasticProgramme(scenario, objective, horizon, price)
