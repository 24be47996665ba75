from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import multispin_gym as ms
from multispin_gym.envs.actions import ActionCodec
from multispin_gym.envs.observations import ObservationCodec

CELL = ms.load_scenario("laptops_60ms").cell


def codec(num_users=3, low=1, high=12, common_length=False):
    cell = dataclasses.replace(CELL, min_draft_length=low, max_draft_length=high)
    return ActionCodec(cell, num_users, common_length=common_length)


@st.composite
def codecs(draw):
    low = draw(st.integers(0, 3))
    high = draw(st.integers(max(low, 1), 40))
    return codec(draw(st.integers(1, 12)), low, high, draw(st.booleans()))


def draw_lengths(data, actions):
    cell, count = actions.cell, 1 if actions.common_length else actions.num_users
    entries = st.integers(cell.min_draft_length, cell.max_draft_length)
    lengths = data.draw(st.lists(entries, min_size=count, max_size=count))
    return np.broadcast_to(lengths, (actions.num_users,))


@pytest.mark.slow
@given(codecs(), st.data())
def test_decoded_entries_are_equal_bins_of_the_lengths_and_a_softmax_of_six_times_the_logits(actions, data):
    entry = st.floats(-1.5, 1.5, width=32)
    action = data.draw(st.lists(entry, min_size=actions.size, max_size=actions.size))
    decision = actions.decode(np.array(action, dtype=np.float32))
    clipped = [min(max(x, -1.0), 1.0) for x in action]
    low, count = actions.cell.min_draft_length, actions.cell.num_draft_lengths
    first = clipped[: -actions.num_users] * (actions.num_users if actions.common_length else 1)
    lengths = [low + min(math.floor((x + 1.0) / 2.0 * count), count - 1) for x in first]
    assert decision.draft_lengths.tolist() == lengths
    weights = [math.exp(6.0 * x) * (n > 0) for x, n in zip(clipped[-actions.num_users :], lengths, strict=True)]
    expected = np.array(weights) / (sum(weights) or 1.0)
    np.testing.assert_allclose(decision.bandwidth_shares, expected, rtol=1e-12)


@pytest.mark.slow
@given(codecs(), st.data())
def test_a_decision_survives_its_encoding(actions, data):
    lengths = draw_lengths(data, actions)
    ratios = np.array(data.draw(st.lists(st.floats(-5.99, 5.99), min_size=len(lengths), max_size=len(lengths))))
    weights = np.exp(ratios) * (lengths > 0)
    shares = weights / (weights.sum() or 1.0)
    action = actions.encode(ms.Decision(lengths, shares))
    assert action.dtype == np.float32
    assert actions.space.contains(action)
    decoded = actions.decode(action)
    np.testing.assert_array_equal(decoded.draft_lengths, lengths)
    np.testing.assert_allclose(decoded.bandwidth_shares, shares, rtol=1e-5)


def test_shares_as_far_apart_as_the_action_set_allows_survive():
    shares = np.array([1.0, math.exp(-12.0), math.exp(-6.0)])
    shares /= shares.sum()
    decoded = codec().decode(codec().encode(ms.Decision([1, 12, 6], shares)))
    np.testing.assert_allclose(decoded.bandwidth_shares, shares, rtol=1e-5)


def test_shares_further_apart_are_raised_to_the_nearest_that_the_action_set_has():
    decoded = codec().decode(codec().encode(ms.Decision([1, 1, 1], [1.0 - 1e-9, 0.5e-9, 0.5e-9])))
    expected = np.array([1.0, math.exp(-12.0), math.exp(-12.0)])
    np.testing.assert_allclose(decoded.bandwidth_shares, expected / expected.sum(), rtol=1e-5)


def test_shares_that_leave_bandwidth_unused_come_back_in_proportion():
    decoded = codec().decode(codec().encode(ms.Decision([2, 3, 4], [0.1, 0.2, 0.1])))
    np.testing.assert_allclose(decoded.bandwidth_shares, [0.25, 0.5, 0.25], rtol=1e-5)


def test_the_share_of_a_user_without_a_draft_goes_to_the_others():
    actions = codec(low=0)
    decoded = actions.decode(actions.encode(ms.Decision([2, 0, 4], [0.2, 0.6, 0.2])))
    np.testing.assert_allclose(decoded.bandwidth_shares, [0.5, 0.0, 0.5], rtol=1e-5)


def test_nobody_drafting_has_an_action_where_users_may_opt_out():
    actions = codec(low=0)
    decoded = actions.decode(actions.encode(ms.Decision([0, 0, 0], [0.0, 0.0, 0.0])))
    assert decoded.draft_lengths.tolist() == [0, 0, 0]
    assert decoded.bandwidth_shares.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("common_length", [False, True])
def test_a_batch_of_actions_decodes_and_encodes_like_its_rows(common_length):
    actions = codec(5, low=0, common_length=common_length)
    batch = np.random.default_rng(0).uniform(-1.0, 1.0, (4, 3, actions.size)).astype(np.float32)
    decoded = actions.decode(batch)
    encoded = actions.encode(decoded)
    for index in np.ndindex(4, 3):
        row = actions.decode(batch[index])
        np.testing.assert_array_equal(decoded.draft_lengths[index], row.draft_lengths)
        np.testing.assert_array_equal(decoded.bandwidth_shares[index], row.bandwidth_shares)
        np.testing.assert_array_equal(encoded[index], actions.encode(row))


def test_infinite_entries_are_clipped_to_the_box():
    decision = codec(2).decode(np.array([np.inf, -np.inf, np.inf, -np.inf]))
    assert decision.draft_lengths.tolist() == [12, 1]
    assert decision.bandwidth_shares[0] / decision.bandwidth_shares[1] == pytest.approx(math.exp(12.0))


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        ([0.0] * 5, ValueError, r"last axis of length 6, got shape \(5,\)"),
        (0.0, ValueError, r"last axis of length 6, got shape \(\)"),
        ([0.0] * 5 + [math.nan], ValueError, r"must lie in \[-1, 1\], got nan at index \(5,\)"),
        ([[0.0] * 6, [math.nan] + [0.0] * 5], ValueError, r"got nan at index \(1, 0\)"),
        (["a"] * 6, TypeError, "action must be an array of numbers"),
    ],
)
def test_bad_actions_are_refused(action, error, message):
    with pytest.raises(error, match=message):
        codec().decode(action)


@pytest.mark.parametrize(
    ("options", "lengths", "shares", "message"),
    [
        (
            {},
            [0, 0, 0],
            [0.0, 0.0, 0.0],
            r"in \[1, 12\] to be an action, got 0 .*no action lets a user draft nothing",
        ),
        ({}, [1, 13, 1], [0.2, 0.2, 0.2], r"lie in \[1, 12\] to be an action, got 13 at index \(1,\)"),
        ({}, [1, 1], [0.5, 0.5], "for 2 users, the environment has 3"),
        ({}, [1, 1, 1], [0.5, 0.0, 0.5], r"must be positive .* got 0 at index \(1,\)"),
        ({"common_length": True}, [[2, 2, 2], [2, 3, 2]], [0.2, 0.2, 0.2], r"must be equal .* got \[2, 3, 2\]"),
    ],
)
def test_decisions_without_an_action_are_refused(options, lengths, shares, message):
    with pytest.raises(ValueError, match=message):
        codec(**options).encode(ms.Decision(lengths, shares))


@pytest.mark.parametrize("scenario", ms.list_scenarios())
def test_observation_spaces_have_the_scenarios_finite_bounds(scenario):
    source = ms.load_scenario(scenario)
    space = ObservationCodec(source, 4).space
    assert set(space) == {"acceptance_rate", "channel_gain_db", "drafting_speed"}
    for name, box in space.items():
        assert box.dtype == np.float32
        assert box.shape == (4,)
        assert (float(box.low[0]), float(box.high[0])) == source.observation_bounds[name]
        assert np.isfinite([box.low, box.high]).all()


def observation(**changes):
    values = {
        "acceptance_rate": np.full(3, 0.5, dtype=np.float32),
        "channel_gain_db": np.full(3, -110.0, dtype=np.float32),
        "drafting_speed": np.full(3, 100.0, dtype=np.float32),
    }
    return {**values, **changes}


def test_users_of_an_observation_carry_its_numbers():
    users = ObservationCodec(ms.load_scenario("laptops_60ms"), 3).users(observation())
    np.testing.assert_array_equal(users.acceptance_rate, 0.5)
    np.testing.assert_array_equal(users.drafting_speed, 100.0)
    np.testing.assert_allclose(users.channel_gain, 1e-11, rtol=1e-12)
    np.testing.assert_array_equal(users.transmit_power, ms.load_scenario("laptops_60ms").reference_power)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"drafting_speeds": np.ones(3)}, "Did you mean 'drafting_speed'"),
        ({"drafting_speed": np.ones(4)}, r"drafting_speed must have a last axis of 3 users, got shape \(4,\)"),
        ({"acceptance_rate": np.array(0.5)}, r"acceptance_rate must have a last axis of 3 users, got shape \(\)"),
        ({"acceptance_rate": np.array([0.5, 1.5, 0.5])}, "acceptance_rate must lie in"),
        ({"channel_gain_db": np.full(3, np.nan)}, "channel_gain must lie in"),
    ],
)
def test_bad_observations_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        ObservationCodec(ms.load_scenario("laptops_60ms"), 3).users(observation(**bad))


def test_an_observation_without_keys_is_refused():
    with pytest.raises(ValueError, match=r"must have the keys .*; got none"):
        ObservationCodec(ms.load_scenario("laptops_60ms"), 3).users({})
