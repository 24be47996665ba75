"""Single requests: that each column has the law that the scenario states, and that tasks are told."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from multispin_gym import Fading, load_scenario
from multispin_gym.scenarios import AcceptanceClass, DeviceClass, RequestLaw
from multispin_gym.scenarios.request_draws import COLUMNS
from multispin_gym.scenarios.sampling import sample_tasks_and_users

COUNT = 40_000


def columns(scenario, seed=0, count=COUNT):
    drawn = RequestLaw(scenario).draw(np.full(count, seed, np.uint64), np.arange(count))
    assert drawn.shape == (count, len(COLUMNS))
    assert drawn.dtype == np.float64
    return dict(zip(COLUMNS, drawn.T, strict=True))


def test_hidden_rates_follow_the_beta_law_of_their_task():
    scenario = load_scenario("serve")
    drawn = columns(scenario)
    assert stats.chisquare(np.bincount(drawn["task"].astype(int), minlength=4)).pvalue > 1e-3
    for index, task in enumerate(scenario.acceptance):
        rates = drawn["acceptance_rate"][drawn["task"] == index]
        assert rates.mean() == pytest.approx(task.rate, abs=5.0 * task.deviation / np.sqrt(rates.size))
        fourth = np.mean((rates - rates.mean()) ** 4)
        error = np.sqrt((fourth - task.deviation**4) / rates.size) / (2.0 * task.deviation)
        assert rates.std() == pytest.approx(task.deviation, abs=5.0 * error)
        size = task.rate * (1.0 - task.rate) / task.deviation**2 - 1.0
        law = stats.beta(task.rate * size, (1.0 - task.rate) * size)
        low, high = float(np.float32(1e-5)), float(np.float32(1.0 - 1e-6))
        assert (rates >= low).all()
        assert (rates <= high).all()
        inner = rates[(rates > low) & (rates < high)]
        below, above = law.cdf(low), law.cdf(high)
        ends = (rates <= low).sum(), (rates >= high).sum()
        assert (
            stats.chisquare([inner.size + ends[0], ends[1]], rates.size * np.array([above, 1.0 - above])).pvalue > 1e-3
        )
        assert stats.kstest(inner, lambda x, b=below, a=above, f=law: (f.cdf(x) - b) / (a - b)).pvalue > 1e-3


def test_rates_are_the_tasks_means_where_all_know_no_more():
    scenario = load_scenario("deadline")
    drawn = columns(scenario, count=1000)
    means = np.array([np.float32(task.rate) for task in scenario.acceptance], dtype=np.float64)
    np.testing.assert_array_equal(drawn["acceptance_rate"], means[drawn["task"].astype(int)])
    # Hidden rates are the requests' own, whatever the scenario says of those that are seen.
    hidden = dataclasses.replace(scenario, clock=dataclasses.replace(scenario.clock, hidden=True))
    assert np.unique(columns(hidden, count=1000)["acceptance_rate"]).size > 300


def test_uniform_rates_and_listed_speeds_are_drawn_too():
    scenario = dataclasses.replace(
        load_scenario("laptops_60ms"),
        acceptance=[AcceptanceClass("a", (0.2, 0.4)), AcceptanceClass("b", (0.5, 0.9), weight=3.0)],
        devices=[DeviceClass("phone", speeds=[10.0, 20.0])],
    )
    drawn = columns(scenario)
    second = drawn["task"] == 1
    assert stats.binomtest(int(second.sum()), COUNT, 0.75).pvalue > 1e-3
    assert stats.kstest(drawn["acceptance_rate"][second], stats.uniform(0.5, 0.4).cdf).pvalue > 1e-3
    assert stats.kstest(drawn["acceptance_rate"][~second], stats.uniform(0.2, 0.2).cdf).pvalue > 1e-3
    assert set(np.unique(drawn["drafting_speed"]).tolist()) == {10.0, 20.0}


@pytest.mark.parametrize("name", ["serve", "laptops_60ms", "qwen35_27b_eager"])
def test_requests_come_from_devices_and_places_as_users_do(name):
    scenario = load_scenario(name)
    drawn = columns(scenario)
    users = scenario.sample_large_scale(np.random.default_rng(1), COUNT)
    for field in ("acceptance_rate", "drafting_speed", "channel_gain"):
        assert stats.ks_2samp(drawn[field], getattr(users, field)).pvalue > 1e-3, field
    for field in ("acceptance_rate", "drafting_speed"):
        np.testing.assert_array_equal(drawn[field], drawn[field].astype(np.float32))
        low, high = scenario.observation_bounds[field]
        assert low <= drawn[field].min() <= drawn[field].max() <= high


def test_lengths_slacks_and_fades_have_their_laws():
    scenario = load_scenario("serve")
    drawn = columns(scenario)
    requests = scenario.clock.requests
    assert (drawn["length"] == np.rint(drawn["length"])).all()
    error = drawn["length"].std() / np.sqrt(COUNT)
    assert drawn["length"].mean() == pytest.approx(requests.mean_length, abs=4.5 * error)
    assert stats.kstest(drawn["slack"], stats.uniform(1.2, 1.8).cdf).pvalue > 1e-3
    power = drawn["fade_real"] ** 2 + drawn["fade_imaginary"] ** 2
    assert stats.kstest(power, stats.expon.cdf).pvalue > 1e-3
    assert stats.kstest(drawn["fade_real"], stats.norm(scale=np.sqrt(0.5)).cdf).pvalue > 1e-3
    # Nothing but the rate depends on the task, and nothing else on anything.
    table = np.array([values for column, values in drawn.items() if column != "task"])
    assert np.abs(np.corrcoef(table) - np.eye(len(table))).max() < 4.5 / np.sqrt(COUNT)


@pytest.mark.parametrize("name", ["stale", "default"])
def test_without_requests_nothing_ends(name):
    drawn = columns(load_scenario(name), count=10)
    assert np.isinf(drawn["length"]).all()
    assert np.isinf(drawn["slack"]).all()


def test_without_deadlines_nothing_is_late():
    drawn = columns(load_scenario("hidden"), count=10)
    assert np.isfinite(drawn["length"]).all()
    assert np.isinf(drawn["slack"]).all()


def test_draws_depend_on_the_stream_and_the_number_only():
    law = RequestLaw(load_scenario("serve"))
    keys, counts = np.arange(100, dtype=np.uint64) % 7, np.arange(100) // 7
    whole = law.draw(keys, counts)
    assert np.unique(whole, axis=0).shape == whole.shape
    for some in (slice(3, 4), slice(10, 90, 3), slice(None, None, -1)):
        np.testing.assert_array_equal(law.draw(keys[some], counts[some]), whole[some])


def test_users_are_told_with_their_tasks():
    tasks = [AcceptanceClass("a", (0.1, 0.2)), AcceptanceClass("b", (0.3, 0.5), beta=(2.0, 3.0), weight=2.0)]
    scenario = dataclasses.replace(load_scenario("laptops_60ms"), acceptance=tasks, fading=Fading("none"))
    task, users = sample_tasks_and_users(scenario, np.random.default_rng(7), (50, 6))
    same = scenario.sample_large_scale(np.random.default_rng(7), 6, batch=50)
    for field in ("acceptance_rate", "drafting_speed", "channel_gain", "transmit_power"):
        np.testing.assert_array_equal(getattr(users, field), getattr(same, field))
    np.testing.assert_array_equal(task, users.acceptance_rate > 0.25)
