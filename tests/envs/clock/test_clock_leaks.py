"""Where something is hidden, what is seen tells of it by what was sampled alone."""

import gymnasium as gym
import numpy as np
import pytest
from clock_games import DEADLINE, HIDDEN, IDS, SERVE, STALE, make, make_vec, varied_actions

import multispin_gym as ms

OF_REQUESTS = {"remaining_tokens", "request_age"}
OF_ARRIVALS = OF_REQUESTS | {"present", "queue_length", "time_to_deadline"}
UNKNOWN_RATES = {"task", "accepted_count", "drafted_count"}
OLD_REPORTS = {"reported_channel_gain_db", "report_age"}
SEEN = {
    DEADLINE: {"acceptance_rate", "channel_gain_db", "drafting_speed"} | OF_ARRIVALS,
    STALE: {"acceptance_rate", "drafting_speed"} | OLD_REPORTS,
    HIDDEN: {"channel_gain_db", "drafting_speed"} | UNKNOWN_RATES | OF_REQUESTS,
    SERVE: {"drafting_speed"} | OLD_REPORTS | UNKNOWN_RATES | OF_ARRIVALS,
}
# What was decided, what was counted, and what was measured.
SAID = {
    *("draft_lengths", "bandwidth_shares"),
    *("present", "verified", "drafted", "delivered", "surplus", "rejected", "lost", "tokens"),
    *("given_up", "finished", "on_time", "arrived", "refused", "expired"),
    *("drafting_time", "upload_time", "verification_time", "latency", "goodput", "waited", "time"),
    *("time_to_first_token", "time_per_token", "finished_tokens"),
}


@pytest.mark.parametrize("env_id", IDS)
def test_what_is_seen_and_said_is_in_a_list(env_id):
    env = gym.make(env_id)
    observation, info = env.reset(seed=0)
    for _ in range(3):
        assert set(observation) == set(env.observation_space.spaces) == SEEN[env_id]
        assert set(info) == SAID
        observation, *_, info = env.step(env.action_space.sample())


def test_lengths_are_seen_only_where_they_are_known():
    assert set(gym.make(SERVE, length_known=False).observation_space.spaces) == SEEN[SERVE] - {"remaining_tokens"}


@pytest.mark.parametrize("env_id", [HIDDEN, SERVE])
@pytest.mark.parametrize("factor", [0.97, 0.995])
def test_games_whose_sampled_tokens_agree_show_the_same_whatever_their_rates(env_id, factor):
    envs, other = (make_vec(env_id, 200, num_users=3) for _ in range(2))
    envs.reset(seed=0)
    other.reset(seed=0)
    state = envs.unwrapped.state()
    other.unwrapped.restore({**state, "slot_acceptance_rate": factor * state["slot_acceptance_rate"]})
    rates = [each.unwrapped.users.acceptance_rate for each in (envs, other)]
    assert ((rates[0] != rates[1]) | (rates[0] == 0.0)).all()
    rng, agree, differ = np.random.default_rng(0), np.ones(200, bool), np.zeros(200, bool)
    for _ in range(12):
        actions = varied_actions(rng, envs, 200)
        (seen, paid, _, _, said), (found, got, _, _, told) = envs.step(actions), other.step(actions)
        agree &= (said["tokens"] == told["tokens"]).all(axis=1)
        for key in seen:
            np.testing.assert_array_equal(seen[key][agree], found[key][agree])
        for key in SAID:
            np.testing.assert_array_equal(said[key][agree], told[key][agree])
        np.testing.assert_array_equal(paid[agree], got[agree])
        differ |= ~agree
    assert agree.sum() > 20
    assert differ.sum() > 5


@pytest.mark.parametrize("env_id", IDS)
def test_sampled_tokens_are_whole(env_id):
    envs = make_vec(env_id, 20, sampled=True)
    envs.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(5):
        info = envs.step(varied_actions(rng, envs, 20))[4]
        for key in ("tokens", "delivered", "surplus", "rejected", "lost"):
            assert (info[key] == np.rint(info[key])).all()


@pytest.mark.parametrize("env_id", [HIDDEN, SERVE])
@pytest.mark.parametrize("optimum", [True, "bound", "certificate"])
def test_an_optimum_would_tell_of_hidden_rates(env_id, optimum):
    with pytest.raises(ValueError, match="optimum must be False where acceptance rates are hidden, got"):
        gym.make(env_id, optimum=optimum)


@pytest.mark.parametrize(("env_id", "why"), [(HIDDEN, "rates are hidden"), (STALE, "reports are old")])
def test_users_cannot_be_rebuilt_where_something_is_hidden(env_id, why):
    env = make(env_id)
    observation, _ = env.reset(seed=0)
    with pytest.raises(ValueError, match=f"observations do not determine the users here: .*{why}"):
        env.unwrapped.users_from_observation(observation)
    with pytest.raises(ValueError, match="observation"):
        ms.users_from_observation("paper_qwen35", observation)


def test_users_can_be_rebuilt_where_nothing_is_hidden_absent_ones_too():
    envs = make_vec(DEADLINE, 20, load=0.3)
    observation, _ = envs.reset(seed=0)
    for _ in range(5):
        users, truth = envs.unwrapped.users_from_observation(observation), envs.unwrapped.users
        assert not truth.present.all()
        for name, values in truth.fields.items():
            np.testing.assert_array_equal(getattr(users, name), values)
        observation, *_ = envs.step(varied_actions(np.random.default_rng(0), envs, 20))
    fixed = make_vec(DEADLINE, 2, arrivals=None, reward="tokens")
    observation, _ = fixed.reset(seed=0)
    assert fixed.unwrapped.users_from_observation(observation).present is None


def test_entries_of_absent_users_are_the_least_of_their_ranges():
    envs = make_vec(SERVE, 50, load=0.3)
    observation, _ = envs.reset(seed=0)
    for _ in range(20):
        away = observation["present"] == 0.0
        assert away.any()
        for key, values in observation.items():
            low = envs.single_observation_space[key].low
            if key != "queue_length":
                np.testing.assert_array_equal(values[away], np.broadcast_to(low, values.shape)[away])
        assert envs.observation_space.contains(observation)
        observation, *_ = envs.step(varied_actions(np.random.default_rng(0), envs, 50))


def test_an_upload_that_was_cut_off_was_measured_until_then_only():
    envs = make_vec(STALE, 100, cutoff=False, round_timeout=0.5)
    envs.reset(seed=0)
    info = envs.step(varied_actions(np.random.default_rng(0), envs, 100))[4]
    late = ~info["verified"]
    assert late.any()
    np.testing.assert_allclose((info["drafting_time"] + info["upload_time"])[late], 0.5, rtol=1e-12)
    assert (info["drafting_time"] + info["upload_time"] <= 0.5)[~late].all()
