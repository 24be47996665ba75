"""Figs. 6, 7 and 8: goodputs of all schemes on common draws, under both scorings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from _cells import PROTOCOLS, Played, play
from _experiments import DRAWS
from _printed import PRESETS, Point, point_text
from _scoring import expected, table_i

from multispin_gym import Scenario, load_scenario, play_round
from multispin_gym._validation import FloatArray
from multispin_gym.baselines import make_controller
from multispin_gym.scenarios import change_scenario
from multispin_gym.statistics import mean_estimate, ratio_estimate

BANDS = tuple(Point(bandwidth=1e6 * band) for band in (5.0, 7.5, 10.0, 15.0, 20.0))
COUNTS = tuple(Point(num_users=count) for count in (10, 12, 16, 20, 24))
LAWS = {"A": 0.0, "B": 1.0}
# The paper's four, and two rows of ours.
SERIES = ("multi_spin", "heterogeneous", "uni_bw", "homogeneous", "uniform_best", "fixed_bw_l")
SERVER_TIME = 0.016
_GROUPS = 4000


def preset(pair: str, point: Point) -> Scenario:
    """The preset of a pair with a band in its place."""
    scenario = load_scenario(PRESETS[pair])
    return change_scenario(scenario, {"cell.bandwidth": point.bandwidth})


def all_goodputs(pair: str, point: Point, draws: int, seed: int, protocols: bool = False) -> dict[str, dict[str, Any]]:
    """Goodput of every scheme in each cell by law, token/s. Shape (draws,)."""
    scenario = preset(pair, point)
    users = scenario.sample_users(np.random.default_rng(seed), point.num_users, (draws,))
    schemes = (*SERIES, *(PROTOCOLS if protocols else ()))
    played: dict[str, Played] = play(scenario, users, schemes, SERVER_TIME)
    longest, table = scenario.cell.max_draft_length, table_i(scenario)
    tokens = {law: expected(table, share, longest) for law, share in LAWS.items()}
    found = {law: {name: entry.goodput(tokens[law]) for name, entry in played.items()} for law in LAWS}
    if protocols:
        alone = play_round(users, scenario.cell, make_controller("server_only")(users, scenario.cell)).goodput
        for law in LAWS:
            found[law]["server_only"] = alone
    return found


def of_ten(values: FloatArray, base: FloatArray | None, seed: int) -> list[float]:
    """Range in which 95 % of means of ten draws lie, or of ratios of two such means on the same draws."""
    groups = np.random.default_rng(seed).integers(len(values), size=(_GROUPS, DRAWS))
    means = values[groups].mean(axis=-1)
    if base is not None:
        means = means / base[groups].mean(axis=-1)
    return np.quantile(means, (0.025, 0.975)).tolist()


def at_point(pair: str, point: Point, draws: int, seed: int, protocols: bool = False) -> dict[str, Any]:
    """Means with intervals, the spread of means of ten draws, and the ratios of Hete to every other scheme."""
    found: dict[str, Any] = {}
    for law, goodputs in all_goodputs(pair, point, draws, seed, protocols).items():
        hete = goodputs["multi_spin"]
        found[law] = {
            name: {
                "goodput": {**mean_estimate(values, seed).to_dict(), "ten": of_ten(values, None, seed)},
                "hete_over": {**ratio_estimate(hete, values, seed).to_dict(), "ten": of_ten(hete, values, seed)},
            }
            for name, values in goodputs.items()
        }
    return found


def curves(pair: str, draws: int, seed: int) -> dict[str, Any]:
    """All points of Figs. 6 to 8 of one pair."""
    points = dict.fromkeys((*BANDS, *COUNTS))
    common = Point()
    return {
        point_text(point): at_point(pair, point, draws, seed + point.num_users, protocols=point == common)
        for point in points
    }


def order(found: Mapping[str, Any], law: str, points: Sequence[Point]) -> dict[str, Any]:
    """At how many points each scheme has more than the next in the paper's order."""
    names = ("multi_spin", "uni_bw", "homogeneous", "fixed_bw_l")
    entries = [found[point_text(point)][law] for point in points]
    return {
        f"{above} over {below}": sum(e[above]["goodput"]["mean"] > e[below]["goodput"]["mean"] for e in entries)
        for above, below in pairwise(names)
    }
