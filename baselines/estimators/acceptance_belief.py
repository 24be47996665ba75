r"""What is believed of requests' own acceptance rates: a Beta law for each, with the counts so far.

A request's rate alpha is drawn from a Beta law of its task. Drafts are accepted one after the other until one is
refused or none is left, so a round in which A drafts were accepted has the likelihood ``alpha**A``, times ``1 - alpha``
where one was refused. The posterior is Beta again, with the accepted drafts added to the first shape and the rounds in
which one was refused to the second. Drafts behind a refused one tell nothing.

Scenarios keep own rates in [1e-5, 1 - 1e-6], and what a Beta law has outside sits at these ends. Conjugacy neglects
that. Until a draft is refused or accepted nothing is lost; then what sits at an end, which may be most of the law, is
left with a relative 1e-6 (or 1e-5) of its weight, where the Beta law has still less. It shows most after hundreds of
acceptances and one refusal, where a few per cent of the posterior are at the upper end and the survival curve comes out
lower by no more than 0.003, as the tests' integrals over the law that is drawn from say.
"""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray
from multispin_gym.baselines.estimators.beliefs import Seen
from multispin_gym.scenarios.populations import AcceptanceClass
from multispin_gym.scenarios.scenario import Scenario

# Sum of the shapes of a law without deviation: no counts of an episode move it.
_CERTAIN = 1e12
# Below it a shape is none to draw with.
_LEAST_SHAPE = 1e-9
LEAST_RATE, LARGEST_RATE = 1e-5, 1.0 - 1e-6


def prior_shapes(scenario: Scenario) -> FloatArray:
    """Return the shape parameters of the Beta law of each task's rates.

    A law on another range than [0, 1] is replaced by the Beta law on [0, 1] of its mean and deviation; where users have
    their task's rate there is no deviation.

    Parameters
    ----------
    scenario
        The scenario.

    Returns
    -------
    numpy.ndarray
        Shape parameters, positive or 0 where the rate is 0 or 1. Shape (tasks, 2).
    """
    own = scenario.acceptance_rates == "own"
    return np.array([_shapes_of(task, own) for task in scenario.acceptance])


def _shapes_of(task: AcceptanceClass, own: bool) -> tuple[float, float]:
    (low, high), (first, second) = task.law
    mean, total = task.mean_rate, first + second
    variance = (high - low) ** 2 * first * second / (total**2 * (total + 1.0))
    size = mean * (1.0 - mean) / variance - 1.0 if own and variance > 0.0 else _CERTAIN
    size = min(size, _CERTAIN)
    return mean * size, (1.0 - mean) * size


class AcceptanceBelief:
    """Beta laws of the acceptance rates of the requests under way, by what is observed of them.

    Parameters
    ----------
    scenario
        The scenario, whose laws are the priors.

    Attributes
    ----------
    accepted, refusals
        Drafts of each present request that were accepted, and rounds in which one was refused. Shape (N, K).
    """

    def __init__(self, scenario: Scenario) -> None:
        self._priors = prior_shapes(scenario)
        self._task = self._drafted = self.accepted = self.refusals = np.zeros((0, 0))

    def reset(self, observation: Seen, rows: BoolArray | None = None) -> None:
        """Begin new episodes.

        Parameters
        ----------
        observation
            What is seen. Entries of shape (N, K).
        rows
            Which of the batch begin anew; None: all. Shape (N,).
        """
        shape = np.shape(observation["task"])
        if rows is None or self.refusals.shape != shape:
            self.refusals = self._drafted = self.accepted = np.zeros(shape)
            return
        self.refusals, self._drafted, self.accepted = (
            np.where(rows[:, None], 0.0, values) for values in (self.refusals, self._drafted, self.accepted)
        )

    def update(self, observation: Seen) -> None:
        """Take in what is seen before a round; seeing the same twice changes nothing.

        Parameters
        ----------
        observation
            What is seen, of the same batch as before. Entries of shape (N, K).
        """
        if self.refusals.shape != np.shape(observation["task"]):
            self.reset(observation)
        accepted, drafted = (
            np.asarray(observation[name]).astype(np.float64) for name in ("accepted_count", "drafted_count")
        )
        # A new request has drafted nothing. Of the others at most one draft a round is refused.
        refused = drafted - self._drafted > accepted - self.accepted
        self.refusals = np.where(drafted > 0.0, self.refusals + refused, 0.0)
        self.accepted, self._drafted = accepted, drafted
        self._task = np.asarray(observation["task"]).astype(np.int64)

    @property
    def shapes(self) -> tuple[FloatArray, FloatArray]:
        """Shape parameters of the Beta laws after the last update. Shape (N, K) each."""
        prior = self._priors[self._task]
        return prior[..., 0] + self.accepted, prior[..., 1] + self.refusals

    def mean(self) -> FloatArray:
        """Return the means of the laws.

        Returns
        -------
        numpy.ndarray
            Rates. Shape (N, K).
        """
        first, second = self.shapes
        return np.asarray(first / (first + second))

    def survival(self, longest: int) -> FloatArray:
        """Return the chance that the first i drafts are all accepted, ``E[alpha**i]``.

        Parameters
        ----------
        longest
            Number of drafts S, at least 1.

        Returns
        -------
        numpy.ndarray
            Chances for i = 1 to S. Shape (N, K, S).
        """
        return curve_of(*self.shapes, longest)

    def sample(self, rng: np.random.Generator) -> FloatArray:
        """Draw a rate of each law.

        Parameters
        ----------
        rng
            The source of randomness.

        Returns
        -------
        numpy.ndarray
            Rates, in the range of own rates. Shape (N, K).
        """
        drawn = rng.beta(*(np.maximum(shape, _LEAST_SHAPE) for shape in self.shapes))
        return np.clip(drawn, LEAST_RATE, LARGEST_RATE)


def curve_of(first: FloatArray, second: FloatArray, longest: int) -> FloatArray:
    """Return moments of Beta laws, ``E[alpha**i] = prod_{j < i} (a + j) / (a + b + j)``.

    Parameters
    ----------
    first, second
        Shape parameters a and b. Shape (...,).
    longest
        Number of moments S, at least 1.

    Returns
    -------
    numpy.ndarray
        The moments for i = 1 to S, which do not increase. Shape (..., S).
    """
    more = first[..., None] + np.arange(longest)
    return np.asarray(np.cumprod(more / (more + second[..., None]), axis=-1))
