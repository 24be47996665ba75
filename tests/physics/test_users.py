"""The users of a cell, or of a batch of cells."""

import dataclasses

import numpy as np
import pytest

from multispin_gym import AffineVerification, Cell, Users

FIELDS = ("acceptance_rate", "drafting_speed", "channel_gain", "transmit_power")


def random_users(shape, seed=0):
    rng = np.random.default_rng(seed)
    return Users(rng.random(shape), rng.uniform(10, 300, shape), 10.0 ** rng.uniform(-13, -8, shape), 0.02)


def test_fields_broadcast_to_one_read_only_shape():
    users = Users(np.full((3, 1, 4), 0.5), [10.0, 20.0, 30.0, 40.0], np.full((2, 1), 1e-10), 0.02)
    assert users.num_users == 4
    assert users.batch_shape == (3, 2)
    for name in FIELDS:
        array = getattr(users, name)
        assert array.shape == (3, 2, 4)
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
        assert not array.flags.writeable
    np.testing.assert_array_equal(users.drafting_speed[1, 1], [10.0, 20.0, 30.0, 40.0])


def test_users_cannot_be_changed():
    given = np.array([0.5, 0.6])
    users = Users(given, 50.0, 1e-10, 0.02)
    given[0] = 0.9
    assert users.acceptance_rate[0] == 0.5
    with pytest.raises(dataclasses.FrozenInstanceError):
        users.channel_gain = given
    for array in (users.acceptance_rate, users.transmit_power, users.drafting_time):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.1


def test_one_field_can_be_replaced():
    users = random_users((2, 3))
    faded = dataclasses.replace(users, channel_gain=users.channel_gain * 0.5)
    np.testing.assert_array_equal(faded.received_power, 0.5 * users.received_power)
    np.testing.assert_array_equal(faded.acceptance_rate, users.acceptance_rate)


def test_derived_quantities_follow_their_definitions():
    users = random_users((5, 3))
    cell = Cell(10e6, 4e-21, 16384.0, AffineVerification(0.06))
    for row in np.ndindex(5, 3):
        assert users.drafting_time[row] == 1.0 / users.drafting_speed[row]
        assert users.received_power[row] == users.transmit_power[row] * users.channel_gain[row]
        assert cell.signal(users)[row] == users.transmit_power[row] * users.channel_gain[row] / 4e-21


@pytest.mark.parametrize(
    "index", [1, -1, (0, 2), (slice(None), 1), slice(1, None), np.array([2, 0, 0]), (Ellipsis, 0), None, Ellipsis]
)
def test_indexing_selects_cells_and_keeps_the_users(index):
    users = random_users((3, 3, 3))
    chosen = users[index]
    # The batch axes alone decide: the same index on an array without the user axis.
    rows = np.arange(9).reshape(3, 3)[index]
    assert chosen.batch_shape == rows.shape
    assert chosen.num_users == 3
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(chosen, name), getattr(users, name).reshape(9, 3)[rows])
        assert not getattr(chosen, name).flags.writeable


def test_a_mask_selects_cells():
    users = random_users((4, 3))
    mask = np.array([True, False, False, True])
    np.testing.assert_array_equal(users[mask].channel_gain, users.channel_gain[[0, 3]])


@pytest.mark.parametrize("index", [3, (0, 0), (slice(None), 0), np.ones((3, 3), dtype=bool)])
def test_an_index_that_reaches_past_the_batch_axes_is_refused(index):
    with pytest.raises(IndexError, match=r"does not fit the batch shape \(3,\)"):
        random_users((3, 3))[index]


def test_one_cell_has_no_batch_axis_to_index():
    with pytest.raises(IndexError, match="no batch axis to index"):
        random_users((3,))[0]


@pytest.mark.parametrize(("low", "high", "count"), [(1, 12, 12), (0, 5, 6), (3, 3, 1)])
def test_the_cell_counts_its_draft_lengths(low, high, count):
    cell = Cell(10e6, 4e-21, 16384.0, AffineVerification(0.06), min_draft_length=low, max_draft_length=high)
    assert cell.num_draft_lengths == count


def test_cells_are_values_that_compare_hash_and_replace():
    cell = Cell(10e6, 4e-21, 16384, AffineVerification(0.06))
    assert cell == Cell(10_000_000, 4e-21, 16384.0, AffineVerification(0.06, 0))
    assert hash(cell) == hash(Cell(10_000_000, 4e-21, 16384.0, AffineVerification(0.06, 0)))
    density = dataclasses.replace(cell, power="density")
    assert density != cell
    assert density.uplink != cell.uplink
    with pytest.raises(dataclasses.FrozenInstanceError):
        cell.payload = 1.0


@pytest.mark.parametrize("missing", ["payload", "verification"])
def test_a_cell_without_a_part_is_refused(missing):
    parts = {"payload": 16384.0, "verification": AffineVerification(0.06)}
    del parts[missing]
    with pytest.raises(ValueError, match=f"^{missing} is missing$"):
        Cell(10e6, 4e-21, **parts)


def test_who_is_present_is_kept_wherever_users_are_copied():
    mask = np.array([[True, False, True], [False, False, True]])
    users = dataclasses.replace(random_users((2, 3)), present=mask)
    np.testing.assert_array_equal(users.present, mask)
    with pytest.raises(ValueError, match="read-only"):
        users.present[0, 0] = False
    assert users[1].present.tolist() == [False, False, True]
    assert dataclasses.replace(users, transmit_power=1.0).present is not None
    for copied in (Users.trusted(**vars(users)), Users.trusted(**users.fields), Users(**users.fields)):
        np.testing.assert_array_equal(copied.present, mask)
    everybody = users.all_present()
    assert everybody.present is None
    assert everybody.channel_gain is users.channel_gain
    # Where nothing is said of it everybody is present.
    plain = random_users((2, 3))
    assert "present" not in vars(plain)
    assert tuple(plain.fields) == FIELDS
    assert Users.trusted(**plain.fields).present is None
    assert plain[0].present is None


def test_a_mask_broadcasts_with_the_other_fields():
    users = Users(0.5, 50.0, [1e-9, 1e-8], 0.01, [[True], [False], [True]])
    assert users.batch_shape == (3,)
    assert users.present.tolist() == [[True, True], [False, False], [True, True]]
    with pytest.raises(ValueError, match=r"do not broadcast: .*, present \(3,\)"):
        Users(0.5, 50.0, [1e-9, 1e-8], 0.01, [True, False, True])


@pytest.mark.parametrize("mask", [[1, 0], [1.0, 0.0], "yes", [True, None], [[True], [True, False]]])
def test_a_mask_that_is_not_of_booleans_is_refused(mask):
    with pytest.raises(TypeError, match="present must be True or False or an array of these, got"):
        Users([0.5, 0.5], 50.0, 1e-9, 0.01, mask)
