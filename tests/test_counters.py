"""Numbers by count: SplitMix64's own ones, and the laws that are made of them."""

import numpy as np
import pytest
from clock_draws import normal_pair, word
from scipy import stats

from multispin_gym._counters import exponentials, keys_of, normal_pairs, uniforms, words

COUNT = 200_000
KEYS = np.array([0, 1234567, 2**64 - 1, 2**63], dtype=np.uint64)


def test_words_are_those_of_the_published_generator():
    # The first five for the seed 1234567 in the test vectors that go with Vigna's program.
    first = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert words(KEYS[1:2], np.arange(5)).tolist() == first
    found = words(KEYS[:, None], np.array([0, 3, 2**40]))
    assert found.tolist() == [[word(int(key), count) for count in (0, 3, 2**40)] for key in KEYS]


def test_keys_differ_from_each_other_and_between_seeds():
    assert np.unique(np.concatenate([keys_of(seed, 6) for seed in range(1000)])).size == 6000
    np.testing.assert_array_equal(keys_of(7, 6), keys_of(7, 6))


@pytest.mark.parametrize("key", KEYS.tolist())
def test_draws_have_their_laws_and_do_not_depend_on_each_other(key):
    found = words(np.array([key], np.uint64), np.arange(COUNT))
    first, second = normal_pairs(found)
    assert first.dtype == second.dtype == np.float32
    for values, law in (
        (uniforms(found), stats.uniform.cdf),
        (exponentials(found), stats.expon.cdf),
        (first, stats.norm.cdf),
        (second, stats.norm.cdf),
    ):
        assert stats.kstest(values, law).pvalue > 1e-3
        assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 4.5 / np.sqrt(COUNT)
    assert abs(np.corrcoef(first, second)[0, 1]) < 4.5 / np.sqrt(COUNT)
    assert abs(np.corrcoef(first**2, second**2)[0, 1]) < 4.5 / np.sqrt(COUNT)
    # As many far from the middle as there should be: 6.3e-5 of them are beyond 4.
    far = np.abs(np.concatenate([first, second])) > 4.0
    assert stats.binomtest(int(far.sum()), far.size, 2.0 * stats.norm.sf(4.0)).pvalue > 1e-3


def test_streams_of_neighbouring_keys_and_seeds_do_not_depend_on_each_other():
    keys = np.concatenate([np.arange(8, dtype=np.uint64), keys_of(0, 4), keys_of(1, 4)])
    table = uniforms(words(keys[:, None], np.arange(COUNT)))
    assert np.abs(np.corrcoef(table) - np.eye(len(table))).max() < 5.0 / np.sqrt(COUNT)


def test_the_least_and_the_largest_word_give_numbers():
    ends = np.array([0, 2**64 - 1, 2**32 - 1, 2**64 - 2**32], dtype=np.uint64)
    assert ((uniforms(ends) >= 0.0) & (uniforms(ends) < 1.0)).all()
    assert ((exponentials(ends) > 0.0) & np.isfinite(exponentials(ends))).all()
    assert np.isfinite(normal_pairs(ends)).all()
    assert np.abs(normal_pairs(ends)).max() > 6.0


def test_normal_pairs_are_those_of_double_precision():
    first, second = normal_pairs(words(KEYS[:, None], np.arange(500)), deviation=0.5)
    exact = np.array([[normal_pair(int(key), count) for count in range(500)] for key in KEYS])
    np.testing.assert_allclose(first, 0.5 * exact[..., 0], rtol=0.0, atol=2e-6)
    np.testing.assert_allclose(second, 0.5 * exact[..., 1], rtol=0.0, atol=2e-6)
