"""One draft length for all, by a moving estimate of how much is accepted (SmartSpec)."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, check_number
from multispin_gym.baselines.estimators.beliefs import Seen, believed_users
from multispin_gym.baselines.estimators.equal_finish import play_common_lengths
from multispin_gym.baselines.estimators.estimator import Estimator
from multispin_gym.physics.rounds import Decision
from multispin_gym.scenarios.scenario import Scenario


def verdicts(info: Seen) -> tuple[FloatArray, FloatArray]:
    """Return how many drafts of each user were accepted in the round before, and whether one was refused.

    Parameters
    ----------
    info
        What is known of the round before. Entries of shape (N, K).

    Returns
    -------
    tuple of numpy.ndarray
        Accepted drafts, and 1 where one was refused, else 0; zeros for who was not verified. Shape (N, K) each.
    """
    rejected = np.where(info["verified"], info["rejected"], 0.0)
    return np.where(info["verified"], info["drafted"], 0.0) - rejected, (rejected > 0.0).astype(np.float64)


class SmartSpec(Estimator):
    """The common length with the most expected tokens a second, if everybody has the same rate: a moving estimate.

    The estimate is the share of accepted ones among all drafts that were looked at, the weight of a round falling
    by ``memory`` from round to round; it begins at the mean of the tasks. Bandwidth: all finish together.
    SmartSpec, now TurboSpec (Liu et al., arXiv 2406.14066), without its change of the batch size.

    Parameters
    ----------
    scenario
        The scenario.
    memory
        What is kept of a round's weight in the next one, in [0, 1].
    prior
        Drafts that the mean of the tasks counts for, in [1e-3, 1e6].

    Raises
    ------
    ValueError
        If an option is out of range.
    """

    def __init__(self, scenario: Scenario, *, memory: float = 0.95, prior: float = 10.0) -> None:
        self._memory = check_number("memory", memory, low=0.0, high=1.0)
        self._prior = check_number("prior", prior, low=1e-3, high=1e6)
        self._scenario = scenario
        weights = np.array([task.weight for task in scenario.acceptance])
        means = np.array([task.mean_rate for task in scenario.acceptance])
        self._mean = float(weights @ means / weights.sum())
        self._accepted = self._seen = np.zeros(0)

    def _reset(self, observation: Seen, info: Seen, rows: BoolArray | None) -> None:
        size = len(observation["drafting_speed"])
        anew = np.ones(size, np.bool_) if rows is None else rows
        old = (self._accepted, self._seen) if self._seen.size == size else (np.zeros(size), np.zeros(size))
        self._accepted, self._seen = (np.where(anew, 0.0, values) for values in old)

    @property
    def rate(self) -> FloatArray:
        """The estimate. Shape (N,)."""
        return np.asarray((self._accepted + self._prior * self._mean) / (self._seen + self._prior))

    def _decide(self, observation: Seen, info: Seen) -> Decision:
        accepted, refused = verdicts(info)
        self._accepted = self._memory * self._accepted + accepted.sum(axis=-1)
        self._seen = self._memory * self._seen + (accepted + refused).sum(axis=-1)
        shape = np.shape(observation["drafting_speed"])
        believed = {name: value for name, value in observation.items() if name != "acceptance_rate"}
        users = believed_users(self._scenario, believed, np.broadcast_to(self.rate[:, None], shape))
        _, decisions, outcome = play_common_lengths(users, self._scenario.cell)
        best = outcome.goodput.argmax(axis=0)
        rows = np.arange(shape[0])
        return Decision.trusted(decisions.draft_lengths[best, rows], decisions.bandwidth_shares[best, rows])
