"""Mean goodputs of a pair as smooth functions of what the paper leaves out.

Decisions depend on the power, the drafting time and the server; the scoring does not change them. So what schemes do
is tabulated once on a grid, as drafts per second by data set and length, on the same draws everywhere, and every
scoring reads its mean goodputs from there, by cubic splines of their logarithms.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from _cells import Guess, draw, play, scenario_at
from _printed import COMMON, FEW, MANY, NARROW, Point
from _scoring import expected, table_i, tasks_of
from scipy.interpolate import RectBivariateSpline

from multispin_gym import Scenario
from multispin_gym._validation import FloatArray
from multispin_gym.physics.acceptance import mean_tokens

SCHEMES = {COMMON: ("hete", "p2p"), NARROW: ("hete", "fixed"), FEW: ("hete", "fixed"), MANY: ("hete", "fixed")}
KEYS = tuple((point, scheme) for point, schemes in SCHEMES.items() for scheme in schemes)


def tabulate(
    pair: str, swapped: bool, powers: Sequence[float], times: Sequence[float], draws: int, seed: int
) -> dict[str, Any]:
    """Play all schemes on a grid of powers, dB over the noise, and drafting times, s.

    Returns the drafts per second by data set and length, one entry for each of ``KEYS``: shape (keys, powers, times,
    tasks, lengths); and how many users are at each data set in each cell for Cen-SPIN. Shape (draws, tasks).
    """
    found = np.zeros((len(KEYS), len(powers), len(times), 4, 26))
    for row, power in enumerate(powers):
        for column, time in enumerate(times):
            for point, schemes in SCHEMES.items():
                scenario = scenario_at(pair, Guess(power, time, swapped), point.bandwidth)
                users = draw(scenario, point.num_users, draws, seed)
                for scheme, played in play(scenario, users, schemes).items():
                    found[KEYS.index((point, scheme)), row, column] = played.weights(scenario.cell.max_draft_length)
    tasks = tasks_of(users_at_common(pair, swapped, draws, seed), table_i(scenario))
    counts = [(tasks == task).sum(axis=-1).tolist() for task in range(4)]
    return {"weights": found.tolist(), "counts": counts}


def users_at_common(pair: str, swapped: bool, draws: int, seed: int) -> FloatArray:
    """Acceptance rates of the users at the point that the figures share. Shape (draws, K)."""
    scenario = scenario_at(pair, Guess(20.0, 0.02, swapped), COMMON.bandwidth)
    return draw(scenario, COMMON.num_users, draws, seed).acceptance_rate


class Surface:
    """The goodputs of one pair, for one reading of Fig. 5."""

    def __init__(
        self, pair: str, swapped: bool, powers: Sequence[float], times: Sequence[float], table: dict[str, Any]
    ) -> None:
        self.pair = pair
        self.powers, self.times = np.log(powers), np.log(times)
        self._weights = np.array(table["weights"])
        self._counts = np.array(table["counts"], dtype=np.float64).T
        self.scenario: Scenario = scenario_at(pair, Guess(20.0, 0.02, swapped), COMMON.bandwidth)
        self._splines: dict[tuple[float, tuple[Point, str]], RectBivariateSpline] = {}

    @cached_property
    def _table(self) -> FloatArray:
        return table_i(self.scenario)

    def log_goodput(self, share: float, key: tuple[Point, str], power: float, time: float) -> float:
        """Logarithm of a mean goodput at logarithms of the power in dB and of the drafting time in s."""
        if (share, key) not in self._splines:
            if len(self._splines) > 5000:
                self._splines.clear()
            tokens = expected(self._table, share, self._weights.shape[-1] - 1)
            values = np.log(np.einsum("stkl,kl->st", self._weights[KEYS.index(key)], tokens))
            self._splines[share, key] = RectBivariateSpline(self.powers, self.times, values)
        return float(self._splines[share, key].ev(power, time))

    def log_central(self, share: float, server_time: float) -> float:
        """Logarithm of Cen-SPIN's mean goodput at the logarithm of its server's drafting time."""
        cell = self.scenario.cell
        options = np.arange(cell.min_draft_length, cell.max_draft_length + 1)
        decided = self._counts @ mean_tokens(self._table[:, :1], options.astype(np.float64))
        seconds = options * COMMON.num_users * np.exp(server_time) + cell.verification.round_time(np.ones(20))
        best = (decided / seconds).argmax(axis=-1)
        scored = self._counts @ expected(self._table, share, cell.max_draft_length)[:, options]
        # The best length jumps from cell to cell; the mean over cells is as smooth as the search needs it.
        return float(np.log((np.take_along_axis(scored, best[:, None], -1)[:, 0] / seconds[best]).mean()))
