"""Every wrong value is refused where it enters, with its field, the value and the allowed range."""

from fractions import Fraction

import numpy as np
import pytest

from multispin_gym import AffineVerification, Cell, Decision, Users, play_round
from multispin_gym._validation import check_array, check_choice, check_integer, check_list, check_number, nearest

USERS = {"acceptance_rate": [0.8, 0.6], "drafting_speed": 50.0, "channel_gain": 1e-10, "transmit_power": 0.02}
CELL = {"bandwidth": 10e6, "noise_psd": 4e-21, "payload": 16384.0, "verification": AffineVerification(0.06, 3e-4)}
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("acceptance_rate", [0.5, 1.2], r"acceptance_rate must lie in \[0, 1\], got 1.2 at index \(1,\)"),
        ("acceptance_rate", -0.1, r"acceptance_rate must lie in \[0, 1\], got -0.1"),
        ("acceptance_rate", [[0.1, NAN]], r"acceptance_rate must lie in \[0, 1\], got nan at index \(0, 1\)"),
        ("drafting_speed", 0.0, r"drafting_speed must lie in \(0, inf\), got 0.0"),
        ("drafting_speed", [50.0, -3.0], r"drafting_speed must lie in \(0, inf\), got -3.0 at index \(1,\)"),
        ("drafting_speed", INF, r"drafting_speed must lie in \(0, inf\), got inf"),
        ("channel_gain", [0.0, 1e-10], r"channel_gain must lie in \(0, inf\), got 0.0 at index \(0,\)"),
        ("channel_gain", NAN, r"channel_gain must lie in \(0, inf\), got nan"),
        ("transmit_power", -0.02, r"transmit_power must lie in \(0, inf\), got -0.02"),
        ("transmit_power", [NAN, 0.1], r"transmit_power must lie in \(0, inf\), got nan at index \(0,\)"),
        ("channel_gain", [1e-10] * 3, r"do not broadcast: acceptance_rate \(2,\), .*channel_gain \(3,\)"),
    ],
)
def test_users_refuse_values_out_of_range(field, value, message):
    with pytest.raises(ValueError, match=message):
        Users(**{**USERS, field: value})


@pytest.mark.parametrize("value", ["fast", None, [0.5, None], [True, False], 1j, [[0.5], [0.5, 0.6]]])
@pytest.mark.parametrize("field", list(USERS))
def test_users_refuse_what_is_not_a_number(field, value):
    with pytest.raises(TypeError, match=rf"^{field} must be a number or an array of numbers, got "):
        Users(**{**USERS, field: value})


@pytest.mark.parametrize("field", list(USERS))
def test_users_refuse_numbers_beyond_all_floats_by_their_range(field):
    with pytest.raises(ValueError, match=rf"^{field} must lie in .*, got <a whole number of 1329 bits>$"):
        Users(**{**USERS, field: 10**400})


@pytest.mark.parametrize("rates", [0.5, [], np.empty((4, 0))])
def test_users_need_at_least_one_user(rates):
    with pytest.raises(ValueError, match="users need a last axis of at least one user"):
        Users(acceptance_rate=rates, drafting_speed=50.0, channel_gain=1e-10, transmit_power=0.02)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("bandwidth", 0.0, r"bandwidth must lie in \[1e-50, 1e\+50\], got 0.0"),
        ("bandwidth", NAN, r"bandwidth must lie in \[1e-50, 1e\+50\], got nan"),
        ("noise_psd", -4e-21, r"noise_psd must lie in \[1e-50, 1e\+50\], got -4e-21"),
        ("payload", INF, r"payload must lie in \[1e-50, 1e\+50\], got inf"),
        ("power", "totl", r"power must be one of total, density; got 'totl'. Did you mean 'total'\?"),
        ("power", 3, r"power must be one of total, density; got 3\.$"),
        ("min_draft_length", -1, r"min_draft_length must be a whole number in \[0, 12\], got -1"),
        ("min_draft_length", 13, r"min_draft_length must be a whole number in \[0, 12\], got 13"),
        ("min_draft_length", 1.5, r"min_draft_length must be a whole number in \[0, 12\], got 1.5"),
        ("max_draft_length", 0, r"max_draft_length must be a whole number in \[1, 10000\], got 0"),
        ("max_draft_length", NAN, r"max_draft_length must be a whole number in \[1, 10000\], got nan"),
    ],
)
def test_cell_refuses_values_out_of_range(field, value, message):
    with pytest.raises(ValueError, match=message):
        Cell(**{**CELL, field: value})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("bandwidth", "10 MHz", "bandwidth must be a number or an array of numbers, got '10 MHz'"),
        ("bandwidth", [10e6], r"bandwidth must be one number, got \[10000000.0\]"),
        ("payload", True, "payload must be a number or an array of numbers, got True"),
        ("max_draft_length", "12", "max_draft_length must be a number or an array of numbers, got '12'"),
        ("max_draft_length", [12], r"max_draft_length must be one whole number, got \[12\]"),
        ("min_draft_length", False, "min_draft_length must be a number or an array of numbers, got False"),
        ("verification", 0.06, "verification must be an AffineVerification or a TableVerification, got 0.06"),
    ],
)
def test_cell_refuses_values_of_the_wrong_type(field, value, message):
    with pytest.raises(TypeError, match=message):
        Cell(**{**CELL, field: value})


@pytest.mark.parametrize(
    ("lengths", "shares", "message"),
    [
        ([-1, 2], [0.5, 0.5], r"draft_lengths must be a whole number in \[0, .*\], got -1 at index \(0,\)"),
        ([1, 2.5], [0.5, 0.5], r"draft_lengths must be a whole number in \[0, .*\], got 2.5 at index \(1,\)"),
        ([1, NAN], [0.5, 0.5], r"draft_lengths must be a whole number in \[0, .*\], got nan at index \(1,\)"),
        ([1, 1e300], [0.5, 0.5], r"draft_lengths must be a whole number in \[0, .*\], got 1e\+300 at index \(1,\)"),
        ([1, 2], [-0.1, 0.5], r"bandwidth_shares must lie in \[0, 1\], got -0.1 at index \(0,\)"),
        ([1, 2], [0.1, 1.5], r"bandwidth_shares must lie in \[0, 1\], got 1.5 at index \(1,\)"),
        ([1, 2], [0.1, NAN], r"bandwidth_shares must lie in \[0, 1\], got nan at index \(1,\)"),
        ([1, 2], [0.6, 0.5], r"bandwidth_shares must sum to a value in \[0, 1\], got 1.1"),
        ([1, 2], [0.5, 0.5 + 1e-8], r"bandwidth_shares must sum to a value in \[0, 1\], got 1.00000001"),
        ([1, 2], np.float32([0.6, 0.5]), r"bandwidth_shares must sum to a value in \[0, 1\], got 1.1"),
        ([1, 2, 3], [0.5, 0.5], r"draft_lengths \(3,\) and bandwidth_shares \(2,\) do not broadcast"),
        (1, 1.0, r"a decision needs a last axis of at least one user, got shape \(\)"),
        ([], [], r"a decision needs a last axis of at least one user, got shape \(0,\)"),
    ],
)
def test_decision_refuses_values_out_of_range(lengths, shares, message):
    with pytest.raises(ValueError, match=message):
        Decision(draft_lengths=lengths, bandwidth_shares=shares)


@pytest.mark.parametrize(
    ("lengths", "shares", "field"),
    [
        ([True, True], [0.5, 0.5], "draft_lengths"),
        (["1", "2"], [0.5, 0.5], "draft_lengths"),
        ([1, 2], [True, False], "bandwidth_shares"),
        ([1, 2], None, "bandwidth_shares"),
    ],
)
def test_decision_refuses_what_is_not_a_number(lengths, shares, field):
    with pytest.raises(TypeError, match=rf"^{field} must be a number or an array of numbers, got "):
        Decision(draft_lengths=lengths, bandwidth_shares=shares)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([1, 13], r"draft_lengths must lie in \[1, 12\] \(or all be 0\), got 13 at index \(1,\)"),
        ([0, 3], r"draft_lengths must lie in \[1, 12\] \(or all be 0\), got 0 at index \(0,\)"),
        ([[0, 0], [4, 0]], r"draft_lengths must lie in \[1, 12\] \(or all be 0\), got 0 at index \(1, 1\)"),
        ([1, 2, 3], "the decision is for 3 users, the cell has 2"),
    ],
)
def test_round_refuses_draft_lengths_that_the_cell_does_not_allow(lengths, message):
    decision = Decision(lengths, np.full(np.shape(lengths), 0.25))
    with pytest.raises(ValueError, match=message):
        play_round(Users(**USERS), Cell(**CELL), decision)


def test_round_refuses_batches_that_do_not_broadcast():
    users = Users(**{**USERS, "acceptance_rate": np.full((3, 2), 0.5)})
    decision = Decision(np.ones((4, 2)), np.full((4, 2), 0.5))
    with pytest.raises(
        ValueError, match=r"the decision's batch shape \(4,\) does not broadcast with the users' \(3,\)"
    ):
        play_round(users, Cell(**CELL), decision)


def test_numbers_of_every_kind_are_taken():
    for value in (3, 3.0, np.float32(3), np.int8(3), np.array(3.0), Fraction(3), np.array([3], dtype=object)[0]):
        assert check_number("x", value) == 3.0
        assert check_integer("x", value) == 3
    mixed = check_array("x", [1, Fraction(1, 2), np.float32(0.25)])
    np.testing.assert_array_equal(mixed, [1.0, 0.5, 0.25])


@pytest.mark.parametrize(
    ("limits", "value", "allowed"),
    [
        ({"low": 0.0, "high": 1.0, "high_open": True}, 1.0, r"\[0, 1\)"),
        ({"low": 0.0, "high": 1.0, "low_open": True}, 0.0, r"\(0, 1\]"),
        ({"low": -2.5}, -3.0, r"\[-2.5, inf\)"),
        ({"high": 2.5}, 3.0, r"\(-inf, 2.5\]"),
        ({}, INF, r"\(-inf, inf\)"),
    ],
)
def test_ranges_are_named_with_their_open_and_closed_ends(limits, value, allowed):
    with pytest.raises(ValueError, match=rf"x must lie in {allowed}, got {value}"):
        check_array("x", value, **limits)


def test_checked_arrays_are_copies():
    given = np.array([1.0, 2.0])
    assert not np.shares_memory(check_array("x", given), given)


def test_unknown_names_point_at_the_nearest_known_one():
    assert check_choice("power", "total", ["total", "density"]) == "total"
    assert nearest("densty", ["total", "density"]) == " Did you mean 'density'?"
    assert nearest("zzz", ["total", "density"]) == ""
    with pytest.raises(ValueError, match=r"power must be one of total, density; got array\(\['total'\]"):
        check_choice("power", np.array(["total"]), ["total", "density"])


def test_a_list_has_a_bounded_number_of_entries():
    assert check_list("weights", [1, 2]) == [1, 2]
    with pytest.raises(ValueError, match=r"^weights must have at most 1000000 entries, got 1000001$"):
        check_list("weights", [1] * 1_000_001)
