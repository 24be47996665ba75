"""Decisions of all rules that are partly compiled, with numba and without: run as a program it compares them.

With ``NUMBA_DISABLE_JIT=1`` the loops run as the Python that they are written in.
"""

import numpy as np
from reference import FORMS, random_cell

from multispin_gym import Users, play_round
from multispin_gym.baselines import make_controller
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
    rule = make_controller(name.partition(",")[0], **RULES[name])
    compiled = rule(users, cell)
    with plain():
        interpreted = rule(users, cell)
    same = (compiled.draft_lengths == interpreted.draft_lengths).all(axis=-1)
    shares = compiled.bandwidth_shares, interpreted.bandwidth_shares
    np.testing.assert_allclose(shares[0][same], shares[1][same], rtol=1e-9, atol=1e-15)
    if not RULES[name]:
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
    print("alike")


if __name__ == "__main__":
    main()
