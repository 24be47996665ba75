"""Users with acceptance curves of their own: against brute force, and against the rates that a curve may stand for."""

import dataclasses
from functools import partial

import numpy as np
import pytest
from compiled_decisions import assert_same_decisions
from reference import (
    FORMS,
    all_lengths,
    best_common,
    brute_force,
    nested_family,
    random_cell,
    random_curves,
    random_users,
    rate_on,
    tokens_of,
    verification_seconds,
)

from multispin_gym import Decision, Objective, Users, load_scenario, play_round
from multispin_gym.baselines import cen_spin, certify, list_controllers, make_controller, p2p_spin, relax
from multispin_gym.baselines.heterogeneous import heterogeneous
from multispin_gym.baselines.long_run import long_run
from multispin_gym.baselines.nested import nested, nested_polished
from multispin_gym.baselines.solver.deadline import least_deadline
from multispin_gym.baselines.solver.share_curves import ShareCurves
from multispin_gym.baselines.solver.token_tables import TokenTables

LONGEST = 6
CONTROLLERS = [name for name in list_controllers() if name not in ("multi_spin", "random")]


def with_curves(users, curves):
    return dataclasses.replace(users, survival=curves)


def geometric(users, longest=LONGEST):
    return with_curves(users, users.acceptance_rate[..., None] ** np.arange(1, longest + 1))


def draw(rng, num_users, form, shortest, longest=LONGEST):
    cell = random_cell(rng, *form, shortest, longest)
    return with_curves(random_users(rng, num_users), random_curves(rng, (num_users,), longest)), cell


def batch(seed, shape=(16, 4), longest=LONGEST, smooth=False):
    rng = np.random.default_rng(seed)
    users = Users(0.5, rng.uniform(40, 300, shape), 10.0 ** rng.uniform(-12.5, -10, shape), 0.02)
    if smooth:
        # E[alpha**i] under Beta laws of alpha: what is known of a rate after some drafts.
        accepted, rejected = rng.uniform(0.5, 5.0, (*shape, 1)), rng.uniform(0.3, 2.0, (*shape, 1))
        drafts = np.arange(longest)
        return with_curves(users, np.cumprod((accepted + drafts) / (accepted + rejected + drafts), axis=-1))
    return with_curves(users, random_curves(rng, shape, longest))


def goodput(name, users, cell):
    return play_round(users, cell, make_controller(name)(users, cell)).goodput


@pytest.mark.parametrize("shortest", [0, 1])
@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_certificate_and_bound_hold_against_all_decisions(form, shortest):
    rng = np.random.default_rng(FORMS.index(form) + 100 * shortest)
    for num_users, extra in ((1, {}), (2, {}), (3, {"round_trip": 0.02, "downlink": 1e6})):
        users, cell = draw(rng, num_users, form, shortest)
        cell = dataclasses.replace(cell, **extra)
        best, _ = brute_force(users, cell)
        certificate = certify(users, cell, gap=1e-9)
        assert play_round(users, cell, certificate.decision).goodput == pytest.approx(
            float(certificate.goodput), rel=1e-11
        )
        assert certificate.goodput == pytest.approx(best, rel=1e-9)
        assert best <= certificate.upper_bound * (1.0 + 1e-12)
        assert certificate.gap <= 1e-9
        assert best <= relax(users, cell).upper_bound * (1.0 + 1e-12)
        assert goodput("heterogeneous", users, cell) >= 0.999 * best


@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_a_geometric_curve_is_certified_as_its_rate_is(form):
    rng = np.random.default_rng(FORMS.index(form))
    cell, users = random_cell(rng, *form, 0, LONGEST), random_users(rng, 4)
    one, other = certify(users, cell), certify(geometric(users), cell)
    assert other.goodput == pytest.approx(one.goodput, rel=1e-6)
    assert other.upper_bound == pytest.approx(one.upper_bound, rel=2e-6)


@pytest.mark.parametrize("name", CONTROLLERS)
def test_geometric_curves_are_decided_on_as_their_rates_are(name):
    for form in FORMS:
        rng = np.random.default_rng(FORMS.index(form))
        cell, users = random_cell(rng, *form, 0, LONGEST), random_users(rng, 4)
        # Only the relaxation between whole lengths differs.
        within = 2e-3 if name == "heterogeneous" else 1e-6 if name == "exact" else 1e-12
        assert goodput(name, geometric(users), cell) == pytest.approx(goodput(name, users, cell), rel=within)


@pytest.mark.parametrize("shortest", [0, 2])
@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_equal_shares_and_common_lengths_are_best_of_their_kind(form, shortest):
    rng = np.random.default_rng(FORMS.index(form) + 10 * shortest)
    users, cell = draw(rng, 3, form, shortest)
    every = all_lengths(cell, 3)
    on_equal_shares = play_round(users, cell, Decision(every, 1.0 / 3.0)).goodput
    assert goodput("uni_bw", users, cell) == pytest.approx(on_equal_shares.max(), rel=1e-13)
    common = on_equal_shares[(every == every[:, :1]).all(axis=-1)]
    assert goodput("uniform_best", users, cell) == pytest.approx(common.max(), rel=1e-13)
    assert goodput("homogeneous", users, cell) == pytest.approx(best_common(users, cell)[1], rel=1e-10)


def test_each_user_alone_gets_the_length_that_is_best_alone():
    users, cell = batch(1), random_cell(np.random.default_rng(1), "affine", "ragged", "total", 1, LONGEST)
    lengths = make_controller("tk_slt")(users, cell).draft_lengths
    for row in np.ndindex(users.acceptance_rate.shape):
        user = Users(**{name: values[row][None] for name, values in users.fields.items()})
        played = play_round(user, cell, Decision(np.arange(1, LONGEST + 1)[:, None], 0.25)).goodput
        assert played[lengths[row] - 1] == pytest.approx(played.max(), rel=1e-12)


@pytest.mark.parametrize("name", ["sum", "proportional_fair", "price of time"])
def test_other_objectives_are_those_of_the_curves(name):
    rng = np.random.default_rng(3)
    priced = name == "price of time"
    objective = None if priced else Objective(name, (2.0, 1.0, 0.5))
    for form in FORMS[::3]:
        users, cell = draw(rng, 3, form, 0, longest=4)
        lengths = all_lengths(cell, 3)
        curves = ShareCurves.of(users, cell)[np.zeros(len(lengths), dtype=int)]
        latency = least_deadline(curves, lengths) + verification_seconds(cell, lengths)
        price = 0.9 * brute_force(users, cell)[0] if priced else None

        def value(tokens, latency, price=price):
            return objective.value(tokens, latency) if objective else tokens.sum(axis=-1) - price * latency

        values = value(tokens_of(users, lengths), latency)
        best, spread = values.max(), np.ptp(values[np.isfinite(values)])
        for rule in (nested, nested_polished, heterogeneous):
            played = play_round(users, cell, rule(users, cell, objective, price))
            reached = value(played.tokens, played.latency)
            assert reached <= best + 1e-9 * spread
            assert rule is not heterogeneous or reached >= best - 0.01 * spread
        if not priced:
            played = play_round(users, cell, certify(users, cell, gap=1e-9, objective=objective).decision)
            assert value(played.tokens, played.latency) == pytest.approx(best, rel=1e-8)


@pytest.mark.parametrize("shortest", [0, 1])
@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_nested_is_the_best_of_its_family(form, shortest):
    rng = np.random.default_rng(20 + shortest)
    for num_users in (1, 4):
        users, cell = draw(rng, num_users, form, shortest)
        best, _ = brute_force(users, cell, nested_family(users, cell))
        assert float(goodput("nested", users, cell)) == pytest.approx(best, rel=1e-12)
        assert goodput("nested_polished", users, cell) >= best * (1.0 - 1e-12)


@pytest.mark.parametrize("rule", [nested, nested_polished, heterogeneous])
def test_compiled_loops_decide_as_numpy_does(rule):
    for form in FORMS[::3]:
        cell = random_cell(np.random.default_rng(FORMS.index(form)), *form, 0, LONGEST)
        assert_same_decisions(rule, batch(FORMS.index(form), smooth=True), cell)
        assert_same_decisions(
            partial(rule, objective=Objective("proportional_fair")), batch(9, (3, 3)), cell, scored=False
        )


def test_curves_of_beta_laws_are_decided_nearly_as_well_as_can_be():
    scenario = load_scenario("laptops_60ms")
    users = batch(5, (20, 5), scenario.cell.max_draft_length, smooth=True)
    users = dataclasses.replace(users, present=np.random.default_rng(6).random((20, 5)) < 0.8)
    certificate = certify(users, scenario.cell, gap=1e-4)
    reached = {name: goodput(name, users, scenario.cell) for name in CONTROLLERS}
    for name, values in reached.items():
        assert (values <= certificate.upper_bound * (1.0 + 1e-12)).all(), name
    served = users.present.any(axis=-1)
    assert (reached["heterogeneous"] >= reached["homogeneous"] * (1.0 - 1e-9)).all()
    assert (reached["heterogeneous"][served] >= 0.995 * certificate.goodput[served]).all()
    assert (reached["nested_polished"][served] >= 0.95 * certificate.goodput[served]).all()
    row = int(np.flatnonzero(~users.present.all(axis=-1) & served)[0])
    there = users.present[row]
    some = Users(**{n: v[row][there] for n, v in users.all_present().fields.items()})
    assert goodput("heterogeneous", some, scenario.cell) == pytest.approx(reached["heterogeneous"][row], rel=1e-12)


def test_one_device_at_a_time_has_the_best_cycle_that_there_is():
    users, cell = draw(np.random.default_rng(8), 2, FORMS[1], 1)
    outcome = p2p_spin(users, cell)
    lengths = all_lengths(cell, 2)
    upload = cell.payload / rate_on(users, cell, cell.bandwidth)
    turns = lengths * (1.0 / users.drafting_speed + upload) + cell.verification.time(lengths + 1.0)
    cycles = tokens_of(users, lengths).sum(axis=-1) / turns.sum(axis=-1)
    assert outcome.goodput == pytest.approx(cycles.max(), rel=1e-12)


@pytest.mark.parametrize("name", [*CONTROLLERS, "p2p_spin", "relax"])
def test_curves_that_end_too_early_are_refused(name):
    users, cell = batch(0, longest=5), random_cell(np.random.default_rng(0), *FORMS[0], 0, LONGEST)
    solve = {"p2p_spin": p2p_spin, "relax": relax}.get(name) or partial(goodput, name)
    with pytest.raises(ValueError, match=r"users.survival must .* max_draft_length = 6, got 5"):
        solve(users, cell)


def test_what_only_understands_rates_refuses_curves():
    scenario = load_scenario("paper_llama2")
    users = batch(0, longest=scenario.cell.max_draft_length)
    refused = {
        "multi_spin": lambda: make_controller("multi_spin")(users, scenario.cell),
        "cen_spin": lambda: cen_spin(users, scenario.cell),
        "long_run": lambda: long_run(users, scenario),
    }
    for name, call in refused.items():
        with pytest.raises(ValueError, match=f"{name} takes users whose acceptance_rate says it all.* users.survival"):
            call()


def test_tokens_between_whole_lengths_are_smooth_concave_and_pass_through_the_sums():
    rng = np.random.default_rng(2)
    curves = np.concatenate([random_curves(rng, (100, 3), 7), np.zeros((1, 3, 7)), np.ones((1, 3, 7))])
    tables = TokenTables.of(curves)
    for length in range(8):
        sums = 1.0 + curves[..., :length].sum(axis=-1)
        np.testing.assert_allclose(tables.tokens(np.full((102, 3), float(length))), sums, rtol=1e-15)
        # With a part of a token somewhere in the batch the others are still whole.
        mixed = np.column_stack([np.full((102, 2), float(length)), np.full(102, 0.5)])
        np.testing.assert_allclose(tables.tokens(mixed)[:, :2], sums[:, :2], rtol=1e-15)
    here, there, step = rng.uniform(0.01, 6.99, (2, 102, 3)), rng.uniform(0.01, 6.99, (2, 102, 3)), 1e-6
    for a, b in zip(here, there, strict=True):
        assert (tables.tokens(0.5 * (a + b)) >= 0.5 * (tables.tokens(a) + tables.tokens(b)) - 1e-12).all()
        rise = (tables.tokens(a + step) - tables.tokens(a - step)) / (2.0 * step)
        np.testing.assert_allclose(tables.marginal(a), rise, atol=1e-4)
        fall = (tables.marginal(a - step) - tables.marginal(a + step)) / (2.0 * step)
        same_line = tables.bend(a - step) == tables.bend(a + step)
        np.testing.assert_allclose(tables.bend(a)[same_line], fall[same_line], atol=1e-6)
    for price in rng.uniform(0.0, 1.1, (20, 102, 3)):
        real, whole = tables.best_real(price), tables.best_whole(price)
        assert (tables.tokens(real) - price * real >= tables.tokens(here[0]) - price * here[0] - 1e-12).all()
        other = np.floor(here[0])
        assert (tables.tokens(whole) - price * whole >= tables.tokens(other) - price * other - 1e-12).all()
