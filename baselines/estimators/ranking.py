"""All users' next tokens in one list, by survival over cost, and the best cut of that list."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.baselines.estimators.believing import Believing
from multispin_gym.baselines.estimators.equal_finish import finishing_together
from multispin_gym.baselines.solver.share_curves import ShareCurves
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision, play_round
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario


def nested_choices(value: FloatArray, least: int) -> IntArray:
    """Return the lengths that every budget of tokens buys, the most valuable ones first.

    Parameters
    ----------
    value
        Worth of each user's i-th token, which does not increase with i; minus infinity where there is none. Shape
        (N, K, S).
    least
        Tokens that everybody gets first.

    Returns
    -------
    numpy.ndarray
        Lengths by budget, from 0 to K S. Shape (K S + 1, N, K).
    """
    rows, num_users, longest = value.shape
    order = np.argsort(-value.reshape(rows, -1), axis=-1, kind="stable")
    real = np.take_along_axis(np.isfinite(value.reshape(rows, -1)), order, axis=-1)
    whose = (order // longest)[..., None] == np.arange(num_users)
    bought = np.cumsum(whose & real[..., None], axis=1)
    lengths = np.concatenate([np.zeros((rows, 1, num_users), np.int64), bought], axis=1)
    return np.ascontiguousarray(np.maximum(lengths, least).swapaxes(0, 1))


def by_survival_over_cost(users: Users, cell: Cell) -> Decision:
    """Rank all users' tokens by their chance to survive, over what they cost, and cut where goodput is best.

    A token costs the seconds that it takes to draft and to upload on an equal share.

    Parameters
    ----------
    users
        The users of N cells. Shape (N, K).
    cell
        The shared system.

    Returns
    -------
    Decision
        The decision, with shares that let all finish together. Shape (N, K).
    """
    positions = np.arange(1, cell.max_draft_length + 1)
    curve = users.survival
    survival = users.acceptance_rate[..., None] ** positions if curve is None else curve[..., : positions.size]
    present = np.ones(users.acceptance_rate.shape, np.bool_) if users.present is None else users.present
    share = 1.0 / np.maximum(present.sum(axis=-1, keepdims=True), 1.0)
    cost = ShareCurves.of(users, cell).seconds_per_token(share)
    value = np.where(present[..., None], survival / cost[..., None], -np.inf)
    choices = finishing_together(users, cell, nested_choices(value, cell.min_draft_length))
    best, rows = play_round(users, cell, choices).goodput.argmax(axis=0), np.arange(len(cost))
    return Decision.trusted(choices.draft_lengths[best, rows], choices.bandwidth_shares[best, rows])


def survival_ranking(scenario: Scenario, *, belief: str = "posterior") -> Believing:
    """Ranking of all (request, position) by survival over cost, as vLLM's adaptive verification ranks by survival.

    The budget is the one with the most expected tokens a second; ``belief`` as in
    :data:`multispin_gym.baselines.estimators.believing.BELIEFS`.
    """
    return Believing(scenario, by_survival_over_cost, belief)
