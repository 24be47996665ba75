"""The controllers against brute force, independent root searches and a general solver."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import (
    FOR_ANY_CELL,
    FORMS,
    best_common,
    brute_force,
    random_cell,
    random_users,
    relaxed_optimum,
    within,
)
from scipy.optimize import minimize, minimize_scalar

from multispin_gym import (
    AffineVerification,
    Cell,
    Decision,
    TableVerification,
    Users,
    list_scenarios,
    load_scenario,
    play_round,
)
from multispin_gym.baselines import certify, make_controller, relax
from multispin_gym.baselines.tk_slt import tk_slt_length

CASES = [
    pytest.param(form, batching, power, shortest, id=f"{form}-{batching}-{power}-from{shortest}")
    for form, batching, power in FORMS
    for shortest in (0, 1)
]


def goodput(name, users, cell):
    return float(play_round(users, cell, make_controller(name)(users, cell)).goodput)


@pytest.mark.slow
def test_heterogeneous_reaches_the_brute_force_optimum_in_every_preset():
    rng, ratios = np.random.default_rng(0), []
    # Single rounds in those with a clock are the paper's.
    for scenario in map(load_scenario, list_scenarios(clock=False)):
        for num_users in (2, 3, 4):
            users, cell = scenario.sample_users(rng, num_users=num_users, batch=(10,)), scenario.cell
            heterogeneous, homogeneous = (
                play_round(users, cell, make_controller(name)(users, cell)).goodput
                for name in ("heterogeneous", "homogeneous")
            )
            assert (heterogeneous >= homogeneous * (1 - 1e-12)).all()
            ratios += [heterogeneous[i] / brute_force(users[i], cell)[0] for i in range(10)]
    assert len(ratios) >= 200
    assert np.mean(ratios) >= 0.995
    assert min(ratios) >= 0.98
    assert max(ratios) <= 1 + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize(("form", "batching", "power", "shortest"), CASES)
def test_heterogeneous_stays_near_the_optimum_and_relaxation_above_it_in_any_form(form, batching, power, shortest):
    rng = np.random.default_rng(5)
    for num_users in (1, 2, 3):
        cell, users = random_cell(rng, form, batching, power, shortest), random_users(rng, num_users)
        optimum, _ = brute_force(users, cell)
        assert 0.98 * optimum <= goodput("heterogeneous", users, cell) <= optimum * (1 + 1e-9)
        assert relax(users, cell).upper_bound >= optimum * (1 - 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "batching", "power", "shortest"), CASES)
def test_relaxation_equals_a_general_solver(form, batching, power, shortest):
    rng = np.random.default_rng(9)
    for num_users in (2, 4):
        cell, users = random_cell(rng, form, batching, power, shortest, longest=5), random_users(rng, num_users)
        reference = relaxed_optimum(users, cell, starts=2, rng=rng)
        relaxed = relax(users, cell)
        assert float(relaxed.goodput) == pytest.approx(reference, rel=1e-6)
        assert relaxed.upper_bound <= relaxed.goodput * (1 + 1e-6)


def test_relaxation_is_reached_by_the_lengths_and_shares_that_it_returns():
    rng = np.random.default_rng(2)
    for power in ("total", "density"):
        cell, users = random_cell(rng, "affine", "ragged", power), random_users(rng, 5)
        relaxed = relax(users, cell)
        assert relaxed.bandwidth_shares.sum() == pytest.approx(1.0, abs=1e-9)
        lengths = relaxed.draft_lengths
        rate = cell.uplink.rate(relaxed.bandwidth_shares * cell.bandwidth, cell.signal(users))
        seconds = (lengths / users.drafting_speed + lengths * cell.payload / rate).max()
        tokens = sum((1 - a ** (n + 1)) / (1 - a) for a, n in zip(users.acceptance_rate, lengths, strict=True))
        reached = tokens / (seconds + cell.verification.fixed + cell.verification.per_token * (lengths.sum() + 5))
        assert reached == pytest.approx(float(relaxed.goodput), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "batching", "power", "shortest"), CASES)
def test_homogeneous_is_the_brute_force_optimum_over_common_lengths(form, batching, power, shortest):
    rng = np.random.default_rng(3)
    for num_users in (1, 2, 8, 30):
        cell, users = random_cell(rng, form, batching, power, shortest), random_users(rng, num_users)
        length, optimum, shares = best_common(users, cell)
        decision = make_controller("homogeneous")(users, cell)
        assert set(decision.draft_lengths.tolist()) == {length}
        assert goodput("homogeneous", users, cell) == pytest.approx(optimum, rel=1e-9)
        if length:
            np.testing.assert_allclose(decision.bandwidth_shares, shares, rtol=1e-9)


def test_homogeneous_split_is_what_a_general_solver_finds():
    rng = np.random.default_rng(4)
    for _ in range(5):
        cell, users = random_cell(rng, "affine", "padded", "total"), random_users(rng, 4)
        decision = make_controller("homogeneous")(users, cell)
        length = float(decision.draft_lengths[0])

        def seconds(shares, users=users, cell=cell):
            signal = users.transmit_power * users.channel_gain / cell.noise_psd
            band = np.maximum(shares, 1e-9) * cell.bandwidth
            return 1.0 / users.drafting_speed + cell.payload / (band * np.log2(1.0 + signal / band))

        found = minimize(
            lambda z: z[-1],
            np.append(np.full(4, 0.25), seconds(np.full(4, 0.25)).max()),
            method="SLSQP",
            constraints=[
                within([(1e-6, 1.0)] * 4 + [(0.0, None)]),
                {"type": "ineq", "fun": lambda z, seconds=seconds: z[-1] - seconds(z[:4])},
                {"type": "ineq", "fun": lambda z: 1.0 - z[:4].sum()},
            ],
            options={"ftol": 1e-14, "maxiter": 500},
        )
        outcome = play_round(users, cell, decision)
        assert (outcome.latency - outcome.verification_time) / length == pytest.approx(found.x[-1], rel=1e-6)
        np.testing.assert_allclose(decision.bandwidth_shares, found.x[:4], rtol=1e-3)


@pytest.mark.parametrize("name", ["homogeneous", "heterogeneous"])
@pytest.mark.parametrize("power", ["total", "density"])
def test_all_who_draft_finish_together_and_use_the_whole_band(name, power):
    rng = np.random.default_rng(6)
    cell, users = random_cell(rng, "affine", "ragged", power), random_users(rng, 12)
    decision = make_controller(name)(users, cell)
    outcome = play_round(users, cell, decision)
    np.testing.assert_allclose(
        (outcome.drafting_time + outcome.upload_time)[decision.draft_lengths > 0],
        outcome.latency - outcome.verification_time,
        rtol=1e-9,
    )
    assert decision.bandwidth_shares.sum() == pytest.approx(1.0, abs=1e-12)
    assert decision.bandwidth_shares.sum() <= 1.0 + 1e-12


@pytest.mark.parametrize("power", ["total", "density"])
def test_homogeneous_compensates_weaker_users_with_bandwidth(power):
    verification = AffineVerification(0.06, 3e-4, "ragged")
    cell = Cell(10e6, 4e-21, 16384.0, verification, power)
    poor_channels = Users(0.7, 150.0, np.geomspace(1e-12, 1e-10, 6), 0.02)
    shares = make_controller("homogeneous")(poor_channels, cell).bandwidth_shares
    assert (np.diff(shares) < 0.0).all()
    slow_devices = Users(0.7, np.linspace(60.0, 300.0, 6), 1e-11, 0.02)
    shares = make_controller("homogeneous")(slow_devices, cell).bandwidth_shares
    assert (np.diff(shares) < 0.0).all()


@pytest.mark.parametrize("batching", ["padded", "ragged"])
@pytest.mark.parametrize("power", ["total", "density"])
def test_heterogeneous_rewards_higher_acceptance_with_longer_drafts_and_more_bandwidth(power, batching):
    cell = Cell(10e6, 4e-21, 16384.0, AffineVerification(0.06, 3e-4, batching), power)
    users = Users(np.linspace(0.3, 0.95, 8), 200.0, 1e-11, 0.02)
    relaxed = relax(users, cell)
    assert (np.diff(relaxed.draft_lengths) >= -1e-9).all()
    assert (np.diff(relaxed.bandwidth_shares) >= -1e-9).all()
    decision = make_controller("heterogeneous")(users, cell)
    assert (np.diff(decision.draft_lengths) >= 0).all()
    assert decision.draft_lengths[-1] > decision.draft_lengths[0]
    assert decision.bandwidth_shares[-1] > decision.bandwidth_shares[0]


@given(
    alpha=st.floats(0.01, 0.99), upload=st.floats(1e-4, 1.0), drafting=st.floats(1e-4, 1.0), server=st.floats(0.01, 1.0)
)
def test_tk_slt_maximises_the_speed_up_of_a_single_user(alpha, upload, drafting, server):
    cost = (upload + drafting) / server

    def slowdown(length):
        return -(1.0 - alpha ** (length + 1.0)) / ((1.0 - alpha) * (length * cost + 1.0))

    length = float(tk_slt_length(np.array(alpha), np.array(upload), np.array(drafting), server))
    found = minimize_scalar(slowdown, bounds=(0.0, 5000.0), method="bounded", options={"xatol": 1e-10})
    assert slowdown(length) <= min(found.fun, slowdown(0.0)) * (1 - 1e-12)
    if cost >= 1.0:
        assert length == 0.0


@pytest.mark.parametrize(
    ("alpha", "seconds", "length"), [(0.0, 0.01, 0.0), (1.0, 0.01, np.inf), (1.0, 2.0, 0.0), (0.5, np.inf, 0.0)]
)
def test_tk_slt_at_the_ends_of_its_parameters(alpha, seconds, length):
    assert tk_slt_length(np.array(alpha), np.array(seconds), np.array(0.0), 0.06) == length


@pytest.mark.parametrize(("form", "batching", "power", "shortest"), CASES)
def test_tk_slt_gives_each_user_the_length_that_is_best_alone(form, batching, power, shortest):
    rng = np.random.default_rng(7)
    cell, users = random_cell(rng, form, batching, power, shortest), random_users(rng, 9)
    decision = make_controller("tk_slt")(users, cell)
    np.testing.assert_allclose(decision.bandwidth_shares, 1 / 9, rtol=1e-15)
    lengths = np.arange(max(1, shortest), cell.max_draft_length + 1)
    for k in range(9):
        one = Users(*(getattr(users, name)[k] * np.ones(1) for name in Users.FIELDS))
        # Alone at the server, on its ninth of the band.
        alone = play_round(one, cell, Decision(lengths[:, None], np.full((len(lengths), 1), 1 / 9)))
        assert decision.draft_lengths[k] == lengths[alone.goodput.argmax()]


@pytest.mark.parametrize(("form", "batching", "power", "shortest"), CASES)
def test_uniform_best_is_the_best_common_length_on_equal_shares(form, batching, power, shortest):
    rng = np.random.default_rng(8)
    cell, users = random_cell(rng, form, batching, power, shortest), random_users(rng, 6)
    lengths = np.arange(shortest, cell.max_draft_length + 1)
    played = play_round(
        users, cell, Decision(np.repeat(lengths[:, None], 6, axis=1), np.full((len(lengths), 6), 1 / 6))
    )
    assert goodput("uniform_best", users, cell) == pytest.approx(played.goodput.max(), rel=1e-14)


def test_uniform_best_lets_nobody_draft_where_an_upload_would_never_end():
    users = Users([0.8, 0.8], 100.0, [1e-10, 1e-300], [0.02, 1e-100])
    cell = Cell(10e6, 4e-21, 16384.0, AffineVerification(0.06), min_draft_length=0)
    assert make_controller("uniform_best")(users, cell).draft_lengths.tolist() == [0, 0]


def test_fixed_and_idle_controllers_do_what_they_say():
    cell, users = (
        load_scenario("laptops_60ms").cell,
        load_scenario("laptops_60ms").sample_users(np.random.default_rng(0)),
    )
    assert make_controller("server_only")(users, cell).draft_lengths.tolist() == [0] * 8
    fixed = make_controller("uniform_fixed", draft_length=7)(users, cell)
    assert fixed.draft_lengths.tolist() == [7] * 8
    assert make_controller("uniform_fixed")(users, cell).draft_lengths.tolist() == [4] * 8
    np.testing.assert_allclose(fixed.bandwidth_shares, 1 / 8, rtol=1e-15)
    with pytest.raises(ValueError, match=r"draft_length must lie in \[1, 12\], got 13"):
        make_controller("uniform_fixed", draft_length=13)(users, cell)


def test_random_decisions_cover_the_action_set_and_repeat_with_their_seed():
    scenario = load_scenario("laptops_60ms")
    users = scenario.sample_users(np.random.default_rng(0), num_users=3, batch=(4000,))
    decision = make_controller("random", seed=5)(users, scenario.cell)
    counts = np.bincount(decision.draft_lengths.ravel(), minlength=13)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 1000).max() < 5 * np.sqrt(1000)
    np.testing.assert_allclose(decision.bandwidth_shares.sum(axis=-1), 1.0, rtol=1e-14)
    # Uniform over the simplex of three: each share has mean 1/3 and variance 1/18.
    np.testing.assert_allclose(decision.bandwidth_shares.mean(axis=0), 1 / 3, atol=5 * np.sqrt(1 / 18 / 4000))
    again = make_controller("random", seed=5)(users, scenario.cell)
    np.testing.assert_array_equal(again.draft_lengths, decision.draft_lengths)
    assert (make_controller("random", seed=6)(users, scenario.cell).draft_lengths != decision.draft_lengths).any()


DETERMINISTIC = [name for name in FOR_ANY_CELL if name != "random"]


@pytest.mark.slow
@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize(
    "scenario", ["laptops_60ms", "deep_fading", "twenty_users", "laptops_60ms_density", "paper_qwen35"]
)
def test_controllers_decide_each_cell_of_a_batch_as_if_it_were_alone(name, scenario):
    scenario = load_scenario(scenario)
    users = scenario.sample_users(np.random.default_rng(1), num_users=5, batch=(2, 3))
    decision = make_controller(name)(users, scenario.cell)
    assert decision.draft_lengths.shape == decision.bandwidth_shares.shape == (2, 3, 5)
    for row in np.ndindex(2, 3):
        alone = make_controller(name)(users[row], scenario.cell)
        np.testing.assert_array_equal(alone.draft_lengths, decision.draft_lengths[row])
        np.testing.assert_allclose(alone.bandwidth_shares, decision.bandwidth_shares[row], rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", DETERMINISTIC)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), form=st.sampled_from(FORMS), shortest=st.integers(0, 1))
def test_permuting_users_permutes_the_decision(name, seed, form, shortest):
    rng = np.random.default_rng(seed)
    cell, users = random_cell(rng, *form, shortest), random_users(rng, 6)
    order = rng.permutation(6)
    permuted = make_controller(name)(Users(*(getattr(users, field)[order] for field in Users.FIELDS)), cell)
    decision = make_controller(name)(users, cell)
    np.testing.assert_array_equal(permuted.draft_lengths, decision.draft_lengths[order])
    np.testing.assert_allclose(permuted.bandwidth_shares, decision.bandwidth_shares[order], rtol=1e-9)


@pytest.mark.slow
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), form=st.sampled_from(FORMS), which=st.sampled_from(["bandwidth", *Users.FIELDS]))
def test_better_users_or_more_bandwidth_never_lower_the_bound_or_the_best_common_length(seed, form, which):
    rng = np.random.default_rng(seed)
    cell, users = random_cell(rng, *form), random_users(rng, 4)
    if which == "bandwidth":
        # At a fixed power density per Hz the noise spreads with the band: the power is raised with it.
        better_cell, better = dataclasses.replace(cell, bandwidth=2 * cell.bandwidth), users
        if cell.power == "density":
            better = dataclasses.replace(users, transmit_power=2 * users.transmit_power)
    else:
        raised = np.minimum(
            getattr(users, which) * rng.uniform(1.0, 2.0, 4), 1.0 if which == "acceptance_rate" else np.inf
        )
        better_cell, better = cell, dataclasses.replace(users, **{which: raised})
    assert goodput("homogeneous", better, better_cell) >= goodput("homogeneous", users, cell) * (1 - 1e-12)
    assert relax(better, better_cell).goodput >= relax(users, cell).goodput * (1 - 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["homogeneous", "heterogeneous", "uniform_best", "tk_slt"])
@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_extreme_users_get_finite_and_allowed_decisions(name, form):
    rng = np.random.default_rng(0)
    cell = random_cell(rng, *form, shortest=0)
    users = Users(
        [0.0, 1.0, 1e-12, 1 - 1e-12, 0.5, 0.5],
        [3.0, 300.0, 50.0, 5000.0, 100.0, 100.0],
        [1e-10, 1e-10, 1e-9, 1e-13, 1e-18, 1e-6],
        0.02,
    )
    decision = make_controller(name)(users, cell)
    checked = Decision(decision.draft_lengths, decision.bandwidth_shares)
    assert np.isfinite(play_round(users, cell, checked).latency)
    if name == "heterogeneous":
        optimum, _ = brute_force(Users(*(getattr(users, f)[[0, 1, 4]] for f in Users.FIELDS)), cell)
        three = Users(*(getattr(users, f)[[0, 1, 4]] for f in Users.FIELDS))
        assert goodput(name, three, cell) >= 0.98 * optimum


def test_single_point_table_and_a_single_length_leave_one_decision():
    cell = Cell(10e6, 4e-21, 16384.0, TableVerification([5], [0.05], "ragged"), min_draft_length=3, max_draft_length=3)
    users = random_users(np.random.default_rng(0), 3)
    for name in ("homogeneous", "heterogeneous"):
        assert make_controller(name)(users, cell).draft_lengths.tolist() == [3, 3, 3]
    assert float(relax(users, cell).goodput) == pytest.approx(goodput("homogeneous", users, cell), rel=1e-12)


def test_fixed_length_is_four_or_the_nearest_that_the_cell_allows():
    cell = random_cell(np.random.default_rng(0), "affine", "padded", "total")
    users = random_users(np.random.default_rng(0), 3)
    for low, high, expected in ((1, 12, 4), (1, 2, 2), (6, 8, 6)):
        narrow = dataclasses.replace(cell, min_draft_length=low, max_draft_length=high)
        assert make_controller("uniform_fixed")(users, narrow).draft_lengths.tolist() == [expected] * 3


@pytest.mark.parametrize("name", ["server_only", "heterogeneous"])
def test_users_and_cell_in_the_wrong_order_are_named(name):
    scenario = load_scenario("default")
    users = scenario.sample_users(np.random.default_rng(0))
    for ask in (make_controller(name), relax, certify):
        with pytest.raises(TypeError, match=r"^users must be of type Users, got Cell$"):
            ask(scenario.cell, users)
        with pytest.raises(TypeError, match=r"^cell must be of type Cell, got Scenario$"):
            ask(users, scenario)
    with pytest.raises(TypeError, match=r"^decision must be of type Decision, got tuple$"):
        play_round(users, scenario.cell, (1, 2))
