"""What is believed of acceptance rates: Beta laws against integrals over the law that rates are drawn from."""

import dataclasses

import numpy as np
import pytest
from scipy.special import betaincinv

import multispin_gym as ms
from multispin_gym.baselines.estimators.acceptance_belief import AcceptanceBelief, curve_of, prior_shapes
from multispin_gym.scenarios.populations import AcceptanceClass

SCENARIO = ms.load_scenario("hidden")


def seen(task, accepted, drafted):
    """Observations of the counts, as the environment shows them."""
    entries = {"task": task, "accepted_count": accepted, "drafted_count": drafted}
    return {name: np.asarray(value, dtype=np.float32) for name, value in entries.items()}


def simulate(rate, rng, rounds=60, task=0):
    """A belief after rounds of drafts of 0 to 25 tokens, and the counts as they are."""
    belief = AcceptanceBelief(SCENARIO)
    accepted, drafted, refusals = np.zeros((3, *rate.shape))
    belief.reset(seen(np.full(rate.shape, task), accepted, drafted))
    for _ in range(rounds):
        lengths = rng.integers(0, 26, rate.shape)
        got = np.minimum(np.floor(np.log(rng.random(rate.shape)) / np.log(rate)), lengths)
        accepted, drafted, refusals = accepted + got, drafted + lengths, refusals + (got < lengths)
        belief.update(seen(np.full(rate.shape, task), accepted, drafted))
    return belief, accepted, refusals


def test_priors_have_the_mean_and_the_deviation_of_the_tasks():
    for task, (first, second) in zip(SCENARIO.acceptance, prior_shapes(SCENARIO), strict=True):
        size = first + second
        assert first / size == pytest.approx(task.rate, rel=1e-12)
        assert np.sqrt(first * second / (size + 1.0)) / size == pytest.approx(task.deviation, rel=1e-12)


def test_a_law_on_a_range_is_replaced_by_one_of_its_mean_and_deviation():
    task = AcceptanceClass("chat", (0.4, 0.9), beta=(2.0, 3.0))
    scenario = dataclasses.replace(SCENARIO, acceptance=[task])
    first, second = prior_shapes(scenario)[0]
    draws = task.sample(np.random.default_rng(0), 200_000)
    assert first / (first + second) == pytest.approx(draws.mean(), abs=2e-3)
    variance = first * second / (first + second) ** 2 / (first + second + 1.0)
    assert variance == pytest.approx(draws.var(), rel=2e-2)


@pytest.mark.parametrize("whose", ["own", "task"])
def test_rates_without_deviation_are_known_whatever_is_accepted(whose):
    deviation = 0.0 if whose == "own" else 0.3
    tasks = [AcceptanceClass("chat", rate=0.8, deviation=deviation)]
    belief = AcceptanceBelief(dataclasses.replace(SCENARIO, acceptance=tasks, acceptance_rates=whose))
    belief.update(seen([[0]], [[0]], [[10]]))
    assert belief.mean() == pytest.approx(0.8, abs=1e-9)
    np.testing.assert_allclose(belief.survival(25)[0, 0], 0.8 ** np.arange(1, 26), rtol=1e-9)
    assert belief.sample(np.random.default_rng(0))[0, 0] == pytest.approx(0.8, abs=1e-4)


def test_curves_are_moments_of_the_law():
    rng = np.random.default_rng(1)
    draws = rng.beta(2.5, 0.7, 400_000)
    curve = curve_of(np.array(2.5), np.array(0.7), 10)
    np.testing.assert_allclose(curve, [(draws**i).mean() for i in range(1, 11)], atol=3e-3)


@pytest.mark.parametrize("task", range(4))
def test_posteriors_are_those_of_the_law_that_rates_are_drawn_from(task):
    """The law cut at its ends, as quantiles of equal weight: what conjugacy neglects is small."""
    low, high = SCENARIO.acceptance[task].limits
    levels = (np.arange(50_000) + 0.5) / 50_000
    rates = np.clip(betaincinv(*SCENARIO.acceptance[task].law[1], levels), low, high)
    powers = rates ** np.arange(1, 26)[:, None]
    for accepted, refusals in [(0, 0), (0, 1), (1, 0), (3, 2), (40, 1), (600, 0), (600, 1), (300, 90)]:
        logarithm = accepted * np.log(rates) + refusals * np.log1p(-rates)
        weights = np.exp(logarithm - logarithm.max())
        belief = AcceptanceBelief(SCENARIO)
        for drafted in range(refusals + 1):
            belief.update(seen([[task]], [[0]], [[drafted]]))
        belief.update(seen([[task]], [[accepted]], [[refusals + accepted]]))
        curve = powers @ weights / weights.sum()
        np.testing.assert_allclose(belief.survival(25)[0, 0], curve, atol=3e-3)


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9, 0.999])
def test_beliefs_come_to_the_truth(rate):
    belief, accepted, refusals = simulate(np.full((1, 400), rate), np.random.default_rng(2))
    np.testing.assert_array_equal(belief.refusals, refusals)
    np.testing.assert_array_equal(belief.accepted, accepted)
    spread = np.sqrt(rate * (1.0 - rate) / (accepted + refusals).mean())
    assert np.abs(belief.mean() - rate).mean() < 1.5 * spread
    truth = rate ** np.arange(1, 26)
    assert np.abs(belief.survival(25).mean(axis=(0, 1)) - truth).max() < 0.03


@pytest.mark.parametrize("rounds", [1, 5, 60])
def test_credible_intervals_cover_the_truth_as_often_as_they_say(rounds):
    rng = np.random.default_rng(3)
    rate = SCENARIO.acceptance[0].sample(rng, (1, 4000))
    belief, _, _ = simulate(rate, rng, rounds)
    first, second = belief.shapes
    for level in (0.5, 0.9):
        low, high = (betaincinv(first, second, 0.5 + side * level / 2) for side in (-1, 1))
        # What sits at the upper end of the range lies above quantiles that round to it.
        covered = (low <= rate + 1e-6) & (rate - 1e-5 <= high)
        assert covered.mean() >= level - 0.03


def test_draws_have_the_law_of_the_belief():
    belief, _, _ = simulate(np.full((1, 1), 0.7), np.random.default_rng(4), rounds=3)
    rng = np.random.default_rng(5)
    draws = np.array([belief.sample(rng)[0, 0] for _ in range(4000)])
    first, second = (shape[0, 0] for shape in belief.shapes)
    assert draws.mean() == pytest.approx(first / (first + second), abs=0.01)
    np.testing.assert_allclose(np.quantile(draws, [0.25, 0.75]), betaincinv(first, second, [0.25, 0.75]), atol=0.02)


def test_a_new_request_is_known_by_its_task_alone_and_seeing_twice_changes_nothing():
    belief = AcceptanceBelief(SCENARIO)
    belief.reset(seen([[0, 1]], [[0, 0]], [[0, 0]]))
    for _ in range(2):
        belief.update(seen([[0, 1]], [[3, 2]], [[5, 2]]))
    assert belief.refusals.tolist() == [[1.0, 0.0]]
    belief.update(seen([[2, 1]], [[0, 2]], [[0, 6]]))
    assert belief.refusals.tolist() == [[0.0, 1.0]]
    prior = prior_shapes(SCENARIO)
    np.testing.assert_allclose([shape[0, 0] for shape in belief.shapes], prior[2])
    np.testing.assert_allclose([shape[0, 1] for shape in belief.shapes], prior[1] + [2.0, 1.0])


def test_rows_begin_anew_by_themselves():
    belief = AcceptanceBelief(SCENARIO)
    nothing = seen([[0], [0]], [[0], [0]], [[0], [0]])
    belief.reset(nothing)
    belief.update(seen([[0], [0]], [[1], [1]], [[3], [3]]))
    belief.reset(nothing, np.array([True, False]))
    assert belief.refusals.tolist() == [[0.0], [1.0]]
    belief.reset(nothing)
    assert belief.refusals.tolist() == [[0.0], [0.0]]
