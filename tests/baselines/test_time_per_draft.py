"""A verification time per draft: against every decision, and against the fixed time that it amounts to."""

import dataclasses

import numpy as np
import pytest
from reference import brute_force

from multispin_gym import AffineVerification, Cell, Users, load_scenario, play_round
from multispin_gym.baselines import certify, make_controller, relax

SERVERS = {
    "the paper's": AffineVerification(0.02268, per_draft=0.01272),
    "padded": AffineVerification(0.02, per_draft=0.01, per_token=5e-4, batching="padded"),
    "ragged": AffineVerification(0.02, per_draft=0.01, per_token=5e-4, batching="ragged"),
}
NOISES = {
    "power": {"noise_power": 1e-10, "power": "density"},
    "density": {"noise_psd": 1e-17, "power": "density"},
    "total": {"noise_psd": 1e-17, "power": "total"},
}


def draw(rng, num_users):
    return Users(
        rng.uniform(0.2, 0.99, num_users), rng.uniform(20.0, 90.0, num_users), rng.exponential(0.35, num_users), 1e-8
    )


@pytest.mark.parametrize("shortest", [0, 1])
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("server", SERVERS)
def test_certificate_and_relaxation_hold_against_every_decision(server, noise, shortest):
    rng = np.random.default_rng(11)
    cell = Cell(
        1.5e6,
        payload=31_744.0,
        verification=SERVERS[server],
        min_draft_length=shortest,
        max_draft_length=4,
        **NOISES[noise],
    )
    for num_users in (2, 3):
        for _ in range(3):
            users = draw(rng, num_users)
            best, lengths = brute_force(users, cell)
            certificate = certify(users, cell, gap=1e-9)
            assert certificate.goodput == pytest.approx(best, rel=1e-9)
            assert certificate.upper_bound >= best * (1 - 1e-12)
            assert play_round(users, cell, certificate.decision).goodput == pytest.approx(best, rel=1e-9)
            assert relax(users, cell).upper_bound >= best * (1 - 1e-12)
            assert certificate.decision.draft_lengths.shape == lengths.shape


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("num_users", [1, 3, 8])
def test_it_amounts_to_a_fixed_time_that_grows_with_the_users(server, num_users):
    scenario = load_scenario("paper_qwen35")
    users = scenario.sample_users(np.random.default_rng(2), num_users, batch=(6,))
    per_draft = SERVERS[server]
    fixed = dataclasses.replace(per_draft, fixed=per_draft.fixed + per_draft.per_draft * num_users, per_draft=0.0)
    one, other = (dataclasses.replace(scenario.cell, verification=it, max_draft_length=10) for it in (per_draft, fixed))
    for solve in (relax, certify):
        first, second = solve(users, one), solve(users, other)
        np.testing.assert_allclose(first.goodput, second.goodput, rtol=1e-12)
        np.testing.assert_allclose(first.upper_bound, second.upper_bound, rtol=1e-12)
    for name in ("uniform_best", "uni_bw", "homogeneous", "heterogeneous"):
        rule = make_controller(name)
        np.testing.assert_array_equal(rule(users, one).draft_lengths, rule(users, other).draft_lengths)
