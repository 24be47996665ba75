"""Algorithm 1: against the paper's formula in exact arithmetic, one point after the other, and against certificates."""

import dataclasses
import math

import mpmath
import numpy as np
import pytest
from reference import brute_force
from scipy.optimize import brentq

from multispin_gym import AffineVerification, Cell, Decision, Users, load_scenario, play_round
from multispin_gym.baselines import certify, make_controller
from multispin_gym.baselines.multi_spin import Grid

SERVER = AffineVerification(0.02, per_draft=0.012)
CELL = Cell(
    2e6,
    noise_power=1e-10,
    payload=30_000.0,
    verification=SERVER,
    power="density",
    min_draft_length=1,
    max_draft_length=6,
)


def random_users(rng, shape):
    return Users(
        rng.uniform(0.3, 0.97, shape), rng.uniform(30.0, 120.0, shape), rng.exponential(0.35, shape) + 0.01, 1e-8
    )


def points(low, high, number, spacing):
    steps = [i / (number - 1) for i in range(number)]
    return [low + s * (high - low) if spacing == "linear" else low * (high / low) ** s for s in steps]


def printed_search(users, cell, grid):
    """Best goodput of the paper's grid, each length by ``W_0`` with fifty digits, each split by a root search."""
    alphas, band, payload = users.acceptance_rate.tolist(), cell.bandwidth, cell.payload
    times = [1.0 / v for v in users.drafting_speed.tolist()]
    snr = (users.transmit_power * users.channel_gain / cell.noise_power).tolist()
    rates = [math.log2(1.0 + x) for x in snr]
    everybody, longest = range(len(alphas)), cell.max_draft_length
    soonest = max(times[k] + payload / (band * rates[k]) for k in everybody)
    latest = max(longest * (times[k] + len(alphas) * payload / (band * rates[k])) for k in everybody)
    largest = max(
        rates[k] * (latest - times[k]) ** 2 / (payload * latest) * -math.log(a) * a**2 / (1.0 - a)
        for k, a in enumerate(alphas)
    )

    def length(k, phi, multiplier):
        a, t, r = mpmath.mpf(alphas[k]), mpmath.mpf(times[k]), rates[k]
        root = mpmath.sqrt(multiplier * payload * phi * abs(mpmath.log(a)) * (1 - a) / (r * a))
        inner = a ** (-phi / (2 * t)) / (2 * t) * root
        return min(max(round(float(phi / t + 2 / mpmath.log(a) * mpmath.lambertw(inner))), 1), longest)

    def goodput(lengths):
        each = list(zip(lengths, rates, times, strict=True))

        def excess(deadline):
            return sum(payload * n / (r * (deadline - n * t)) for n, r, t in each) - band

        start = max(n * t for n, _, t in each)
        deadline = brentq(excess, start * (1 + 1e-12), 1e3 * start + 1e3, xtol=1e-15, rtol=1e-14)
        tokens = sum((1 - a ** (n + 1)) / (1 - a) for a, n in zip(alphas, lengths, strict=True))
        return tokens / (deadline + SERVER.fixed + SERVER.per_draft * len(alphas))

    tried = {
        tuple(length(k, phi, multiplier) for k in everybody)
        for phi in points(soonest, latest, grid.deadlines, grid.deadline_spacing)
        for multiplier in points(grid.smallest_multiplier * largest, largest, grid.multipliers, grid.multiplier_spacing)
    }
    return max(goodput(lengths) for lengths in tried | {(1,) * len(alphas)})


@pytest.mark.parametrize("multiplier_spacing", ["linear", "log"])
@pytest.mark.parametrize("deadline_spacing", ["linear", "log"])
def test_the_search_is_the_printed_one(deadline_spacing, multiplier_spacing):
    rng = np.random.default_rng(1)
    with mpmath.workdps(50):
        for num_users in (1, 2, 4):
            grid = Grid(5, 6, 1e-3, deadline_spacing, multiplier_spacing)
            users = random_users(rng, num_users)
            decision = make_controller("multi_spin", **dataclasses.asdict(grid))(users, CELL)
            reached = float(play_round(users, CELL, decision).goodput)
            assert reached == pytest.approx(printed_search(users, CELL, grid), rel=1e-9)


@pytest.mark.parametrize("name", ["paper_llama2", "paper_qwen35"])
def test_on_the_papers_cells_it_comes_near_the_certified_optimum_and_nearer_on_a_finer_grid(name):
    scenario = load_scenario(name)
    users = scenario.sample_users(np.random.default_rng(2), batch=(30,))
    certificate = certify(users, scenario.cell, gap=1e-5)
    ratios = []
    for number in (8, 16, 32):
        decision = make_controller("multi_spin", deadlines=number, multipliers=number)(users, scenario.cell)
        reached = play_round(users, scenario.cell, Decision(decision.draft_lengths, decision.bandwidth_shares)).goodput
        assert (reached <= certificate.upper_bound).all()
        ratios.append(reached / certificate.upper_bound)
    coarse, middle, fine = (ratio.mean() for ratio in ratios)
    assert 0.985 < coarse < middle < fine
    assert fine > 0.9995
    assert ratios[-1].min() > 0.997


EDGES = {
    "nothing is accepted": [0.0, 0.0, 0.0],
    "everything is accepted": [1.0, 1.0, 1.0],
    "both ends": [0.0, 1.0, 0.6],
    "next to the ends": [1e-300, 1.0 - 2.0**-53, 1.0 - 1e-9],
}


@pytest.mark.parametrize("shortest", [0, 1, 3])
@pytest.mark.parametrize("speed", [60.0, [1e9, 60.0, 1e30], [5.0, 60.0, 500.0]], ids=["equal", "no limit", "spread"])
@pytest.mark.parametrize("acceptance", EDGES)
def test_ends_of_acceptance_and_speed_give_decisions_near_the_optimum(acceptance, speed, shortest):
    users = Users(EDGES[acceptance], speed, [0.2, 0.3, 0.5], 1e-8)
    cell = dataclasses.replace(CELL, min_draft_length=shortest)
    decision = make_controller("multi_spin")(users, cell)
    reached = float(play_round(users, cell, Decision(decision.draft_lengths, decision.bandwidth_shares)).goodput)
    best, _ = brute_force(users, cell)
    assert 0.99 * best <= reached <= best * (1 + 1e-9)


def test_nobody_drafts_where_that_is_best_and_allowed():
    users = random_users(np.random.default_rng(4), (6, 3))
    slow = dataclasses.replace(users, drafting_speed=users.drafting_speed / 100.0)
    cell = dataclasses.replace(CELL, min_draft_length=0)
    assert (make_controller("multi_spin")(slow, cell).draft_lengths == 0).all()


@pytest.mark.parametrize("gain", [1e-6, 1e-30, 1e-300])
def test_a_dead_channel_is_left_out_where_it_may_be_and_waited_for_where_not(gain):
    users = Users([0.8, 0.7, 0.9], 60.0, [0.3, 0.4, gain], 1e-8)
    lengths = {}
    for shortest in (0, 1):
        cell = dataclasses.replace(CELL, min_draft_length=shortest)
        lengths[shortest] = make_controller("multi_spin")(users, cell).draft_lengths.tolist()
    alone = Users(users.acceptance_rate[:2], 60.0, users.channel_gain[:2], 1e-8)
    # The third user's place in the batch is part of every round's time, its one token of every round's tokens.
    options = [(a, b) for a in range(7) for b in range(7)]
    most = max(options, key=lambda pair: rounds_goodput(alone, pair))
    assert lengths == {0: [*most, 0], 1: [6, 6, 1]}


def rounds_goodput(users, lengths):
    """Goodput of two users who draft beside one who does not."""
    if not any(lengths):
        return 3.0 / (SERVER.fixed + 3 * SERVER.per_draft)
    cell = dataclasses.replace(CELL, verification=AffineVerification(SERVER.fixed + 3 * SERVER.per_draft))
    best, _ = brute_force(users, cell, np.array([lengths], dtype=float))
    tokens = sum((1 - a ** (n + 1)) / (1 - a) for a, n in zip(users.acceptance_rate.tolist(), lengths, strict=True))
    return best * (tokens + 1.0) / tokens


def test_a_batch_is_decided_as_its_cells_are():
    scenario = load_scenario("paper_llama2")
    users = scenario.sample_users(np.random.default_rng(7), 5, batch=(2, 3))
    rule = make_controller("multi_spin", deadlines=9, multipliers=9)
    together = rule(users, scenario.cell)
    assert together.draft_lengths.shape == together.bandwidth_shares.shape == (2, 3, 5)
    for index in np.ndindex(2, 3):
        alone = rule(users[index], scenario.cell)
        assert (alone.draft_lengths == together.draft_lengths[index]).all()
        np.testing.assert_allclose(alone.bandwidth_shares, together.bandwidth_shares[index], rtol=1e-12)


def test_no_cells_give_no_decisions():
    users = random_users(np.random.default_rng(8), (2, 3))[np.array([], dtype=int)]
    assert make_controller("multi_spin")(users, CELL).draft_lengths.shape == (0, 3)


def test_many_cells_are_worked_on_in_parts():
    users = random_users(np.random.default_rng(8), (700, 2))
    rule = make_controller("multi_spin", deadlines=3, multipliers=400)
    together, first = rule(users, CELL), rule(users[:5], CELL)
    assert (together.draft_lengths[:5] == first.draft_lengths).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"power": "total", "noise_power": None, "noise_psd": 4e-21}, "needs a cell with power 'density', got 'total'"),
        (
            {"verification": AffineVerification(0.02, 1e-4)},
            "does not depend on the lengths: verification.per_token must be 0, got 0.0001",
        ),
        ({"verification": load_scenario("twenty_users").cell.verification}, "not depend on the lengths, got a table"),
    ],
)
def test_cells_for_which_the_closed_form_does_not_hold_are_refused(changes, message):
    cell = dataclasses.replace(CELL, **changes)
    with pytest.raises(ValueError, match=message):
        make_controller("multi_spin")(random_users(np.random.default_rng(0), 3), cell)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("deadlines", 1, r"deadlines must be a whole number in \[2, 10000\], got 1"),
        ("multipliers", 2.5, r"multipliers must be a whole number in \[2, 10000\], got 2.5"),
        ("smallest_multiplier", 0.0, r"smallest_multiplier must lie in \(0, 1\], got 0.0"),
        ("deadline_spacing", "lin", "deadline_spacing must be one of linear, log; got 'lin'. Did you mean 'linear'"),
    ],
)
def test_wrong_grids_are_refused(option, value, message):
    with pytest.raises(ValueError, match=message):
        make_controller("multi_spin", **{option: value})
