"""Controllers and the relaxation on cells at the ends of what is allowed."""

import dataclasses
from contextlib import nullcontext

import numpy as np
import pytest
from reference import FOR_ANY_CELL, FORMS, brute_force, random_cell

from multispin_gym import AffineVerification, Cell, Decision, Users, load_scenario, play_round
from multispin_gym.baselines import certify, list_controllers, make_controller, relax
from multispin_gym.baselines.estimators.equal_finish import finishing_together
from multispin_gym.baselines.solver.switch import plain

POWER = 0.02
CASES = {
    "one user": Users([0.7], [100.0], [1e-11], POWER),
    "one hopeless user": Users([0.0], [1e-3], [1e-30], POWER),
    "equal users": Users(np.full(4, 0.7), 100.0, 1e-11, POWER),
    "nothing is accepted": Users(np.zeros(4), [50.0, 100.0, 200.0, 300.0], 1e-11, POWER),
    "everything is accepted": Users(np.ones(4), [50.0, 100.0, 200.0, 300.0], 1e-11, POWER),
    "nearly certain": Users([0.0, 1e-300, 1e-12, 1.0 - 1e-12], 100.0, 1e-11, POWER),
    "one dead channel": Users([0.8, 0.7, 0.6, 0.9], 100.0, [1e-10, 1e-11, 1e-12, 1e-30], POWER),
    "dead channels": Users([0.8, 0.7, 0.6, 0.9], 100.0, 1e-30, POWER),
    "a hundredfold spread of speeds": Users(0.8, [5.0, 20.0, 100.0, 500.0], 1e-11, POWER),
    "speeds without limit": Users(0.8, [1e6, 1e6, 1e9, 1e9], [1e-3, 1.0, 1e-3, 1.0], POWER),
}
EVERY_CASE = pytest.mark.parametrize("case", CASES)
EVERY_FORM = pytest.mark.parametrize("form", FORMS, ids="-".join)
RANGES = pytest.mark.parametrize(("shortest", "longest"), [(0, 4), (1, 4), (3, 3), (0, 1)])


@pytest.mark.slow
@EVERY_CASE
@EVERY_FORM
@RANGES
def test_decisions_are_allowed_and_in_order_and_no_bound_is_passed(case, form, shortest, longest):
    users, cell = CASES[case], random_cell(np.random.default_rng(1), *form, shortest, longest)
    goodput = {}
    for name in FOR_ANY_CELL:
        options = {"draft_length": longest} if name == "uniform_fixed" else {}
        decision = make_controller(name, **options)(users, cell)
        checked = Decision(decision.draft_lengths, decision.bandwidth_shares)
        outcome = play_round(users, cell, checked)
        assert not np.isnan(outcome.latency)
        goodput[name] = float(outcome.goodput)
    best, _ = brute_force(users, cell)
    assert goodput["exact"] == pytest.approx(best, rel=1e-6)
    assert goodput["exact"] >= goodput["heterogeneous"] * (1.0 - 1e-9) >= goodput["homogeneous"] * (1.0 - 2e-9)
    assert goodput["homogeneous"] >= goodput["uniform_best"] * (1.0 - 1e-9)
    assert goodput["exact"] >= goodput["uni_bw"] * (1.0 - 1e-9) >= goodput["uniform_best"] * (1.0 - 2e-9)
    assert goodput["uniform_best"] >= goodput["fixed_bw_l"] * (1.0 - 1e-9)
    assert goodput["heterogeneous"] >= 0.98 * best
    relaxed, certificate = relax(users, cell), certify(users, cell)
    assert min(float(relaxed.upper_bound), float(certificate.upper_bound)) >= best * (1.0 - 1e-9)
    assert certificate.gap <= 1.01e-6
    assert np.isfinite(relaxed.draft_lengths).all()
    assert relaxed.bandwidth_shares.sum() == pytest.approx(1.0, abs=1e-9)


@EVERY_FORM
def test_equal_users_get_equal_shares(form):
    cell = random_cell(np.random.default_rng(2), *form)
    shares = make_controller("homogeneous")(CASES["equal users"], cell).bandwidth_shares
    np.testing.assert_allclose(shares, 0.25, rtol=1e-12)


@pytest.mark.slow
@EVERY_FORM
def test_a_user_alone_gets_the_whole_band_and_its_own_best_length(form):
    cell, users = random_cell(np.random.default_rng(3), *form), CASES["one user"]
    lengths = np.arange(cell.min_draft_length, cell.max_draft_length + 1)[:, None]
    best = lengths[play_round(users, cell, Decision(lengths, np.ones(lengths.shape))).goodput.argmax()]
    for name in ("tk_slt", "uniform_best", "homogeneous", "heterogeneous", "exact"):
        decision = make_controller(name)(users, cell)
        assert decision.draft_lengths == best
        assert decision.bandwidth_shares == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("power", ["total", "density"])
@pytest.mark.parametrize("batching", ["padded", "ragged"])
def test_a_user_with_a_dead_channel_leaves_the_others_at_their_own_optimum(power, batching):
    cell = Cell(10e6, 4e-21, 16384.0, AffineVerification(0.08, 0.0, batching), power, 0, 8)
    three = Users([0.9, 0.8, 0.85], [200.0, 150.0, 250.0], 1e-10, POWER)
    four = Users([0.9, 0.8, 0.85, 0.7], [200.0, 150.0, 250.0, 200.0], [1e-10, 1e-10, 1e-10, 1e-30], POWER)
    for solve in (make_controller("exact"), make_controller("heterogeneous")):
        alone, together = solve(three, cell), solve(four, cell)
        assert together.draft_lengths[3] == 0
        # The fourth adds its one token to every round, which only makes rounds shorter.
        assert (together.draft_lengths[:3] <= alone.draft_lengths).all()
        assert together.bandwidth_shares[:3].sum() == pytest.approx(1.0, abs=1e-12)
    relaxed, best = relax(four, cell), certify(four, cell).goodput
    assert best * (1.0 - 1e-9) <= relaxed.goodput
    assert relaxed.upper_bound <= relaxed.goodput * (1.0 + 1e-6)


SHORT_UPLOADS = {
    "far below rounding": (1e-30, 1e9, [1e-10, 1e-11]),
    "at rounding": (1e-9, 1e9, [1e-7, 1e-11]),
    "weak signals on a wide band": (1e-12, 1e10, [1e-16, 1e-15]),
    "strong signals on a narrow band": (1.2e-11, 2.3e3, [1e-5, 1e-6]),
}


@pytest.mark.parametrize("case", SHORT_UPLOADS)
@EVERY_FORM
@pytest.mark.parametrize(("shortest", "longest"), [(0, 3), (1, 3)])
def test_uploads_that_rounding_swallows_leave_the_optimum_certified(case, form, shortest, longest):
    payload, bandwidth, gains = SHORT_UPLOADS[case]
    cell = random_cell(np.random.default_rng(1), *form, shortest, longest)
    cell = dataclasses.replace(cell, payload=payload, bandwidth=bandwidth)
    users = Users([0.5, 0.9], [100.0, 200.0], gains, POWER)
    # Next to nothing is uploaded, so the latency is that of the slower draft.
    lengths = np.stack(np.meshgrid(*2 * [np.arange(shortest, longest + 1)]), axis=-1).reshape(-1, 2)
    latency = (lengths / users.drafting_speed).max(axis=-1) + cell.verification.round_time(lengths)
    best = ((1.0 - users.acceptance_rate ** (lengths + 1.0)) / (1.0 - users.acceptance_rate)).sum(axis=-1) / latency
    certificate, decision = certify(users, cell), make_controller("heterogeneous")(users, cell)
    assert float(certificate.goodput) == pytest.approx(best.max(), rel=1e-6)
    assert certificate.upper_bound >= best.max() * (1.0 - 1e-9)
    assert certificate.gap <= 1.01e-6
    assert relax(users, cell).upper_bound >= best.max() * (1.0 - 1e-9)
    for played in (certificate.decision, decision):
        assert play_round(users, cell, played).goodput >= 0.98 * best.max()


@pytest.mark.parametrize("solve", [certify, relax])
def test_a_cell_beyond_the_range_of_numbers_is_an_error_and_no_result(solve):
    cell = Cell(10e6, 4e-21, 16384.0, AffineVerification(0.08), "total")
    users = Users([0.9, 0.8], 1e-200, 1e-300, 1e-20)
    with np.errstate(all="ignore"), pytest.raises(RuntimeError, match="the solver found no finite"):
        solve(users, cell)


@pytest.mark.parametrize("preset", ["paper_qwen35", "twenty_users", "deep_fading"])
def test_of_no_cells_there_are_no_decisions(preset):
    scenario = load_scenario(preset)
    nobody = scenario.sample_users(np.random.default_rng(0), 3, (0,))
    for name in sorted(set(list_controllers()) - {"multi_spin"}):
        for where in (nullcontext, plain):
            with where():
                decision = make_controller(name)(nobody, scenario.cell)
            assert decision.draft_lengths.shape == decision.bandwidth_shares.shape == (0, 3)
    certificate = certify(nobody, scenario.cell)
    assert certificate.goodput.shape == certificate.upper_bound.shape == (0,)
    assert certificate.decision.draft_lengths.shape == (0, 3)


def test_a_deadline_whose_curvature_overflows_is_no_warning():
    users = Users([0.9, 0.5], [10.0, 20.0], [2e-32, 5e10], 1.0)
    cell = Cell(2e-21, 6e31, 3e47, AffineVerification(0.1, 1e-3))
    with plain():
        lengths = [make_controller(name)(users, cell).draft_lengths.tolist() for name in ("nested_polished", "exact")]
    assert lengths[0] == lengths[1] == make_controller("heterogeneous")(users, cell).draft_lengths.tolist()


def test_climbs_of_many_users_end_where_no_single_token_gains():
    rng = np.random.default_rng(11)
    num_users = 120
    verification = AffineVerification(0.01, 1e-5, "padded")
    cell = Cell(10e6, 3.98e-21, 1e3, verification, power="density", max_draft_length=25)
    rates, speeds = rng.uniform(0.2, 0.99, num_users), 10 ** rng.uniform(1, 2.5, num_users)
    users = Users(rates, speeds, 10 ** rng.uniform(-12, -8, num_users), 0.1)
    rule = make_controller("heterogeneous")
    decision = rule(users, cell)
    best = float(play_round(users, cell, decision).goodput)
    lengths = decision.draft_lengths
    moves = lengths + np.concatenate([np.eye(num_users, dtype=int), -np.eye(num_users, dtype=int)])
    allowed = ((moves >= cell.min_draft_length) & (moves <= 25)).all(axis=-1)
    many = Users(**{name: np.tile(getattr(users, name), (allowed.sum(), 1)) for name in Users.FIELDS})
    moved = finishing_together(many, cell, moves[allowed])
    assert play_round(many, cell, moved).goodput.max() <= best * (1.0 + 1e-9)
    with plain():
        assert (rule(users, cell).draft_lengths == lengths).all()
