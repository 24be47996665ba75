"""Theorem 1: against its printed form in exact arithmetic, against a search, and against the controller."""

import dataclasses

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from multispin_gym import Users, load_scenario, play_round
from multispin_gym.baselines import best_common_length, make_controller

RATES = [1e-300, 1e-12, 1e-3, 0.1, 0.5, 0.7, 0.9, 0.99, 1.0 - 1e-6, 1.0 - 1e-9, 1.0 - 1e-13, 1.0 - 2.0**-53]
RATIOS = [0.5, 1.0, 1.0 + 1e-9, 1.001, 1.1, 1.5, 2.0, 5.0, 20.0, 1e3, 1e6]


@pytest.mark.parametrize("alpha", RATES)
def test_the_length_is_the_printed_one_to_ten_digits(alpha):
    with mpmath.workdps(80):
        a = mpmath.mpf(alpha)
        for ratio in RATIOS:
            theta = 0.04
            exact = mpmath.mpf(0)
            x = mpmath.mpf(theta * ratio) / mpmath.mpf(theta)
            if x > (1 - a) / (a * abs(mpmath.log(a))):
                w = mpmath.lambertw(-(a ** (x - 1)) / mpmath.e, -1)
                exact = mpmath.re(-mpmath.log(-w) / mpmath.log(a) - 1)
            length = float(best_common_length(alpha, theta, theta * ratio))
            assert length == pytest.approx(float(exact), rel=1e-10, abs=1e-10)


@given(alpha=st.floats(0.01, 0.99), theta=st.floats(1e-3, 1.0), server=st.floats(0.01, 1.0))
def test_no_real_length_has_more_goodput(alpha, theta, server):
    def negative(length):
        return -(1.0 - alpha ** (length + 1.0)) / (1.0 - alpha) / (length * theta + server)

    length = float(best_common_length(alpha, theta, server))
    found = minimize_scalar(negative, bounds=(0.0, 5000.0), method="bounded", options={"xatol": 1e-10})
    assert negative(length) <= min(found.fun, negative(0.0)) * (1 - 1e-12)


@pytest.mark.parametrize("name", ["paper_llama2", "paper_qwen35"])
@pytest.mark.parametrize("alpha", [0.3, 0.6, 0.75, 0.9, 0.97, 1.0])
def test_with_equal_acceptance_the_controller_takes_the_better_neighbour(name, alpha):
    scenario = load_scenario(name)
    drawn = scenario.sample_users(np.random.default_rng(1), batch=(20,))
    users = Users(alpha, drawn.drafting_speed, drawn.channel_gain, drawn.transmit_power)
    cell = scenario.cell
    decision = make_controller("homogeneous")(users, cell)
    whole = decision.draft_lengths[:, 0]
    outcome = play_round(users, cell, decision)
    theta = (outcome.latency - outcome.verification_time) / whole
    real = np.clip(best_common_length(alpha, theta, outcome.verification_time), 1, cell.max_draft_length)
    assert ((whole == np.floor(real)) | (whole == np.ceil(real))).all()


def test_the_best_length_grows_with_verification_time_and_acceptance_and_falls_with_theta():
    server = np.linspace(0.1, 0.4, 7)
    assert (np.diff(best_common_length(0.8, 0.04, server)) > 0.0).all()
    assert (np.diff(best_common_length(np.linspace(0.6, 0.9, 7), 0.04, 0.2)) > 0.0).all()
    assert (np.diff(best_common_length(0.8, np.linspace(0.02, 0.08, 7), 0.2)) < 0.0).all()


def test_ends_of_the_acceptance_rate():
    assert best_common_length([0.0, 1.0, 1.0], 0.1, [9.0, 0.2, 0.05]).tolist() == [0.0, np.inf, 0.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.1, 0.1, 0.1), r"acceptance_rate must lie in \[0, 1\], got 1.1"),
        ((0.5, 0.0, 0.1), r"seconds_per_token must lie in \(0, inf\), got 0.0"),
        ((0.5, 0.1, -1.0), r"verification_time must lie in \(0, inf\), got -1.0"),
    ],
)
def test_values_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        best_common_length(*arguments)


def test_a_time_per_draft_counts_as_verification_time():
    scenario = load_scenario("paper_llama2")
    drawn = scenario.sample_users(np.random.default_rng(1), batch=(50,))
    users = dataclasses.replace(drawn, acceptance_rate=np.full(drawn.acceptance_rate.shape, 0.8))
    long = make_controller("homogeneous")(users, scenario.cell).draft_lengths
    server = dataclasses.replace(scenario.cell.verification, per_draft=0.0)
    short = make_controller("homogeneous")(users, dataclasses.replace(scenario.cell, verification=server)).draft_lengths
    assert (long >= short).all()
    assert (long > short).any()
