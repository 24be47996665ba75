"""Reductions over users: right, and the same for a cell whatever the cells beside it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multispin_gym._arrays import extremes, has_nan, max_users, sum_users


@pytest.mark.parametrize("num_users", [1, 2, 3, 5, 7, 8, 9, 16, 31, 32, 33, 64, 127, 1000])
def test_a_cells_sum_and_maximum_do_not_depend_on_the_batch(num_users):
    values = np.random.default_rng(num_users).lognormal(0.0, 5.0, (300, num_users))
    sums, maxima = sum_users(values), max_users(values)
    for row in range(0, 300, 37):
        assert sum_users(values[row]) == sums[row]
        assert sum_users(values[row : row + 1])[0] == sums[row]
        assert max_users(values[row]) == maxima[row]
    np.testing.assert_array_equal(sum_users(values.reshape(3, 100, num_users)), sums.reshape(3, 100))
    np.testing.assert_array_equal(max_users(values.reshape(3, 100, num_users)), maxima.reshape(3, 100))


@pytest.mark.parametrize("num_users", [1, 3, 8, 64, 100_000])
def test_sums_are_the_exact_ones_to_rounding_and_maxima_exact(num_users):
    values = np.random.default_rng(0).lognormal(0.0, 3.0, (4, num_users))
    for row in range(4):
        assert sum_users(values)[row] == pytest.approx(math.fsum(values[row]), rel=1e-13)
        assert max_users(values)[row] == max(values[row])


def test_an_infinite_time_is_the_longest():
    values = np.ones((200, 4))
    values[7, 2] = np.inf
    assert max_users(values)[7] == np.inf
    assert max_users(values[:3]).tolist() == [1.0, 1.0, 1.0]


@given(st.lists(st.floats(-1e6, 1e6), max_size=80), st.integers(0, 79), st.booleans())
def test_extremes_and_nan_are_found_in_few_values_and_in_many(numbers, place, spoil):
    values = np.array(numbers)
    assert extremes(values) == (min(numbers, default=math.inf), max(numbers, default=-math.inf))
    if numbers and spoil:
        values[place % len(numbers)] = math.nan
    assert has_nan(values) == bool(numbers and spoil)
