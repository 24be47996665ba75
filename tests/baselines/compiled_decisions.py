"""Decisions of all rules that are partly compiled, with numba and without: run as a program it compares them.

With ``NUMBA_DISABLE_JIT=1`` the loops run as the Python that they are written in.
"""

import dataclasses
import itertools
from functools import partial

import numpy as np
from reference import FORMS, random_cell

from multispin_gym import AffineVerification, Cell, Users, load_scenario, play_round
from multispin_gym.baselines import make_controller
from multispin_gym.baselines.heterogeneous import heterogeneous
from multispin_gym.baselines.nested import nested, nested_polished
from multispin_gym.baselines.solver.switch import plain

RULES = {
    "nested": {},
    "nested_polished": {},
    "heterogeneous": {},
    "nested_polished, fair": {"objective": "proportional_fair"},
    "heterogeneous, fair": {"objective": "proportional_fair"},
}


def draw(rng, shape):
    return Users(
        rng.uniform(0.2, 0.97, shape),
        rng.uniform(40.0, 300.0, shape),
        10.0 ** rng.uniform(-13.0, -10.0, shape),
        rng.uniform(0.01, 0.03, shape),
    )


def assert_alike(name, users, cell):
    """Same lengths and shares, but for which of two decisions is taken that are equally good to rounding."""
    assert_same_decisions(make_controller(name.partition(",")[0], **RULES[name]), users, cell, scored=not RULES[name])


def assert_same_decisions(rule, users, cell, scored=True):
    """Same lengths and shares of a rule, with numba and without, and the same goodput where that is its aim."""
    compiled = rule(users, cell)
    with plain():
        interpreted = rule(users, cell)
    same = (compiled.draft_lengths == interpreted.draft_lengths).all(axis=-1)
    shares = compiled.bandwidth_shares, interpreted.bandwidth_shares
    np.testing.assert_allclose(shares[0][same], shares[1][same], rtol=1e-9, atol=1e-15)
    if scored:
        goodput = [play_round(users, cell, decision).goodput for decision in (compiled, interpreted)]
        np.testing.assert_allclose(*goodput, rtol=1e-9)
    assert same.mean() >= 0.99


def main():
    rng = np.random.default_rng(1)
    for form in FORMS:
        for shortest in (0, 2):
            cell = random_cell(rng, *form, shortest, longest=5)
            for name in RULES:
                assert_alike(name, draw(rng, (1, 3)), cell)
    # Servers that make long drafts hopeless, whatever the band; and a price of time in place of a ratio.
    for per_token, batching in itertools.product((1e-2, 1.0), ("padded", "ragged")):
        cell = Cell(10e6, 4e-21, 16384.0, AffineVerification(1e-3, per_token, batching), min_draft_length=0)
        for price in (5.0, 500.0, 5000.0):
            users = draw(rng, (1, 3))
            assert_same_decisions(
                make_controller("nested", objective="proportional_fair", weights=[10.0, 1.0, 0.1]), users, cell, False
            )
            for rule in (nested, nested_polished, heterogeneous):
                assert_same_decisions(partial(rule, time_price=np.array([price])), users, cell, False)
    cell = Cell(10e6, 4e-21, 16384.0, AffineVerification(0.02, per_draft=0.01), "density", min_draft_length=1)
    # Users who are nearly always accepted or never, whom the first steps of a relaxation do not settle.
    rates = rng.choice([1e-5, 0.9, 1.0 - 1e-6], (40, 4))
    hard = dataclasses.replace(draw(rng, (40, 4)), acceptance_rate=rates)
    # And users with curves.
    curves = np.sort(rng.random((1, 4, cell.max_draft_length)), axis=-1)[..., ::-1]
    for name in ("nested_polished", "heterogeneous"):
        assert_alike(name, hard, cell)
        assert_alike(name, dataclasses.replace(draw(rng, (1, 4)), survival=curves), cell)
    # Users who have their tokens at the same times, and one who hardly ever has any.
    same = Users([[0.7, 0.7, 0.5]], [[100.0] * 3], [[1e-11, 1e-11, 1e-30]], 0.02)
    for name in RULES:
        assert_alike(name, same, dataclasses.replace(cell, min_draft_length=0))
    # Climbs in which none of the first moves gains, but one of those that follow.
    scenario = load_scenario("laptops_60ms")
    assert_alike("heterogeneous", scenario.sample_users(np.random.default_rng(0), 8, (20,)), scenario.cell)
    print("alike")


if __name__ == "__main__":
    main()
