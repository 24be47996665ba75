"""Nested lengths against their whole family, and single moves against every neighbour, both played independently."""

import dataclasses

import numpy as np
import pytest
from reference import FORMS, bandwidth_needed, brute_force, nested_family, random_cell, random_users, rate_on
from scipy.optimize import brentq

from multispin_gym import AffineVerification, Cell, Decision, Users, expected_tokens, load_scenario, play_round
from multispin_gym.baselines import certify, make_controller

NESTED = make_controller("nested")
POLISHED = make_controller("nested_polished")
EVERY_FORM = pytest.mark.parametrize("form", FORMS, ids="-".join)
SHORTEST = pytest.mark.parametrize("shortest", [0, 1, 2])


def goodput(users, cell, decision):
    return play_round(users, cell, decision).goodput


def independent_decision(users, cell, lengths):
    """The split of the band by which all who draft finish together, by a bracketed root search."""
    drafting = lengths > 0
    if not drafting.any():
        return Decision(np.zeros(users.num_users, dtype=int), np.zeros(users.num_users))
    rates = rate_on(users, cell, cell.bandwidth / users.num_users)
    longest = float((lengths * (1.0 / users.drafting_speed + cell.payload / rates))[drafting].max())
    shortest = float((lengths / users.drafting_speed).max())

    def shares(deadline):
        per_token = np.divide(deadline, lengths, out=np.full(lengths.shape, np.inf), where=drafting)
        return bandwidth_needed(users, cell, per_token) / cell.bandwidth

    deadline = brentq(lambda t: min(shares(t).sum(), 1e6) - 1.0, shortest, 2.0 * longest, xtol=1e-300, rtol=1e-14)
    split = np.where(drafting, shares(deadline), 0.0)
    return Decision(lengths.astype(int), split / split.sum())


@EVERY_FORM
@SHORTEST
def test_nested_is_the_best_of_its_whole_family(form, shortest):
    rng = np.random.default_rng(shortest)
    for num_users in (1, 2, 5):
        cell, users = random_cell(rng, *form, shortest, longest=7), random_users(rng, num_users)
        best, lengths = brute_force(users, cell, nested_family(users, cell))
        decision = NESTED(users, cell)
        assert float(goodput(users, cell, decision)) == pytest.approx(best, rel=1e-12)
        assert decision.draft_lengths.tolist() == lengths.tolist()


def test_a_server_with_a_time_per_draft_and_a_noise_power_changes_what_is_best_as_it_should():
    rng = np.random.default_rng(5)
    server = AffineVerification(0.02, 1e-3, "padded", per_draft=0.01)
    cell = Cell(5e6, payload=3e4, verification=server, power="density", noise_power=1e-10, max_draft_length=9)
    # The same cell in the reference's terms.
    plain = dataclasses.replace(cell, noise_psd=1e-10 / 5e6, noise_power=None, verification=server.of_batch(4))
    for _ in range(10):
        users = Users(rng.uniform(0.3, 0.95, 4), rng.uniform(20, 80, 4), rng.exponential(0.3, 4), 1e-8)
        best, _ = brute_force(users, plain, nested_family(users, plain))
        assert float(goodput(users, cell, NESTED(users, cell))) == pytest.approx(best, rel=1e-12)


@EVERY_FORM
@SHORTEST
def test_no_single_move_gains_after_polishing(form, shortest):
    rng = np.random.default_rng(10 + shortest)
    for num_users in (1, 3, 6):
        cell, users = random_cell(rng, *form, shortest, longest=6), random_users(rng, num_users)
        decision = POLISHED(users, cell)
        reached = float(goodput(users, cell, decision))
        assert reached >= goodput(users, cell, NESTED(users, cell)) * (1.0 - 1e-12)
        for user in range(num_users):
            length = int(decision.draft_lengths[user])
            for target in {length - 1, length + 1, 0}.intersection(range(shortest, cell.max_draft_length + 1)):
                lengths = decision.draft_lengths.astype(float)
                lengths[user] = target
                moved = independent_decision(users, cell, lengths)
                assert goodput(users, cell, moved) <= reached * (1.0 + 1e-11)


@EVERY_FORM
@pytest.mark.parametrize("shortest", [0, 1])
def test_polished_lies_between_nested_and_the_certified_bound(form, shortest):
    rng = np.random.default_rng(20 + shortest)
    cell = random_cell(rng, *form, shortest, longest=5)
    users = Users(*(np.stack(parts) for parts in zip(*(_fields(rng, 4) for _ in range(12)), strict=True)))
    nested, polished = (goodput(users, cell, rule(users, cell)) for rule in (NESTED, POLISHED))
    assert (polished >= nested * (1.0 - 1e-12)).all()
    bound = certify(users, cell, gap=1e-4).upper_bound
    assert (polished <= bound).all()
    assert (polished / bound).mean() > 0.98


def _fields(rng, num_users):
    users = random_users(rng, num_users)
    return tuple(getattr(users, name) for name in Users.FIELDS)


@pytest.mark.parametrize("preset", ["paper_llama2", "paper_qwen35", "laptops_60ms"])
def test_nearly_all_of_the_certified_optimum_is_reached(preset):
    scenario = load_scenario(preset)
    users = scenario.sample_users(np.random.default_rng(0), 8, (40,))
    ratio = goodput(users, scenario.cell, POLISHED(users, scenario.cell)) / certify(users, scenario.cell, 1e-4).goodput
    assert ratio.mean() > 0.998
    assert ratio.max() < 1.0 + 1e-9


@pytest.mark.parametrize("rule", [NESTED, POLISHED], ids=lambda rule: rule.name)
@EVERY_FORM
@pytest.mark.parametrize("shortest", [0, 1])
def test_cells_are_decided_alike_alone_and_in_any_batch(rule, form, shortest):
    rng = np.random.default_rng(30)
    cell = random_cell(rng, *form, shortest, longest=6)
    users = Users(*(np.stack(parts) for parts in zip(*(_fields(rng, 5) for _ in range(6)), strict=True)))
    together = rule(users, cell)
    grid = rule(Users(*(getattr(users, name).reshape(2, 3, 5) for name in Users.FIELDS)), cell)
    assert (grid.draft_lengths.reshape(6, 5) == together.draft_lengths).all()
    for index in range(6):
        alone = rule(users[index], cell)
        assert (alone.draft_lengths == together.draft_lengths[index]).all()
        assert (alone.bandwidth_shares == together.bandwidth_shares[index]).all()


@pytest.mark.parametrize("rule", [NESTED, POLISHED], ids=lambda rule: rule.name)
@EVERY_FORM
def test_permuting_the_users_permutes_the_decision(rule, form):
    rng = np.random.default_rng(40)
    for _ in range(5):
        cell, users, order = random_cell(rng, *form, 0), random_users(rng, 6), rng.permutation(6)
        decision = rule(users, cell)
        permuted = rule(Users(*(getattr(users, name)[order] for name in Users.FIELDS)), cell)
        assert permuted.draft_lengths.tolist() == decision.draft_lengths[order].tolist()
        np.testing.assert_allclose(permuted.bandwidth_shares, decision.bandwidth_shares[order], rtol=1e-9)


@pytest.mark.parametrize("objective", ["sum", "proportional_fair"])
def test_other_objectives_are_maximised_over_the_same_family(objective):
    rng, weights = np.random.default_rng(50), np.array([1.0, 3.0, 0.2])
    for _ in range(8):
        cell, users = random_cell(rng, "affine", "ragged", "total", shortest=0, longest=5), random_users(rng, 3)

        def value(decision, users=users, cell=cell):
            rates = expected_tokens(users.acceptance_rate, decision.draft_lengths)
            rates = rates / play_round(users, cell, decision).latency
            return float((weights * rates).sum() if objective == "sum" else np.exp((weights * np.log(rates)).sum()))

        best = max(value(independent_decision(users, cell, lengths)) for lengths in nested_family(users, cell))
        options = {"objective": objective, "weights": weights.tolist()}
        nested, polished = (make_controller(name, **options)(users, cell) for name in ("nested", "nested_polished"))
        assert value(nested) == pytest.approx(best, rel=1e-9)
        assert value(polished) >= value(nested) * (1.0 - 1e-12)


@pytest.mark.parametrize("rule", [NESTED, POLISHED], ids=lambda rule: rule.name)
def test_equal_users_are_treated_alike_by_the_family_and_nobody_drafts_where_no_draft_pays(rule):
    cell = Cell(10e6, 4e-21, 16384.0, AffineVerification(0.05, 0.0), "total", 0, 6)
    equal = NESTED(Users(np.full(5, 0.8), 100.0, 1e-11, 0.02), cell).draft_lengths
    assert len(set(equal.tolist())) == 1
    slow = rule(Users(np.full(5, 0.8), 0.5, 1e-11, 0.02), cell)
    assert not slow.draft_lengths.any()
    np.testing.assert_allclose(slow.bandwidth_shares, 0.2)
