"""Verification time of a batch: affine and measured tables, padded and ragged."""

import numpy as np
import pytest

from multispin_gym import AffineVerification, TableVerification

# Llama-2-7B on one A100 around its steps, ms (medians of public operator profiles).
STAIRCASE = {1: 9.347, 64: 9.766, 72: 11.462, 120: 12.297, 128: 12.345, 136: 17.689, 144: 17.898}


def staircase(batching="padded", **options):
    return TableVerification(list(STAIRCASE), [ms * 1e-3 for ms in STAIRCASE.values()], batching, **options)


def test_padded_batch_pays_for_the_longest_draft_of_every_user():
    verification = AffineVerification(fixed=0.06, per_token=3e-4, batching="padded")
    assert verification.round_time([0, 2, 5]) == pytest.approx(0.06 + 3e-4 * 3 * 6, rel=1e-15)


def test_ragged_batch_pays_for_each_draft_and_one_token_more():
    verification = AffineVerification(fixed=0.06, per_token=3e-4, batching="ragged")
    assert verification.round_time([0, 2, 5]) == pytest.approx(0.06 + 3e-4 * (1 + 3 + 6), rel=1e-15)


@pytest.mark.parametrize("batching", ["padded", "ragged"])
@pytest.mark.parametrize("make", [lambda b: AffineVerification(0.06, 3e-4, b), staircase])
def test_server_decodes_one_token_for_each_user_where_nobody_drafts(make, batching):
    verification = make(batching)
    np.testing.assert_array_equal(verification.round_time(np.zeros((2, 20), dtype=int)), verification.time(20.0))


def test_table_returns_the_measured_times_at_the_measured_sizes():
    np.testing.assert_allclose(staircase().time(list(STAIRCASE)), [ms * 1e-3 for ms in STAIRCASE.values()], rtol=1e-15)


def test_table_is_linear_between_and_constant_before_its_points():
    table = TableVerification([10, 20, 40], [0.010, 0.008, 0.018])
    np.testing.assert_allclose(table.time([0.0, 5.0, 10.0]), 0.010, rtol=1e-15)
    np.testing.assert_allclose(table.time([12.5, 15.0, 30.0, 35.0]), [0.0095, 0.009, 0.013, 0.0155], rtol=1e-14)


def test_table_keeps_a_measured_fall():
    table = TableVerification([1, 2, 3], [0.010, 0.008, 0.011])
    assert table.time(2.0) < table.time(1.0)


def test_table_goes_on_beyond_its_last_point_with_the_stated_slope():
    table = staircase(tail_per_token=1e-5)
    np.testing.assert_allclose(table.time([144, 244]), [17.898e-3, 17.898e-3 + 1e-3], rtol=1e-14)


def test_table_goes_on_with_its_least_squares_slope_by_default():
    sizes, seconds = np.array([1.0, 2.0, 4.0, 9.0]), np.array([0.010, 0.012, 0.011, 0.020])
    centred = sizes - sizes.mean()
    slope = (centred * seconds).sum() / (centred**2).sum()
    table = TableVerification(sizes, seconds)
    assert table.tail_per_token == pytest.approx(slope, rel=1e-12)
    assert table.time(109.0) == pytest.approx(0.020 + 100 * slope, rel=1e-12)


@pytest.mark.parametrize(("sizes", "seconds"), [([1, 2, 3], [0.03, 0.02, 0.01]), ([5], [0.01])])
def test_table_that_falls_or_has_one_point_stays_constant_beyond_it(sizes, seconds):
    table = TableVerification(sizes, seconds)
    assert table.tail_per_token == 0.0
    assert table.time(1e6) == seconds[-1]


def test_table_of_one_slope_equals_the_affine_form_everywhere_from_its_first_point():
    sizes = np.array([1.0, 50.0, 51.0, 200.0])
    table = TableVerification(sizes, 0.02 + 1e-4 * sizes, "ragged")
    affine = AffineVerification(0.02, 1e-4, "ragged")
    lengths = np.random.default_rng(0).integers(0, 40, (100, 12))
    np.testing.assert_allclose(table.round_time(lengths), affine.round_time(lengths), rtol=1e-12)


def test_twenty_users_pay_for_the_staircase_between_five_and_six_drafts():
    table = staircase()
    five, six = table.round_time(np.full(20, 5)), table.round_time(np.full(20, 6))
    assert five == pytest.approx(12.297e-3, rel=1e-14)
    assert six == pytest.approx((17.689e-3 + 17.898e-3) / 2, rel=1e-14)
    assert table.time(136.0) / table.time(128.0) == pytest.approx(1.43, abs=0.01)


@pytest.mark.parametrize("batching", ["padded", "ragged"])
@pytest.mark.parametrize("make", [lambda b: AffineVerification(0.06, 3e-4, b), staircase])
def test_batches_of_rounds_are_timed_row_by_row(make, batching):
    lengths = np.random.default_rng(1).integers(0, 13, (3, 4, 9))
    times = make(batching).round_time(lengths)
    assert times.shape == (3, 4)
    for row in np.ndindex(3, 4):
        assert times[row] == make(batching).round_time(lengths[row])


def test_verification_forms_are_values_that_compare_and_hash():
    assert staircase() == staircase()
    assert len({staircase(), staircase(), staircase("ragged"), AffineVerification(0.06), AffineVerification(0.06)}) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fixed": 0.0}, r"verification.fixed must lie in \[1e-50, 1e\+50\], got 0.0"),
        ({"fixed": float("nan")}, r"verification.fixed must lie in \[1e-50, 1e\+50\], got nan"),
        ({"fixed": 0.06, "per_token": -1e-4}, r"verification.per_token must lie in \[0, 1e\+50\], got -0.0001"),
        ({"fixed": 0.06, "batching": "pading"}, r"verification.batching must be one of padded, ragged.*'padded'\?"),
    ],
)
def test_affine_verification_refuses_values_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        AffineVerification(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [0.01]), r"common length of at least 1 and at most 1000000, got shapes \(2,\) and \(1,\)"),
        (([], []), r"common length of at least 1 and at most 1000000, got shapes \(0,\) and \(0,\)"),
        (([[1, 2]], [[0.01, 0.02]]), r"got shapes \(1, 2\) and \(1, 2\)"),
        (([1, 1], [0.01, 0.02]), r"verification.num_tokens must strictly increase, got \[1.0, 1.0\]"),
        (([0, 1], [0.01, 0.02]), r"verification.num_tokens must lie in \[1e-50, 1e\+50\], got 0.0 at index \(0,\)"),
        (
            ([1, 2], [0.01, float("nan")]),
            r"verification.seconds must lie in \[1e-50, 1e\+50\], got nan at index \(1,\)",
        ),
        (([1, 2], [0.01, 0.02], "ragd"), r"verification.batching must be one of padded, ragged.*'ragged'\?"),
        (([1, 2], [0.01, 0.02], "ragged", -1.0), r"verification.tail_per_token must lie in \[0, 1e\+50\], got -1.0"),
    ],
)
def test_table_verification_refuses_values_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        TableVerification(*arguments)


@pytest.mark.parametrize("batching", ["padded", "ragged"])
def test_each_user_of_the_batch_costs_its_own_time_with_a_draft_or_without(batching):
    verification = AffineVerification(fixed=0.02, per_draft=0.01, per_token=1e-3, batching=batching)
    tokens = {"padded": 3 * 6, "ragged": 1 + 3 + 6}[batching]
    assert verification.round_time([0, 2, 5]) == pytest.approx(0.02 + 3 * 0.01 + 1e-3 * tokens, rel=1e-15)
    np.testing.assert_array_equal(verification.time([4.0, 9.0], 3), verification.of_batch(3).time([4.0, 9.0]))


def test_a_server_with_a_time_per_draft_asks_how_many_there_are():
    with pytest.raises(ValueError, match="num_drafts is missing"):
        AffineVerification(fixed=0.02, per_draft=0.01).time(12)


@pytest.mark.parametrize("value", [-0.01, np.nan, np.inf])
def test_a_wrong_time_per_draft_is_refused(value):
    with pytest.raises(ValueError, match=r"verification\.per_draft must lie in \[0, 1e\+50\], got"):
        AffineVerification(fixed=0.02, per_draft=value)
