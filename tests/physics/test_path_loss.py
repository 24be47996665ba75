import numpy as np
import pytest

from multispin_gym.physics.path_loss import PathLoss, db_to_gain, gain_to_db, watt_to_dbm


def test_path_loss_equals_values_worked_out_by_hand() -> None:
    loss = PathLoss(gain_at_1m_db=-30.0, exponent=3.5)
    np.testing.assert_allclose(
        loss.gain_db([1.0, 10.0, 100.0, 500.0]), [-30.0, -65.0, -100.0, -124.46395015], atol=1e-7
    )


def test_watts_and_dbm_agree_at_round_numbers() -> None:
    assert watt_to_dbm(0.001) == pytest.approx(0.0, abs=1e-12)
    assert watt_to_dbm(0.01) == pytest.approx(10.0)
    assert watt_to_dbm(2.0) == pytest.approx(33.0103, abs=1e-4)


def test_decibels_agree_with_double_precision_to_the_precision_of_float32() -> None:
    gains = np.logspace(-20, 2, 4001)
    decibels = gain_to_db(gains, -300.0, 300.0)
    assert decibels.dtype == np.float32
    np.testing.assert_allclose(decibels, 10.0 * np.log10(gains), rtol=2e-7, atol=1e-6)
    np.testing.assert_allclose(db_to_gain(decibels), 10.0 ** (decibels.astype(np.float64) / 10.0), rtol=1e-13)


def test_decibels_are_clipped_and_a_vanishing_gain_stays_finite() -> None:
    assert gain_to_db([0.0, 1e-300, 1e-12, 1e9], -150.0, 20.0).tolist() == [-150.0, -150.0, -120.0, 20.0]


def test_conversions_do_not_depend_on_the_shape_of_the_array() -> None:
    gains = np.random.default_rng(3).exponential(size=(67, 13)) * 1e-11
    decibels = gain_to_db(gains, -200.0, 0.0)
    back = db_to_gain(decibels)
    for row in range(67):
        assert (gain_to_db(gains[row], -200.0, 0.0) == decibels[row]).all()
        assert (db_to_gain(decibels[row]) == back[row]).all()
    for column in range(13):
        assert gain_to_db(gains[5, column], -200.0, 0.0) == decibels[5, column]
        assert db_to_gain(decibels[5, column]) == back[5, column]
        assert (gain_to_db(gains[:, column], -200.0, 0.0) == decibels[:, column]).all()
        assert (db_to_gain(decibels[:, column]) == back[:, column]).all()


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"gain_at_1m_db": float("nan"), "exponent": 3.5}, ValueError, "gain_at_1m_db must lie in"),
        ({"gain_at_1m_db": -30.0, "exponent": -1.0}, ValueError, r"exponent must lie in \[0, 100\], got -1.0"),
        ({"gain_at_1m_db": "-30", "exponent": 3.5}, TypeError, "gain_at_1m_db must be a number"),
    ],
)
def test_a_wrong_path_loss_is_refused(values: dict[str, float], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PathLoss(**values)
