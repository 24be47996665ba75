"""A cell as one machine that users share: what a share of it is worth in tokens per second.

With proportional fairness a user with the weight w has the share ``w / sum w`` of what everybody competes for, and its
rate is nearly that share of ``full``, the rate that it would have with all of it. What does not go with the shares, the
fixed time of a verification, makes a full cell deliver more than an empty one: ``full`` is measured for the users who
are present, by one proportionally fair decision, and scaled by a table for other numbers of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.estimators.pending import Pending, rates_of
from multispin_gym.baselines.heterogeneous import heterogeneous
from multispin_gym.baselines.present_users import decide_present
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

_FAIR = Objective("proportional_fair")
_DRAWS = 16
_SEED = 0
# Strata of the law of lengths in the order in which newcomers have them.
_TURNS = (3, 6, 1, 4, 0, 7, 2, 5)


def full_rates(pending: Pending, cell: Cell) -> FloatArray:
    """Return the rates that users would have with the whole machine: K times a fair share, where K are present.

    Parameters
    ----------
    pending
        The requests. Shape (N, K).
    cell
        The shared system.

    Returns
    -------
    numpy.ndarray
        Token/s, 0 for who is absent. Shape (N, K).
    """
    fair = decide_present(heterogeneous, pending.users, cell, _FAIR)
    number = np.count_nonzero(pending.present, axis=-1)
    return np.asarray(rates_of(pending.users, cell, fair) * number[..., None])


@dataclass(frozen=True, eq=False)
class Machine:
    """What is known beforehand of a cell's requests.

    Parameters
    ----------
    typical
        Full rate of a typical user where m are present, token/s, for m = 0 .. K. Shape (K + 1,).
    lengths, times_left, values
        Of newcomers: tokens from all over the law of lengths, in an order in which short and long ones take turns,
        seconds to their deadlines and what they are worth. Shape (newcomers,).
    arrivals
        Requests that come per second.
    """

    typical: FloatArray
    lengths: FloatArray
    times_left: FloatArray
    values: FloatArray
    arrivals: float

    @property
    def tokens_per_value(self) -> float:
        """Tokens that newcomers ask for, over what they are worth."""
        return float(self.lengths.sum() / self.values.sum())

    @classmethod
    def of(cls, scenario: Scenario) -> Machine:
        """Return what a scenario says of its requests; newcomers are at the means of their laws."""
        users = scenario.sample_users(np.random.default_rng(_SEED), batch=_DRAWS)
        places = users.num_users
        typical = np.zeros(places + 1)
        for number in range(1, places + 1):
            some = Users.trusted(**{name: getattr(users, name)[:, :number] for name in Users.FIELDS})
            fair = heterogeneous(some, scenario.cell, _FAIR)
            typical[number] = number * float(rates_of(some, scenario.cell, fair).mean())
        typical[0] = typical[1]
        requests = None if scenario.clock is None else scenario.clock.requests
        if requests is None or requests.slack is None or requests.reference_time_per_token is None:
            none = np.ones(1)
            return cls(typical, none, none, none, 0.0)
        lengths = requests.lengths((np.array(_TURNS) + 0.5) / len(_TURNS))
        times_left = 0.5 * sum(requests.slack) * lengths * requests.reference_time_per_token
        pays = scenario.clock is not None and scenario.clock.reward == "tokens_on_time"
        return cls(typical, lengths, times_left, lengths if pays else np.ones(len(lengths)), requests.rate)
