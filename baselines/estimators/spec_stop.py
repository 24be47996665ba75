"""A bandit over common draft lengths (UCB-SpecStop)."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, IntArray, check_choice, check_integer, check_number
from multispin_gym.baselines.estimators.beliefs import Seen, believed_users
from multispin_gym.baselines.estimators.equal_finish import finishing_together, seconds_together
from multispin_gym.baselines.estimators.estimator import Estimator
from multispin_gym.baselines.solver.common_lengths import common_lengths
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

_CELLS = 1024
BONUSES = ("printed", "scaled")


class LengthBandit:
    """Least time per token among some lengths, by confidence bounds, in N cells that know nothing of each other.

    In each state of the channels every length is tried once, and then the one with the least
    ``S_time / S_tokens - beta sqrt(T ln t) / S_tokens``: sums over the T rounds with this length out of the t in this
    state (arXiv 2606.20591).

    Parameters
    ----------
    num_rows, num_states, num_arms
        Number of cells N, of states M, and of lengths C.
    beta
        Size of the bonus: in seconds as printed, a number where it is scaled.
    scaled
        Whether the bonus is also multiplied by the range that ``time - tokens x time per token`` of a round has had in
        this state: what may be random in a round, and in its unit.
    """

    def __init__(self, num_rows: int, num_states: int, num_arms: int, beta: float, scaled: bool) -> None:
        self._beta, self._scaled = beta, scaled
        # Sums of rounds, tokens and time.
        self._sums = np.zeros((3, num_rows, num_states, num_arms))
        self._least, self._most = np.full((num_rows, num_states), np.inf), np.full((num_rows, num_states), -np.inf)

    def forget(self, rows: BoolArray) -> None:
        """Begin anew in some rows. Shape (N,)."""
        self._sums[:, rows] = 0.0
        self._least[rows], self._most[rows] = np.inf, -np.inf

    def add(self, state: IntArray, arm: IntArray, tokens: FloatArray, seconds: FloatArray, played: BoolArray) -> None:
        """Take in what came of a round in those cells that played one. Shapes (N,)."""
        rows = np.flatnonzero(played)
        state, arm, tokens, seconds = state[rows], arm[rows], tokens[rows], seconds[rows]
        for sums, amount in zip(self._sums, (np.ones(len(rows)), tokens, seconds), strict=True):
            sums[rows, state, arm] += amount
        _, of_tokens, of_time = self._sums[:, rows, state].sum(axis=-1)
        surprise = seconds - tokens * of_time / np.maximum(of_tokens, 1.0)
        self._least[rows, state] = np.minimum(self._least[rows, state], surprise)
        self._most[rows, state] = np.maximum(self._most[rows, state], surprise)

    def choose(self, state: IntArray) -> IntArray:
        """Return each cell's next length, by its index. Shapes (N,)."""
        rows = np.arange(len(state))
        pulls, tokens, seconds = self._sums[:, rows, state]
        total = np.maximum(pulls.sum(axis=-1, keepdims=True), 1.0)
        scale = self._beta
        if self._scaled:
            scale = self._beta * np.maximum(self._most - self._least, 0.0)[rows, state, None]
        some = np.maximum(tokens, 1e-9)
        index = seconds / some - scale * np.sqrt(pulls * np.log(total)) / some
        return np.asarray(np.where(pulls > 0.0, index, -np.inf).argmin(axis=-1))


class SpecStop(Estimator):
    """UCB-SpecStop: a bandit over the common length, which learns from times and tokens alone.

    Bandwidth: all finish together. The bonus as printed has no scale, and their own data show it to be nearly greedy;
    the other one is scaled by the range. Source: arXiv 2606.20591.

    Parameters
    ----------
    scenario
        The scenario.
    beta
        Size of the bonus, in [0, 1e6].
    bonus
        ``"printed"`` or ``"scaled"``.
    states
        Number of states of the channels, in [1, 16], with a bandit each: equally likely ranges of the time that a token
        of everybody takes.

    Raises
    ------
    ValueError
        If an option is out of range.
    """

    def __init__(self, scenario: Scenario, *, beta: float = 1.0, bonus: str = "printed", states: int = 1) -> None:
        self._beta = check_number("beta", beta, low=0.0, high=1e6)
        self._scaled = check_choice("bonus", bonus, BONUSES) == "scaled"
        self._scenario, self._lengths = scenario, common_lengths(scenario.cell)
        users = scenario.sample_users(np.random.default_rng(0), None, (_CELLS,))
        levels = np.arange(1, check_integer("states", states, low=1, high=16)) / states
        self._edges = np.quantile(seconds_together(users, scenario.cell), levels)
        self._bandit = self._none(0)
        self._state = self._arm = np.zeros(0, np.int64)

    def _none(self, size: int) -> LengthBandit:
        return LengthBandit(size, self._edges.size + 1, self._lengths.size, self._beta, self._scaled)

    def _reset(self, observation: Seen, info: Seen, rows: BoolArray | None) -> None:
        size = len(observation["drafting_speed"])
        if rows is None or self._arm.size != size:
            self._bandit = self._none(size)
            self._state = self._arm = np.zeros(size, np.int64)
        else:
            self._bandit.forget(rows)

    def _decide(self, observation: Seen, info: Seen) -> Decision:
        seconds, tokens = info["latency"] - info["waited"], info["tokens"].sum(axis=-1)
        self._bandit.add(self._state, self._arm, tokens, seconds, np.asarray(seconds > 0.0))
        users = self._users(observation)
        self._state = np.searchsorted(self._edges, seconds_together(users, self._scenario.cell))
        self._arm = self._bandit.choose(self._state)
        lengths = np.broadcast_to(self._lengths[self._arm][:, None], users.acceptance_rate.shape)
        return finishing_together(users, self._scenario.cell, lengths)

    def _users(self, observation: Seen) -> Users:
        """The users, of whose rates nothing is believed."""
        return believed_users(self._scenario, observation, np.zeros(np.shape(observation["drafting_speed"])))
