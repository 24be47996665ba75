"""P2P-SPIN and Cen-SPIN: against every choice of lengths, and against what the paper's figures give for them."""

import itertools

import numpy as np
import pytest
from reference import FORMS, all_lengths, random_cell, random_users, rate_on, verification_seconds

from multispin_gym import (
    AffineVerification,
    Cell,
    TableVerification,
    Users,
    expected_tokens,
    load_scenario,
    play_round,
)
from multispin_gym.baselines import cen_spin, make_controller, p2p_spin

CASES = list(itertools.product(FORMS, (0, 1, 2)))


@pytest.mark.parametrize(("form", "shortest"), CASES)
def test_no_lengths_make_a_cycle_of_turns_better(form, shortest):
    rng = np.random.default_rng(CASES.index((form, shortest)))
    for num_users in (1, 2, 3):
        cell, users = random_cell(rng, *form, shortest, longest=6), random_users(rng, num_users)
        lengths = all_lengths(cell, num_users)
        upload = lengths * cell.payload / rate_on(users, cell, np.full(num_users, cell.bandwidth))
        turns = lengths / users.drafting_speed + upload + cell.verification.time(lengths + 1.0)
        goodput = expected_tokens(users.acceptance_rate, lengths).sum(axis=-1) / turns.sum(axis=-1)
        outcome = p2p_spin(users, cell)
        assert outcome.goodput == pytest.approx(goodput.max(), rel=1e-13)
        same = (lengths == outcome.draft_lengths).all(axis=-1)
        assert goodput[same] == pytest.approx(goodput.max(), rel=1e-13)


def at_server(alpha, lengths, cell, drafting_time, batched):
    drafted = drafting_time * (lengths.max(axis=-1) if batched else lengths.sum(axis=-1))
    return expected_tokens(alpha, lengths).sum(axis=-1) / (drafted + verification_seconds(cell, lengths))


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize(("form", "shortest"), CASES)
def test_no_lengths_make_the_work_at_the_server_better(form, shortest, batched):
    rng = np.random.default_rng(CASES.index((form, shortest)))
    for num_users in (1, 2, 3, 4):
        cell, users = random_cell(rng, *form, shortest, longest=5), random_users(rng, num_users)
        drafting_time = rng.uniform(0.001, 0.02)
        goodput = at_server(users.acceptance_rate, all_lengths(cell, num_users), cell, drafting_time, batched)
        outcome = cen_spin(users, cell, drafting_time, batched=batched)
        assert outcome.goodput == pytest.approx(goodput.max(), rel=1e-13)
        lengths = outcome.draft_lengths.astype(float)[None]
        again = at_server(users.acceptance_rate, lengths, cell, drafting_time, batched)
        assert again == pytest.approx(goodput.max(), rel=1e-13)


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("batching", ["padded", "ragged"])
def test_a_falling_table_is_met_by_drafts_of_which_nothing_is_accepted(batching, batched):
    users = Users([0.0, 0.3, 0.2], 100.0, 1e-10, 0.02)
    server = TableVerification([2.0, 9.0, 10.0, 40.0], [0.2, 0.2, 0.02, 0.01], batching)
    cell = Cell(10e6, 4e-21, 16384.0, server, min_draft_length=0, max_draft_length=5)
    goodput = at_server(users.acceptance_rate, all_lengths(cell, 3), cell, 1e-3, batched)
    assert cen_spin(users, cell, 1e-3, batched=batched).goodput == pytest.approx(goodput.max(), rel=1e-13)


@pytest.mark.parametrize(
    ("name", "one_at_a_time", "in_turn", "at_once", "server_only"),
    [("paper_llama2", 31.5, 59.0, 195.5, 72.2), ("paper_qwen35", 18.4, 50.8, 274.5, 42.5)],
)
def test_the_papers_cells_give_its_ratios_and_a_batched_server_more_than_all(
    name, one_at_a_time, in_turn, at_once, server_only
):
    scenario = load_scenario(name)
    users = scenario.sample_users(np.random.default_rng(3), batch=(40, 10))
    cell = scenario.cell
    turns, central, batched = p2p_spin(users, cell), cen_spin(users, cell), cen_spin(users, cell, batched=True)
    assert turns.goodput.shape == central.goodput.shape == (40, 10)
    assert turns.draft_lengths.shape == central.draft_lengths.shape == (40, 10, 20)
    assert turns.goodput.mean() == pytest.approx(one_at_a_time, rel=0.01)
    assert central.goodput.mean() == pytest.approx(in_turn, rel=0.01)
    assert batched.goodput.mean() == pytest.approx(at_once, rel=0.01)
    plain = play_round(users, cell, make_controller("server_only")(users, cell)).goodput
    assert plain.mean() == pytest.approx(server_only, rel=0.002)
    best = play_round(users[0], cell, make_controller("heterogeneous")(users[0], cell)).goodput.mean()
    # The figures read 4.6 times P2P-SPIN (Llama-2), 2.5 and about 3 times Cen-SPIN.
    assert 4.3 < best / turns.goodput.mean() < 9.0
    assert 2.3 < best / central.goodput.mean() < 3.2
    assert best < batched.goodput.mean()


def test_a_user_whose_upload_never_ends_takes_no_turn_to_draft_where_it_may_not():
    users = Users([0.9, 0.8], 200.0, [1e-10, 1e-300], [0.02, 1e-100])
    cell = Cell(10e6, 4e-21, 16384.0, AffineVerification(0.06), min_draft_length=0)
    outcome = p2p_spin(users, cell)
    assert outcome.draft_lengths[0] > 0
    assert outcome.draft_lengths[1] == 0
    assert np.isfinite(outcome.goodput)


def test_a_drafting_time_out_of_range_is_refused():
    scenario = load_scenario("paper_llama2")
    users = scenario.sample_users(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"drafting_time must lie in \(0, inf\), got 0.0"):
        cen_spin(users, scenario.cell, drafting_time=0.0)
