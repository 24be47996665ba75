"""What tests of tasks in which time passes share: a small busy cell, agents, and a ledger kept by hand."""

import dataclasses

import gymnasium as gym
import numpy as np

from multispin_gym import load_scenario
from multispin_gym.statistics import jain_index

SERVE, HIDDEN = "multispin_gym/MultiSpinServe-v0", "multispin_gym/MultiSpinHidden-v0"
DEADLINE, STALE = "multispin_gym/MultiSpinDeadline-v0", "multispin_gym/MultiSpinStale-v0"


def busy(name="serve", num_users=3, **changes):
    """A preset with a few users and short requests, of which more come than are served in time."""
    scenario = load_scenario(name)
    clock = scenario.clock
    if clock.requests is not None:
        short = {"length_levels": (0.0, 1.0), "length_tokens": (1, 60), "queue_factor": 1.0}
        if clock.requests.slack is not None:
            short["slack"] = (0.4, 2.0)
        clock = dataclasses.replace(clock, requests=dataclasses.replace(clock.requests, **short))
    clock = dataclasses.replace(clock, **changes)
    return dataclasses.replace(scenario, num_users=num_users, clock=clock)


def act(observation, entries):
    """Actions that depend on each row alone: no sum over rows or users, whose rounding depends on the batch."""
    speed = observation["drafting_speed"].astype(np.float64)
    present = observation.get("present", np.ones(speed.shape))
    waves = [np.sin(speed[:, :1] * (k + 1.0) + present[:, k % present.shape[1] :][:, :1]) for k in range(entries)]
    return np.concatenate(waves, axis=1)


class Waves:
    """An agent of so many entries; uses the cut-off, and gives requests up where its action can."""

    def __init__(self, entries):
        self.entries = entries

    def act(self, observation):
        return act(observation, self.entries)


class Ledger:
    """What an episode of a single environment comes to, kept from observations, tokens and latencies only."""

    def __init__(self, env_id, scenario, seed, entries, **arguments):
        env = gym.make(env_id, scenario=scenario, **arguments)
        self.sums = dict.fromkeys(
            ("return", "tokens", "drafted", "lost", "finished", "on_time", "given_up", "expired", "refused"), 0.0
        )
        self.first, self.each, self.rates, self.rounds = [], [], [], 0
        seen, _ = env.reset(seed=seed)
        begun, over = {}, False
        while not over:
            action = act({key: value[None] for key, value in seen.items()}, entries)[0]
            given_up = seen["present"] > 0.5
            asked = action[-1 - scenario.num_users : -1] > 0.0 if scenario.clock.admission else np.zeros(len(given_up))
            given_up = given_up & np.asarray(asked, dtype=bool)
            following, reward, _, over, info = env.step(action)
            self._count(seen, info, given_up, begun)
            for name in ("expired", "refused"):
                self.sums[name] += info[name]
            self.sums["return"] += reward
            self.seconds, seen, self.rounds = float(info["time"]), following, self.rounds + 1

    def _count(self, seen, info, given_up, begun):
        # A step lasts until somebody is there again.
        latency = float(info["latency"] - info["waited"])
        for slot in np.flatnonzero(seen["present"]):
            age, left = float(seen["request_age"][slot]), float(seen["remaining_tokens"][slot])
            if given_up[slot]:
                self.sums["given_up"] += 1
                begun.pop(slot, None)
                continue
            tokens, length = float(info["tokens"][slot]), float(info["draft_lengths"][slot])
            self.sums["drafted"] += length
            self.sums["lost"] += 0.0 if tokens else length
            # A slot's request is another one where its age is not that of the one before, grown by the round.
            if slot in begun and abs(begun[slot]["age"] - age) > 1e-4:
                del begun[slot]
            request = begun.setdefault(slot, {"got": 0.0, "first": None})
            request["age"] = age + latency
            request["got"] += min(tokens, left)
            self.sums["tokens"] += min(tokens, left)
            if tokens and request["first"] is None:
                request["first"] = age + latency
            if tokens >= left:
                self._end(request, age + latency, seen["time_to_deadline"][slot] >= latency)
                del begun[slot]

    def _end(self, request, lasted, on_time):
        self.sums["finished"] += 1
        self.sums["on_time"] += bool(on_time)
        self.first.append(request["first"])
        if request["got"] > 1.0:
            self.each.append((lasted - request["first"]) / (request["got"] - 1.0))
        self.rates.append(request["got"] / lasted)

    @property
    def fairness(self):
        """Least rate and Jain's index."""
        return min(self.rates, default=0.0), float(jain_index(self.rates or [0.0]))
