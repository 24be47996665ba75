"""The rule that maximises what a round is expected to give, over lengths, shares and the cut-off together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import FloatArray, check_choice, check_number
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
_ROUND_PASSES = 3


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
