"""The bandit over lengths: its index by hand, and how its regret grows where nothing changes."""

import numpy as np
import pytest

from multispin_gym.baselines.estimators.spec_stop import LengthBandit

RATE, DRAFT, VERIFY = 0.3, 0.05, 0.05
LENGTHS = np.arange(1, 7)
TOKENS = (1 - RATE ** (LENGTHS + 1)) / (1 - RATE)
SECONDS = LENGTHS * DRAFT + VERIFY
BEST = (SECONDS / TOKENS).min()


def regrets(beta, scaled, rounds=4000, rows=100, seed=0):
    """Seconds lost against the best length by the end of each round, the mean over cells; and how often each came."""
    rng, bandit = np.random.default_rng(seed), LengthBandit(rows, 1, 6, beta, scaled)
    state, lost, pulls = np.zeros(rows, int), np.zeros(rounds), np.zeros(6)
    for t in range(rounds):
        arm = bandit.choose(state)
        tokens = 1.0 + np.minimum(np.floor(np.log(rng.random(rows)) / np.log(RATE)), LENGTHS[arm])
        bandit.add(state, arm, tokens, SECONDS[arm], np.ones(rows, bool))
        lost[t] = (SECONDS[arm] - BEST * TOKENS[arm]).mean()
        pulls += np.bincount(arm, minlength=6)
    return np.cumsum(lost), pulls / rows


def test_every_length_is_tried_once_and_then_the_index_decides():
    rng, beta = np.random.default_rng(1), 0.3
    bandit, rounds = LengthBandit(1, 2, 4, beta, scaled=False), []
    for t in range(60):
        state = np.array([t % 2])
        arm = bandit.choose(state)
        mine = [(a, n, s) for z, a, n, s in rounds if z == t % 2]
        if len(mine) < 4:
            assert arm[0] == len(mine)
        else:
            index = []
            for a in range(4):
                pulls, tokens, seconds = (sum(x) for x in zip(*[(1, n, s) for b, n, s in mine if b == a], strict=True))
                index.append(seconds / tokens - beta * np.sqrt(pulls * np.log(len(mine))) / tokens)
            assert arm[0] == np.argmin(index)
        tokens, seconds = rng.integers(1, 6), rng.random()
        bandit.add(state, arm, np.array([float(tokens)]), np.array([seconds]), np.ones(1, bool))
        rounds.append((t % 2, arm[0], tokens, seconds))


def test_a_scaled_bonus_does_not_depend_on_the_unit_of_time():
    rng = np.random.default_rng(2)
    bandits = [LengthBandit(1, 1, 3, 0.5, scaled=True) for _ in range(2)]
    for _ in range(50):
        arms = [bandit.choose(np.zeros(1, int)) for bandit in bandits]
        assert arms[0] == arms[1]
        tokens, seconds = rng.integers(1, 5, 1).astype(float), rng.random(1)
        for bandit, unit in zip(bandits, (1.0, 1000.0), strict=True):
            bandit.add(np.zeros(1, int), arms[0], tokens, unit * seconds, np.ones(1, bool))


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.25, 0.5])
def test_regret_grows_like_the_logarithm_with_a_scaled_bonus(beta):
    """It adds about as much while the rounds grow from 1,000 to 4,000 as from 250 to 1,000; a line adds 4 times it."""
    lost, pulls = regrets(beta, scaled=True)
    early, late = lost[999] - lost[249], lost[3999] - lost[999]
    assert 0.5 * early < late < 1.6 * early
    assert pulls.argmax() == (SECONDS / TOKENS).argmin()


@pytest.mark.slow
def test_a_bonus_as_printed_far_above_the_times_never_ends_trying():
    lost, pulls = regrets(beta=100.0, scaled=False)
    assert lost[3999] - lost[999] > 3.5 * (lost[999] - lost[249])
    assert pulls.max() < 1.5 * pulls.min()


def test_rows_forget_by_themselves_and_rounds_that_were_not_played_count_for_nothing():
    bandit = LengthBandit(2, 1, 3, 1.0, scaled=True)
    state, both = np.zeros(2, int), np.ones(2, bool)
    for arm in range(3):
        bandit.add(state, np.full(2, arm), np.array([1.0, 2.0]), np.array([1.0, 1.0 + arm]), both)
    bandit.add(state, np.zeros(2, int), np.ones(2), np.full(2, 1e6), ~both)
    assert bandit.choose(state)[1] == 0
    bandit.forget(np.array([False, True]))
    assert bandit.choose(state)[1] == 0
    bandit.add(state, np.zeros(2, int), np.ones(2), np.ones(2), np.array([False, True]))
    assert bandit.choose(state)[1] == 1
