"""The paper's cells at a guess of what it leaves out, and its schemes' decisions there.

Decisions use the data sets' mean rates, whatever scores them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from _printed import PRESETS, Point
from _scoring import table_i, tasks_of

from multispin_gym import Scenario, Users, load_scenario, play_round
from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.baselines import make_controller
from multispin_gym.baselines.rival_protocols import cen_spin, p2p_spin
from multispin_gym.physics.acceptance import mean_tokens
from multispin_gym.scenarios import change_scenario

# Devices' drafting times lie within this share of the measured one (section VI-A).
TIME_SPREAD = 0.15
# Short names of controllers in the list of printed values.
CONTROLLERS = {"hete": "heterogeneous", "homo": "homogeneous", "fixed": "fixed_bw_l"}
PROTOCOLS = ("p2p", "cen", "cen_batched")


@dataclass(frozen=True)
class Guess:
    """What the paper leaves out of one pair's cell.

    The power over the noise power in dB, the time of a drafted token in s, and whether the two slopes of Fig. 5 are
    the other way round than we read them.
    """

    snr_db: float
    drafting_time: float
    swapped: bool = False


@lru_cache(maxsize=4096)
def scenario_at(pair: str, guess: Guess, bandwidth: float) -> Scenario:
    """The preset of a pair with a guess and a band in its place."""
    preset = load_scenario(PRESETS[pair])
    noise_dbm = 10.0 * np.log10(preset.cell.noise_power) + 30.0
    power = float(noise_dbm + guess.snr_db)
    server = preset.cell.verification
    fixed, per_draft = (server.per_draft, server.fixed) if guess.swapped else (server.fixed, server.per_draft)
    times = [(1.0 + side * TIME_SPREAD) * guess.drafting_time for side in (-1.0, 1.0)]
    changes = {
        "cell.bandwidth": bandwidth,
        "transmit_power_dbm": [power, power],
        "devices[0].time_range": times,
        "cell.verification": {"fixed": fixed, "per_draft": per_draft},
    }
    return change_scenario(preset, changes)


def draw(scenario: Scenario, num_users: int, draws: int, seed: int) -> Users:
    """Draw cells: the same data sets, devices and fades for every guess, of which the rest is a function."""
    return scenario.sample_users(np.random.default_rng(seed), num_users, (draws,))


@dataclass(frozen=True, eq=False)
class Played:
    """What a scheme did in some cells: data sets (n, K), lengths (n, K), and the time of a round, s. Shape (n,)."""

    tasks: IntArray
    lengths: IntArray
    seconds: FloatArray

    def goodput(self, tokens: FloatArray) -> FloatArray:
        """Goodput of each cell, token/s, with expected tokens by data set and length. Shape (n,)."""
        return np.asarray(tokens[self.tasks, self.lengths].sum(axis=-1) / self.seconds)

    def weights(self, longest: int) -> FloatArray:
        """Mean over the cells of drafts per second by data set and length: all that the mean goodput depends on.

        Shape (tasks, longest + 1).
        """
        index = self.tasks * (longest + 1) + self.lengths
        rate = np.broadcast_to(1.0 / self.seconds[:, None] / len(self.seconds), index.shape)
        return np.bincount(index.ravel(), rate.ravel(), 4 * (longest + 1)).reshape(4, -1)


def play(scenario: Scenario, users: Users, schemes: Iterable[str], server_time: float = 0.0) -> dict[str, Played]:
    """Let schemes decide for some cells. ``server_time`` is what Cen-SPIN's server takes for a drafted token, s."""
    tasks = tasks_of(users.acceptance_rate, table_i(scenario))
    found = {}
    for scheme in schemes:
        if scheme in PROTOCOLS:
            if scheme == "p2p":
                outcome = p2p_spin(users, scenario.cell)
            else:
                outcome = cen_spin(users, scenario.cell, server_time, batched=scheme == "cen_batched")
            lengths = outcome.draft_lengths
            seconds = mean_tokens(users.acceptance_rate, lengths.astype(np.float64)).sum(axis=-1) / outcome.goodput
        else:
            decision = make_controller(CONTROLLERS.get(scheme, scheme))(users, scenario.cell)
            lengths, seconds = decision.draft_lengths, play_round(users, scenario.cell, decision).latency
        found[scheme] = Played(tasks, lengths, seconds)
    return found


def goodputs(
    pair: str, guess: Guess, point: Point, schemes: Iterable[str], tokens: FloatArray, draws: int, seed: int
) -> dict[str, FloatArray]:
    """Goodput of every scheme in each of the cells drawn at a point, token/s. Shape (draws,)."""
    scenario = scenario_at(pair, guess, point.bandwidth)
    users = draw(scenario, point.num_users, draws, seed)
    return {scheme: played.goodput(tokens) for scheme, played in play(scenario, users, schemes).items()}
