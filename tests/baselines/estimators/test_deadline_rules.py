"""Rules for requests with deadlines: their weights, whom they give up, and the rounds that follow from it."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

import multispin_gym as ms
from multispin_gym.baselines import believed_users, make_controller, make_estimator
from multispin_gym.baselines.estimators.deadline_rule import without_surplus
from multispin_gym.baselines.estimators.open_loop_planner import most_on_time
from multispin_gym.baselines.estimators.pending import Pending, pending_requests, rates_alone, rates_of
from multispin_gym.baselines.estimators.request_index import chance_on_time, worth_of_newcomer

RULES = (
    "equal_weights",
    "earliest_deadline",
    "required_rate",
    "shortest_first",
    "request_index",
    "open_loop_planner",
    "deadline_rollout",
)


def scenario(admission=True, **changes):
    found = ms.load_scenario("deadline")
    clock = dataclasses.replace(found.clock, admission=admission, **changes)
    return dataclasses.replace(found, num_users=4, clock=clock)


def seen(rows=24, waiting=None, seed=0):
    """Observations of cells with requests long and short, urgent and not."""
    rng = np.random.default_rng(seed)
    shape = (rows, 4)
    present = rng.random(shape) < 0.8
    observation = {
        "acceptance_rate": rng.uniform(0.5, 0.97, shape),
        "drafting_speed": rng.uniform(24.0, 33.0, shape),
        "channel_gain_db": rng.uniform(-15.0, 3.0, shape),
        "present": present,
        "remaining_tokens": np.ceil(rng.uniform(1.0, 400.0, shape)),
        "time_to_deadline": rng.uniform(0.5, 60.0, shape),
        "request_age": rng.uniform(0.0, 20.0, shape),
        "queue_length": rng.integers(0, 9, (rows, 1)) if waiting is None else np.full((rows, 1), waiting),
    }
    return {key: np.asarray(value, dtype=np.float32) for key, value in observation.items()}


def decided(name, own, observation, **options):
    rule = make_estimator(name, own, **options)
    rule.reset(observation, {})
    return rule.decide(observation, {})


def by_hand(row, own, weights, objective):
    """The round of one cell's present users with weights of their own."""
    here = np.flatnonzero(row["present"])
    part = {key: row[key][here] for key in ("acceptance_rate", "drafting_speed", "channel_gain_db")}
    users = believed_users(own, part)
    relative = np.maximum(weights[here] / weights[here].max(), 1e-6)
    decision = make_controller("heterogeneous", objective=objective, weights=relative.tolist())(users, own.cell)
    lengths = np.zeros(4, int)
    lengths[here] = np.minimum(decision.draft_lengths, row["remaining_tokens"][here] - 1)
    return lengths


def rows_of(observation):
    for index in range(len(observation["present"])):
        row = {key: value[index] for key, value in observation.items()}
        if row["present"].any():
            yield index, row


def rank(values):
    return np.array([sum(other < value for other in values) for value in values])


WEIGHTS = {
    "equal_weights": ({}, lambda row: np.ones(4)),
    "shortest_first": ({"power": 0.5}, lambda row: 1.0 / np.sqrt(row["remaining_tokens"].astype(float))),
    "required_rate": (
        {"exponent": 2.0},
        lambda row: (row["remaining_tokens"].astype(float) / row["time_to_deadline"]) ** 2,
    ),
    "earliest_deadline": (
        {"decay": 0.6},
        lambda row: 0.6 ** rank(np.where(row["present"], row["time_to_deadline"].astype(float), 1e9)),
    ),
}


@pytest.mark.parametrize("objective", ["sum", "proportional_fair"])
@pytest.mark.parametrize("name", WEIGHTS)
def test_rounds_are_those_of_the_weights_in_the_docstring(name, objective):
    options, weigh = WEIGHTS[name]
    own, observation = scenario(), seen()
    found = decided(name, own, observation, objective=objective, **options)
    for index, row in rows_of(observation):
        assert found.draft_lengths[index].tolist() == by_hand(row, own, weigh(row), objective).tolist()
    assert not found.give_up.any()


def test_the_index_is_value_over_tokens_left_times_the_odds_at_a_fair_rate():
    own, observation = scenario(), seen()
    found = decided("request_index", own, observation, temperature=0.4, speed_up=1.3, power=1.0, threshold=0.3)
    newcomer = 1.0 / own.clock.requests.mean_length
    given_up = 0
    for index, row in rows_of(observation):
        here = np.flatnonzero(row["present"])
        users = believed_users(
            own, {key: row[key][here] for key in ("acceptance_rate", "drafting_speed", "channel_gain_db")}
        )
        fair = make_controller("heterogeneous", objective="proportional_fair")(users, own.cell)
        outcome = ms.play_round(users, own.cell, fair)
        weights = np.zeros(4)
        left = row["remaining_tokens"][here].astype(float)
        needed = left / row["time_to_deadline"][here]
        rate = 1.3 * outcome.tokens / outcome.latency
        weights[here] = 1.0 / left / (1.0 + (needed / rate) ** (1.0 / 0.4))
        gone = np.zeros(4, bool)
        gone[here] = (weights[here] < 0.3 * newcomer) & (row["queue_length"][0] > 0)
        assert found.give_up[index].tolist() == gone.tolist()
        given_up += gone.sum()
        row["present"] = row["present"] * ~gone
        if row["present"].any():
            assert found.draft_lengths[index].tolist() == by_hand(row, own, weights, "sum").tolist()
    assert 5 < given_up < 60


def test_laxity_is_the_time_that_is_left_beyond_the_request_alone():
    own, observation = scenario(), seen()
    found = decided("earliest_deadline", own, observation, decay=0.5, by="laxity")
    pending = pending_requests(own, observation)
    for index, row in rows_of(observation):
        alone = rates_alone(pending.users[index], own.cell)
        laxity = np.where(row["present"], row["time_to_deadline"] - row["remaining_tokens"] / alone, 1e9)
        assert found.draft_lengths[index].tolist() == by_hand(row, own, 0.5 ** rank(laxity), "sum").tolist()


def test_rates_alone_are_the_best_of_all_lengths():
    own = scenario()
    users = own.sample_users(np.random.default_rng(1), batch=5)
    found = rates_alone(users, own.cell)
    for row, place in itertools.product(range(5), range(4)):
        one = ms.Users(*(getattr(users, name)[row, place : place + 1] for name in ms.Users.FIELDS))
        best = max(ms.play_round(one, own.cell, ms.Decision([length], [1.0])).goodput for length in range(26))
        assert found[row, place] == pytest.approx(float(best))


@pytest.mark.parametrize("admission", [False, True])
def test_who_cannot_be_on_time_alone_is_given_up_or_has_next_to_no_weight(admission):
    own, observation = scenario(admission), seen()
    found = decided("equal_weights", own, observation, objective="sum", hopeless=0.6)
    pending = pending_requests(own, observation)
    late = (pending.remaining > 0.6 * rates_alone(pending.users, own.cell) * pending.time_left) & pending.present
    assert late.any()
    if admission:
        assert (found.give_up == late).all()
        assert not found.draft_lengths[late].any()
        assert not found.bandwidth_shares[late].any()
        return
    assert found.give_up is None
    for index, row in rows_of(observation):
        weights = np.where(late[index], 0.0, 1.0)
        if (weights * row["present"]).any():
            assert found.draft_lengths[index].tolist() == by_hand(row, own, weights, "sum").tolist()


def test_nothing_is_drafted_that_no_request_can_use():
    own, observation = scenario(), seen(rows=200, seed=3)
    observation["remaining_tokens"] = np.ceil(observation["remaining_tokens"] / 40.0)
    pending = pending_requests(own, observation)
    whole = make_controller("heterogeneous")(pending.users, own.cell)
    lengths, shares = without_surplus(pending.users, own.cell, whole, pending.remaining)
    before, after = (
        ms.play_round(pending.users, own.cell, decision) for decision in (whole, ms.Decision(lengths, shares))
    )
    assert (lengths <= np.maximum(pending.remaining - 1, 0)).all()
    assert (after.latency <= before.latency * (1 + 1e-9)).all()
    assert (after.latency < before.latency * 0.99).any()
    kept = lengths == whole.draft_lengths
    assert (after.tokens[kept] == before.tokens[kept]).all()
    for name in RULES:
        found = decided(name, own, observation)
        assert (found.draft_lengths <= np.maximum(pending.remaining - 1, 0)).all()


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("admission", [False, True])
def test_a_batch_is_decided_as_its_rows(name, admission):
    own, observation = scenario(admission), seen(rows=6)
    whole = decided(name, own, observation)
    for index in range(6):
        one = decided(name, own, {key: value[index : index + 1] for key, value in observation.items()})
        assert one.draft_lengths[0].tolist() == whole.draft_lengths[index].tolist()
        assert one.bandwidth_shares[0] == pytest.approx(whole.bandwidth_shares[index], abs=1e-9)
        if admission:
            assert one.give_up[0].tolist() == whole.give_up[index].tolist()


def test_an_empty_cell_gets_nothing():
    own, observation = scenario(), seen(rows=3)
    observation["present"][:] = 0.0
    for name in RULES:
        found = decided(name, own, observation)
        assert not found.draft_lengths.any()
        assert not found.give_up.any()


def on_time_in_order(work, due):
    """Whether jobs all end in time, one after the other by their deadlines."""
    order = np.argsort(due)
    return bool((np.cumsum(work[order]) <= due[order]).all())


def test_as_many_jobs_are_chosen_as_any_set_that_ends_on_time():
    rng = np.random.default_rng(5)
    work, due = rng.uniform(0.1, 2.0, (60, 6)), rng.uniform(0.2, 5.0, (60, 6))
    there = rng.random((60, 6)) < 0.8
    chosen = most_on_time(work, due, there * 1.0)
    sizes = set()
    for row in range(60):
        sets = [np.array(bits, bool) for bits in itertools.product([False, True], repeat=6)]
        feasible = [s for s in sets if not (s & ~there[row]).any() and on_time_in_order(work[row][s], due[row][s])]
        assert on_time_in_order(work[row][chosen[row]], due[row][chosen[row]])
        assert not (chosen[row] & ~there[row]).any()
        assert chosen[row].sum() == max(s.sum() for s in feasible)
        sizes.add(int(chosen[row].sum()))
    assert len(sizes) > 2


def test_a_plan_gives_up_whom_it_cannot_serve_where_somebody_waits():
    own = scenario()
    for waiting, always, gives_up in ((0.0, False, False), (3.0, False, True), (0.0, True, True)):
        observation = seen(waiting=waiting)
        found = decided("open_loop_planner", own, observation, crowd=0.0, always=always)
        assert found.give_up.any() == gives_up


def test_a_crowd_makes_a_plan_stricter_and_faster_rates_milder():
    own, observation = scenario(), seen(rows=64, waiting=4.0)
    counts = [
        decided("open_loop_planner", own, observation, **options).give_up.sum()
        for options in ({"crowd": 0.0}, {"crowd": 1.0}, {"crowd": 1.0, "speed_up": 3.0})
    ]
    assert counts[1] > counts[0] > 0
    assert counts[1] > counts[2]


def test_odds_are_one_half_where_a_rate_just_suffices():
    users = scenario().sample_users(np.random.default_rng(0), batch=1)
    pending = Pending(users, np.full((1, 4), 30.0), np.full((1, 4), 2.0), np.ones((1, 4)), np.zeros(1))
    found = chance_on_time(pending, np.array([[15.0, 30.0, 7.5, 0.0]]), 0.5)
    assert found[0, :3] == pytest.approx([0.5, 0.8, 0.2])
    assert found[0, 3] < 1e-20


def test_requests_are_worth_their_tokens_where_these_are_paid():
    own = ms.load_scenario("serve")
    observation = {**seen(rows=5), "task": np.zeros((5, 4), np.float32)}
    observation["reported_channel_gain_db"] = observation.pop("channel_gain_db")
    del observation["acceptance_rate"]
    observation["accepted_count"] = np.full((5, 4), 7.0, np.float32)
    pending = pending_requests(own, observation)
    left = np.where(observation["present"], observation["remaining_tokens"], 0.0)
    assert pending.value == pytest.approx(left + 7.0)
    assert worth_of_newcomer(own) == 1.0
    assert worth_of_newcomer(ms.load_scenario("deadline")) == pytest.approx(1.0 / own.clock.requests.mean_length)
    assert worth_of_newcomer(ms.load_scenario("stale")) == 0.0
    found = decided("request_index", dataclasses.replace(own, num_users=4), observation, threshold=0.5)
    assert found.draft_lengths.any()


def test_rates_of_a_round_are_tokens_over_its_time():
    own = scenario()
    users = own.sample_users(np.random.default_rng(2), batch=3)
    decision = make_controller("heterogeneous")(users, own.cell)
    outcome = ms.play_round(users, own.cell, decision)
    found = rates_of(users, own.cell, decision)
    assert found.sum(axis=-1) == pytest.approx(outcome.goodput)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("equal_weights", {"hopeless": 0.0}, "hopeless must lie in"),
        ("equal_weights", {"objective": "median"}, "objective must be one of sum, proportional_fair"),
        ("earliest_deadline", {"decay": 1.5}, "decay must lie in"),
        ("earliest_deadline", {"by": "age"}, "by must be one of deadline, laxity"),
        ("required_rate", {"exponent": -1.0}, "exponent must lie in"),
        ("shortest_first", {"power": math.nan}, "power must lie in"),
        ("request_index", {"temperature": 0.0}, "temperature must lie in"),
        ("request_index", {"threshold": -1.0}, "threshold must lie in"),
        ("open_loop_planner", {"rest": 2.0}, "rest must lie in"),
        ("deadline_rollout", {"steps": 0}, "steps must"),
        ("deadline_rollout", {"horizon": 0.0}, "horizon must lie in"),
    ],
)
def test_options_out_of_range_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_estimator(name, scenario(), **options)
