"""Aggregates and bootstrap intervals: against closed forms, other libraries' definitions and Monte Carlo coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import norm, ttest_1samp

from multispin_gym.statistics import (
    Estimate,
    gain_estimate,
    interquartile_mean,
    iqm_estimate,
    jain_index,
    lowest_decile_estimate,
    mean_estimate,
    mean_interval,
    pooled_quantile_estimate,
    ratio_estimate,
    regret_estimate,
)

RATES = hnp.arrays(np.float64, st.integers(1, 12), elements=st.floats(1e-3, 1e6))


def test_mean_interval_of_many_normal_values_is_the_textbook_interval():
    values = np.random.default_rng(1).normal(5.0, 2.0, 2000)
    estimate = mean_estimate(values, seed=0)
    half = norm.ppf(0.975) * values.std() / np.sqrt(values.size)
    assert estimate.mean == pytest.approx(values.mean(), rel=1e-12)
    assert estimate.ci95 == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05 * half)


def test_interval_of_a_few_values_stays_among_them():
    values = [0.98, 0.99, 0.9999, 0.991, 0.988]
    low, high = mean_interval(values)["ci95"]
    assert 0.98 <= low < np.mean(values) < high <= 0.9999
    # Student's would say that what cannot pass 1 may.
    assert ttest_1samp(values, 0.0).confidence_interval(0.95).high > high
    assert mean_interval([0.5]) == {"mean": 0.5, "ci95": None}


def test_a_ratio_is_one_of_sums_whatever_a_single_cell_says():
    values, reference = [5.0, 90.0, 40.0], [0.1, 100.0, 50.0]
    estimate = ratio_estimate(values, reference, 0)
    assert estimate.mean == pytest.approx(135.0 / 150.1)
    assert estimate.ci95[0] < estimate.mean < estimate.ci95[1]
    gain = gain_estimate(values, reference, 0)
    assert estimate.ci95 == pytest.approx([end + 1.0 for end in gain.ci95])
    assert ratio_estimate([3.0], [4.0], 0) == Estimate(0.75, None)
    assert ratio_estimate([values], reference, 0) == estimate
    assert np.isnan(ratio_estimate(values, [0.0, 0.0, 0.0], 0).mean)
    assert np.isnan(ratio_estimate([values, values], [0.0, 0.0, 0.0], 0).mean)


def test_no_interval_of_a_ratio_passes_a_bound_that_no_cell_passes():
    rng = np.random.default_rng(0)
    reference = rng.lognormal(0.0, 1.0, 60)
    runs = reference * rng.uniform(0.97, 1.0, (5, 60))
    for values in (runs[0], runs):
        low, high = ratio_estimate(values, reference, 1).ci95
        assert 0.97 <= low <= high <= 1.0


@pytest.mark.slow
def test_the_interval_over_runs_and_cells_covers_and_is_wider_than_over_cells_alone():
    rng, hits, wider = np.random.default_rng(5), 0, 0
    for seed in range(200):
        reference = rng.uniform(1.0, 2.0, 16)
        skill = rng.normal(0.8, 0.02, (12, 1))
        values = reference * (skill + rng.normal(0.0, 0.05, (12, 16)))
        low, high = ratio_estimate(values, reference, seed).ci95
        alone = ratio_estimate(values.mean(axis=0), reference, seed).ci95
        hits += low <= 0.8 <= high
        wider += high - low > alone[1] - alone[0]
    # Twelve runs are few: the percentile bootstrap of their mean covers in 91 to 93 of 100 cases.
    assert 0.86 <= hits / 200 <= 0.99
    assert wider > 190


def test_the_lowest_decile_is_what_a_tenth_stays_below():
    values = np.random.default_rng(2).permutation(np.arange(101.0))
    estimate = lowest_decile_estimate(values, 0)
    assert estimate.mean == 10.0
    assert 2.0 < estimate.ci95[0] < 10.0 < estimate.ci95[1] < 20.0


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "truth"), [(mean_estimate, 0.5), (iqm_estimate, 0.5)])
def test_interval_covers_the_true_value_in_about_95_of_100_experiments(estimator, truth):
    rng = np.random.default_rng(7)
    hits = 0
    for seed in range(200):
        low, high = estimator(rng.beta(3.0, 3.0, 50), seed).ci95
        hits += low <= truth <= high
    # Three standard deviations of 200 experiments are 4.6 %; at n = 50 the percentile bootstrap itself misses 1 %.
    assert 0.895 <= hits / 200 <= 0.99


@pytest.mark.slow
def test_paired_gain_interval_covers_and_is_far_narrower_than_an_unpaired_one():
    rng = np.random.default_rng(3)
    hits, widths, unpaired = 0, [], []
    for seed in range(200):
        hard = rng.lognormal(0.0, 0.5, 40)
        values, baseline = hard * 1.2 * rng.uniform(0.95, 1.05, 40), hard
        low, high = gain_estimate(values, baseline, seed).ci95
        hits += low <= 0.2 <= high
        widths.append(high - low)
        unpaired.append(4 * 1.2 * hard.std() / np.sqrt(40) / hard.mean())
    assert 0.89 <= hits / 200 <= 0.99
    assert np.median(widths) < 0.1 * np.median(unpaired)


def test_interquartile_mean_drops_a_quarter_at_each_end():
    assert interquartile_mean([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 70.0, -80.0]) == pytest.approx(3.5)
    assert interquartile_mean([[4.0, 0.0, 2.0, 100.0]] * 3, axis=-1).tolist() == [3.0] * 3


def test_gain_is_the_ratio_of_the_means_minus_one():
    assert gain_estimate([2.0, 4.0], [1.0, 3.0], 0).mean == pytest.approx(0.5)


def test_constant_data_have_an_interval_of_no_width_without_warnings():
    assert mean_estimate(np.full(7, 0.1) * 3, 0).ci95 == pytest.approx((0.3, 0.3))
    assert iqm_estimate([2.0, 2.0, 2.0], 0) == Estimate(2.0, (2.0, 2.0))
    assert gain_estimate([3.0, 3.0], [2.0, 2.0], 0) == Estimate(0.5, (0.5, 0.5))


def test_one_episode_has_no_interval():
    assert mean_estimate([4.0], 0) == Estimate(4.0, None)
    assert mean_estimate([4.0], 0).to_dict() == {"mean": 4.0, "ci95": None}


def test_gain_over_nothing_is_null():
    estimate = gain_estimate([1.0, 2.0], [0.0, 0.0], 0)
    assert np.isnan(estimate.mean)
    assert estimate.to_dict() == {"mean": None, "ci95": None}


def test_gain_over_a_baseline_that_is_often_zero_has_no_finite_interval():
    estimate = gain_estimate([1.0, 2.0, 3.0], [0.0, 0.0, 1.0], 0)
    assert estimate.mean == pytest.approx(5.0)
    assert estimate.ci95 is None


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    values = np.random.default_rng(0).normal(size=20)
    assert mean_estimate(values, 5) == mean_estimate(values, 5)
    assert mean_estimate(values, 5).ci95 != mean_estimate(values, 6).ci95


def test_interval_does_not_depend_on_how_resamples_are_batched(monkeypatch):
    values = np.random.default_rng(0).normal(size=(3, 20))
    whole, runs = mean_estimate(values[0], 5), ratio_estimate(values, np.ones(20), 5)
    monkeypatch.setattr("multispin_gym._estimates.BATCH_NUMBERS", 1000)
    assert mean_estimate(values[0], 5) == whole
    again = ratio_estimate(values, np.ones(20), 5)
    assert again.mean == runs.mean
    # Runs and cells are drawn in turn, batch by batch: other resamples, of the same law.
    assert again.ci95 == pytest.approx(runs.ci95, abs=0.02)


@given(rates=RATES, scale=st.floats(1e-6, 1e6))
def test_jain_index_lies_between_one_over_k_and_one_and_ignores_scale_and_order(rates, scale):
    index = float(jain_index(rates))
    assert 1.0 / rates.size - 1e-12 <= index <= 1.0
    assert jain_index(rates[::-1] * scale) == pytest.approx(index, rel=1e-9)
    assert index == pytest.approx(1.0 / (1.0 + (rates.std() / rates.mean()) ** 2), rel=1e-9)


def test_jain_index_counts_the_users_who_share_equally():
    assert jain_index([[1.0, 1.0, 0.0, 0.0], [5.0, 0.0, 0.0, 0.0]]).tolist() == [0.5, 0.25]
    assert jain_index([0.0, 0.0]) == 1.0
    assert jain_index([1e-200, 1e-200]) == 1.0


def test_jain_index_refuses_negative_rates():
    with pytest.raises(ValueError, match=r"rates must lie in \[0, inf\), got -1.0"):
        jain_index([1.0, -1.0])


PARTS = [np.round(np.random.default_rng(7).exponential(size=size), 1) for size in (5, 0, 12, 1, 9)]


@pytest.mark.parametrize("level", [0.0, 0.01, 0.5, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("parts", [PARTS, PARTS[:1], [[3.0], [1.0, 2.0]]], ids=["many", "one", "few"])
def test_a_pooled_quantile_is_that_of_all_values_together(parts, level):
    estimate = pooled_quantile_estimate(parts, level, seed=0)
    assert estimate.mean == np.quantile(np.concatenate(parts), level, method="inverted_cdf")
    assert (estimate.ci95 is None) == (len(parts) == 1)


@pytest.mark.parametrize("level", [0.0, 0.5, 0.95])
def test_the_interval_of_a_pooled_quantile_is_from_resampling_whole_episodes(level):
    low, high = pooled_quantile_estimate(PARTS, level, seed=3).ci95
    counts = np.random.default_rng(3).multinomial(5, np.full(5, 0.2), size=1999)
    resampled = []
    for count in counts:
        pooled = np.concatenate([np.repeat(part, times) for part, times in zip(PARTS, count, strict=True)])
        if pooled.size:
            resampled.append(np.quantile(pooled, level, method="inverted_cdf"))
    assert (low, high) == tuple(np.quantile(resampled, [0.025, 0.975]))


def test_the_interval_of_a_pooled_quantile_does_not_depend_on_how_resamples_are_batched(monkeypatch):
    whole = pooled_quantile_estimate(PARTS, 0.9, seed=1)
    monkeypatch.setattr("multispin_gym._estimates.BATCH_NUMBERS", 100)
    assert pooled_quantile_estimate(PARTS, 0.9, seed=1) == whole


def test_the_interval_of_a_pooled_median_covers_it_in_about_95_of_100_experiments():
    rng, inside = np.random.default_rng(5), 0
    for experiment in range(60):
        # Values of an episode go together, which resampling values instead of episodes would miss.
        parts = [rng.normal(size=1) + 0.3 * rng.normal(size=rng.poisson(6.0) + 1) for _ in range(40)]
        low, high = pooled_quantile_estimate(parts, 0.5, seed=experiment).ci95
        inside += low <= 0.0 <= high
    assert 52 <= inside <= 60


@pytest.mark.parametrize("parts", [[], [[]], [[], []]])
def test_nothing_has_no_quantile(parts):
    estimate = pooled_quantile_estimate(parts, 0.5, seed=0)
    assert np.isnan(estimate.mean)
    assert estimate.ci95 is None


def test_regret_is_the_opposite_of_the_gain():
    values, rival = np.array([1.0, 3.0, 5.0]), np.array([2.0, 4.0, 6.0])
    gain, regret = gain_estimate(values, rival, 0), regret_estimate(values, rival, 0)
    assert regret.mean == pytest.approx(1.0 - 9.0 / 12.0)
    assert regret.ci95 == (-gain.ci95[1], -gain.ci95[0])
    assert regret_estimate([1.0], [2.0], 0) == Estimate(0.5, None)
    assert str(regret_estimate(values, values, 0).mean) == "0.0"
