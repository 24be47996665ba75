"""Fades: stationary, Gauss-Markov in seconds, the same whoever looks and whenever, and begun anew with each device."""

import dataclasses
import math

import numpy as np
import pytest
from clock_draws import fade_amplitudes
from clock_games import SERVE, lively
from scipy import stats

from multispin_gym._counters import keys_of
from multispin_gym.envs.clock.channel import Channel
from multispin_gym.envs.clock.fades import INSTANTS_PER_COHERENCE_TIME, FadeTracks

ROWS, USERS = 400, 8


def clock(**changes):
    base = lively(SERVE).clock
    return dataclasses.replace(base, **changes)


def tracks(num_rows=ROWS, correlation=0.9, span=0, seed=0):
    fades = FadeTracks(keys_of(seed, num_rows), USERS, correlation, span)
    fades.begin(np.arange(num_rows))
    return fades


def channel(num_rows=ROWS, seed=0, **changes):
    made = Channel(lively(SERVE), clock(**changes), keys_of(seed, num_rows), USERS)
    made.begin(np.arange(num_rows))
    return made


def look(made, time, entered=None, num_rows=ROWS):
    instants = made.instants(np.full(num_rows, time), np.zeros(num_rows, np.int64))
    made.reach(instants)
    return made.power(instants, np.zeros((num_rows, USERS), np.int64) if entered is None else entered)


@pytest.mark.parametrize("instant", [0, 1, 31, 32, 200])
def test_power_is_exponential_of_mean_one_at_every_instant(instant):
    fades = tracks()
    fades.reach(np.full(ROWS, instant))
    amplitudes = fades.at(np.full(ROWS, instant))
    power = np.square(amplitudes).sum(axis=1).ravel()
    assert stats.kstest(power, "expon").pvalue > 1e-3
    assert stats.kstest(amplitudes.ravel(), "norm", args=(0.0, math.sqrt(0.5))).pvalue > 1e-3


@pytest.mark.parametrize("correlation", [0.0, 0.5, math.exp(-1.0 / 8.0), 0.999])
def test_amplitudes_are_what_the_recursion_makes_of_the_noise(correlation):
    fades = tracks(3, correlation, span=100)
    fades.reach(np.array([130, 64, 95]))
    for row, (last, key) in enumerate(zip((159, 95, 95), keys_of(0, 3).tolist(), strict=True)):
        exact = fade_amplitudes(key, USERS, correlation, last + 1)
        for instant in range(max(last - 99, 0), last + 1):
            shown = fades.at(np.full(3, instant))[row]
            np.testing.assert_allclose(shown, exact[instant], rtol=0.0, atol=1e-5)


def test_two_looks_are_correlated_by_the_exponential_within_its_chord():
    """Averaged over where between two instants the first look falls, as looks of a game do."""
    coherence, rng = 2.0, np.random.default_rng(0)
    spacing = coherence / INSTANTS_PER_COHERENCE_TIME
    for lag in (0.1, 0.4, 1.0, 2.7):
        first = rng.uniform(5.0, 5.0 + 8 * spacing, 200_000)
        steps = np.floor((first + lag) / spacing) - np.floor(first / spacing)
        exact = math.exp(-lag / coherence)
        mean = np.exp(-steps / INSTANTS_PER_COHERENCE_TIME).mean()
        assert mean / exact == pytest.approx(1.0, abs=1.0 / (8 * INSTANTS_PER_COHERENCE_TIME**2) + 5e-4)
        assert mean > exact * (1.0 - 5e-4)
        # And that is what tracks have: the amplitudes of 400 x 8 slots, two quadratures each.
        fades = tracks(correlation=math.exp(-1.0 / INSTANTS_PER_COHERENCE_TIME), span=20)
        one = (first[:ROWS] / spacing).astype(np.int64)
        other = ((first[:ROWS] + lag) / spacing).astype(np.int64)
        fades.reach(other)
        found = 2.0 * np.mean(fades.at(one) * fades.at(other))
        assert found == pytest.approx(exact, abs=5.0 / math.sqrt(2 * ROWS * USERS))


def test_a_channel_is_the_same_whenever_it_is_looked_at():
    often, seldom = channel(20, coherence_time=2.0), channel(20, coherence_time=2.0)
    times = np.cumsum(np.random.default_rng(0).exponential(0.3, 400))
    for index, time in enumerate(times):
        power = look(often, time, num_rows=20)
        if index % 37 == 0:
            np.testing.assert_array_equal(power, look(seldom, time, num_rows=20))


def enter(made, time, seed):
    """Let a device enter the first slot of every row; return its first amplitudes."""
    rows = np.arange(ROWS)
    amplitudes = np.random.default_rng(seed).standard_normal((ROWS, 2)) * math.sqrt(0.5)
    instants = made.instants(np.full(ROWS, time), np.zeros(ROWS, np.int64))
    made.enter(rows, np.zeros(ROWS, np.int64), amplitudes, instants)
    entered = np.zeros((ROWS, USERS), np.int64)
    entered[:, 0] = instants
    return amplitudes, entered


def test_a_newcomers_fade_begins_with_its_own_amplitude_and_is_stationary():
    made = channel(coherence_time=2.0)
    before = look(made, 10.0)
    amplitudes, entered = enter(made, 10.0, seed=1)
    own = np.square(amplitudes).sum(axis=1)
    after = look(made, 10.0, entered)
    np.testing.assert_allclose(after[:, 0], own, rtol=1e-9)
    np.testing.assert_array_equal(after[:, 1:], before[:, 1:])
    # Powers are correlated by the square of the amplitudes' correlation, and have a variance of one.
    for lag in (0.5, 2.0, 20.0):
        later = look(made, 10.0 + lag, entered)[:, 0]
        assert stats.kstest(later, "expon").pvalue > 1e-3
        expected = math.exp(-2.0 * lag / 2.0)
        assert np.corrcoef(own, later)[0, 1] == pytest.approx(expected, abs=4.0 / math.sqrt(ROWS))
        assert abs(np.corrcoef(before[:, 0], later)[0, 1]) < 4.0 / math.sqrt(ROWS)


def test_without_fading_the_power_is_one_and_without_a_coherence_time_instants_are_rounds():
    scenario = lively(SERVE)
    still = dataclasses.replace(scenario, fading=dataclasses.replace(scenario.fading, model="none"))
    made = Channel(still, clock(coherence_time=None), keys_of(0, 2), USERS)
    made.begin(np.arange(2))
    made.reach(np.array([5, 6]))
    assert (made.power(np.array([5, 6]), np.zeros((2, USERS), np.int64)) == 1.0).all()
    assert made.instants(np.array([7.3, 9.9]), np.array([4, 5])).tolist() == [4, 5]
    rounds = channel(coherence_time=None)
    powers = []
    for number in (0, 1, 2):
        instants = np.full(ROWS, number)
        rounds.reach(instants)
        powers.append(rounds.power(instants, np.zeros((ROWS, USERS), np.int64)).ravel())
    assert abs(np.corrcoef(powers[0], powers[1])[0, 1]) < 0.07
    assert abs(np.corrcoef(powers[1], powers[2])[0, 1]) < 0.07


def test_before_its_entry_a_device_has_the_fade_that_it_entered_with():
    made = channel(coherence_time=2.0)
    look(made, 10.0)
    amplitudes, entered = enter(made, 10.0, seed=1)
    earlier = made.instants(np.full(ROWS, 9.7), np.zeros(ROWS, np.int64))
    power = made.power(earlier, entered)
    np.testing.assert_array_equal(power[:, 0], np.square(amplitudes).sum(axis=1))
    np.testing.assert_array_equal(power[:, 1:], made.power(earlier, np.zeros((ROWS, USERS), np.int64))[:, 1:])
