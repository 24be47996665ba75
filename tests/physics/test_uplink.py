"""Rates and the bandwidths that they need, against arbitrary precision."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multispin_gym import AffineVerification, Cell, Users
from multispin_gym.physics.uplink import LN2, DensityUplink, TotalPowerUplink, log_snr_of_ratio

TOTAL = TotalPowerUplink()
SIGNALS = (1e-3, 1.0, 1e6, 3e9, 1e15)


def exact_rate(bandwidth, signal):
    with mp.workdps(60):
        b, s = mp.mpf(float(bandwidth)), mp.mpf(float(signal))
        return b * mp.log1p(s / b) / mp.log(2)


def exact_bandwidth(rate, signal):
    """Solve ln(1 + x) = y x by the lower branch of Lambert's W; the bandwidth is signal / x."""
    with mp.workdps(400 if rate < 1e-100 * signal else 60):
        y = mp.mpf(float(rate)) * mp.log(2) / mp.mpf(float(signal))
        x = -1 - mp.lambertw(-y * mp.exp(-y), -1) / y
        return mp.mpf(float(signal)) / x


def relative_error(value, exact):
    with mp.workdps(60):
        return float(abs(mp.mpf(float(value)) - exact) / abs(exact))


@pytest.mark.parametrize("signal", SIGNALS)
def test_total_power_rate_is_exact_from_no_bandwidth_to_the_wideband_limit(signal):
    bandwidths = 10.0 ** np.linspace(-290, 308, 150)
    rates = TOTAL.rate(bandwidths, signal)
    errors = [relative_error(rate, exact_rate(b, signal)) for b, rate in zip(bandwidths, rates, strict=True)]
    assert max(errors) < 4e-15


@pytest.mark.parametrize("bandwidth", [5e-324, 1e-320, 1e-310])
def test_total_power_rate_is_finite_and_right_on_subnormal_bandwidth(bandwidth):
    rate = float(TOTAL.rate(bandwidth, 1e9))
    # The bandwidth itself has only a few bits left: half of its last one is the rounding allowed.
    assert abs(rate - float(exact_rate(bandwidth, 1e9))) <= 1e-15 * rate + 5e-324


@pytest.mark.parametrize("signal", SIGNALS)
def test_total_power_rate_ends_at_zero_and_at_the_wideband_limit(signal):
    assert TOTAL.rate(0.0, signal) == 0.0
    assert TOTAL.rate(np.inf, signal) == signal / LN2
    assert TOTAL.rate(1e308, signal) == pytest.approx(signal / math.log(2.0), rel=1e-15)


def test_total_power_rate_of_no_signal_is_zero():
    np.testing.assert_array_equal(TOTAL.rate([0.0, 1.0, np.inf], 0.0), 0.0)


@pytest.mark.parametrize("signal", SIGNALS)
def test_total_power_rate_increases_and_is_concave_in_the_bandwidth(signal):
    bandwidths = signal * np.linspace(1e-3, 30.0, 400)
    rates = TOTAL.rate(bandwidths, signal)
    assert (np.diff(rates) > 0.0).all()
    assert (np.diff(rates, 2) < 0.0).all()


FRACTIONS = np.concatenate([10.0 ** np.linspace(-280, -0.01, 60), 1.0 - 10.0 ** -np.linspace(0.5, 15.5, 60)])


@pytest.mark.parametrize("signal", SIGNALS)
def test_total_power_bandwidth_carries_the_rate_asked_for_everywhere(signal):
    rates = FRACTIONS * (signal / LN2)
    bandwidths = TOTAL.bandwidth(rates, signal)
    assert np.isfinite(bandwidths).all()
    errors = [relative_error(rate, exact_rate(b, signal)) for b, rate in zip(bandwidths, rates, strict=True)]
    assert max(errors) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("signal", SIGNALS)
def test_total_power_bandwidth_is_exact_away_from_the_wideband_limit(signal):
    rates = FRACTIONS[1.0 - FRACTIONS > 1e-5] * (signal / LN2)
    bandwidths = TOTAL.bandwidth(rates, signal)
    errors = [relative_error(b, exact_bandwidth(rate, signal)) for b, rate in zip(bandwidths, rates, strict=True)]
    assert max(errors) < 1e-10


def test_total_power_bandwidth_ends_at_zero_and_where_no_bandwidth_suffices():
    limit = 2e9 / LN2
    np.testing.assert_array_equal(TOTAL.bandwidth([0.0, limit, 2 * limit, np.inf], 2e9), [0.0, np.inf, np.inf, np.inf])


def test_total_power_bandwidth_of_a_vanishing_rate_does_not_underflow_early():
    rates = np.array([1e-310, 1e-300, 1e-290])
    np.testing.assert_allclose(TOTAL.rate(TOTAL.bandwidth(rates, 1e9), 1e9), rates, rtol=1e-10)


@pytest.mark.parametrize("excess", [0.0, 5e-324, 1e-300, 1e-16, 1e-8, 1e-3, 0.3, 1.0, 10.0, 1e5, 1e100, 1e308, np.inf])
def test_log_snr_solves_its_equation(excess):
    w = float(log_snr_of_ratio(excess))
    if excess in (0.0, np.inf):
        assert w == excess
    else:
        with mp.workdps(700):
            # Relative to the root: the equation's residual over its slope and the root.
            x = mp.mpf(w)
            residual = mp.log(mp.expm1(x) / x) - mp.log1p(mp.mpf(excess))
            slope = mp.exp(x) / mp.expm1(x) - 1 / x
            assert abs(residual / slope / x) < 1e-15 or abs(residual / slope) <= 5e-324


def test_density_rate_is_linear_in_the_bandwidth_and_inverts_exactly():
    uplink = DensityUplink(total_bandwidth=10e6)
    for signal in SIGNALS:
        with mp.workdps(50):
            efficiency = float(mp.log1p(mp.mpf(signal) / 10**7) / mp.log(2))
        bandwidths = np.array([0.0, 1e-270, 1.0, 5e6, 10e6])
        np.testing.assert_allclose(uplink.rate(bandwidths, signal), bandwidths * efficiency, rtol=4e-15)
        np.testing.assert_allclose(uplink.bandwidth(uplink.rate(bandwidths, signal), signal), bandwidths, rtol=4e-15)
    np.testing.assert_array_equal(uplink.bandwidth([0.0, 1.0], 0.0), [0.0, np.inf])


def test_both_uplinks_agree_on_the_whole_band():
    signal = np.array([1e3, 1e7, 1e11])
    np.testing.assert_allclose(DensityUplink(4e6).rate(4e6, signal), TOTAL.rate(4e6, signal), rtol=4e-15)


def test_a_share_of_the_band_is_worth_more_under_total_power():
    signal = np.array([1e3, 1e7, 1e11])
    assert (TOTAL.rate(1e6, signal) > DensityUplink(4e6).rate(1e6, signal)).all()


def test_the_cell_names_its_uplink():
    verification = AffineVerification(0.06)
    assert Cell(10e6, 4e-21, 16384.0, verification).uplink == TOTAL
    assert Cell(10e6, 4e-21, 16384.0, verification, power="density").uplink == DensityUplink(10e6)


@pytest.mark.parametrize("bandwidth", [5e6, 10e6, 20e6])
def test_a_noise_power_fixes_the_efficiency_whatever_the_band(bandwidth):
    users = Users(acceptance_rate=0.8, drafting_speed=50.0, channel_gain=[0.02, 0.3, 2.0], transmit_power=1e-8)
    cell = Cell(bandwidth, noise_power=1e-10, payload=1e4, verification=AffineVerification(0.06), power="density")
    share = bandwidth / 4.0
    expected = share * np.log2(1.0 + 1e-8 * np.array([0.02, 0.3, 2.0]) / 1e-10)
    np.testing.assert_allclose(cell.uplink.rate(share, cell.signal(users)), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        ({}, "noise_psd is missing: it, W/Hz, or noise_power, W, must be given"),
        ({"noise_psd": 4e-21, "noise_power": 1e-10}, "noise_psd and noise_power must not both be given"),
        ({"noise_power": 0.0}, r"noise_power must lie in \[1e-50, 1e\+50\], got 0.0"),
        ({"noise_power": 1e-10, "power": "total"}, "noise_power needs power 'density', got power 'total'"),
    ],
)
def test_a_wrong_form_of_noise_is_refused(noise, message):
    with pytest.raises(ValueError, match=message):
        Cell(10e6, payload=1e4, verification=AffineVerification(0.06), **{"power": "density", **noise})


@given(
    bandwidth=st.floats(1e-6, 1e12),
    signal=st.floats(1e-6, 1e18),
    more=st.floats(1.0, 1e3),
    scale=st.floats(1e-6, 1e6),
)
def test_rates_never_fall_with_bandwidth_or_signal_and_scale_with_the_unit_of_frequency(bandwidth, signal, more, scale):
    for uplink, scaled in ((TOTAL, TOTAL), (DensityUplink(1e7), DensityUplink(1e7 * scale))):
        rate = uplink.rate(bandwidth, signal)
        assert uplink.rate(bandwidth * more, signal) >= rate * (1 - 1e-15)
        assert uplink.rate(bandwidth, signal * more) >= rate * (1 - 1e-15)
        assert scaled.rate(bandwidth * scale, signal * scale) == pytest.approx(float(rate) * scale, rel=1e-13)
