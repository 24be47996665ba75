"""The certified optimum: against brute force, against what must hold of any optimum, and stopped early."""

import dataclasses
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import FORMS, all_lengths, brute_force, random_cell, random_users, verification_seconds

from multispin_gym import (
    AffineVerification,
    Cell,
    Objective,
    Users,
    expected_tokens,
    list_scenarios,
    load_scenario,
    play_round,
)
from multispin_gym.baselines import certify, make_controller
from multispin_gym.baselines.solver.deadline import least_deadline
from multispin_gym.baselines.solver.share_curves import ShareCurves
from multispin_gym.scenarios.measured_tables import measured_verification

pytestmark = pytest.mark.slow

GAP = 1e-9
SECONDS = 4.0


def check(users, cell):
    """Certify to 1e-9 and compare with every decision that there is."""
    best, _ = brute_force(users, cell)
    certificate = certify(users, cell, gap=GAP)
    played = play_round(users, cell, certificate.decision).goodput
    assert played == pytest.approx(float(certificate.goodput), rel=1e-11)
    assert certificate.goodput == pytest.approx(best, rel=1e-9)
    assert best <= certificate.upper_bound * (1.0 + 1e-12)
    assert certificate.gap <= GAP
    assert certificate.gap == pytest.approx(certificate.upper_bound / certificate.goodput - 1.0, abs=1e-15)


@pytest.mark.parametrize("shortest", [0, 1])
@pytest.mark.parametrize(("form", "batching", "power"), FORMS)
def test_certificate_equals_brute_force_in_every_form(form, batching, power, shortest):
    rng = np.random.default_rng(FORMS.index((form, batching, power)) + 100 * shortest)
    for num_users in (1, 2, 3, 4):
        check(random_users(rng, num_users), random_cell(rng, form, batching, power, shortest, longest=6))


@pytest.mark.parametrize("name", list_scenarios(clock=False))
def test_certificate_equals_brute_force_in_every_preset(name):
    scenario = load_scenario(name)
    users = scenario.sample_users(np.random.default_rng(5), 3, batch=(3,))
    for index in range(3):
        check(users[index], scenario.cell)


ADVERSARIES = {
    "equal users": Users(0.8, 100.0, np.full(4, 1e-11), 0.02),
    "one dead channel": Users(0.8, 100.0, [1e-11, 1e-30, 3e-11, 1e-11], 0.02),
    "acceptance at its ends": Users([0.0, 1.0, 1e-12, 1.0 - 1e-12], 100.0, 1e-11, 0.02),
    "hundredfold speeds": Users([0.9, 0.9, 0.6, 0.6], [3.0, 300.0, 3.0, 300.0], 1e-11, 0.02),
    "channels twelve decades apart": Users(0.7, 100.0, [1e-18, 1e-14, 1e-10, 1e-6], 0.02),
}


@pytest.mark.parametrize("shortest", [0, 1])
@pytest.mark.parametrize("power", ["total", "density"])
@pytest.mark.parametrize("batching", ["padded", "ragged"])
@pytest.mark.parametrize("name", ADVERSARIES)
def test_certificate_holds_for_adversarial_cells(name, batching, power, shortest):
    cell = Cell(10e6, 4e-21, 16384.0, AffineVerification(0.06, 1e-3, batching), power, shortest, 6)
    check(ADVERSARIES[name], cell)


def test_cell_with_one_decision_has_no_gap():
    cell = Cell(10e6, 4e-21, 16384.0, AffineVerification(0.06), min_draft_length=3, max_draft_length=3)
    users = random_users(np.random.default_rng(0), 5)
    certificate = certify(users, cell, gap=0.0, time_limit=SECONDS)
    assert certificate.decision.draft_lengths.tolist() == [3] * 5
    assert certificate.gap <= 2e-10


@pytest.mark.parametrize("weights", [None, [1.0, 4.0, 2.0]])
@pytest.mark.parametrize("name", ["sum", "proportional_fair"])
@pytest.mark.parametrize(("form", "batching", "power"), FORMS)
def test_other_objectives_are_certified_too(form, batching, power, name, weights):
    rng = np.random.default_rng(7)
    cell = random_cell(rng, form, batching, power, shortest=0, longest=6)
    objective = Objective(name, weights)
    for _ in range(2):
        users = random_users(rng, 3)
        lengths = all_lengths(cell, 3)
        rows = np.zeros(len(lengths), dtype=int)
        curves = ShareCurves.of(users, cell)[rows]
        latency = least_deadline(curves, lengths) + verification_seconds(cell, lengths)
        values = objective.value(expected_tokens(users.acceptance_rate, lengths), latency)
        certificate = certify(users, cell, gap=GAP, objective=objective)
        outcome = play_round(users, cell, certificate.decision)
        reached = float(objective.value(outcome.tokens, outcome.latency))
        assert reached == pytest.approx(values.max(), rel=1e-9)
        if name == "sum":
            assert certificate.goodput == pytest.approx(reached, rel=1e-10)
        else:
            total = 3.0 if weights is None else sum(weights)
            assert certificate.goodput == pytest.approx(np.exp(reached / total), rel=1e-10)
        assert certificate.upper_bound >= certificate.goodput


@pytest.mark.parametrize("name", ["homogeneous", "heterogeneous"])
def test_controllers_serve_fairness_and_weights(name):
    scenario = load_scenario("laptops_60ms")
    users = scenario.sample_users(np.random.default_rng(3), 5, batch=(8,))
    heavy = [20.0, 1.0, 1.0, 1.0, 1.0]
    plain, fair, weighted = (
        play_round(users, scenario.cell, make_controller(name, **options)(users, scenario.cell))
        for options in ({}, {"objective": "proportional_fair"}, {"weights": heavy})
    )
    logarithms, weighing = Objective("proportional_fair"), Objective("sum", heavy)
    assert (plain.goodput >= fair.goodput * (1 - 1e-6)).all()
    fairer = logarithms.value(fair.tokens, fair.latency) - logarithms.value(plain.tokens, plain.latency)
    assert fairer.min() >= -1e-6
    gain = weighing.value(weighted.tokens, weighted.latency) / weighing.value(plain.tokens, plain.latency)
    assert gain.min() >= 1 - 1e-6
    if name == "heterogeneous":
        assert fairer.max() > 1e-4
        assert gain.max() > 1.001


def test_certificates_are_near_heterogeneous_and_above_every_controller():
    scenario = load_scenario("laptops_60ms")
    users = scenario.sample_users(np.random.default_rng(11), 8, batch=(12,))
    certificate = certify(users, scenario.cell)
    assert (certificate.gap <= 1e-6).all()
    for name in ("random", "uniform_fixed", "uniform_best", "tk_slt", "homogeneous", "heterogeneous", "exact"):
        goodput = play_round(users, scenario.cell, make_controller(name)(users, scenario.cell)).goodput
        assert (goodput <= certificate.upper_bound * (1 + 1e-12)).all()
    assert goodput == pytest.approx(certificate.goodput, rel=1e-9)


def test_stopped_early_the_bound_still_holds():
    scenario = load_scenario("laptops_60ms")
    users = scenario.sample_users(np.random.default_rng(2), 20, batch=(4,))
    hasty = certify(users, scenario.cell, gap=0.0, time_limit=1e-9)
    patient = certify(users, scenario.cell, gap=1e-5)
    assert (hasty.nodes == 0).all()
    assert (patient.nodes > 0).any()
    assert (hasty.upper_bound >= patient.goodput).all()
    assert (hasty.goodput <= patient.goodput * (1 + 1e-12)).all()
    assert (patient.gap <= 1e-5).all()
    assert (hasty.gap > patient.gap).any()


@pytest.mark.slow
@pytest.mark.parametrize("objective", [None, Objective("proportional_fair")], ids=["sum", "proportional_fair"])
@pytest.mark.parametrize("batching", ["padded", "ragged"])
def test_a_time_limit_holds_in_every_phase(batching, objective):
    scenario = load_scenario("qwen35_27b_eager")
    server = measured_verification("a100_llama2_7b", batching=batching)
    cell = dataclasses.replace(scenario.cell, verification=server, min_draft_length=1, max_draft_length=100)
    users = scenario.sample_users(np.random.default_rng(0), 20, batch=(50,))
    started = time.monotonic()
    hasty = certify(users, cell, time_limit=0.25, objective=objective)
    # Far above what it takes, far below the time without a limit in any phase.
    assert time.monotonic() - started < 2.5
    assert np.isfinite(hasty.upper_bound).all()
    few = users[:3]
    known = make_controller("heterogeneous")(few, cell) if objective is None else hasty.decision
    reached = play_round(few, cell, known).goodput if objective is None else hasty.goodput
    assert (hasty.upper_bound[:3] >= reached[:3]).all()


def test_batch_is_certified_as_its_cells_are():
    scenario = load_scenario("deep_fading")
    users = scenario.sample_users(np.random.default_rng(4), 5, batch=(2, 3))
    together = certify(users, scenario.cell, gap=1e-9)
    assert together.goodput.shape == together.nodes.shape == (2, 3)
    for index in np.ndindex(2, 3):
        alone = certify(users[index], scenario.cell, gap=1e-9)
        assert alone.goodput == pytest.approx(together.goodput[index], rel=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gap": -1.0}, r"gap must lie in \[0, inf\), got -1.0"),
        ({"time_limit": 0.0}, r"time_limit must lie in \(0, inf\), got 0.0"),
        ({"objective": Objective("sum", [1.0, 2.0])}, "one entry for each of the 3 users, got 2"),
    ],
)
def test_wrong_options_are_refused(options, message):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=message):
        certify(random_users(rng, 3), random_cell(rng, "affine", "ragged", "total"), **options)


FORM = st.sampled_from(FORMS)


def certified(users, cell):
    return float(certify(users, cell, gap=1e-9).goodput)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), form=FORM, which=st.sampled_from(["band", "power", "speed", "acceptance"]))
def test_more_of_anything_never_lowers_the_optimum(seed, form, which):
    rng = np.random.default_rng(seed)
    users, cell = random_users(rng, 4), random_cell(rng, *form)
    factor = 1.0 + rng.uniform(0.0, 1.0)
    fields = {name: getattr(users, name) for name in ("acceptance_rate", "drafting_speed", "channel_gain")}
    power, better_cell = users.transmit_power, cell
    if which == "band":
        # With a fixed density the powers spread over the band, so they grow with it.
        better_cell = dataclasses.replace(cell, bandwidth=cell.bandwidth * factor)
        power = power * (factor if cell.power == "density" else 1.0)
    elif which == "power":
        power = power * factor
    elif which == "speed":
        fields["drafting_speed"] = fields["drafting_speed"] * factor
    else:
        fields["acceptance_rate"] = fields["acceptance_rate"] ** (1.0 / factor)
    better = Users(**fields, transmit_power=power)
    assert certified(better, better_cell) >= certified(users, cell) * (1 - 2e-9)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), form=FORM)
def test_permuting_users_permutes_the_decision(seed, form):
    rng = np.random.default_rng(seed)
    users, cell = random_users(rng, 4), random_cell(rng, *form)
    order = rng.permutation(4)
    moved = Users(*(getattr(users, name)[order] for name in Users.FIELDS))
    first, second = certify(users, cell, gap=1e-9), certify(moved, cell, gap=1e-9)
    assert second.goodput == pytest.approx(float(first.goodput), rel=1e-9)
    there = play_round(moved, cell, second.decision)
    back = play_round(users, cell, first.decision)
    assert there.goodput == pytest.approx(float(back.goodput), rel=1e-9)
    assert second.decision.draft_lengths.tolist() == first.decision.draft_lengths[order].tolist()


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), batching=st.sampled_from(["padded", "ragged"]), power=st.sampled_from(["total"]))
def test_scaling_time_scales_the_optimum(seed, batching, power):
    rng = np.random.default_rng(seed)
    users, cell = random_users(rng, 4), random_cell(rng, "affine", batching, power)
    server = cell.verification
    slower = dataclasses.replace(
        cell,
        payload=cell.payload * 3.0,
        verification=AffineVerification(server.fixed * 3.0, server.per_token * 3.0, batching),
    )
    slow_users = Users(users.acceptance_rate, users.drafting_speed / 3.0, users.channel_gain, users.transmit_power)
    assert certified(slow_users, slower) * 3.0 == pytest.approx(certified(users, cell), rel=3e-9)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), power=st.sampled_from(["total", "density"]))
def test_twice_the_users_on_twice_the_band_reach_twice_the_optimum(seed, power):
    rng = np.random.default_rng(seed)
    users = random_users(rng, 3)
    cell = dataclasses.replace(random_cell(rng, "affine", "ragged", power), verification=AffineVerification(0.05))
    names = ("acceptance_rate", "drafting_speed", "channel_gain")
    # Power per Hz is transmit_power over the band: it is kept where the density is what is fixed.
    strength = users.transmit_power * (2.0 if power == "density" else 1.0)
    doubled = Users(*(np.tile(getattr(users, name), 2) for name in names), np.tile(strength, 2))
    double = dataclasses.replace(cell, bandwidth=2.0 * cell.bandwidth)
    assert certified(doubled, double) >= 2.0 * certified(users, cell) * (1 - 2e-9)
