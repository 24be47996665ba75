"""Objectives: worked by hand, and their tangents against difference quotients."""

import math

import numpy as np
import pytest

from multispin_gym import Objective
from multispin_gym.physics.objectives import OBJECTIVES

EVERY_OBJECTIVE = pytest.mark.parametrize("name", OBJECTIVES)
# Two users with 2 and 8 tokens in half a second: 4 and 16 token/s.
TOKENS, LATENCY = np.array([2.0, 8.0]), np.array(0.5)


def total(name, weights, tokens):
    objective = Objective(name, weights)
    return objective.total.of(tokens, objective.total.importance(objective.weights_of(tokens.shape[-1])))


def tangent(name, weights, tokens):
    objective = Objective(name, weights)
    slopes = objective.total.tangent(tokens, objective.total.importance(objective.weights_of(tokens.shape[-1])))
    return np.broadcast_to(slopes, tokens.shape)


@pytest.mark.parametrize(
    ("name", "weights", "by_hand"),
    [
        ("sum", None, 20.0),
        ("sum", [3.0, 1.0], 28.0),
        ("proportional_fair", None, math.log(64.0)),
        ("proportional_fair", [3.0, 1.0], math.log(1024.0)),
    ],
)
def test_a_rounds_value_is_what_comes_out_by_hand(name, weights, by_hand):
    assert float(Objective(name, weights).value(TOKENS, LATENCY)) == pytest.approx(by_hand, rel=1e-15)


@pytest.mark.parametrize(
    ("name", "weights", "by_hand", "slopes"),
    [
        ("sum", None, 10.0, [1.0, 1.0]),
        ("sum", [3.0, 1.0], 14.0, [3.0, 1.0]),
        # sqrt(2 * 8), and half of it over each user's tokens.
        ("proportional_fair", None, 4.0, [1.0, 0.25]),
        # (2^3 * 8)^(1/4) = 2 sqrt(2), and 3/4 of it over 2, 1/4 of it over 8.
        ("proportional_fair", [3.0, 1.0], 2.0 * math.sqrt(2.0), [0.75 * math.sqrt(2.0), math.sqrt(2.0) / 16.0]),
    ],
)
def test_total_and_tangent_are_what_comes_out_by_hand(name, weights, by_hand, slopes):
    assert float(total(name, weights, TOKENS)) == pytest.approx(by_hand, rel=1e-15)
    np.testing.assert_allclose(tangent(name, weights, TOKENS), slopes, rtol=1e-15)


@EVERY_OBJECTIVE
@pytest.mark.parametrize("weights", [None, [0.5, 4.0, 1.0, 2.0]])
def test_tangent_is_the_slope_of_the_total(name, weights):
    tokens = np.random.default_rng(0).uniform(1.0, 9.0, (20, 4))
    step = 1e-5
    slopes = [
        (total(name, weights, tokens + step * unit) - total(name, weights, tokens - step * unit)) / (2.0 * step)
        for unit in np.eye(4)
    ]
    np.testing.assert_allclose(tangent(name, weights, tokens), np.stack(slopes, axis=-1), rtol=1e-8)


@EVERY_OBJECTIVE
@pytest.mark.parametrize("weights", [None, [0.5, 4.0, 1.0, 2.0]])
def test_tangent_touches_the_total_and_lies_nowhere_below_it(name, weights):
    rng = np.random.default_rng(1)
    here, elsewhere = rng.uniform(1.0, 9.0, (2, 1000, 4))
    slopes = tangent(name, weights, here)
    np.testing.assert_allclose((slopes * here).sum(axis=-1), total(name, weights, here), rtol=1e-14)
    assert ((slopes * elsewhere).sum(axis=-1) >= total(name, weights, elsewhere) * (1.0 - 1e-14)).all()


@EVERY_OBJECTIVE
def test_total_doubles_when_all_tokens_double_and_ranks_rounds_as_their_values_do(name):
    rng = np.random.default_rng(2)
    weights, tokens, latency = [1.0, 2.0, 5.0], rng.uniform(1.0, 9.0, (200, 3)), rng.uniform(0.1, 1.0, 200)
    totals = total(name, weights, tokens)
    np.testing.assert_allclose(total(name, weights, 2.0 * tokens), 2.0 * totals, rtol=1e-14)
    np.testing.assert_allclose(total(name, weights, tokens / latency[:, None]), totals / latency, rtol=1e-14)
    values = Objective(name, weights).value(tokens, latency)
    assert (np.argsort(totals / latency) == np.argsort(values)).all()


@EVERY_OBJECTIVE
def test_weights_of_one_are_no_weights(name):
    tokens, latency = np.random.default_rng(3).uniform(1.0, 9.0, (10, 3)), np.full(10, 0.2)
    plain, weighted = (Objective(name, weights).value(tokens, latency) for weights in (None, [1.0, 1.0, 1.0]))
    np.testing.assert_array_equal(plain, weighted)


def test_a_round_that_never_ends_is_worth_nothing():
    assert float(Objective().value(TOKENS, np.array(np.inf))) == 0.0
    assert float(Objective("proportional_fair").value(TOKENS, np.array(np.inf))) == -np.inf


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        (
            "proportional_fare",
            None,
            "objective must be one of sum, proportional_fair.*Did you mean 'proportional_fair'",
        ),
        ("sum", [1.0, 0.0], r"weights must lie in \[1e-50, 1e\+50\]"),
        ("sum", 2.0, "weights must be a list with one weight for each user, got 2.0"),
    ],
)
def test_wrong_objectives_are_refused(name, weights, message):
    with pytest.raises(ValueError, match=message):
        Objective(name, weights)


def test_weights_for_other_users_are_refused():
    with pytest.raises(ValueError, match="one entry for each of the 3 users, got 2"):
        Objective("sum", [1.0, 2.0]).weights_of(3)


@EVERY_OBJECTIVE
def test_weights_may_differ_from_cell_to_cell(name):
    weights = np.array([[1.0, 2.0], [3.0, 0.5]])
    tokens, latency = np.array([[2.0, 8.0], [1.0, 4.0]]), np.array([0.5, 0.25])
    objective = Objective.for_cells(name, weights)
    expected = [Objective(name, list(w)).value(n, t) for w, n, t in zip(weights, tokens, latency, strict=True)]
    np.testing.assert_array_equal(objective.value(tokens, latency), expected)
    some = objective.of_users(np.array([1]), np.array([[1]]), 2)
    np.testing.assert_array_equal(some.weights_of(1), [[0.5]])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], r"weights must have shape \(cells, users\), got \(2,\)"),
        ([[1.0, 0.0]], r"weights must lie in .*, got 0\.0 at index \(0, 1\)"),
    ],
)
def test_weights_for_cells_that_are_none_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        Objective.for_cells("sum", weights)
