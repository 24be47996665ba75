"""Rules for all at once: weights by hand, and what is left of them where a part is switched off."""

import dataclasses
import math

import gymnasium as gym
import numpy as np
import pytest

import multispin_gym as ms
from multispin_gym.baselines import believed_users, make_controller, make_estimator
from multispin_gym.baselines.estimators.serving import index_weights

SERVE = "multispin_gym/MultiSpinServe-v0"


@pytest.fixture(scope="module")
def seen():
    """Observations of crowded cells, the info before them, and the scenario."""
    envs = gym.make_vec(SERVE, num_envs=12, vectorization_mode="vector_entry_point", num_users=4, load=4.0)
    observation, info = envs.reset(seed=0)
    for _ in range(25):
        observation, _, _, _, info = envs.step(np.full(envs.action_space.shape, -0.8, np.float32))
    assert (observation["present"].sum(axis=1) > 0).all()
    assert not observation["present"].all()
    return observation, info, envs.unwrapped.scenario


def test_weights_are_the_value_of_a_token_by_the_chance_to_be_on_time(seen):
    observation, _, scenario = seen
    rates = np.array([task.mean_rate for task in scenario.acceptance])
    users = believed_users(scenario, observation, rates[observation["task"].astype(int)])
    found = index_weights(scenario, 0.5, 0.4, 1.3)(observation, users)
    outcome = ms.play_round(
        users, scenario.cell, make_controller("heterogeneous", objective="proportional_fair")(users, scenario.cell)
    )
    for row in range(12):
        worth = {}
        for place in np.flatnonzero(observation["present"][row]):
            left = float(observation["remaining_tokens"][row, place])
            rate = 1.3 * outcome.tokens[row, place] / outcome.latency[row]
            odds = (rate * float(observation["time_to_deadline"][row, place]) / left) ** (1.0 / 0.4)
            value = left + float(observation["accepted_count"][row, place])
            worth[place] = value / math.sqrt(left) * odds / (1.0 + odds)
        for place, weight in worth.items():
            assert found[row, place] == pytest.approx(max(weight / max(worth.values()), 1e-6), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "plain", "options"),
    [
        ("index_quantile", "channel_quantile", {"level": 0.1, "cutoff": 1.3}),
        ("index_programme", "stochastic_programme", {"price": 1.1}),
    ],
)
def test_where_all_requests_weigh_the_same_the_rules_are_those_without_weights(seen, monkeypatch, name, plain, options):
    observation, info, scenario = seen
    monkeypatch.setattr(
        "multispin_gym.baselines.estimators.serving.fair_chance",
        lambda pending, *_: np.where(pending.present, 1.0 / pending.value, 0.0),
    )
    weighed = make_estimator(name, scenario, power=0.0, **options)
    horizon = {"horizon": "round"} if name == "index_programme" else {}
    without = make_estimator(plain, scenario, **options, **horizon)
    for rule in (weighed, without):
        rule.reset(observation, info)
    one, other = weighed.decide(observation, info), without.decide(observation, info)
    np.testing.assert_array_equal(one.draft_lengths, other.draft_lengths)
    np.testing.assert_allclose(one.bandwidth_shares, other.bandwidth_shares, atol=1e-9)
    np.testing.assert_allclose(one.cutoff, other.cutoff)


def test_who_cannot_be_on_time_gets_next_to_nothing(seen):
    observation, info, scenario = seen
    hopeless = {**observation, "time_to_deadline": observation["time_to_deadline"].copy()}
    first = observation["present"].argmax(axis=1)
    rows = np.arange(12)
    hopeless["time_to_deadline"][rows, first] = 1e-3
    for name in ("index_quantile", "index_programme"):
        rule = make_estimator(name, scenario, temperature=1.0)
        rule.reset(hopeless, info)
        decision = rule.decide(hopeless, info)
        # Drafts that are never in by the cut-off leave the batch, which is shorter without them.
        assert decision.bandwidth_shares[rows, first].max() < 0.1
        assert (decision.draft_lengths.sum(axis=1) > 0).all()


@pytest.mark.parametrize("option", ["power", "temperature", "speed_up", "threshold"])
def test_options_out_of_range_are_refused(seen, option):
    with pytest.raises(ValueError, match=f"{option} must lie in .*, got -1.0"):
        make_estimator("index_quantile", seen[2], **{option: -1.0})


@pytest.fixture(scope="module")
def admitting(seen):
    """The same cells where requests may be given up, and with somebody waiting in front of half of them."""
    observation, info, scenario = seen
    clock = dataclasses.replace(scenario.clock, admission=True)
    waiting = np.where(np.arange(12) % 2 == 0, 3.0, 0.0)[:, None]
    return {**observation, "queue_length": waiting}, info, dataclasses.replace(scenario, clock=clock)


@pytest.mark.parametrize("name", ["index_quantile", "index_programme"])
def test_where_somebody_waits_who_is_worth_less_than_a_newcomer_is_given_up(admitting, name):
    observation, info, scenario = admitting
    index = make_estimator("request_index", scenario, temperature=0.4, threshold=0.7)
    rule = make_estimator(name, scenario, temperature=0.4, threshold=0.7)
    kept = make_estimator(name, scenario, temperature=0.4)
    for every in (index, rule, kept):
        every.reset(observation, info)
    decision, gone = rule.decide(observation, info), index.decide(observation, info).give_up
    # The index is of what is left after nobody was found hopeless, so both let the same requests go.
    np.testing.assert_array_equal(decision.give_up, gone)
    assert gone[::2].any()
    assert not gone[1::2].any()
    assert (decision.draft_lengths[gone] == 0).all()
    assert (decision.bandwidth_shares[gone] == 0.0).all()
    # All others are decided for as if those had gone already.
    left = kept.decide({**observation, "present": np.where(gone, 0, observation["present"])}, info)
    np.testing.assert_array_equal(decision.draft_lengths, left.draft_lengths)
    np.testing.assert_array_equal(decision.cutoff, left.cutoff)


@pytest.mark.parametrize("name", ["index_quantile", "index_programme"])
def test_nobody_is_given_up_without_a_threshold_or_where_it_cannot_be_decided(admitting, seen, name):
    for observation, info, scenario, threshold in ((*admitting, 0.0), (*seen, 100.0)):
        rule = make_estimator(name, scenario, threshold=threshold)
        rule.reset(observation, info)
        assert rule.decide(observation, info).give_up is None
