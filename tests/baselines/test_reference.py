"""What ratios are taken to: which reference fits, what it computes, and of which decisions it holds."""

import numpy as np
import pytest
from reference import best_common, brute_force, random_cell, random_users

from multispin_gym import Objective
from multispin_gym.baselines import certify, relax
from multispin_gym.baselines.reference import GAP, ROUGH_GAP, Reference


@pytest.mark.parametrize(
    ("actions", "num_users", "name"),
    [
        ("own_lengths", 12, "certificate"),
        ("own_lengths", 13, "relaxation"),
        ("common_length", 2, "homogeneous"),
        ("common_length", 40, "homogeneous"),
    ],
)
def test_the_reference_fits_the_actions_and_the_number_of_users(actions, num_users, name):
    assert Reference.of_actions(actions, num_users) == Reference(name, GAP)
    assert Reference.of_actions(actions, num_users, ROUGH_GAP).gap == ROUGH_GAP


def test_references_are_the_optima_that_they_are_called():
    rng = np.random.default_rng(4)
    for _ in range(5):
        cell, users = random_cell(rng, "affine", "ragged", "total"), random_users(rng, 3)
        best, _ = brute_force(users, cell)
        assert Reference("certificate").goodput(users, cell) == pytest.approx(best, rel=1e-6)
        assert Reference("relaxation").goodput(users, cell) >= best
        assert Reference("homogeneous").goodput(users, cell) == pytest.approx(best_common(users, cell)[1], rel=1e-9)


def test_weights_count_in_every_reference():
    rng = np.random.default_rng(5)
    cell, users, goal = (
        random_cell(rng, "affine", "padded", "density"),
        random_users(rng, 3),
        Objective("sum", [1, 2, 3]),
    )
    certified = certify(users, cell, objective=goal).upper_bound
    assert Reference("certificate").goodput(users, cell, goal) == certified
    assert Reference("relaxation").goodput(users, cell, goal) == relax(users, cell, goal).upper_bound
    assert 0.0 < Reference("homogeneous").goodput(users, cell, goal) <= certified


def test_a_reference_says_of_which_decisions_it_holds():
    cell = random_cell(np.random.default_rng(6), "affine", "ragged", "total")
    lengths = np.array([[1, 1, 1], [1, 2, 3], [0, 1, 1]])
    assert Reference("certificate").bounds(lengths, cell).tolist() == [True, True, False]
    assert Reference("homogeneous").bounds(lengths, cell).tolist() == [True, False, False]


def test_a_reference_is_described_in_words():
    assert Reference("certificate", 1e-4).description == "certified optimum's upper bound, within 1e-4 of it"
    assert Reference("relaxation").description == "relaxation's upper bound, out of reach of whole lengths"
    assert Reference("homogeneous").description == "best common draft length, exact"


def test_unknown_references_and_negative_gaps_are_refused():
    with pytest.raises(ValueError, match="reference must be one of relaxation, certificate, homogeneous; got 'relax'"):
        Reference("relax")
    with pytest.raises(ValueError, match=r"gap must lie in \[0, inf\), got -1.0"):
        Reference("certificate", -1.0)
