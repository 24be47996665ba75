"""Equal shares and own lengths: against every decision that there is, for every server."""

import dataclasses

import numpy as np
import pytest
from reference import FORMS, all_lengths, random_cell, random_users

from multispin_gym import AffineVerification, Cell, Decision, TableVerification, Users, load_scenario, play_round
from multispin_gym.baselines import certify, make_controller

UNI_BW = make_controller("uni_bw")


def best_on_equal_shares(users, cell):
    lengths = all_lengths(cell, users.num_users)
    return play_round(users, cell, Decision(lengths, 1.0 / users.num_users)).goodput.max()


def check(users, cell):
    decision = UNI_BW(users, cell)
    assert (decision.bandwidth_shares == 1.0 / users.num_users).all()
    reached = play_round(users, cell, decision).goodput
    assert reached == pytest.approx(best_on_equal_shares(users, cell), rel=1e-13)


@pytest.mark.parametrize("shortest", [0, 1, 2, 6])
@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_no_decision_on_equal_shares_is_better(form, shortest):
    rng = np.random.default_rng(FORMS.index(form) + 100 * shortest)
    for num_users in (1, 2, 3, 4):
        check(random_users(rng, num_users), random_cell(rng, *form, shortest, longest=6))


@pytest.mark.parametrize("shortest", [0, 1])
@pytest.mark.parametrize("per_token", [0.0, 2e-3])
@pytest.mark.parametrize("batching", ["padded", "ragged"])
def test_a_time_per_draft_is_part_of_the_batch(batching, per_token, shortest):
    rng = np.random.default_rng(3)
    server = AffineVerification(0.02, per_draft=0.013, per_token=per_token, batching=batching)
    for num_users in (2, 3, 4):
        cell = dataclasses.replace(random_cell(rng, "affine", batching, "density", shortest, 5), verification=server)
        check(random_users(rng, num_users), cell)


# The longest batch takes the least time, so that even drafts of which nothing is accepted pay.
FALLING = ([2.0, 9.0, 10.0, 40.0], [0.2, 0.2, 0.02, 0.01])


@pytest.mark.parametrize("shortest", [0, 1])
@pytest.mark.parametrize("batching", ["padded", "ragged"])
@pytest.mark.parametrize("acceptance", [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.5], [1e-300, 1e-9, 1.0 - 1e-12]])
def test_ends_of_the_acceptance_rate_and_a_table_that_falls(acceptance, batching, shortest):
    users = Users(acceptance, [1000.0, 400.0, 90.0], [1e-10, 1e-11, 1e-12], 0.02)
    for server in (TableVerification(*FALLING, batching), AffineVerification(0.05, 1e-3, batching)):
        check(users, Cell(10e6, 4e-21, 16384.0, server, "total", shortest, 6))


@pytest.mark.parametrize("batching", ["padded", "ragged"])
def test_a_user_whose_upload_would_never_end_opts_out_where_it_may(batching):
    users = Users([0.9, 0.8, 0.8], 200.0, [1e-10, 1e-300, 1e-10], [0.02, 1e-100, 0.02])
    cell = Cell(10e6, 4e-21, 16384.0, AffineVerification(0.06, 1e-4, batching), min_draft_length=0)
    lengths = UNI_BW(users, cell).draft_lengths
    assert lengths[1] == 0
    assert (lengths[[0, 2]] > 0).all()
    trapped = UNI_BW(users, dataclasses.replace(cell, min_draft_length=1))
    assert trapped.draft_lengths.min() >= 1


def test_on_the_papers_cells_it_lies_between_the_best_common_length_and_the_certified_optimum():
    for name in ("paper_llama2", "paper_qwen35"):
        scenario = load_scenario(name)
        users = scenario.sample_users(np.random.default_rng(5), batch=(4, 5))
        reached = {
            rule: play_round(users, scenario.cell, make_controller(rule)(users, scenario.cell)).goodput
            for rule in ("fixed_bw_l", "uniform_best", "uni_bw")
        }
        assert (reached["fixed_bw_l"] <= reached["uniform_best"]).all()
        assert (reached["uniform_best"] <= reached["uni_bw"] * (1 + 1e-13)).all()
        assert (reached["uni_bw"] <= certify(users, scenario.cell, gap=1e-4).upper_bound).all()
        assert reached["uni_bw"].mean() > 1.1 * reached["uniform_best"].mean()


def test_fixed_bw_l_gives_everybody_eight_tokens_or_the_nearest_that_the_cell_allows():
    scenario = load_scenario("paper_llama2")
    users = scenario.sample_users(np.random.default_rng(0))
    for low, high, expected in ((1, 25, 8), (0, 5, 5), (9, 12, 9)):
        cell = dataclasses.replace(scenario.cell, min_draft_length=low, max_draft_length=high)
        decision = make_controller("fixed_bw_l")(users, cell)
        assert decision.draft_lengths.tolist() == [expected] * 20
        np.testing.assert_allclose(decision.bandwidth_shares, 1 / 20, rtol=1e-15)


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (AffineVerification(0.06), r"at most 4000000; got 14998500$"),
        (TableVerification([1.0], [0.1], "ragged"), r"at most 5000 for a ragged table; got 14998500$"),
    ],
)
def test_more_drafts_than_can_be_listed_are_refused(server, message):
    cell = Cell(10e6, 4e-21, 16384.0, server, max_draft_length=10_000)
    with pytest.raises(ValueError, match=r"uni_bw lists num_users \* .*" + message):
        UNI_BW(Users(np.full(1500, 0.5), 100.0, 1e-10, 0.02), cell)
