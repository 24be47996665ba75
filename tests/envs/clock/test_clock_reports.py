"""Channel reports are as old and as noisy as the clock says."""

import math

import numpy as np
import pytest
from clock_games import SERVE, STALE, make_vec, varied_actions
from scipy import stats

CELLS = 300


def looks(count, skip=3, env_id=STALE, **options):
    """Observation, true gains over mean gains, and reported ones likewise, a few rounds apart."""
    envs = make_vec(env_id, CELLS, episode_seconds=1e6, **options)
    observation, _ = envs.reset(seed=0)
    rng = np.random.default_rng(0)
    for index in range(count * skip):
        observation, *_ = envs.step(varied_actions(rng, envs, CELLS))
        if index % skip == skip - 1:
            state, users = envs.unwrapped.state(), envs.unwrapped.users
            mean = state["slot_mean_gain"]
            reported = 10.0 ** (0.1 * observation["reported_channel_gain_db"].astype(np.float64)) / mean
            yield observation, users.channel_gain / mean, reported, state


@pytest.mark.parametrize(("age", "coherence"), [(0.3, 2.0), (0.6, 1.0), (1.5, 1.0)])
def test_an_old_report_is_correlated_with_the_truth_by_its_age(age, coherence):
    options = {"report_age": age, "report_noise_db": 0, "coherence_time": coherence}
    found = []
    for observation, truth, reported, state in looks(8, skip=8, **options):
        # Episodes begin with a fresh report.
        joined = state["time"][:, None] - state["slot_joined"]
        np.testing.assert_allclose(observation["report_age"], np.minimum(age, joined), rtol=1e-6)
        old = (observation["report_age"] >= np.float32(age)) & (reported > 1e-5)
        assert old.mean() > 0.5
        found.append(np.corrcoef(truth[old], reported[old])[0, 1])
        assert stats.kstest(truth[:, 0], "expon").pvalue > 1e-4
    # Powers are correlated by the square of the amplitudes' correlation.
    assert np.mean(found) == pytest.approx(math.exp(-2.0 * age / coherence), abs=0.05)


def test_the_error_of_a_report_is_normal_in_decibels():
    options = {"report_age": 0, "report_noise_db": 2.5, "coherence_time": 2.0}
    before = None
    for observation, truth, reported, _ in looks(3, skip=1, **options):
        assert (observation["report_age"] == 0.0).all()
        error = 10.0 * np.log10(reported / truth)
        low = make_vec(STALE, 1, **options).single_observation_space["reported_channel_gain_db"].low[0]
        inside = observation["reported_channel_gain_db"] > low
        assert stats.kstest(error[inside] / 2.5, "norm").pvalue > 1e-3
        if before is not None:
            assert abs(np.corrcoef(before.ravel(), error.ravel())[0, 1]) < 4.0 / math.sqrt(error.size)
        before = error


def test_reports_without_age_and_error_are_the_truth():
    envs = make_vec(STALE, 5, report_age=0, report_noise_db=0)
    observation, _ = envs.reset(seed=0)
    gain = envs.unwrapped.scenario.db_to_gain(observation["channel_gain_db"])
    np.testing.assert_array_equal(gain, envs.unwrapped.users.channel_gain)


def test_a_newcomers_channel_is_measured_when_it_enters():
    seen = 0
    for observation, truth, reported, state in looks(20, skip=1, env_id=SERVE, report_noise_db=0):
        entering = state["slot_present"] & (state["slot_joined"] == state["time"][:, None]) & (truth > 1e-5)
        seen += np.count_nonzero(entering)
        assert (observation["report_age"][entering] == 0.0).all()
        np.testing.assert_allclose(reported[entering], truth[entering], rtol=1e-5)
    assert seen > 100


@pytest.mark.parametrize("age", [0.0, 0.5])
def test_ages_do_not_move_the_channels(age):
    """Channels follow from the seed and the time: as old as reports are, the truth is the same."""
    one, other = (make_vec(STALE, 4, report_age=each) for each in (0.2, age))
    for envs in (one, other):
        envs.reset(seed=0)
    rng = np.random.default_rng(1)
    for _ in range(30):
        actions = varied_actions(rng, one, 4)
        one.step(actions)
        other.step(actions)
        np.testing.assert_array_equal(one.unwrapped.users.channel_gain, other.unwrapped.users.channel_gain)
