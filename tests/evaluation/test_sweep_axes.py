"""The axes of a sweep: values as they are typed, and one line for what is no axis."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multispin_gym.evaluation.sweeps.axes import MOST_POINTS, Axis, read_axes, value_word


def read(*texts, whole=("num_users",)):
    return read_axes(texts, lambda key: key in whole)


@pytest.mark.parametrize(
    ("text", "values", "spacing"),
    [
        ("cell.bandwidth=5e6:20e6:7", [5e6, 7.5e6, 1e7, 1.25e7, 1.5e7, 1.75e7, 2e7], "linear"),
        ("a=0.1:0.7:7", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], "linear"),
        ("a = -3 : 3 : 3", [-3, 0, 3], "linear"),
        ("a=0:1:3", [0, 0.5, 1], "linear"),
        ("num_users=10:24:3", [10, 17, 24], "linear"),
        ("num_users=2:64:6:log", [2, 4, 8, 16, 32, 64], "log"),
        ("a=1e-3:1e3:3:log", [1e-3, 1.0, 1e3], "log"),
        ("num_users=10,16,24", [10, 16, 24], "list"),
        ("a=3,1.5", [3, 1.5], "list"),
        ("cell.power=total, density", ["total", "density"], "list"),
        ('name="a,b","c:d"', ["a,b", "c:d"], "list"),
        ("distance=[50.0,100.0],[50.0,200.0]", [[50.0, 100.0], [50.0, 200.0]], "list"),
        ("v={fixed = 0.1},{fixed = 0.2}", [{"fixed": 0.1}, {"fixed": 0.2}], "list"),
        ("a=1,one", [1, "one"], "list"),
    ],
)
def test_values_are_those_typed(text, values, spacing):
    (axis,) = read(text)
    assert axis.to_dict() == {"key": text.partition("=")[0].strip(), "values": values, "spacing": spacing}
    assert [type(value) for value in axis.values] == [type(value) for value in values]


@given(
    low=st.floats(-1e4, 1e4),
    width=st.floats(1e-3, 1e9),
    count=st.integers(2, 50),
)
def test_a_range_has_its_ends_and_even_steps(low, width, count):
    high = low + width
    (axis,) = read(f"a={low!r}:{high!r}:{count}")
    assert (axis.values[0], axis.values[-1], len(axis.values)) == (low, high, count)
    scale = max(abs(low), abs(high))
    for number, value in enumerate(axis.values):
        assert math.isclose(value, low + number * (high - low) / (count - 1), rel_tol=1e-11, abs_tol=1e-11 * scale)


@given(low=st.floats(1e-6, 1e6), factor=st.floats(1.01, 10.0), count=st.integers(2, 20))
def test_a_logarithmic_range_has_even_factors(low, factor, count):
    high = low * factor ** (count - 1)
    (axis,) = read(f"a={low!r}:{high!r}:{count}:log")
    assert (axis.values[0], axis.values[-1]) == (low, high)
    for one, next_one in zip(axis.values, axis.values[1:], strict=False):
        assert math.isclose(next_one / one, factor, rel_tol=1e-9)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "vary must name at least one key and its values, such as cell.bandwidth=5e6:20e6:7"),
        (["a"], "vary must be KEY=VALUES, such as cell.bandwidth=5e6:20e6:7; got 'a'"),
        (["=1"], "got '=1'"),
        (["a="], "got 'a='"),
        (["a=1:2"], "or LOW:HIGH:COUNT:log; got '1:2'"),
        (["a=1:2:3:lin"], "or LOW:HIGH:COUNT:log; got '1:2:3:lin'"),
        (["a=x:2:3"], "must be LOW:HIGH:COUNT, numbers up to 1e+100; got 'x' in 'x:2:3'"),
        (["a=nan:2:3"], "got 'nan' in 'nan:2:3'"),
        (["a=0:inf:3"], "got 'inf' in '0:inf:3'"),
        (["a=true:2:3"], "got 'true'"),
        ([f"a=0:1{'0' * 400}:3"], "numbers up to 1e+100; got"),
        (["a=1:2:1"], f"COUNT in a=LOW:HIGH:COUNT must be a whole number in [2, {MOST_POINTS}], got 1"),
        (["a=1:2:2.5"], f"must be a whole number in [2, {MOST_POINTS}], got 2.5"),
        (["a=1:2:1000000000"], f"[2, {MOST_POINTS}], got 1000000000"),
        (["a=2:1:3"], "the values of a must have LOW below HIGH, got '2:1:3'"),
        (["a=0:1:3:log"], "must have LOW above 0 for logarithmic spacing, got '0:1:3:log'"),
        (["a=1:1.0000000000001:9"], "must be further apart than the 12 digits of their values"),
        (["num_users=10:24:4"], "num_users must take whole numbers, and 10:24:4 gives 14.6667: take 10:24:3, or list"),
        (["num_users=2:9:3:log"], "num_users must take whole numbers, and 2:9:3:log gives 4.24264: list the values"),
        (["num_users=2.5:4.5:3"], "num_users must take whole numbers, and 2.5:4.5:3 gives 2.5: list the values"),
        (["a=1,,2"], "got '1,,2'"),
        (["a=1,2,"], "got '1,2,'"),
        (["a=1:2:3,4"], "got '1:2:3,4'"),
        (["a=10:20:30,10:20:40"], "got '10:20:30,10:20:40'"),
        (["a=1,2,1.0"], "a must be given each value once, got 1.0 again"),
        (["a=x,y,x"], "a must be given each value once, got 'x' again"),
        (["a=1,2", "b=1,2", "a=3"], "a is varied twice: give all its values at once"),
        (["a.b=1,2", "a={b = 1},{b = 2}"], "a.b lies within a, which is varied too"),
        (["a[0].b=1,2", "a=[],[1]"], "a[0].b lies within a, which is varied too"),
        (["a=1:101:101", "b=1:100:100"], f"vary must make at most {MOST_POINTS} points, got 101 x 100 = 10100"),
        (["a=" + ",".join(map(str, range(10001)))], f"vary must make at most {MOST_POINTS} points, got 10001"),
    ],
)
def test_what_is_no_axis_is_refused_with_what_it_should_be(texts, message):
    with pytest.raises(ValueError) as refused:
        read(*texts)
    assert message in str(refused.value)


def test_ten_thousand_points_are_taken():
    axes = read("a=1:100:100", "b=1:100:100")
    assert [len(axis.values) for axis in axes] == [100, 100]


def test_values_that_grow_by_one_factor_are_told_from_others():
    geometric = [(1, 2, 4, 8), (1e6, 1e7, 1e8), (0.5, 1, 2)]
    others = [(1, 2), (1, 2, 3), (4, 2, 1), (0, 1, 2), (1, 2, -4), ("a", "b", "c"), (True, 2, 4)]
    assert all(Axis("a", values).is_geometric for values in geometric)
    assert not any(Axis("a", values).is_geometric for values in others)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (5e6, "5e6"),
        (1e-4, "0.0001"),
        (3e-21, "3e-21"),
        (1e100, "1e100"),
        (2.5, "2.5"),
        (1234567, "1234567"),
        (True, "true"),
        ("total", "total"),
        ([1.0, 2.0], "[1.0, 2.0]"),
    ],
)
def test_values_are_shown_in_few_characters(value, word):
    assert value_word(value) == word
