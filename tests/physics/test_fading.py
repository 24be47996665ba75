from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from multispin_gym.physics.fading import Fading


def blocks(fading, seeds, rounds, users, count=1):
    """Draw `count` consecutive blocks for one cell per seed, joined along the rounds."""
    generators = [np.random.default_rng(seed) for seed in seeds]
    amplitudes = fading.amplitudes(len(seeds), users)
    parts = []
    for index in range(count):
        powers = np.empty((len(seeds), rounds, users))
        fading.fill(generators, powers, amplitudes, fresh=index == 0)
        parts.append(powers)
    return np.concatenate(parts, axis=1)


def test_rayleigh_power_gains_are_exponential_with_mean_one():
    draws = Fading("rayleigh").sample(np.random.default_rng(0), (40_000,))
    assert stats.kstest(draws, "expon").pvalue > 0.01


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_blocks_follow_the_stationary_law_in_their_first_and_their_last_round(correlation):
    powers = blocks(Fading("rayleigh", correlation), range(2000), rounds=4, users=5)
    for index in (0, 3):
        assert stats.kstest(powers[:, index].ravel(), "expon").pvalue > 0.01


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 1.0])
def test_power_gains_of_consecutive_rounds_correlate_with_rho_squared(correlation):
    powers = blocks(Fading("rayleigh", correlation), range(400), rounds=25, users=20)
    for lag in (1, 2):
        measured = np.corrcoef(powers[:, :-lag].ravel(), powers[:, lag:].ravel())[0, 1]
        assert measured == pytest.approx(correlation ** (2 * lag), abs=0.02)


def test_full_correlation_keeps_one_draw_for_the_episode():
    powers = blocks(Fading("rayleigh", 1.0), range(3), rounds=5, users=4, count=2)
    np.testing.assert_array_equal(powers, np.broadcast_to(powers[:, :1], powers.shape))


def test_no_fading_is_one_and_leaves_the_generator_alone():
    rng = np.random.default_rng(3)
    np.testing.assert_array_equal(Fading("none").sample(rng, (2, 3)), 1.0)
    np.testing.assert_array_equal(blocks(Fading("none"), range(2), rounds=3, users=4), 1.0)
    assert rng.bit_generator.state == np.random.default_rng(3).bit_generator.state


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_a_cells_draws_do_not_depend_on_the_cells_beside_it(correlation):
    fading = Fading("rayleigh", correlation)
    together = blocks(fading, [5, 6, 7], rounds=6, users=3, count=2)
    for row, seed in enumerate([5, 6, 7]):
        np.testing.assert_array_equal(blocks(fading, [seed], rounds=6, users=3, count=2)[0], together[row])


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_a_process_drawn_in_two_blocks_is_the_process_drawn_in_one(correlation):
    fading = Fading("rayleigh", correlation)
    np.testing.assert_array_equal(
        blocks(fading, [1, 2], rounds=3, users=4, count=2), blocks(fading, [1, 2], rounds=6, users=4)
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "raleigh"}, ValueError, "Did you mean 'rayleigh'"),
        ({"correlation": 1.5}, ValueError, r"fading.correlation must lie in \[0, 1\], got 1.5"),
        ({"correlation": float("nan")}, ValueError, "fading.correlation must lie in"),
        ({"correlation": "high"}, TypeError, "fading.correlation"),
        ({"model": "none", "correlation": 0.5}, ValueError, "must be 0 where fading.model is 'none'"),
    ],
)
def test_bad_fading_is_refused_by_name(arguments, error, message):
    with pytest.raises(error, match=message):
        Fading(**arguments)
