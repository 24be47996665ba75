"""The fluid model and the rollout over it: courses by hand, and the decisions that follow."""

import dataclasses

import numpy as np
import pytest
from test_deadline_rules import decided, scenario, seen

import multispin_gym as ms
from multispin_gym.baselines import make_controller
from multispin_gym.baselines.estimators.course import Base, Course
from multispin_gym.baselines.estimators.deadline_rollout import bases_of
from multispin_gym.baselines.estimators.machine import Machine, full_rates
from multispin_gym.baselines.estimators.pending import Pending, pending_requests, rates_of

NEVER = float("inf")


def machine(arrivals=0.0):
    """Ten tokens a second, whoever is there; newcomers have ten tokens and four seconds."""
    return Machine(np.full(4, 10.0), np.array([10.0]), np.array([4.0]), np.array([1.0]), arrivals)


def course(remaining, time_left, base, waiting=0.0, arrivals=0.0, horizon=100.0):
    shape = (1, len(remaining))
    there = np.array([left > 0.0 for left in remaining]).reshape(shape)
    users = ms.Users(np.full(shape, 0.8), 25.0, 0.3, 1e-8, present=there)
    pending = Pending(
        users,
        np.array(remaining, float).reshape(shape),
        np.array(time_left, float).reshape(shape),
        np.ones(shape),
        np.array([waiting]),
    )
    rates = np.where(there, 10.0, 0.0)
    return Course.begin(pending, machine(arrivals), rates, rates, [base], horizon)


def odds(took, allowed, temperature):
    return 1.0 / (1.0 + (took / allowed) ** (1.0 / temperature))


def test_requests_share_the_machine_and_end_one_after_the_other():
    # Equal shares: 5 token/s each until the first has its 10 at 2 s; then the second has 20 left at 10 token/s.
    found = course([10.0, 30.0, 0.0], [9.0, 5.0, 1.0], Base(0.0, 0.0, NEVER, NEVER, 0.0)).play_out(9, 0.5)
    assert found[0] == pytest.approx(odds(2.0, 9.0, 0.5) + odds(4.0, 5.0, 0.5))


def test_shares_go_by_powers_of_what_is_needed_and_left():
    # Shortest first with power one: weights 1/10 and 1/30, so three quarters and one quarter of the machine.
    left = course([10.0, 30.0, 0.0], [9.0, 9.0, 1.0], Base(0.0, -1.0, NEVER, NEVER, 0.0)).decide()[0][0]
    assert left[0] / left[1] == pytest.approx(3.0)
    needed = course([10.0, 30.0, 0.0], [5.0, 10.0, 1.0], Base(2.0, 0.0, NEVER, NEVER, 0.0)).decide()[0][0]
    assert needed[0] / needed[1] == pytest.approx((2.0 / 3.0) ** 2)


def test_who_is_late_leaves_and_is_paid_by_its_odds():
    # Both have 5 token/s; the second is late at 3 s with 15 of its 30 tokens left, which would take 3 s more.
    found = course([20.0, 30.0, 0.0], [9.0, 3.0, 1.0], Base(0.0, 0.0, NEVER, NEVER, 0.0)).play_out(9, 0.5)
    first = 3.0 + 5.0 / 10.0
    assert found[0] == pytest.approx(odds(first, 9.0, 0.5) + odds(6.0, 3.0, 0.5))


def test_who_is_hopeless_leaves_at_once_or_is_passed_over():
    # Alone the second would need 30 tokens in 2 s at 10 token/s.
    base = Base(0.0, 0.0, 1.0, NEVER, 0.0)
    found = course([20.0, 30.0, 0.0], [9.0, 2.0, 1.0], base)
    assert found.decide()[1].tolist() == [[False, True, False]]
    assert found.play_out(9, 0.5)[0] == pytest.approx(odds(2.0, 9.0, 0.5))
    parked = course([20.0, 30.0, 0.0], [9.0, 2.0, 1.0], base._replace(parked=1e-3))
    assert not parked.decide()[1].any()
    assert parked.decide()[0][0, 1] == pytest.approx(1e-3)


def test_long_requests_make_room_where_somebody_waits():
    base = Base(0.0, 0.0, NEVER, 2.0, 0.0)
    for waiting, gone in ((0.0, False), (1.0, True)):
        assert course([5.0, 30.0, 5.0], [9.0, 9.0, 9.0], base, waiting).decide()[1][0, 1] == gone


def test_who_waits_takes_free_places_with_the_time_that_is_left():
    # One waits, and one comes a second: it has waited a second of its four; all have 10 / 2 token/s.
    found = course([10.0, 0.0, 0.0], [9.0, 1.0, 1.0], Base(0.0, 0.0, NEVER, NEVER, 0.0), 1.0, 1.0, horizon=2.0)
    paid = found.play_out(1, 0.5)
    # At 2 s both are done; those who have come since are paid as they stand: two with ten tokens, at 5 token/s each.
    assert paid[0] == pytest.approx(odds(2.0, 9.0, 0.5) + odds(2.0, 3.0, 0.5))


def test_full_rates_are_fair_rates_times_the_number_present():
    own, observation = scenario(), seen()
    pending = pending_requests(own, observation)
    fair = make_controller("heterogeneous", objective="proportional_fair")(pending.users, own.cell)
    number = pending.present.sum(axis=-1, keepdims=True)
    assert full_rates(pending, own.cell) == pytest.approx(rates_of(pending.users, own.cell, fair) * number)


def test_what_is_known_of_newcomers_is_their_law():
    own = scenario()
    found = Machine.of(own)
    requests = own.clock.requests
    assert found.lengths.mean() == pytest.approx(requests.mean_length, rel=0.05)
    assert found.times_left == pytest.approx(2.1 * 0.0825 * found.lengths)
    assert found.arrivals == requests.rate
    assert (np.diff(found.typical[1:]) > 0.0).all()
    assert found.tokens_per_value == pytest.approx(found.lengths.mean())
    paid = Machine.of(dataclasses.replace(own, clock=dataclasses.replace(own.clock, reward="tokens_on_time")))
    assert (paid.values == found.lengths).all()
    assert Machine.of(ms.load_scenario("stale")).arrivals == 0.0


def test_the_rollout_keeps_whom_it_can_serve_and_makes_room_where_that_pays():
    own = scenario()
    observation = seen(rows=64, waiting=0.0)
    observation["remaining_tokens"][:] = 50.0
    observation["time_to_deadline"][:] = 60.0
    assert not decided("deadline_rollout", own, observation).give_up.any()
    observation["remaining_tokens"][:, 0] = 700.0
    observation["time_to_deadline"][:, 0] = 20.0
    observation["queue_length"][:] = 4.0
    found = decided("deadline_rollout", own, observation)
    assert found.give_up[:, 0].sum() > 0.8 * observation["present"][:, 0].sum()
    assert not found.give_up[:, 1:].any()


def test_where_nobody_can_be_given_up_no_base_rule_does():
    assert all(base.parked > 0.0 for base in bases_of(scenario(admission=False)))
    assert all(base.parked == 0.0 for base in bases_of(scenario()))
    assert decided("deadline_rollout", scenario(admission=False), seen()).give_up is None
