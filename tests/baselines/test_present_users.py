"""Decisions for cells with absent users are those for the cells without them."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import FORMS, brute_force, random_cell

from multispin_gym import AffineVerification, Cell, Decision, Users, load_scenario, play_round
from multispin_gym.baselines import (
    cen_spin,
    certify,
    list_controllers,
    make_controller,
    p2p_spin,
    register_controller,
    relax,
    unregister_controller,
)
from multispin_gym.baselines.equal_shares import equal_shares
from multispin_gym.baselines.heterogeneous import heterogeneous
from multispin_gym.baselines.present_users import decide_present
from multispin_gym.baselines.random_decision import random_decision
from multispin_gym.baselines.reference import REFERENCES, Reference
from multispin_gym.physics.objectives import Objective

# What multi_spin asks of a cell, so that all controllers can be asked.
CELL = Cell(
    2e6,
    payload=31_744.0,
    noise_power=1e-10,
    verification=AffineVerification(0.02, per_draft=0.01),
    power="density",
    max_draft_length=4,
    round_trip=0.01,
    downlink=1e4,
)
WEIGHTED = ("homogeneous", "nested", "nested_polished", "heterogeneous", "exact")
WEIGHTS = np.array([1.0, 3.0, 0.5, 2.0, 0.1])
BATCH = (3, 4)


def draw(seed=0, batch=BATCH):
    """Users of cells in which nobody, one, two, ... are present, whoever they are."""
    rng = np.random.default_rng(seed)
    shape = (*batch, 5)
    number = (np.arange(math.prod(batch)) + seed % 6).reshape(batch) % 6
    return Users(
        rng.uniform(0.2, 0.97, shape),
        rng.uniform(20.0, 90.0, shape),
        rng.exponential(0.35, shape),
        1e-8,
        rng.random(shape).argsort(axis=-1) < number[..., None],
    )


def those_present(users):
    """Where the users of one cell who are present stand, and they themselves; None if there are none."""
    here = np.flatnonzero(users.present)
    return here, None if here.size == 0 else Users(*(getattr(users, name)[here] for name in Users.FIELDS))


def assert_same_decision(found, row, here, expected):
    lengths, shares = found.draft_lengths[row], found.bandwidth_shares[row]
    absent = np.setdiff1d(np.arange(lengths.size), here)
    assert not lengths[absent].any()
    assert not shares[absent].any()
    np.testing.assert_array_equal(lengths[here], expected.draft_lengths)
    np.testing.assert_allclose(shares[here], expected.bandwidth_shares, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in list_controllers() if name != "random"])
@pytest.mark.parametrize("shortest", [0, 1])
def test_every_controller_decides_as_if_there_were_no_more(name, shortest):
    cell = dataclasses.replace(CELL, min_draft_length=shortest)
    users, controller = draw(), make_controller(name)
    found = controller(users, cell)
    assert found.draft_lengths.shape == found.bandwidth_shares.shape == (*BATCH, 5)
    outcome = play_round(users, cell, found)
    seen = set()
    for row in np.ndindex(BATCH):
        here, some = those_present(users[row])
        seen.add(here.size)
        if here.size:
            expected = controller(some, cell)
            assert_same_decision(found, row, here, expected)
            alone = play_round(some, cell, expected)
            np.testing.assert_allclose(outcome.tokens[row][here], alone.tokens)
            assert outcome.latency[row] == pytest.approx(float(alone.latency), rel=1e-7)
    assert seen == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_exact_decisions_are_the_best_of_all_that_those_present_have(form):
    rng = np.random.default_rng(FORMS.index(form))
    cell = random_cell(rng, *form, shortest=FORMS.index(form) % 2, longest=4)
    users = dataclasses.replace(
        draw(2, (4,)), channel_gain=10.0 ** rng.uniform(-12.0, -10.0, (4, 5)), transmit_power=0.02
    )
    certificate = certify(users, cell, gap=1e-9)
    played = play_round(users, cell, certificate.decision)
    bound = relax(users, cell).upper_bound
    for i in range(4):
        _, some = those_present(users[i])
        best, _ = brute_force(some, cell)
        assert certificate.goodput[i] == pytest.approx(best, rel=1e-9)
        assert played.goodput[i] == pytest.approx(best, rel=1e-9)
        assert bound[i] >= best * (1 - 1e-12)


@pytest.mark.parametrize("objective", [None, Objective(weights=WEIGHTS), Objective("proportional_fair", WEIGHTS)])
def test_bounds_are_those_of_the_cells_without_the_absent(objective):
    users = draw(2)
    certificate, relaxed = certify(users, CELL, objective=objective), relax(users, CELL, objective)
    for row in np.ndindex(BATCH):
        here, some = those_present(users[row])
        if here.size == 0:
            continue
        part = None if objective is None else Objective(objective.name, WEIGHTS[here])
        alone, bound = certify(some, CELL, objective=part), relax(some, CELL, part)
        assert_same_decision(certificate.decision, row, here, alone.decision)
        for name in ("goodput", "upper_bound"):
            assert getattr(certificate, name)[row] == pytest.approx(float(getattr(alone, name)), rel=1e-9)
            assert getattr(relaxed, name)[row] == pytest.approx(float(getattr(bound, name)), rel=1e-7)
        assert certificate.gap[row] <= 1e-6
        np.testing.assert_allclose(relaxed.draft_lengths[row][here], bound.draft_lengths, atol=1e-4)


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("aim", ["sum", "proportional_fair"])
def test_weights_stay_with_their_users(name, aim):
    users = draw(3)
    found = make_controller(name, objective=aim, weights=WEIGHTS)(users, CELL)
    for row in np.ndindex(BATCH):
        here, some = those_present(users[row])
        if here.size:
            alone = make_controller(name, objective=aim, weights=WEIGHTS[here])(some, CELL)
            assert_same_decision(found, row, here, alone)
    one = users[0, 1]
    here, some = those_present(one)
    lone = make_controller(name, objective=aim, weights=WEIGHTS)(one, CELL)
    assert lone.draft_lengths.shape == (5,)
    assert_same_decision(lone, (), here, make_controller(name, objective=aim, weights=WEIGHTS[here])(some, CELL))
    with pytest.raises(ValueError, match="weights must have one entry for each of the 5 users, got 3"):
        make_controller(name, objective=aim, weights=WEIGHTS[:3])(users, CELL)


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("objective", [None, Objective(weights=WEIGHTS)])
def test_references_are_those_of_the_cells_without_the_absent(name, objective):
    users, reference = draw(4), Reference(name)
    found = reference.goodput(users, CELL, objective)
    for row in np.ndindex(BATCH):
        here, some = those_present(users[row])
        part = objective and Objective(weights=WEIGHTS[here]) if here.size else None
        expected = reference.goodput(some, CELL, part) if here.size else 0.0
        assert found[row] == pytest.approx(float(expected), rel=1e-7)


def test_a_reference_bounds_decisions_by_the_lengths_of_those_present():
    lengths, present = np.array([[2, 0, 2], [2, 0, 3], [0, 0, 2]]), np.array([True, False, True])
    assert Reference("certificate").bounds(lengths, CELL, present).tolist() == [True, True, False]
    assert Reference("homogeneous").bounds(lengths, CELL, present).tolist() == [True, False, False]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), name=st.sampled_from(["uni_bw", "nested_polished", "homogeneous", "server_only"])
)
def test_permuting_the_users_permutes_the_decision(seed, name):
    users, order = draw(seed, ()), np.random.default_rng(seed).permutation(5)
    moved = Users(**{field: values[order] for field, values in users.fields.items()})
    found, permuted = (make_controller(name)(each, CELL) for each in (users, moved))
    np.testing.assert_array_equal(permuted.draft_lengths, found.draft_lengths[order])
    np.testing.assert_allclose(permuted.bandwidth_shares, found.bandwidth_shares[order], rtol=1e-6)


@pytest.mark.parametrize("batch", [(), (3,)])
def test_where_nobody_is_present_there_is_nothing(batch):
    users = dataclasses.replace(draw(5, batch), present=False)
    for name in list_controllers():
        decision = make_controller(name)(users, CELL)
        assert decision.draft_lengths.shape == (*batch, 5)
        assert not decision.draft_lengths.any()
        assert not decision.bandwidth_shares.any()
        assert not play_round(users, CELL, decision).goodput.any()
    certificate, relaxed = certify(users, CELL), relax(users, CELL)
    for values in (certificate.goodput, certificate.upper_bound, certificate.gap, certificate.nodes, relaxed.goodput):
        np.testing.assert_array_equal(values, np.zeros(batch))
    for name in REFERENCES:
        np.testing.assert_array_equal(Reference(name).goodput(users, CELL), np.zeros(batch))


@pytest.mark.parametrize("name", list_controllers())
def test_a_mask_with_everybody_in_it_changes_nothing(name):
    users = dataclasses.replace(draw(6), present=True)
    found, expected = (make_controller(name)(each, CELL) for each in (users, users.all_present()))
    np.testing.assert_array_equal(found.draft_lengths, expected.draft_lengths)
    np.testing.assert_array_equal(found.bandwidth_shares, expected.bandwidth_shares)
    np.testing.assert_array_equal(certify(users, CELL).goodput, certify(users.all_present(), CELL).goodput)
    np.testing.assert_array_equal(relax(users, CELL).goodput, relax(users.all_present(), CELL).goodput)


def test_random_decisions_are_allowed_ones_of_those_present():
    users = draw(7, (300,))
    decision = make_controller("random", seed=3)(users, CELL)
    np.testing.assert_array_equal(decision.draft_lengths > 0, users.present)
    np.testing.assert_array_equal(decision.bandwidth_shares > 0.0, users.present)
    np.testing.assert_allclose(decision.bandwidth_shares.sum(axis=-1), users.present.any(axis=-1))
    assert set(decision.draft_lengths[users.present].tolist()) == {1, 2, 3, 4}
    here, some = those_present(users[0])
    alone = make_controller("random", seed=3)(users[0], CELL)
    assert_same_decision(alone, (), here, make_controller("random", seed=3)(some, CELL))


def test_the_rival_protocols_serve_those_present():
    users = draw(8)
    for play in (p2p_spin, cen_spin):
        found = play(users, CELL)
        for row in np.ndindex(BATCH):
            here, some = those_present(users[row])
            assert not found.draft_lengths[row][~users.present[row]].any()
            if here.size:
                alone = play(some, CELL)
                assert found.goodput[row] == pytest.approx(float(alone.goodput), rel=1e-12)
                np.testing.assert_array_equal(found.draft_lengths[row][here], alone.draft_lengths)
            else:
                assert found.goodput[row] == 0.0


def test_a_controller_of_ones_own_sees_present_users_only_and_may_cut_off():
    def with_cutoff(users, cell):
        assert users.present is None
        lengths = np.full(users.acceptance_rate.shape, 2)
        shares = np.full(users.acceptance_rate.shape, 1.0 / users.num_users)
        return Decision(lengths, shares, None if users.num_users == 2 else 0.1 * users.num_users)

    register_controller("with_cutoff", with_cutoff)
    try:
        users = Users(0.5, 50.0, np.full((4, 3), 1e-6), 0.02, np.arange(3) < np.arange(4)[:, None])
        decision = make_controller("with_cutoff")(users, CELL)
        np.testing.assert_allclose(decision.cutoff, [math.inf, 0.1, math.inf, 0.3])
        np.testing.assert_array_equal(decision.draft_lengths, 2 * users.present)
        assert make_controller("with_cutoff")(users[2], CELL).cutoff is None
    finally:
        unregister_controller("with_cutoff")


def test_a_time_limit_is_for_all_cells_together():
    users = draw(9, (40,))
    certificate = certify(users, CELL, gap=0.0, time_limit=1e-9)
    here = users.present.any(axis=-1)
    assert (certificate.upper_bound >= certify(users, CELL).goodput).all()
    assert (certificate.goodput[here] > 0.0).all()
    assert make_controller("exact", time_limit=1e-9)(users, CELL).draft_lengths.shape == (40, 5)


def test_a_prepared_long_run_refuses_absent_users_in_one_line():
    scenario = dataclasses.replace(load_scenario("deep_fading"), num_users=3)
    sets = scenario.sample_large_scale(np.random.default_rng(0), 3, batch=(2,))
    some_absent = dataclasses.replace(sets, present=[True, True, False])
    controller = make_controller("long_run", samples=4)
    assert controller(some_absent, scenario.cell).draft_lengths[:, 2].tolist() == [0, 0]
    message = "long_run.* takes users who are all present, got some for whom users.present is False"
    with pytest.raises(ValueError, match=message):
        controller.prepare(some_absent, scenario)
    prepared = controller.prepare(sets, scenario)
    with pytest.raises(ValueError, match=message):
        prepared(some_absent, scenario.cell)
    here = dataclasses.replace(sets, present=True)
    np.testing.assert_array_equal(
        prepared(here, scenario.cell).draft_lengths, prepared(sets, scenario.cell).draft_lengths
    )


def test_rules_behind_the_controllers_do_not_overlook_absent_users():
    users = draw(3, ())
    rng = np.random.default_rng(0)
    for rule in (
        lambda: heterogeneous(users, CELL),
        lambda: equal_shares(users, np.zeros(1)),
        lambda: random_decision(users, CELL, rng),
    ):
        with pytest.raises(ValueError, match="takes users who are all present"):
            rule()


@pytest.mark.parametrize("name", ["sum", "proportional_fair"])
def test_weights_of_each_cell_go_with_its_present_users(name):
    scenario = load_scenario("deadline")
    users = scenario.sample_users(np.random.default_rng(0), 4, (6,))
    rng = np.random.default_rng(1)
    present, weights = rng.random((6, 4)) < 0.6, np.exp(rng.normal(size=(6, 4)))
    some = Users(**users.fields, present=present)
    found = decide_present(heterogeneous, some, scenario.cell, Objective.for_cells(name, weights))
    for row in range(6):
        here = np.flatnonzero(present[row])
        if here.size == 0:
            assert not found.draft_lengths[row].any()
            continue
        alone = Users(**{field: getattr(users, field)[row, here] for field in Users.FIELDS})
        expected = heterogeneous(alone, scenario.cell, Objective(name, list(weights[row, here])))
        assert found.draft_lengths[row, here].tolist() == expected.draft_lengths.tolist()


def test_whom_a_rule_gives_up_comes_back_in_its_place():
    scenario = load_scenario("deadline")
    users = scenario.sample_users(np.random.default_rng(0), 4, (3,))
    present = np.array([[True, False, True, True], [True, True, True, True], [False, True, False, False]])

    def first_goes(users, cell):
        lengths = np.ones((*users.batch_shape, users.num_users), np.int64)
        return Decision(lengths, lengths / users.num_users, give_up=np.arange(users.num_users) == 0)

    found = decide_present(first_goes, Users(**users.fields, present=present), scenario.cell)
    assert found.cutoff is None
    np.testing.assert_array_equal(found.give_up.nonzero(), [[0, 1, 2], [0, 0, 1]])
