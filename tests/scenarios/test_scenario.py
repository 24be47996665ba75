import dataclasses

import numpy as np
import pytest
from scipy import stats

from multispin_gym import AffineVerification, Cell, Scenario, list_scenarios, load_scenario
from multispin_gym.physics.fading import Fading
from multispin_gym.physics.path_loss import PathLoss
from multispin_gym.scenarios.populations import AcceptanceClass, DeviceClass
from multispin_gym.scenarios.sources import Source

CELL = Cell(10e6, 3.98e-21, 16384.0, AffineVerification(0.06, 3e-4))


def build(**changes: object) -> Scenario:
    fields: dict[str, object] = {
        "name": "plain",
        "cell": CELL,
        "acceptance": [AcceptanceClass("chat", (0.5, 0.7))],
        "devices": [DeviceClass("laptop", (60.0, 300.0))],
        "distance": (100.0, 500.0),
        "transmit_power_dbm": (10.0, 15.0),
        "path_loss": PathLoss(-30.0, 3.5),
    }
    return Scenario(**{**fields, **changes})  # type: ignore[arg-type]


def uniform_p_value(values: np.ndarray, low: float, high: float) -> float:
    return float(stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue)


def test_draws_follow_the_declared_uniform_laws() -> None:
    scenario = build(transmit_power_dbm=(12.0, 12.0))
    users = scenario.sample_large_scale(np.random.default_rng(1), 5, batch=(4000,))
    assert uniform_p_value(users.acceptance_rate.ravel(), 0.5, 0.7) > 1e-3
    assert uniform_p_value(users.drafting_speed.ravel(), 60.0, 300.0) > 1e-3
    # 12 dBm is 2 dB above the reference power of 10 mW; what is left of the gain is the path loss.
    distance = 10.0 ** ((-30.0 + 2.0 - 10.0 * np.log10(users.channel_gain)) / 35.0)
    assert uniform_p_value(distance.ravel(), 100.0, 500.0) > 1e-3


def test_mean_gains_are_uniform_where_they_are_given() -> None:
    scenario = build(distance=None, path_loss=None, mean_gain=(0.2, 0.5), transmit_power_dbm=(10.0, 10.0))
    users = scenario.sample_large_scale(np.random.default_rng(5), 5, batch=(4000,))
    # 10 dBm is the reference power.
    assert uniform_p_value(users.channel_gain.ravel(), 0.2, 0.5) > 1e-3


def test_drafting_times_are_uniform_where_they_are_given() -> None:
    scenario = build(devices=[DeviceClass("laptop", time_range=(0.017, 0.023))])
    users = scenario.sample_large_scale(np.random.default_rng(6), 5, batch=(4000,))
    assert uniform_p_value(users.drafting_time.ravel(), 0.017, 0.023) > 1e-3
    low, high = scenario.observation_bounds["drafting_speed"]
    assert low <= users.drafting_speed.min() < 1.01 * low < 0.99 * high < users.drafting_speed.max() <= high


def test_a_law_of_given_mean_and_deviation_has_them_and_stays_off_the_ends() -> None:
    task = AcceptanceClass("SQuAD", rate=0.9, deviation=0.2)
    size = 0.9 * 0.1 / 0.2**2 - 1.0
    assert task.law == ((0.0, 1.0), (pytest.approx(0.9 * size), pytest.approx(0.1 * size)))
    rates = task.sample(np.random.default_rng(7), 100_000)
    assert rates.mean() == pytest.approx(0.9, abs=5 * 0.2 / np.sqrt(rates.size))
    assert rates.std() == pytest.approx(0.2, rel=0.02)
    assert rates.min() >= 1e-5
    assert rates.max() <= 1.0 - 1e-6
    inner = rates[(rates > 1e-5) & (rates < 1.0 - 1e-6)]
    law = stats.beta(0.9 * size, 0.1 * size)
    below, above = law.cdf(1e-5), law.cdf(1.0 - 1e-6)
    assert stats.kstest(inner, lambda x: (law.cdf(x) - below) / (above - below)).pvalue > 1e-3


def test_a_law_without_deviation_is_one_rate_for_all() -> None:
    users = build(acceptance=[AcceptanceClass("chat", rate=0.75)]).sample_users(np.random.default_rng(8), 6)
    np.testing.assert_array_equal(users.acceptance_rate, 0.75)


def test_users_have_their_tasks_mean_rate_where_the_scenario_says_so() -> None:
    tasks = [
        AcceptanceClass("a", rate=0.5, deviation=0.25),
        AcceptanceClass("b", (0.5, 1.0), beta=(1.0, 3.0), weight=3.0),
    ]
    scenario = build(acceptance=tasks, acceptance_rates="task")
    rates = scenario.sample_users(np.random.default_rng(9), 8, batch=(1000,)).acceptance_rate
    assert set(np.unique(rates).tolist()) == {0.5, 0.625}
    assert (rates == 0.625).mean() == pytest.approx(0.75, abs=5 * np.sqrt(0.75 * 0.25 / rates.size))
    own = dataclasses.replace(scenario, acceptance_rates="own").sample_users(np.random.default_rng(9), 8, batch=(1000,))
    assert np.unique(own.acceptance_rate).size > 7000


def test_draws_are_independent_of_each_other() -> None:
    users = build().sample_large_scale(np.random.default_rng(2), 3, batch=(20_000,))
    columns = np.concatenate([users.acceptance_rate, users.drafting_speed, users.channel_gain], axis=1)
    off_diagonal = np.corrcoef(columns.T) - np.eye(9)
    assert np.abs(off_diagonal).max() < 4.5 / np.sqrt(20_000)


def test_power_above_the_reference_is_folded_into_the_gain_uniformly_in_dbm() -> None:
    scenario = build(distance=(100.0, 100.0), reference_power=0.02)
    users = scenario.sample_large_scale(np.random.default_rng(3), 8, batch=(1000,))
    assert (users.transmit_power == 0.02).all()
    dbm = 10.0 * np.log10(users.transmit_power * users.channel_gain * 1e3) + 100.0
    assert uniform_p_value(dbm.ravel(), 10.0, 15.0) > 1e-3


def test_reference_power_does_not_change_what_is_received() -> None:
    received = [
        build(reference_power=power).sample_large_scale(np.random.default_rng(4), 6).received_power
        for power in (0.001, 0.01, 0.5)
    ]
    np.testing.assert_allclose(received[1:], [received[0], received[0]], rtol=1e-12)


def test_a_mixture_picks_classes_by_weight_and_beta_laws_within_their_range() -> None:
    scenario = build(
        acceptance=[
            AcceptanceClass("code", (0.6, 0.9), weight=3.0, beta=(2.0, 5.0)),
            AcceptanceClass("chat", (0.2, 0.4)),
        ]
    )
    rates = scenario.sample_large_scale(np.random.default_rng(5), 10, batch=(2000,)).acceptance_rate.ravel()
    code = rates[rates > 0.5]
    assert stats.binomtest(code.size, rates.size, 0.75).pvalue > 1e-3
    assert stats.kstest(code, stats.beta(2.0, 5.0, loc=0.6, scale=0.3).cdf).pvalue > 1e-3
    assert uniform_p_value(rates[rates < 0.5], 0.2, 0.4) > 1e-3


def test_device_classes_mix_ranges_and_lists_of_speeds() -> None:
    scenario = build(devices=[DeviceClass("phone", speeds=[19.0, 46.0, 50.0]), DeviceClass("laptop", (80.0, 160.0))])
    speeds = scenario.sample_large_scale(np.random.default_rng(6), 12, batch=(2500,)).drafting_speed.ravel()
    counts = [(speeds == speed).sum() for speed in (19.0, 46.0, 50.0)]
    counts.append(speeds.size - sum(counts))
    expected = np.array([1 / 6, 1 / 6, 1 / 6, 1 / 2]) * speeds.size
    assert stats.chisquare(counts, expected).pvalue > 1e-3
    assert uniform_p_value(speeds[speeds > 60.0], 80.0, 160.0) > 1e-3


def test_rayleigh_fading_multiplies_the_gain_by_an_exponential_variable() -> None:
    scenario = build(distance=(100.0, 100.0), transmit_power_dbm=(10.0, 10.0))
    users = scenario.sample_users(np.random.default_rng(7), 8, batch=(2500,))
    powers = users.channel_gain.ravel() / 1e-10
    assert stats.kstest(powers, stats.expon.cdf).pvalue > 1e-3


def test_without_fading_a_round_has_the_large_scale_gain() -> None:
    scenario = build(fading=Fading("none"))
    drawn = scenario.sample_users(np.random.default_rng(8), 8)
    large_scale = scenario.sample_large_scale(np.random.default_rng(8), 8)
    np.testing.assert_allclose(drawn.channel_gain, large_scale.channel_gain, rtol=3e-6)


@pytest.mark.parametrize("name", list_scenarios())
def test_drawn_users_are_exactly_what_an_observation_shows(name: str) -> None:
    scenario = load_scenario(name)
    users = scenario.sample_users(np.random.default_rng(9), 16, batch=(500,))
    decibels = scenario.gain_to_db(users.channel_gain)
    shown = {
        "acceptance_rate": users.acceptance_rate,
        "drafting_speed": users.drafting_speed,
        "channel_gain_db": decibels.astype(np.float64),
    }
    for key, (low, high) in scenario.observation_bounds.items():
        assert np.float32(low) == low < high == np.float32(high)
        assert (shown[key] == shown[key].astype(np.float32)).all()
        assert ((shown[key] >= low) & (shown[key] <= high)).all()
    assert (scenario.db_to_gain(decibels) == users.channel_gain).all()
    assert (scenario.gain_to_db(scenario.db_to_gain(decibels)) == decibels).all()


def test_a_fade_beyond_the_bounds_is_clipped_to_them() -> None:
    scenario = build()
    low, high = scenario.observation_bounds["channel_gain_db"]
    assert scenario.gain_to_db([0.0, 1e-40, 1.0]).tolist() == [low, low, high]


def test_bounds_hold_every_path_loss_and_power_with_room_for_fading() -> None:
    low, high = build().observation_bounds["channel_gain_db"]
    # -30 - 35 log10(500) = -124.5 dB at 0 dB of power, -100 dB + 5 dB of power.
    assert -124.5 - 50.0 - 2.0 <= low <= -124.5 - 50.0
    assert -95.0 + 12.0 <= high <= -95.0 + 12.0 + 2.0


def test_bounds_stay_apart_where_nothing_varies() -> None:
    scenario = build(
        devices=[DeviceClass("same", speeds=[100.0])],
        distance=(100.0, 100.0),
        transmit_power_dbm=(10.0, 10.0),
        fading=Fading("none"),
    )
    for low, high in scenario.observation_bounds.values():
        assert low < high
    speeds = scenario.sample_users(np.random.default_rng(0)).drafting_speed
    assert (speeds == 100.0).all()


def test_one_seed_gives_one_draw_and_batches_have_their_shape() -> None:
    scenario = build()
    one, two = (scenario.sample_users(np.random.default_rng(11), 4, batch=(2, 3)) for _ in range(2))
    assert one.batch_shape == (2, 3)
    assert one.num_users == 4
    for name in ("acceptance_rate", "drafting_speed", "channel_gain", "transmit_power"):
        assert (getattr(one, name) == getattr(two, name)).all()
    assert scenario.sample_users(np.random.default_rng(0), batch=5).acceptance_rate.shape == (5, 8)
    assert dataclasses.replace(scenario, num_users=3).sample_users(np.random.default_rng(0)).num_users == 3


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"name": " "}, ValueError, "name must not be empty"),
        ({"name": 3}, TypeError, "name must be a string, got 3"),
        ({"description": None}, TypeError, "description must be a string"),
        ({"cell": None}, TypeError, "cell must be a Cell"),
        ({"path_loss": -30.0}, TypeError, "path_loss must be a PathLoss"),
        ({"fading": "rayleigh"}, TypeError, "fading must be a Fading"),
        ({"acceptance": []}, TypeError, "acceptance must be a list of at least 1 AcceptanceClass"),
        ({"devices": [3.0]}, TypeError, "devices must be a list of at least 1 DeviceClass"),
        ({"sources": "a note"}, TypeError, "sources must be a list of at least 0 Source"),
        ({"distance": (0.0, 10.0)}, ValueError, r"distance\[0\] must lie in \[1e-50, 1e\+50\], got 0.0"),
        ({"distance": (500.0, 100.0)}, ValueError, "low <= high"),
        ({"distance": 100.0}, TypeError, r"distance must be a pair \[low, high\], got 100.0"),
        ({"distance": (1.0, 2.0, 3.0)}, TypeError, "distance must be a pair"),
        ({"transmit_power_dbm": (10.0, float("nan"))}, ValueError, r"transmit_power_dbm\[1\]"),
        ({"transmit_power_dbm": (10.0, 1000.0)}, ValueError, r"must keep the channel gain, .* in \[-350, 350\] dB"),
        ({"num_users": 0}, ValueError, r"num_users must be a whole number in \[1, 100000\], got 0"),
        ({"num_users": 2.5}, ValueError, "num_users must be a whole number"),
        ({"num_rounds": -1}, ValueError, "num_rounds"),
        (
            {"mean_gain": (0.2, 0.5)},
            ValueError,
            "mean_gain must not be given with .*got it with distance and path_loss",
        ),
        ({"distance": None}, ValueError, "distance is missing"),
        ({"distance": None, "path_loss": None, "mean_gain": (0.0, 1.0)}, ValueError, r"mean_gain\[0\] must lie in"),
        ({"acceptance_rates": "tasks"}, ValueError, "acceptance_rates must be one of own, task; .*Did you mean 'task'"),
        ({"reference_power": 0.0}, ValueError, r"reference_power must lie in \[1e-50, 1e\+50\]"),
    ],
)
def test_a_wrong_scenario_is_refused(changes: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(**changes)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: AcceptanceClass("chat"), ValueError, "rate_range is missing"),
        (lambda: AcceptanceClass("a", (0.1, 1.2)), ValueError, r"rate_range\[1\] must lie in \[0, 1\], got 1.2"),
        (lambda: AcceptanceClass("a", (0.9, 0.1)), ValueError, "low <= high"),
        (lambda: AcceptanceClass("a", (0.1, 0.2), pair=7), TypeError, "pair must be a string"),  # type: ignore[arg-type]
        (lambda: AcceptanceClass("a", (0.1, 0.2), weight=0.0), ValueError, "weight must lie in"),
        (
            lambda: AcceptanceClass("a", (0.1, 0.2), beta=(1.0, 0.0)),
            ValueError,
            r"beta\[1\] must lie in \[0.001, 1e\+06\]",
        ),
        (lambda: AcceptanceClass("a", (0.1, 0.2), beta=2.0), TypeError, "beta must be a pair"),  # type: ignore[arg-type]
        (lambda: AcceptanceClass("a", (0.1, 0.2), rate=0.1), ValueError, "rate_range and rate must not both be given"),
        (lambda: AcceptanceClass("a", rate=1.2), ValueError, r"rate must lie in \[0, 1\], got 1.2"),
        (lambda: AcceptanceClass("a", (0.1, 0.2), deviation=0.1), ValueError, "deviation needs rate"),
        (lambda: AcceptanceClass("a", rate=0.1, beta=(1.0, 1.0)), ValueError, "beta needs rate_range"),
        (lambda: AcceptanceClass("a", rate=0.9, deviation=0.4), ValueError, "deviation must be 0 or leave .*got 0.4"),
        (
            lambda: AcceptanceClass("a", rate=0.9, deviation=1e-5),
            ValueError,
            "deviation must be 0 or leave .*got 1e-05",
        ),
        (lambda: AcceptanceClass("a", rate=0.0, deviation=0.1), ValueError, "deviation must be 0 or leave"),
        (lambda: AcceptanceClass("a", rate=0.5, deviation=1e-308), ValueError, "deviation must be 0 or .*got 1e-308"),
        (lambda: DeviceClass("a", (1.0, 2.0), time_range=(0.1, 0.2)), ValueError, "got time_range and speed_range"),
        (lambda: DeviceClass("a", time_range=(0.2, 0.1)), ValueError, "time_range must be a pair"),
        (lambda: DeviceClass("a"), ValueError, "speed_range or speeds must be given"),
        (lambda: DeviceClass("a", (1.0, 2.0), [3.0]), ValueError, "and not both"),
        (lambda: DeviceClass("a", (0.0, 2.0)), ValueError, r"speed_range\[0\] must lie in \[1e-30, 1e\+30\]"),
        (
            lambda: DeviceClass("a", speeds=[3.0, -1.0]),
            ValueError,
            r"speeds\[1\] must lie in \[1e-30, 1e\+30\], got -1.0",
        ),
        (lambda: DeviceClass("a", speeds=[]), TypeError, "speeds must be a list of at least one number"),
        (lambda: DeviceClass("a", speeds=[1.0], weight=-1.0), ValueError, "weight must lie in"),
        (lambda: Source([], "assumed", "x"), TypeError, "keys must be a list"),
        (lambda: Source(["cell"], "mesured", "x"), ValueError, "Did you mean 'measured'"),  # type: ignore[arg-type]
        (lambda: Source(["cell"], "assumed", ""), ValueError, "source must not be empty"),
        (lambda: build().sample_users(np.random.default_rng(0), 0), ValueError, "num_users must be a whole number in"),
        (lambda: build().sample_users(np.random.default_rng(0), True), TypeError, "num_users must be"),
    ],
)
def test_a_wrong_part_is_refused(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()  # type: ignore[operator]
