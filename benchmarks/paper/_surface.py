"""Mean goodputs of a pair as smooth functions of what the paper leaves out.

Decisions depend on the power, the drafting time and the server; the scoring does not change them. So what schemes do
is tabulated once on a grid, as drafts per second by data set and length, on the same draws everywhere, and every
scoring reads its mean goodputs from there, by cubic splines of their logarithms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from _cells import Guess, draw, play, scenario_at
from _printed import COMMON, FEW, MANY, NARROW, Point
from _scoring import expected, table_i
from scipy.interpolate import CubicSpline, RectBivariateSpline

SCHEMES = {COMMON: ("hete", "p2p"), NARROW: ("hete", "fixed"), FEW: ("hete", "fixed"), MANY: ("hete", "fixed")}
KEYS = tuple((point, scheme) for point, schemes in SCHEMES.items() for scheme in schemes)


# Drafting times of Cen-SPIN's server that are tried, s; its best lengths jump, and the mean over the cells hardly does.
SERVER_TIMES = np.geomspace(0.002, 0.08, 25)


def tabulate(
    pair: str, swapped: bool, powers: Sequence[float], times: Sequence[float], draws: int, seed: int
) -> dict[str, Any]:
    """Play all schemes on a grid of powers, dB over the noise, and drafting times, s.

    Returns the drafts per second by data set and length. Shape (keys, powers, times, tasks, lengths), the keys being
    ``KEYS``; and for Cen-SPIN (server's times, tasks, lengths).
    """
    found = np.zeros((len(KEYS), len(powers), len(times), 4, 26))
    for row, power in enumerate(powers):
        for column, time in enumerate(times):
            for point, schemes in SCHEMES.items():
                scenario = scenario_at(pair, Guess(power, time, swapped), point.bandwidth)
                users = draw(scenario, point.num_users, draws, seed)
                for scheme, played in play(scenario, users, schemes).items():
                    found[KEYS.index((point, scheme)), row, column] = played.weights(scenario.cell.max_draft_length)
    scenario = scenario_at(pair, Guess(powers[0], times[0], swapped), COMMON.bandwidth)
    users = draw(scenario, COMMON.num_users, draws, seed)
    central = [play(scenario, users, ("cen",), time)["cen"].weights(25).tolist() for time in SERVER_TIMES.tolist()]
    return {"weights": found.tolist(), "central": central}


class Surface:
    """The goodputs of one pair, for one reading of Fig. 5."""

    def __init__(
        self, pair: str, swapped: bool, powers: Sequence[float], times: Sequence[float], table: dict[str, Any]
    ) -> None:
        self.pair = pair
        self.powers, self.times = np.log(powers), np.log(times)
        self._weights, self._central = np.array(table["weights"]), np.array(table["central"])
        self._rates = table_i(scenario_at(pair, Guess(powers[0], times[0], swapped), COMMON.bandwidth))
        self._splines: dict[tuple[float, tuple[Point, str] | None], Any] = {}

    def log_goodput(self, share: float, key: tuple[Point, str], power: float, time: float) -> float:
        """Logarithm of a mean goodput at logarithms of the power in dB and of the drafting time in s."""
        return float(self._spline(share, key).ev(power, time))

    def log_central(self, share: float, server_time: float) -> float:
        """Logarithm of Cen-SPIN's mean goodput at the logarithm of its server's drafting time."""
        return float(self._spline(share, None)(server_time))

    def _spline(self, share: float, key: tuple[Point, str] | None) -> Any:
        if (share, key) not in self._splines:
            if len(self._splines) > 5000:
                self._splines.clear()
            tokens = expected(self._rates, share, self._weights.shape[-1] - 1)
            if key is None:
                values = np.log(np.einsum("ckl,kl->c", self._central, tokens))
                spline: Any = CubicSpline(np.log(SERVER_TIMES), values)
            else:
                values = np.log(np.einsum("stkl,kl->st", self._weights[KEYS.index(key)], tokens))
                spline = RectBivariateSpline(self.powers, self.times, values)
            self._splines[share, key] = spline
        return self._splines[share, key]
