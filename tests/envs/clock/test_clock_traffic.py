"""Who comes, waits, is refused, enters, expires and leaves, against a simulation of one cell in plain Python."""

import dataclasses

import numpy as np
import pytest
from clock_draws import episode_keys
from clock_games import HIDDEN, SERVE, lively

from multispin_gym.envs.clock.newcomers import COLUMNS, Newcomers
from multispin_gym.envs.clock.streams import ClockStreams

SEED, STEPS = 11, 300


class Cell:
    """K places and a queue, with requests of known arrivals and deadlines."""

    def __init__(self, requests, num_users, places, end):
        self.to_come, self.slots, self.queue = requests, [None] * num_users, []
        self.next = next(self.to_come)
        self.places, self.end, self.time = places, end, 0.0
        self.counts = {"arrived": 0, "refused": 0, "expired": 0}
        self.wait()

    def boundary(self, gone=()):
        """What happens between two rounds."""
        free = self.slots.count(None)
        for index, request in enumerate(self.slots):
            if request is not None and index in gone:
                self.slots[index] = None
            elif request is not None and request["deadline"] < self.time:
                self.slots[index] = None
                self.counts["expired"] += 1
        while self.next["arrival"] <= self.time:
            request, self.next = self.next, next(self.to_come)
            self.counts["arrived"] += 1
            # One for whom a slot was free during the round takes no place in the queue.
            if len(self.queue) < self.places + free:
                self.queue.append(request)
            else:
                self.counts["refused"] += 1
        late = [request for request in self.queue if request["deadline"] < self.time]
        self.counts["expired"] += len(late)
        self.queue = [request for request in self.queue if request["deadline"] >= self.time]
        while self.queue and None in self.slots:
            self.slots[self.slots.index(None)] = self.queue.pop(0)

    def wait(self):
        while not any(self.slots) and self.time < self.end:
            self.time = min(max(self.next["arrival"], self.time), self.end)
            self.boundary()

    def advance(self, seconds, gone):
        self.counts = dict.fromkeys(self.counts, 0)
        self.time += seconds
        before = self.time
        self.boundary(gone)
        self.wait()
        return self.time - before


def requests_of(scenario):
    """What a seed makes of requests, taken one by one by a twin, without end."""
    keys = np.array(episode_keys(SEED), dtype=np.uint64)[:, None]
    twin = Newcomers(scenario, scenario.clock, keys[:3])
    twin.begin(np.array([0]), lambda: keys[:3].copy())
    while True:
        (record,) = twin.take(np.array([0]), np.array([1]))[2]
        yield {name: record[index] for name, index in COLUMNS.items()}


def with_requests(longest=30, **changes):
    return lively(SERVE, longest, **changes)


@pytest.mark.parametrize("end", [1e9, 40.0])
@pytest.mark.parametrize(
    ("load", "factor", "pace"), [(0.1, 4, 0.3), (0.9, 4, 0.3), (4.0, 4, 1.0), (4.0, 0, 0.3), (0.3, 0, 0.1)]
)
@pytest.mark.parametrize("num_users", [1, 3, 8])
def test_a_cell_is_what_plain_python_makes_of_the_same_arrivals(num_users, load, factor, pace, end):
    scenario = with_requests(load=load, queue_factor=factor)
    scenario = dataclasses.replace(scenario, clock=dataclasses.replace(scenario.clock, episode_seconds=end))
    plain = Cell(requests_of(scenario), num_users, factor * num_users, end)
    streams = ClockStreams(scenario, scenario.clock, num_users, 1)
    streams.seed(0, SEED)
    came, waited = streams.begin(np.array([0]))
    assert (came.arrived[0], waited[0]) == (plain.counts["arrived"], plain.time)
    rng, slots, totals = np.random.default_rng(0), streams.traffic.slots, dict.fromkeys(plain.counts, 0)
    for _ in range(STEPS):
        if plain.time >= end:
            break
        seconds, gone = rng.exponential(pace), rng.random((1, num_users)) < 0.2
        gone &= slots.present
        came, waited = streams.advance(np.array([seconds]), gone)
        assert waited[0] == plain.advance(seconds, np.flatnonzero(gone[0]))
        assert streams.time[0] == plain.time
        for name in totals:
            assert getattr(came, name)[0] == plain.counts[name]
            totals[name] += plain.counts[name]
        assert streams.traffic.queue.length[0] == len(plain.queue)
        for index, request in enumerate(plain.slots):
            assert slots.present[0, index] == (request is not None)
            for name in ("arrival", "deadline", "length", "task", "acceptance_rate", "drafting_speed"):
                if request is not None:
                    assert slots.values[name][0, index] == request[name]
    assert totals["arrived"] > 0
    assert totals["refused"] > 0 or load < 1.0


def test_devices_whose_requests_are_replaced_have_the_next_one_at_once():
    scenario = lively(HIDDEN)
    streams = ClockStreams(scenario, scenario.clock, 3, 1)
    streams.seed(0, SEED)
    streams.begin(np.array([0]))
    slots, coming = streams.traffic.slots, requests_of(scenario)
    held = [next(coming) for _ in range(3)]
    devices = [request["drafting_speed"] for request in held]
    rng = np.random.default_rng(0)
    for _ in range(60):
        for index, request in enumerate(held):
            assert slots.values["drafting_speed"][0, index] == devices[index]
            for name in ("length", "task", "acceptance_rate"):
                assert slots.values[name][0, index] == request[name]
            assert slots.values["remaining"][0, index] == request["length"]
        gone = rng.random((1, 3)) < 0.4
        came, waited = streams.advance(np.array([0.5]), gone)
        assert not (came.arrived.any())
        assert not (came.expired.any())
        assert not (waited.any())
        for index in np.flatnonzero(gone[0]):
            held[index] = next(coming)
            assert slots.values["arrival"][0, index] == streams.time[0]


def test_replaced_requests_with_deadlines_are_replaced_once_these_are_past():
    scenario = lively(HIDDEN, slack=(1.0, 2.0), reference_time_per_token=0.1)
    streams = ClockStreams(scenario, scenario.clock, 3, 1)
    streams.seed(0, SEED)
    streams.begin(np.array([0]))
    slots, expired = streams.traffic.slots, 0
    for _ in range(100):
        allowed = slots.values["deadline"] - slots.values["arrival"]
        assert (allowed >= 0.1 * slots.values["length"] - 1e-9).all()
        assert (allowed <= 0.2 * slots.values["length"] + 1e-9).all()
        late = np.count_nonzero(slots.values["deadline"] < streams.time[0] + 0.7)
        came, _ = streams.advance(np.array([0.7]), np.zeros((1, 3), bool))
        assert came.expired[0] == late
        expired += late
    assert expired > 30
