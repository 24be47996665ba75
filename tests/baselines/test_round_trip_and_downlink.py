"""Controllers and bounds where rounds have a round trip and a downlink: against every decision that there is."""

import dataclasses
import itertools

import numpy as np
import pytest
from compiled_decisions import assert_same_decisions
from reference import (
    FORMS,
    all_lengths,
    best_common,
    brute_force,
    random_cell,
    random_users,
    rate_on,
    relaxed_optimum,
    seconds_down,
)

from multispin_gym import AffineVerification, Decision, expected_tokens, load_scenario, play_round
from multispin_gym.baselines import cen_spin, certify, list_controllers, make_controller, p2p_spin, relax
from multispin_gym.baselines.heterogeneous import heterogeneous
from multispin_gym.baselines.long_run import long_run
from multispin_gym.baselines.nested import nested_polished
from multispin_gym.baselines.reference import Reference
from multispin_gym.baselines.solver.server import server_of
from multispin_gym.baselines.solver.switch import plain

DELAYS = {
    "both": {"round_trip": 0.05, "downlink": 1e3},
    "long round trip": {"round_trip": 0.5},
    "downlink": {"downlink": 400.0},
}
CASES = list(itertools.product(FORMS, (0, 1), DELAYS))


def case(form, shortest, delays, longest=4):
    rng = np.random.default_rng(CASES.index((form, shortest, delays)))
    cell = dataclasses.replace(random_cell(rng, *form, shortest, longest), **DELAYS[delays])
    if form[0] == "affine":
        cell = dataclasses.replace(cell, verification=dataclasses.replace(cell.verification, per_draft=0.004))
    return rng, cell


def goodput(users, cell, decision):
    return play_round(users, cell, decision).goodput


@pytest.mark.parametrize(("form", "shortest", "delays"), CASES)
def test_the_certificate_is_the_best_of_all_decisions_and_no_bound_lies_below_it(form, shortest, delays):
    rng, cell = case(form, shortest, delays)
    for num_users in (2, 3):
        users = random_users(rng, num_users)
        best, _ = brute_force(users, cell)
        certificate = certify(users, cell, gap=1e-9)
        assert certificate.goodput == pytest.approx(best, rel=1e-9)
        assert goodput(users, cell, certificate.decision) == pytest.approx(best, rel=1e-9)
        assert certificate.upper_bound >= best * (1 - 1e-12)
        assert Reference("certificate").goodput(users, cell) >= best * (1 - 1e-12)
        relaxed = relax(users, cell)
        assert relaxed.upper_bound >= best * (1 - 1e-12)
        for rule in ("heterogeneous", "nested_polished", "nested", "homogeneous"):
            reached = goodput(users, cell, make_controller(rule)(users, cell))
            least = {"heterogeneous": 0.999, "nested_polished": 0.97}.get(rule, 0.7)
            assert least * best <= reached <= best * (1 + 1e-9)
        with plain():
            assert certify(users, cell, gap=1e-9).goodput == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize(("form", "shortest", "delays"), CASES[::3])
def test_no_real_lengths_are_better_than_the_relaxation(form, shortest, delays):
    rng, cell = case(form, shortest, delays)
    users = random_users(rng, 2)
    idle = goodput(users, cell, Decision([0, 0], 0.5)) if shortest == 0 else 0.0
    found = max(relaxed_optimum(users, cell, 3, rng), float(idle))
    assert relax(users, cell).goodput == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize(("form", "shortest", "delays"), CASES)
def test_rules_that_are_exact_over_what_they_search_stay_so(form, shortest, delays):
    rng, cell = case(form, shortest, delays)
    for num_users in (1, 3):
        users = random_users(rng, num_users)
        length, best, _ = best_common(users, cell)
        common = make_controller("homogeneous")(users, cell)
        assert (common.draft_lengths == length).all()
        assert goodput(users, cell, common) == pytest.approx(best, rel=1e-9)
        every = goodput(users, cell, Decision(all_lengths(cell, num_users), 1.0 / num_users)).max()
        assert goodput(users, cell, make_controller("uni_bw")(users, cell)) == pytest.approx(every, rel=1e-12)
        same = np.repeat(np.arange(cell.min_draft_length, 5.0)[:, None], num_users, axis=1)
        best_same = goodput(users, cell, Decision(same, 1.0 / num_users)).max()
        assert goodput(users, cell, make_controller("uniform_best")(users, cell)) == pytest.approx(best_same, rel=1e-12)


@pytest.mark.parametrize(("form", "shortest", "delays"), CASES)
def test_a_single_users_rule_counts_them_and_so_do_turns(form, shortest, delays):
    rng, cell = case(form, shortest, delays)
    users = random_users(rng, 3)
    lengths = np.arange(max(1, shortest), 5.0)[:, None]
    seconds = lengths * (1.0 / users.drafting_speed + cell.payload / rate_on(users, cell, cell.bandwidth / 3.0))
    seconds = seconds + cell.verification.time(lengths + 1.0, 1) + cell.round_trip + seconds_down(cell)
    speed = expected_tokens(users.acceptance_rate, lengths) / seconds
    chosen = make_controller("tk_slt")(users, cell).draft_lengths
    np.testing.assert_array_equal(chosen, lengths[speed.argmax(axis=0), 0])

    drafts = all_lengths(cell, 3)
    upload = drafts * cell.payload / rate_on(users, cell, np.full(3, cell.bandwidth))
    turns = drafts / users.drafting_speed + upload + cell.verification.time(drafts + 1.0, 1)
    turns += np.where(drafts > 0.0, cell.round_trip, 0.0) + seconds_down(cell)
    cycles = expected_tokens(users.acceptance_rate, drafts).sum(axis=-1) / turns.sum(axis=-1)
    assert p2p_spin(users, cell).goodput == pytest.approx(cycles.max(), rel=1e-12)
    # What drafts at the server has no way to go, but what comes out of it has.
    later = dataclasses.replace(cell, round_trip=0.0, downlink=None)
    at_server = cen_spin(users, cell)
    alone = expected_tokens(users.acceptance_rate, at_server.draft_lengths).sum() / at_server.goodput
    assert (cen_spin(users, dataclasses.replace(cell, round_trip=0.0)).goodput == at_server.goodput).all()
    assert alone >= seconds_down(cell)
    assert at_server.goodput <= cen_spin(users, later).goodput


@pytest.mark.parametrize("name", [name for name in list_controllers() if name != "random"])
@pytest.mark.parametrize("batching", ["padded", "ragged"])
def test_where_everybody_drafts_they_amount_to_a_fixed_time(name, batching):
    scenario = load_scenario("paper_qwen35")
    users = scenario.sample_users(np.random.default_rng(2), 4, batch=(3,))
    per_token = 0.0 if name == "multi_spin" else 5e-4
    server = AffineVerification(0.075, per_draft=0.02, per_token=per_token, batching=batching)
    cell = dataclasses.replace(scenario.cell, verification=server)
    slower = dataclasses.replace(cell, verification=dataclasses.replace(server, fixed=0.075 + 0.25))
    delayed = dataclasses.replace(cell, round_trip=0.15, downlink=320.0, downlink_payload=32.0)
    # A server that decodes alone has the downlink only, whatever is decided.
    found, expected = (make_controller(name)(users, each) for each in (delayed, slower))
    np.testing.assert_array_equal(found.draft_lengths, expected.draft_lengths)
    np.testing.assert_allclose(found.bandwidth_shares, expected.bandwidth_shares, rtol=1e-6)


@pytest.mark.parametrize("shortest", [0, 1])
def test_the_papers_search_and_the_long_run_count_them(shortest):
    scenario = load_scenario("paper_llama2")
    for round_trip in (0.02, 3.0):
        cell = dataclasses.replace(
            scenario.cell, min_draft_length=shortest, max_draft_length=5, round_trip=round_trip, downlink=1e3
        )
        delayed = dataclasses.replace(scenario, cell=cell, num_users=3)
        users = delayed.sample_users(np.random.default_rng(4), 3, batch=(5,))
        reached = goodput(users, cell, make_controller("multi_spin", deadlines=64)(users, cell))
        best = np.array([brute_force(users[i], cell)[0] for i in range(5)])
        assert (reached <= best * (1 + 1e-9)).all()
        assert (reached >= 0.98 * best).all()
        sets = delayed.sample_large_scale(np.random.default_rng(5), 3, batch=(2,))
        found = long_run(sets, delayed, samples=16)
        assert (found.residual < 1e-6).all()
        assert (found.time_price >= found.greedy * (1 - 1e-12)).all()


def test_a_round_trip_that_is_too_long_lets_nobody_draft_where_users_may_opt_out():
    rng, cell = case(("affine", "padded", "total"), 0, "both")
    users = random_users(rng, 4)
    far = dataclasses.replace(cell, round_trip=100.0)
    for name in ("homogeneous", "heterogeneous", "nested", "nested_polished", "exact", "uni_bw", "uniform_best"):
        assert make_controller(name)(users, cell).draft_lengths.any()
        assert not make_controller(name)(users, far).draft_lengths.any()


@pytest.mark.parametrize(("form", "shortest", "delays"), CASES[::5])
def test_compiled_rules_decide_as_the_others_do(form, shortest, delays):
    rng, cell = case(form, shortest, delays)
    users = dataclasses.replace(random_users(rng, 4), channel_gain=10.0 ** rng.uniform(-13.0, -10.0, (20, 4)))
    assert_same_decisions(nested_polished, users, cell)
    assert_same_decisions(heterogeneous, users, cell)


def test_a_server_without_either_is_the_cells_own():
    cell = random_cell(np.random.default_rng(0), "table", "ragged", "total")
    assert server_of(cell, 3) is cell.verification
    delayed = server_of(dataclasses.replace(cell, round_trip=0.5, downlink=32.0), 3)
    assert delayed.of_batch(3) is delayed
    assert delayed.batching == "ragged"
    lengths = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    expected = cell.verification.round_time(lengths) + np.array([1.0, 1.5])
    np.testing.assert_allclose(delayed.round_time(lengths), expected, rtol=1e-15)
