"""Tokens of a verified draft, against accept/reject draws, direct sums and higher precision."""

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from multispin_gym import expected_tokens
from multispin_gym.physics.acceptance import sampled_tokens


def draw_rounds(alpha, length, rounds, rng):
    """Verify drafts token by token: each is accepted with probability alpha until the first rejection."""
    tokens = np.empty(rounds)
    for i in range(rounds):
        accepted = 0
        while accepted < length and rng.random() < alpha:
            accepted += 1
        tokens[i] = accepted + 1
    return tokens


@pytest.mark.parametrize(
    ("alpha", "length"), [(0.0, 3), (0.15, 2), (0.5, 1), (0.71, 5), (0.9, 12), (0.99, 20), (1.0, 4)]
)
def test_expected_tokens_are_the_mean_of_accept_reject_draws(alpha, length):
    tokens = draw_rounds(alpha, length, 20_000, np.random.default_rng(7))
    error = tokens.std() / np.sqrt(tokens.size)
    assert abs(tokens.mean() - expected_tokens(alpha, length)) <= 4 * error + 1e-12


@pytest.mark.parametrize("length", [0, 1, 2, 7, 40])
def test_expected_tokens_are_the_sum_of_the_probabilities_to_get_that_far(length):
    alpha = np.linspace(0.0, 1.0, 201)
    direct = sum(alpha**i for i in range(length + 1))
    np.testing.assert_allclose(expected_tokens(alpha, length), direct, rtol=1e-14)


@pytest.mark.parametrize("distance", [5e-324, 1e-300, 1e-17, 1e-16, 1e-12, 1e-8, 1e-4, 1e-2])
@pytest.mark.parametrize("length", [0, 1, 5, 12, 1000, 2.5])
def test_expected_tokens_keep_all_digits_next_to_both_ends(distance, length):
    for alpha in (distance, 1.0 - distance):
        with mp.workdps(50):
            a = mp.mpf(alpha)
            exact = mp.mpf(length) + 1 if a == 1 else (1 - a ** (mp.mpf(length) + 1)) / (1 - a)
        np.testing.assert_allclose(float(expected_tokens(alpha, length)), float(exact), rtol=4e-16 * 4)


def test_expected_tokens_without_a_draft_are_the_servers_own_token():
    np.testing.assert_allclose(expected_tokens(np.linspace(0.0, 1.0, 101), 0), 1.0, rtol=1e-15)


def test_expected_tokens_broadcast_rates_against_lengths():
    table = expected_tokens(np.array([[0.2], [0.8]]), np.arange(4))
    assert table.shape == (2, 4)
    assert table[1, 3] == pytest.approx(1 + 0.8 + 0.8**2 + 0.8**3, rel=1e-14)


@pytest.mark.parametrize(
    ("alpha", "length", "message"),
    [
        (1.5, 2, r"acceptance_rate must lie in \[0, 1\], got 1.5"),
        (np.nan, 2, r"acceptance_rate must lie in \[0, 1\], got nan"),
        (0.5, -1, r"draft_length must lie in \[0, inf\), got -1.0"),
        (0.5, np.inf, r"draft_length must lie in \[0, inf\), got inf"),
    ],
)
def test_expected_tokens_refuse_values_out_of_range(alpha, length, message):
    with pytest.raises(ValueError, match=message):
        expected_tokens(alpha, length)


@pytest.mark.parametrize(("alpha", "length"), [(0.0, 4), (0.3, 1), (0.6, 6), (0.95, 12), (1.0, 5)])
def test_sampled_tokens_follow_the_law_of_accept_reject_draws(alpha, length):
    rounds = 40_000
    uniforms = np.random.default_rng(11).random(rounds)
    tokens = sampled_tokens(np.full(rounds, alpha), np.full(rounds, float(length)), uniforms)
    counts = np.bincount(tokens.astype(int), minlength=length + 2)[1:]
    # i accepted drafts and then a rejection, or all of them.
    law = np.array([alpha**i * (1 - alpha) for i in range(length)] + [alpha**length])
    assert counts.sum() == rounds
    assert not counts[law == 0.0].any()
    if (law > 0.0).sum() == 1:
        assert counts[law > 0.0] == rounds
    else:
        possible = law > 0.0
        assert stats.chisquare(counts[possible], rounds * law[possible]).pvalue > 1e-3


def test_one_uniform_serves_every_draft_length():
    uniforms = np.random.default_rng(3).random(500)[:, None]
    tokens = sampled_tokens(np.array(0.8), np.arange(13.0), uniforms)
    longest = tokens[:, -1:]
    np.testing.assert_array_equal(tokens, np.minimum(longest, np.arange(13.0) + 1))


@pytest.mark.parametrize("alpha", [0.0, 5e-324, 0.5, 1.0 - 1e-16, 1.0])
@pytest.mark.parametrize("uniform", [0.0, 5e-324, 0.5, 1.0 - 1e-16])
def test_sampled_tokens_stay_between_one_and_the_whole_draft_at_the_ends(alpha, uniform):
    tokens = sampled_tokens(np.array(alpha), np.arange(6.0), np.array(uniform))
    assert (tokens >= 1.0).all()
    assert (tokens <= np.arange(6.0) + 1.0).all()
    assert tokens[0] == 1.0
